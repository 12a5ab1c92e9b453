// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <algorithm>
#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <regex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;
using cocp::event_kind;
using connect_result = fake_network::connect_result;

BOOST_AUTO_TEST_SUITE(pool)

BOOST_AUTO_TEST_CASE(an_address_is_all_it_needs_and_it_opens_five_connections) {
  world w;
  cocp::pool pool{w.io(), {.address = "10.0.0.1:7"}};
  BOOST_TEST(w.net().attempts.empty());
  w.settle();
  BOOST_TEST(pool.stats().size == 5u);
  BOOST_TEST(gauges(pool) == "5 connected, 5 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.net().open() == 5u);
}

BOOST_AUTO_TEST_CASE(constructing_runs_nothing_on_the_thread_of_the_context_either) {
  world w;
  auto body = [](world& where) -> asio::awaitable<void> {
    cocp::pool pool{where.io(), {.address = "10.0.0.1:7"}};
    BOOST_TEST(where.net().attempts.empty());
    co_return;
  };
  w.spawn(body(w));
  w.settle();
}

BOOST_AUTO_TEST_CASE(constructing_succeeds_while_the_endpoint_is_down) {
  pool_world w({.size = 3});
  w.net().default_result = connect_result::refused;
  auto got = w.get();
  w.advance(10s);
  BOOST_TEST(got->ends == 0u);
  BOOST_TEST(gauges(*w.pool) == "0 connected, 0 idle, 0 leased, 0 connecting, 1 waiting");
  w.net().default_result = connect_result::accepted;
  w.advance(5s);
  BOOST_TEST(bool(got->lease));
  BOOST_TEST(gauges(*w.pool) == "3 connected, 2 idle, 1 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(only_connections_that_are_up_are_handed_out) {
  pool_world w({.size = 2});
  w.net().next_results = {connect_result::accepted, connect_result::hangs};
  auto first = w.get();
  auto second = w.get();
  BOOST_TEST(!w.pool->try_get());
  w.advance(4s);
  BOOST_TEST(bool(first->lease));
  BOOST_TEST(first->lease->is_connected());
  BOOST_TEST(second->ends == 0u);
  BOOST_TEST(!w.pool->try_get());
  BOOST_TEST(gauges(*w.pool) == "1 connected, 0 idle, 1 leased, 1 connecting, 1 waiting");
}

BOOST_AUTO_TEST_CASE(get_finds_an_idle_connection_without_the_scheduler) {
  pool_world w;
  w.settle();
  auto body = [](cocp::pool& p, int& point) -> asio::awaitable<void> {
    cocp::lease got = co_await p.get();
    BOOST_TEST(point == 0);
  };
  int point = 0;
  w.spawn(body(*w.pool, point));
  asio::post(w.io(), [&] { point = 1; });
  w.settle();
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 1");
}

BOOST_AUTO_TEST_CASE(try_get_never_waits) {
  pool_world w;
  BOOST_TEST(!w.pool->try_get());
  auto lease = w.take();
  BOOST_TEST(!w.pool->try_get());
  lease.put();
  BOOST_TEST(bool(w.pool->try_get()));
  w.pool->close();
  BOOST_TEST(!w.pool->try_get());
}

BOOST_AUTO_TEST_CASE(an_address_by_itself_is_enough_and_braces_still_mean_options) {
  world w;
  const std::string text = "10.0.0.1:11";
  cocp::pool on_context(w.io(), "10.0.0.1:10");
  cocp::pool on_executor(w.io().get_executor(), text);
  cocp::pool with_options(w.io(), std::string_view("10.0.0.1:12"), {.size = 2});
  cocp::pool both(asio::any_io_executor(w.io().get_executor()), "10.0.0.1:13", {.size = 1});
  cocp::pool braces{w.io(), {"10.0.0.1:14"}, {.size = 1}};
  cocp::pool named{w.io(), {.address = "10.0.0.1:15"}, {.size = 1}};
  BOOST_CHECK_THROW(cocp::pool(w.io(), "nowhere"), std::invalid_argument);
  w.settle();
  std::vector<std::size_t> dialled(6);
  for (const std::string& to : w.net().attempted) ++dialled.at(static_cast<std::size_t>(to.back() - '0'));
  BOOST_TEST(dialled == (std::vector<std::size_t>{5, 5, 2, 1, 1, 1}), boost::test_tools::per_element());
  for (cocp::pool* p : {&on_context, &on_executor, &with_options, &both, &braces, &named}) p->close();
  w.settle();
}

BOOST_AUTO_TEST_SUITE(errors)

BOOST_AUTO_TEST_CASE(the_text_of_a_timeout_says_what_for_how_long_the_counters_and_the_last_error) {
  pool_world w({.size = 10});
  w.net().default_result = connect_result::refused;
  auto got = w.watch(w.pool->get());
  w.settle();
  for (int i = 0; i < 3; ++i) w.get(1h);
  w.advance(30s - 1ns);
  BOOST_TEST(!got->done);
  w.advance(1ns);
  BOOST_TEST(got->error == errc::timed_out);
  BOOST_TEST((got->error == std::errc::timed_out));
  const std::regex text(R"(get: no connection to 10\.0\.0\.1:7 within 30 s \(size 10: 0 up, 0 leased, 3 waiting; )"
                        R"(last error: Connection refused, [0-4]\.[0-9] s ago\))");
  BOOST_TEST(std::regex_match(got->what, text), got->what);
}

BOOST_AUTO_TEST_CASE(the_text_has_what_on_connect_said_of_its_failure) {
  for (const bool coded : {false, true}) {
    const auto refuse = [coded](cocp::connection&) -> asio::awaitable<void> {
      if (coded) throw boost::system::system_error(asio::error::access_denied, "log-in as bob");
      throw std::runtime_error("WRONGPASS for bob");
      co_return;
    };
    pool_world w({.size = 1}, {.on_connect = refuse});
    auto got = w.watch(w.pool->get(1s));
    w.advance(1s);
    const std::string expected =
        coded ? "last error: Permission denied: log-in as bob, " : "last error: handshake failed: WRONGPASS for bob, ";
    BOOST_TEST_INFO(got->what);
    BOOST_TEST(got->what.find(expected) != std::string::npos);
  }
}

/// What a `get` says that may not wait.
std::string refusal(pool_world& w) {
  auto got = w.watch(w.pool->get(0s));
  w.io().restart();
  w.io().poll();
  return got->what;
}

BOOST_AUTO_TEST_CASE(the_text_has_the_last_connect_error_only_while_it_is_the_reason) {
  const auto has_error = [](const std::string& text) { return text.find("last error") != std::string::npos; };
  pool_world w({.size = 2}, {.retry_min = 1s, .retry_max = 1s});
  w.net().next_results = {connect_result::refused};
  w.settle();
  BOOST_TEST(refusal(w).find("; last error: Connection refused, 0.0 s ago)") != std::string::npos);
  w.advance(300ms);
  BOOST_TEST(refusal(w).find("; last error: Connection refused, 0.3 s ago)") != std::string::npos);

  w.advance(1s);
  auto first = w.take();
  auto second = w.take();
  BOOST_TEST(!has_error(refusal(w)), "both are up, and in use");

  w.net().next_results = {connect_result::refused};
  second.discard();
  w.settle();
  BOOST_TEST(has_error(refusal(w)), "one is up, and the other is refused");
  w.advance(1s);
  BOOST_TEST(!has_error(refusal(w)), "it is up again");
  second = w.take();

  w.net().default_result = connect_result::refused;
  first.discard();
  second.discard();
  w.settle();
  BOOST_TEST(has_error(refusal(w)));
  w.net().default_result = connect_result::hangs;
  w.pool->readdress("10.0.0.2:7");
  BOOST_TEST(!has_error(refusal(w)), "that was another endpoint");
  w.advance(1s);
  w.pool->close();
  BOOST_TEST(!has_error(refusal(w)), "the reason is that it is closed");
}

BOOST_AUTO_TEST_CASE(the_text_has_no_connect_error_when_as_many_are_up_as_are_wanted) {
  pool_world w({.size = 3}, {.retry_min = 1h, .retry_max = 1h});
  w.net().next_results = {connect_result::accepted, connect_result::accepted, connect_result::refused};
  auto first = w.take();
  auto second = w.take();
  BOOST_TEST(refusal(w).find("last error: Connection refused") != std::string::npos, "one more is wanted");
  w.pool->resize(2);
  BOOST_TEST(refusal(w).find("last error") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_text_says_that_attempts_time_out_too) {
  pool_world w({.size = 1}, {.connect_timeout = 1s, .retry_min = 1h, .retry_max = 1h});
  w.net().default_result = connect_result::hangs;
  w.advance(1s);
  BOOST_TEST(refusal(w) ==
             "get: no connection to 10.0.0.1:7 within 0 s (size 1: 0 up, 0 leased, 0 waiting; last error: timed out, "
             "0.0 s ago)");
}

BOOST_AUTO_TEST_CASE(a_get_of_the_same_pool_in_on_connect_does_not_nest_its_text_without_bound) {
  cocp::pool* pool = nullptr;
  const auto ask = [&pool](cocp::connection&) -> asio::awaitable<void> { cocp::lease l = co_await pool->get(1ms); };
  pool_world w({.size = 1}, {.retry_min = 1ms, .retry_max = 1ms, .on_connect = ask});
  pool = &*w.pool;
  w.advance(1s);
  const auto events = w.log.entries();
  BOOST_TEST(events.size() > 100u);
  BOOST_TEST(events.back().reason.size() <= 240u);
  BOOST_TEST(events.back().line.size() <= 400u);
  BOOST_TEST(refusal(w).size() <= 400u);
}

BOOST_AUTO_TEST_CASE(words_from_outside_cannot_forge_a_line_or_talk_to_a_terminal) {
  const auto refuse = [](cocp::connection&) -> asio::awaitable<void> {
    throw std::runtime_error(std::string("no\r\n\x1b[2J\x7f") + '\0' + "K\u00f6nig");
    co_return;
  };
  pool_world w({.size = 1}, {.on_connect = refuse});
  w.settle();
  const std::string words = "handshake failed: no\\r\\n\\x1b[2J\\x7f";
  BOOST_TEST_INFO(refusal(w));
  BOOST_TEST(refusal(w).find(words) != std::string::npos);
  BOOST_TEST(w.log.entries().at(0).line.find(words) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_reason_has_neither_the_codes_message_nor_a_place_in_boosts_headers) {
  const auto read = [](cocp::connection& c) -> asio::awaitable<void> {
    std::array<char, 1> byte{};
    co_await asio::async_read(c, asio::buffer(byte), asio::use_awaitable);
  };
  pool_world w({.size = 1}, {.on_connect = read});
  w.net().on_accept = [](fake_peer& p) { p.fin(); };
  w.settle();
  const auto event = w.log.entries().at(0);
  BOOST_TEST(event.error == asio::error::eof);
  BOOST_TEST(event.reason == "");
  BOOST_TEST(event.line.starts_with("warning connect_failed 10.0.0.1:7: End of file (attempt 1"), event.line);
}

BOOST_AUTO_TEST_CASE(a_get_that_may_not_wait_fails_at_once) {
  pool_world w({.size = 1, .get_timeout = 0s});
  auto by_argument = w.watch(w.pool->get(0s));
  auto by_option = w.watch(w.pool->get());
  auto negative = w.get(-1s);
  w.io().poll();
  for (const auto& each : {by_argument, by_option}) {
    BOOST_TEST(each->error == errc::timed_out);
    BOOST_TEST(each->what == "get: no connection to 10.0.0.1:7 within 0 s (size 1: 0 up, 0 leased, 0 waiting)");
  }
  BOOST_TEST(negative->error == errc::timed_out);
  BOOST_TEST(w.pool->stats().timeouts == 3u);
  w.settle();
  auto idle = w.watch(w.pool->get(0s));
  w.settle();
  BOOST_TEST(idle->value.has_value());
}

BOOST_AUTO_TEST_CASE(a_get_behind_max_waiting_others_is_overload) {
  pool_world w({.size = 1, .max_waiting = 2});
  auto lease = w.take();
  auto first = w.get();
  auto second = w.get();
  auto third = w.watch(w.pool->get());
  w.settle();
  BOOST_TEST(third->error == errc::overloaded);
  BOOST_TEST(third->what.starts_with("get: no connection to 10.0.0.1:7: "));
  BOOST_TEST(w.pool->stats().rejected == 1u);
  lease.put();
  w.settle();
  auto fourth = w.get();
  w.settle();
  BOOST_TEST(bool(first->lease));
  BOOST_TEST(second->ends + fourth->ends == 0u);
}

BOOST_AUTO_TEST_CASE(nobody_may_wait_if_max_waiting_is_zero) {
  pool_world w({.size = 1, .max_waiting = 0});
  auto down = w.get();
  w.settle();
  BOOST_TEST(down->error == errc::overloaded);
  auto idle = w.get();
  w.settle();
  BOOST_TEST(bool(idle->lease));
}

BOOST_AUTO_TEST_CASE(get_without_a_limit_waits_for_ever) {
  pool_world w({.size = 1, .get_timeout = std::nullopt});
  w.net().default_result = connect_result::refused;
  auto got = w.get();
  w.advance(24h);
  BOOST_TEST(got->ends == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(ready)

BOOST_AUTO_TEST_CASE(waits_until_that_many_are_up) {
  pool_world w({.size = 3});
  w.net().next_results = {connect_result::accepted, connect_result::accepted, connect_result::refused};
  auto none = w.watch(w.pool->ready(0));
  auto one = w.watch(w.pool->ready());
  auto two = w.watch(w.pool->ready(2));
  auto three = w.watch(w.pool->ready(3));
  w.io().poll_one();
  w.settle();
  BOOST_TEST(none->value.has_value());
  BOOST_TEST(one->value.has_value());
  BOOST_TEST(two->value.has_value());
  BOOST_TEST(!three->done);
  auto leased = w.take();
  w.advance(5s);
  BOOST_TEST(three->value.has_value(), "leased ones count too");
  auto at_once = w.watch(w.pool->ready(3));
  w.settle();
  BOOST_TEST(at_once->value.has_value());
  BOOST_TEST(w.pool->stats().gets == 1u, "ready takes no connection");
}

BOOST_AUTO_TEST_CASE(is_bounded_by_get_timeout_and_fails_like_get) {
  pool_world w({.size = 2, .get_timeout = 3s});
  w.net().default_result = connect_result::refused;
  auto ready = w.watch(w.pool->ready(2));
  w.advance(3s - 1ns);
  BOOST_TEST(!ready->done);
  w.advance(1ns);
  BOOST_TEST(ready->error == errc::timed_out);
  BOOST_TEST(
      ready->what.starts_with("ready: no connection to 10.0.0.1:7 within 3 s (size 2: 0 up, 0 leased, "
                              "0 waiting; last error: Connection refused, "));
}

BOOST_AUTO_TEST_CASE(more_than_the_size_is_an_invalid_argument) {
  pool_world w({.size = 2});
  auto body = [](cocp::pool& p) -> asio::awaitable<void> {
    BOOST_CHECK_THROW(co_await p.ready(3), std::invalid_argument);
  };
  auto done = w.watch(body(*w.pool));
  w.settle();
  BOOST_TEST(done->value.has_value());
}

BOOST_AUTO_TEST_CASE(ends_with_closed) {
  pool_world w;
  w.net().default_result = connect_result::refused;
  auto before = w.watch(w.pool->ready());
  w.settle();
  w.pool->close();
  auto after = w.watch(w.pool->ready());
  w.settle();
  BOOST_TEST(before->error == errc::closed);
  BOOST_TEST(after->error == errc::closed);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(close)

BOOST_AUTO_TEST_CASE(closes_idle_connections_at_once_and_leaves_leased_ones_usable_until_they_are_put_back) {
  pool_world w({.size = 5});
  auto first = w.take();
  auto second = w.take();
  w.pool->close();
  w.pool->close();
  BOOST_TEST(w.net().open() == 2u);
  w.settle();
  auto sent = w.watch(first->write(asio::buffer("hello", 5)));
  w.settle();
  BOOST_TEST(sent->value.has_value());
  first.put();
  BOOST_TEST(w.net().open() == 1u);
  second.put();
  BOOST_TEST(w.net().open() == 0u);
  BOOST_TEST(gauges(*w.pool) == "0 connected, 0 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_DATA_TEST_CASE(the_context_runs_out_of_work_after_close,
                     data::make({connect_result::accepted, connect_result::refused, connect_result::hangs}), result) {
  pool_world w({.size = 3});
  w.net().default_result = result;
  w.settle();
  BOOST_TEST(!w.io().stopped());
  auto waiting = result == connect_result::accepted ? nullptr : w.get();
  auto lease = w.pool->try_get();
  w.pool->close();
  w.settle();
  BOOST_TEST(w.io().stopped(), "also with a lease out");
  if (waiting) BOOST_TEST(waiting->error == errc::closed);
}

BOOST_AUTO_TEST_CASE(a_get_after_it_ends_with_closed) {
  pool_world w;
  w.settle();
  w.pool->close();
  auto got = w.watch(w.pool->get());
  auto unwaiting = w.get(0s);
  w.settle();
  BOOST_TEST(got->error == errc::closed);
  BOOST_TEST(unwaiting->error == errc::closed);
}

BOOST_AUTO_TEST_CASE(a_leased_connection_lost_after_it_is_not_redialled) {
  pool_world w;
  auto lease = w.take();
  w.pool->close();
  w.settle();
  char b = 0;
  auto failing = w.watch(lease->read_some(asio::buffer(&b, 1)));
  w.settle();
  w.peer().reset();
  w.settle();
  BOOST_TEST(failing->error == asio::error::connection_reset);
  auto next = w.watch(lease->write(asio::buffer("x", 1)));
  auto ready = w.watch(lease->ready());
  w.advance(10s);
  BOOST_TEST(next->error == asio::error::connection_reset);
  BOOST_TEST(ready->error == errc::closed);
  BOOST_TEST(w.net().attempts.size() == 1u);
  lease.put();
  BOOST_TEST(w.net().open() == 0u);
}

BOOST_DATA_TEST_CASE(a_lease_that_waits_for_another_stream_is_told_that_the_pool_was_closed,
                     data::make({connect_result::refused, connect_result::hangs}), result) {
  pool_world w;
  auto lease = w.take();
  w.net().default_result = result;
  char b = 0;
  auto failing = w.watch(lease->read_some(asio::buffer(&b, 1)));
  w.settle();
  w.peer().fin();
  w.settle();
  auto waiting = w.watch(lease->ready());
  w.settle();
  BOOST_TEST(!waiting->done);
  w.pool->close();
  w.settle();
  BOOST_TEST(waiting->error == errc::closed);
  BOOST_TEST(w.io().stopped());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(drain)

BOOST_AUTO_TEST_CASE(waits_until_every_lease_is_back) {
  pool_world w({.size = 2});
  auto first = w.take();
  auto second = w.take();
  auto waiting = w.get();
  auto drained = w.watch(w.pool->drain());
  auto too = w.watch(w.pool->drain());
  w.advance(1h);
  BOOST_TEST(waiting->error == errc::closed, "drain closes");
  first.put();
  w.settle();
  BOOST_TEST(!drained->done);
  second.put();
  w.settle();
  BOOST_TEST(drained->value.has_value());
  BOOST_TEST(too->value.has_value());
  BOOST_TEST(w.net().open() == 0u);
  BOOST_TEST(w.io().stopped(), "work is left after drain");
  auto again = w.watch(w.pool->drain());
  w.settle();
  BOOST_TEST(again->value.has_value());
  BOOST_TEST(w.io().stopped());
}

BOOST_DATA_TEST_CASE(waits_for_no_dial, data::make({connect_result::refused, connect_result::hangs}), result) {
  pool_world w({.size = 3}, {.connect_timeout = std::nullopt, .retry_min = 1h, .retry_max = 1h});
  w.net().default_result = result;
  w.settle();
  auto drained = w.watch(w.pool->drain());
  w.settle();
  BOOST_TEST(drained->value.has_value());
  BOOST_TEST(w.io().stopped());
}

BOOST_AUTO_TEST_CASE(abandons_a_lookup_that_gets_no_answer) {
  pool_world w({.size = 2}, {.address = "unanswered:7"});
  w.advance(1s);
  auto drained = w.watch(w.pool->drain());
  w.settle();
  BOOST_TEST(drained->value.has_value());
  // The fake resolver keeps its operation, as the real one keeps its thread.
  w.pool.reset();
  w.destroy_context();
}

BOOST_AUTO_TEST_CASE(of_a_pool_that_did_not_run_yet_ends) {
  pool_world w({.size = 2});
  auto drained = w.watch(w.pool->drain());
  w.settle();
  BOOST_TEST(drained->value.has_value());
  BOOST_TEST(w.net().open() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(stats)

BOOST_AUTO_TEST_CASE(gauges_and_counters_agree_at_each_step) {
  pool_world w({.size = 2, .get_timeout = 1s, .max_waiting = 1});
  BOOST_TEST(gauges(*w.pool) == "0 connected, 0 idle, 0 leased, 0 connecting, 0 waiting");
  w.net().next_results = {connect_result::accepted, connect_result::refused};
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(counters(*w.pool) == "connects 1, connect_failures 1");

  auto first = w.take();
  auto second = w.get();
  auto third = w.get();
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "1 connected, 0 idle, 1 leased, 0 connecting, 1 waiting");
  BOOST_TEST(counters(*w.pool) == "gets 1, rejected 1, connects 1, connect_failures 1");
  w.advance(100ms);
  BOOST_TEST(gauges(*w.pool) == "2 connected, 0 idle, 2 leased, 0 connecting, 0 waiting");
  BOOST_TEST(counters(*w.pool) == "gets 2, waits 1, rejected 1, connects 2, connect_failures 1");

  auto fourth = w.get();
  w.advance(1s);
  BOOST_TEST(counters(*w.pool) == "gets 2, waits 1, timeouts 1, rejected 1, connects 2, connect_failures 1");
  auto fifth = w.get();
  fifth->cancel.emit(asio::cancellation_type::total);
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "2 connected, 0 idle, 2 leased, 0 connecting, 0 waiting");
  BOOST_TEST(counters(*w.pool) ==
             "gets 2, waits 1, timeouts 1, cancelled 1, rejected 1, connects 2, connect_failures 1");

  w.net().default_result = connect_result::hangs;
  first.discard();
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "1 connected, 0 idle, 1 leased, 1 connecting, 0 waiting");
  char b = 0;
  auto failing = w.watch(second->lease->read_some(asio::buffer(&b, 1)));
  w.settle();
  w.peer().reset();
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "0 connected, 0 idle, 1 leased, 1 connecting, 0 waiting");
  second->lease.put();
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "0 connected, 0 idle, 0 leased, 2 connecting, 0 waiting");
  BOOST_TEST(counters(*w.pool) ==
             "gets 2, waits 1, timeouts 1, cancelled 1, rejected 1, connects 2, connect_failures 1, disconnects 1, "
             "replaced_dirty 1");

  w.pool->close();
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "0 connected, 0 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(create_time_is_how_long_attempts_took_that_succeeded) {
  const auto greeting = [](cocp::connection& c) -> asio::awaitable<void> {
    char b = 0;
    const auto buffer = asio::buffer(&b, 1);
    co_await c.read(buffer);
  };
  pool_world w({.size = 1}, {.connect_timeout = 5s, .retry_min = 1s, .retry_max = 1s, .on_connect = greeting});
  // The first attempt fails, late.
  w.advance(5s);
  BOOST_TEST(w.pool->stats().connect_failures == 1u);
  BOOST_TEST(w.pool->stats().create_time.count() == 0u);
  while (w.net().peers.size() < 2) w.step();
  w.advance(300ms);
  w.peer().send("!");
  w.settle();
  BOOST_TEST(w.pool->stats().create_time.count() == 1u);
  BOOST_TEST((w.pool->stats().create_time.sum() == 300ms));
  // One that is lost at once has been up too.
  w.peer().fin();
  w.advance(1s);
  w.advance(200ms);
  BOOST_REQUIRE(w.net().peers.size() == 3u);
  w.peer().send("!");
  w.settle();
  BOOST_TEST(w.pool->stats().connects == 2u);
  BOOST_TEST(w.pool->stats().create_time.count() == 2u);
}

BOOST_AUTO_TEST_CASE(a_lease_that_was_handed_to_a_waiter_that_is_gone_does_not_count) {
  pool_world w;
  auto lease = w.take();
  auto gone = w.get();
  lease.put();
  gone->cancel.emit(asio::cancellation_type::terminal);
  w.settle();
  BOOST_TEST(gone->error == asio::error::operation_aborted);
  BOOST_TEST(counters(*w.pool) == "gets 1, cancelled 1, connects 1");
  // Nor does one that was found idle.
  auto idle = w.get();
  idle->cancel.emit(asio::cancellation_type::terminal);
  w.settle();
  BOOST_TEST(counters(*w.pool) == "gets 1, cancelled 2, connects 1");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_CASE(gets_in_a_row_let_others_run_after_64) {
  pool_world w({.size = 2});
  w.settle();
  unsigned in_a_row = 0;
  unsigned most = 0;
  unsigned ticks = 0;
  bool done = false;
  std::function<void()> tick = [&] {
    in_a_row = 0;
    ++ticks;
    if (!done) asio::post(w.io(), tick);
  };
  asio::post(w.io(), tick);
  auto use = [](cocp::pool& pool, unsigned& row, unsigned& longest, bool& end) -> asio::awaitable<void> {
    for (int i = 0; i < 1000; ++i) {
      cocp::lease l;
      if (i % 2 == 0) {
        l = co_await pool.get();
      } else {
        l = co_await pool.get(1s);
      }
      longest = std::max(longest, ++row);
    }
    end = true;
  };
  auto used = w.watch(use(*w.pool, in_a_row, most, done));
  w.settle();
  BOOST_TEST(used->value.has_value());
  BOOST_TEST(most <= 64u);
  // And not much oftener: it costs.
  BOOST_TEST(ticks <= 1000 / 60u + 3);
  BOOST_TEST(counters(*w.pool) == "gets 1000, connects 2");
}

BOOST_AUTO_TEST_CASE(one_who_lets_others_run_holds_nothing_back_when_he_is_destroyed_there) {
  destroy_at_every_step([](world& w) {
    auto p = std::make_unique<cocp::pool>(w.io(), cocp::connection_options{.address = "10.0.0.1:7"},
                                          cocp::pool_options{.size = 1});
    auto use = [](cocp::pool& pool) -> asio::awaitable<void> {
      for (int i = 0; i < 200; ++i) const cocp::lease l = co_await pool.get();
      pool.close();
    };
    w.spawn(use(*p));
    return p;
  });
  // Nor when he is cancelled.
  pool_world w;
  w.settle();
  asio::cancellation_signal stop;
  bool ended = false;
  auto use = [](cocp::pool& pool) -> asio::awaitable<void> {
    for (;;) const cocp::lease l = co_await pool.get();
  };
  asio::co_spawn(w.io(), use(*w.pool),
                 asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr) { ended = true; }));
  for (int i = 0; i < 10; ++i) w.step();
  stop.emit(asio::cancellation_type::terminal);
  w.settle();
  BOOST_TEST(ended);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_SUITE_END()
