// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/asio/buffer.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pools.hpp>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "support/pools_world.hpp"
#include "support/reluctant_executor.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using connect_result = fake_network::connect_result;
using cocp::error_code;
using cocp::event_kind;

BOOST_AUTO_TEST_SUITE(pools)

BOOST_AUTO_TEST_SUITE(by_address)

BOOST_AUTO_TEST_CASE(the_first_who_asks_for_an_address_makes_its_pool_and_the_next_finds_it) {
  pools_world w;
  w.advance(1h);
  BOOST_TEST(w.net().attempts.empty());
  BOOST_TEST(w.pools->stats().empty());
  w.take(1).put();
  w.take(2).put();
  w.take(1).put();
  BOOST_TEST(w.net().attempts.size() == 2u);
  BOOST_TEST(w.open(1) == 1u);
  BOOST_TEST(w.open(2) == 1u);
  const auto s = w.pools->stats();
  BOOST_TEST(s.size() == 2u);
  BOOST_TEST(s.at(w.at(1)).gets == 2u);
  BOOST_TEST(s.at(w.at(2)).gets == 1u);
  BOOST_TEST(s.sum.gets == 3u);
  BOOST_TEST(s.sum.idle == 2u);
}

BOOST_AUTO_TEST_CASE(all_ways_to_ask_are_those_of_a_pool) {
  pools_world w;
  BOOST_TEST((w.pools->get_executor() == asio::any_io_executor(w.io().get_executor())));
  auto by_coroutine = w.watch<cocp::lease>(w.pools->get(w.at(1)));
  w.settle();
  BOOST_TEST(by_coroutine->value.has_value());
  auto in_vain = w.watch<cocp::lease>(w.pools->get(w.at(2), 0s));
  w.settle();
  BOOST_TEST(in_vain->error == errc::timed_out);
  BOOST_TEST(bool(w.pools->try_get(w.at(2))), "it was a wish");
  BOOST_TEST(!w.pools->try_get(w.at(3)));
  auto by_token = w.watch<cocp::lease>(w.pools->get(w.at(3), asio::use_awaitable));
  w.settle();
  BOOST_TEST(by_token->value.has_value());
  auto ran = w.watch<int>(w.pools->run(w.at(4), [](cocp::lease& l) -> asio::awaitable<int> {
    BOOST_TEST(bool(l));
    co_return 7;
  }));
  w.settle();
  BOOST_TEST((ran->value == 7));
  auto ran_without = w.watch(w.pools->run(w.at(4), [](cocp::lease&) -> asio::awaitable<void> { co_return; }));
  w.settle();
  BOOST_TEST(ran_without->value.has_value());
}

BOOST_AUTO_TEST_CASE(whose_executor_refuses_to_begin_one_throws_and_begins_it_when_asked_again) {
  reluctant_executor::control control{~0u, 1};
  world w;
  std::optional<cocp::pools> pools;
  pools.emplace(asio::any_io_executor(reluctant_executor(w.io().get_executor(), control)), cocp::connection_options());
  w.settle();
  control.first = control.calls + 1;
  BOOST_CHECK_THROW(static_cast<void>(pools->try_get("10.0.0.1:7")), std::bad_alloc);
  BOOST_TEST(pools->stats().empty());
  w.settle();
  BOOST_TEST(!pools->try_get("10.0.0.1:7"));
  w.settle();
  BOOST_TEST(bool(pools->try_get("10.0.0.1:7")));
  pools.reset();
}

BOOST_AUTO_TEST_CASE(a_run_is_repeated_on_another_connection_as_of_a_pool) {
  pools_world w;
  // The first has served once, and is lost with the second question.
  w.net().on_receive = [](fake_peer& p) { p.number == 1 && p.received.size() == 2 ? p.reset() : p.send("y"); };
  unsigned tries = 0;
  const auto ask = [&tries](cocp::lease& l) -> asio::awaitable<unsigned> {
    ++tries;
    const auto out = asio::buffer("x", 1);
    co_await l->write(out);
    char c = 0;
    const auto in = asio::buffer(&c, 1);
    co_await l->read(in);
    co_return tries;
  };
  for (const unsigned n : {1u, 3u}) {
    auto ran = w.watch<unsigned>(w.pools->run(w.at(1), ask, cocp::run_options{.again = cocp::retry::unanswered}));
    w.advance(1s);
    BOOST_TEST((ran->value == n));
  }
  BOOST_TEST(w.net().attempts.size() == 2u);
}

BOOST_AUTO_TEST_CASE(the_name_of_each_is_its_address) {
  cocp::connection_options each{.address = "nonsense", .name = "all of them"};
  pools_world w({}, {}, each);
  w.net().default_result = fake_network::connect_result::refused;
  auto c = w.get(1, 1ms);
  w.settle();
  const auto entries = w.log.entries();
  BOOST_TEST_REQUIRE(entries.size() == 1u);
  BOOST_TEST(entries[0].address == w.at(1));
  BOOST_TEST(entries[0].name == w.at(1));
}

BOOST_AUTO_TEST_CASE(min_size_unset_means_none_and_set_means_that_many_of_each) {
  pools_world w({}, {.size = 3, .min_size = 2});
  w.take(1).put();
  w.settle();
  BOOST_TEST(w.open(1) == 2u);
  BOOST_TEST(w.pools->stats().at(w.at(1)).min_size == 2u);
  pools_world none;
  none.take(1).put();
  BOOST_TEST(none.pools->stats().at(none.at(1)).min_size == 0u);
}

BOOST_AUTO_TEST_CASE(a_malformed_address_is_an_invalid_argument_and_makes_no_pool) {
  pools_world w;
  BOOST_CHECK_THROW(static_cast<void>(w.pools->try_get("nowhere")), std::invalid_argument);
  BOOST_CHECK_THROW(w.pools->async_get("nowhere", [](error_code, cocp::lease) {}), std::invalid_argument);
  auto got = w.watch<cocp::lease>(w.pools->get("nowhere"));
  w.settle();
  BOOST_TEST(got->what.find("nowhere") != std::string::npos);
  BOOST_TEST(w.pools->stats().empty());
}

BOOST_AUTO_TEST_CASE(bad_options_are_told_by_name) {
  struct row {
    const char* says;
    cocp::pools_options all;
    cocp::pool_options of_each;
    cocp::connection_options each;
  };
  const row rows[] = {
      {"unused_for: 0", {.unused_for = 0s}, {}, {}},
      {"max_connections: 0", {.max_connections = 0}, {}, {}},
      {"max_dialling: 0", {.max_dialling = 0}, {}, {}},
      {"max_pools: 0", {.max_pools = 0}, {}, {}},
      {"min_size: 3", {.max_connections = 2}, {.size = 5, .min_size = 3}, {}},
      {"size: 0", {}, {.size = 0}, {}},
      {"retry_min: 0", {}, {}, {.retry_min = 0s}},
  };
  for (const row& r : rows) {
    BOOST_TEST_CONTEXT(r.says) {
      asio::io_context io;
      BOOST_CHECK_EXCEPTION(cocp::pools(io, r.each, r.of_each, r.all), std::invalid_argument,
                            [&r](const std::invalid_argument& e) {
                              BOOST_TEST_INFO(e.what());
                              return std::string(e.what()).starts_with(r.says);
                            });
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(removal)

BOOST_AUTO_TEST_CASE(a_pool_goes_when_nobody_has_asked_it_for_unused_for) {
  pools_world w({.unused_for = 1min});
  w.take(1).put();
  w.advance(30s);
  w.take(2).put();
  w.advance(30s + 100ms);
  BOOST_TEST(!w.has_pool(1));
  BOOST_TEST(w.has_pool(2));
  BOOST_TEST(w.open(1) == 0u);
  BOOST_TEST(w.open(2) == 1u);
  w.take(1).put();
  BOOST_TEST(w.net().attempts.size() == 3u);
}

BOOST_AUTO_TEST_CASE(one_that_is_leased_or_waited_for_stays_and_its_time_begins_with_the_end_of_that) {
  pools_world w({.unused_for = 1min}, {.size = 1, .get_timeout = std::nullopt});
  auto held = w.take(1);
  w.net().default_result = fake_network::connect_result::hangs;
  auto waits = w.get(2);
  w.advance(10min);
  BOOST_TEST(w.has_pool(1));
  BOOST_TEST(w.has_pool(2));
  BOOST_TEST(held->is_connected());
  held.put();
  w.advance(50s);
  BOOST_TEST(w.has_pool(1));
  w.advance(1min + 20s);
  BOOST_TEST(!w.has_pool(1));
  waits->cancel.emit(asio::cancellation_type::total);
  w.advance(2min);
  BOOST_TEST(!w.has_pool(2));
}

BOOST_AUTO_TEST_CASE(one_with_a_detached_connection_stays) {
  pools_world w({.unused_for = 1min});
  auto held = w.take(1);
  held.detach();
  w.advance(1h);
  BOOST_TEST(w.has_pool(1));
  BOOST_TEST(held->is_connected());
  held.put();
  w.advance(3min);
  BOOST_TEST(!w.has_pool(1));
}

// However its last use has ended: none of those leaves anything idle.
BOOST_AUTO_TEST_CASE(its_time_begins_with_the_end_of_the_last_use) {
  const std::pair<const char*, void (*)(pools_world&, cocp::lease&)> ways[] = {
      {"detached",
       [](pools_world&, cocp::lease& l) {
         l.detach();
         l.put();
       }},
      {"discarded in an outage",
       [](pools_world& w, cocp::lease& l) {
         w.net().results_at[w.at(1)] = connect_result::refused;
         l.discard();
       }},
      {"lost in an outage",
       [](pools_world& w, cocp::lease& l) {
         w.net().results_at[w.at(1)] = connect_result::refused;
         w.net().peers[0]->fin();
         w.settle();
         l.put();
       }},
  };
  for (const auto& [name, end] : ways) {
    BOOST_TEST_CONTEXT(name) {
      pools_world w({.unused_for = 1min});
      auto held = w.take(1);
      w.advance(119s);
      end(w, held);
      w.advance(59s);
      BOOST_TEST(w.has_pool(1));
      w.advance(62s);
      BOOST_TEST(!w.has_pool(1));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_keepalive_is_no_use) {
  auto hangs = [](cocp::connection& c) -> asio::awaitable<void> {
    char byte = 0;
    const auto in = asio::buffer(&byte, 1);
    co_await c.read(in);
  };
  pools_world w({.unused_for = 1min}, {.keepalive = hangs, .keepalive_interval = 10s},
                {.connect_timeout = std::nullopt});
  w.take(1).put();
  w.advance(59s);
  BOOST_TEST(w.has_pool(1));
  w.advance(2min);
  BOOST_TEST(!w.has_pool(1));
}

// A look at what was put is one of another thread's.
BOOST_AUTO_TEST_CASE(one_whose_last_lease_is_just_being_looked_at_is_in_use) {
  auto greets = [](cocp::connection& c) -> asio::awaitable<void> {
    const auto out = asio::buffer("x", 1);
    co_await c.write(out);
  };
  pools_world w({.unused_for = 1min}, {.one_way = true, .on_return = greets});
  auto held = w.take(1);
  const auto said = w.watch(held->write(asio::buffer("y", 1)));
  w.advance(5min);
  BOOST_TEST(said->done);
  bool looked = false;
  w.net().on_peek = [&] {
    if (std::exchange(looked, true)) return;
    // Nothing is leased, idle or in a hook just now.
    w.advance(1s);
    BOOST_TEST(w.has_pool(1));
  };
  held.put();
  BOOST_TEST(looked);
  w.net().on_peek = nullptr;
  w.advance(50s);
  BOOST_TEST(w.has_pool(1));
}

BOOST_AUTO_TEST_CASE(a_wait_in_vain_is_a_use) {
  pools_world w({.unused_for = 1min}, {.size = 1, .get_timeout = 119s});
  w.net().results_at[w.at(1)] = connect_result::refused;
  auto waits = w.get(1);
  w.advance(120s);
  BOOST_TEST(waits->error == errc::timed_out);
  w.advance(57s);
  BOOST_TEST(w.has_pool(1));
  w.advance(1min);
  BOOST_TEST(!w.has_pool(1));
}

BOOST_AUTO_TEST_CASE(however_short_unused_for_is_a_pool_in_use_is_not_looked_at_all_the_time) {
  pools_world w({.unused_for = 1ns});
  const cocp::lease held = w.take(1);
  const auto end = w.net().now() + 10s;
  unsigned looks = 0;
  for (auto next = w.net().next_timer(); next && *next <= end && looks < 1000; next = w.net().next_timer()) {
    w.net().move(*next - w.net().now());
    w.settle();
    ++looks;
  }
  BOOST_TEST(looks < 200u);
  BOOST_TEST(w.has_pool(1));
}

BOOST_AUTO_TEST_CASE(without_unused_for_none_goes) {
  pools_world w({.unused_for = std::nullopt});
  w.take(1).put();
  w.advance(24h);
  BOOST_TEST(w.has_pool(1));
}

BOOST_AUTO_TEST_CASE(the_counters_of_one_that_went_stay_in_the_sum_and_its_gauges_do_not) {
  pools_world w({.unused_for = 1min});
  w.take(1).put();
  w.advance(3min);
  const auto s = w.pools->stats();
  BOOST_TEST(s.empty());
  BOOST_TEST(s.sum.gets == 1u);
  BOOST_TEST(s.sum.connects == 1u);
  BOOST_TEST(s.sum.create_time.count() == 1u);
  BOOST_TEST(s.sum.wait_time.count() == 1u);
  BOOST_TEST(s.sum.idle == 0u);
  BOOST_TEST(s.sum.size == 0u);
  w.take(1).put();
  BOOST_TEST(w.pools->stats().sum.gets == 2u);
}

BOOST_AUTO_TEST_CASE(a_run_keeps_its_pool_between_two_tries) {
  pools_world w({.max_pools = 1}, {.size = 1});
  auto ran = w.watch<bool>(w.pools->run(w.at(1), [&w](cocp::lease& l) -> asio::awaitable<bool> {
    l.put();
    BOOST_TEST(!w.pools->try_get(w.at(2)));
    co_return true;
  }));
  w.settle();
  BOOST_TEST(ran->value.has_value());
  BOOST_TEST(w.has_pool(1));
  BOOST_TEST(!w.pools->try_get(w.at(2)));
  BOOST_TEST(w.has_pool(2));
}

BOOST_AUTO_TEST_CASE(at_max_pools_the_unused_one_that_was_asked_longest_ago_goes) {
  pools_world w({.max_pools = 3});
  auto held = w.take(1);
  w.take(2).put();
  w.take(3).put();
  w.take(2).put();
  w.take(4).put();
  BOOST_TEST(w.has_pool(1));
  BOOST_TEST(w.has_pool(2));
  BOOST_TEST(!w.has_pool(3));
  BOOST_TEST(w.has_pool(4));
  BOOST_TEST(w.open(3) == 0u);
}

BOOST_AUTO_TEST_CASE(at_max_pools_it_is_overloaded_if_all_are_used) {
  pools_world w({.max_pools = 2}, {.size = 1});
  auto first = w.take(1);
  auto second = w.take(2);
  auto late = w.get(3);
  BOOST_TEST(late->ends == 0u, "not inside the call");
  w.settle();
  BOOST_TEST(late->error == errc::overloaded);
  auto by_coroutine = w.watch<cocp::lease>(w.pools->get(w.at(3)));
  w.settle();
  BOOST_TEST(by_coroutine->error == errc::overloaded);
  auto ran = w.watch(w.pools->run(w.at(3), [](cocp::lease&) -> asio::awaitable<void> { co_return; }));
  w.settle();
  BOOST_TEST(ran->error == errc::overloaded);
  BOOST_TEST(!w.pools->try_get(w.at(3)));
  BOOST_TEST(w.net().attempts.size() == 2u);
  first.put();
  BOOST_TEST(bool(w.take(3)));
  BOOST_TEST(!w.has_pool(1));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(the_end)

BOOST_AUTO_TEST_CASE(close_ends_all_waits_and_idle_connections_and_nothing_is_opened_any_more) {
  pools_world w({}, {.size = 1});
  auto held = w.take(1);
  w.take(2).put();
  auto waits = w.get(1);
  w.pools->close();
  w.settle();
  BOOST_TEST(waits->error == errc::closed);
  BOOST_TEST(w.open(2) == 0u);
  BOOST_TEST(held->is_connected());
  auto late = w.get(3);
  w.settle();
  BOOST_TEST(late->error == errc::closed);
  BOOST_TEST(!w.pools->try_get(w.at(2)));
  held.put();
  w.settle();
  BOOST_TEST(w.net().open() == 0u);
}

BOOST_AUTO_TEST_CASE(a_get_that_was_called_and_not_resumed_outlives_the_pools) {
  pools_world w;
  auto get = w.pools->get(w.at(1));
  auto run = w.pools->run(w.at(1), [](cocp::lease&) -> asio::awaitable<void> { co_return; });
  auto later = w.pools->async_get(w.at(1));
  w.pools.reset();
  auto got = w.watch<cocp::lease>(std::move(get));
  auto ran = w.watch(std::move(run));
  error_code ec;
  std::move(later)([&ec](error_code e, const cocp::lease&) { ec = e; });
  w.settle();
  BOOST_TEST(got->error == errc::closed);
  BOOST_TEST(ran->error == errc::closed);
  BOOST_TEST(ec == errc::closed);
}

BOOST_AUTO_TEST_CASE(drain_waits_for_all_leases) {
  pools_world w;
  auto first = w.take(1);
  auto second = w.take(2);
  auto drained = w.watch(w.pools->drain());
  w.settle();
  BOOST_TEST(!drained->done);
  first.put();
  w.settle();
  BOOST_TEST(!drained->done);
  second.put();
  w.settle();
  BOOST_TEST(drained->value.has_value());
}

BOOST_AUTO_TEST_CASE(drain_waits_for_the_last_words_of_one_that_was_removed) {
  cocp::connection_options each;
  each.on_close = [](cocp::connection& c) -> asio::awaitable<void> {
    char answer = 0;
    const auto in = asio::buffer(&answer, 1);
    co_await c.read(in);
  };
  pools_world w({.max_pools = 1}, {}, each);
  w.take(1).put();
  BOOST_TEST(!w.pools->try_get(w.at(2)));
  w.settle();
  auto drained = w.watch(w.pools->drain());
  w.advance(900ms);
  BOOST_TEST(!drained->done);
  w.advance(1s);
  BOOST_TEST(drained->done);
}

BOOST_AUTO_TEST_CASE(drain_with_a_limit_ends_what_is_outstanding_in_all_of_them_and_says_how_many) {
  pools_world w;
  std::vector<cocp::lease> held;
  for (unsigned n : {1u, 2u, 3u}) held.push_back(w.take(n));
  held[2].detach();
  auto drained = w.watch<std::size_t>(w.pools->drain(2s));
  w.advance(1900ms);
  BOOST_TEST(!drained->done);
  w.advance(100ms);
  char c = 0;
  for (auto& l : held) {
    error_code ec;
    l->async_read_some(asio::buffer(&c, 1), [&ec](error_code e, std::size_t) { ec = e; });
    w.settle();
    BOOST_TEST(ec == errc::closed);
  }
  w.advance(1s);
  BOOST_TEST((drained->value == 3u));
  held.clear();
  w.settle();
}

BOOST_AUTO_TEST_CASE(drain_can_be_cancelled) {
  pools_world w;
  auto held = w.take(1);
  asio::cancellation_signal cancel;
  error_code ec;
  asio::co_spawn(w.io(), w.pools->drain(), asio::bind_cancellation_slot(cancel.slot(), [&ec](std::exception_ptr e) {
                   try {
                     if (e) std::rethrow_exception(e);
                   } catch (const boost::system::system_error& failure) {
                     ec = failure.code();
                   }
                 }));
  w.settle();
  cancel.emit(asio::cancellation_type::terminal);
  w.settle();
  BOOST_TEST(ec == asio::error::operation_aborted);
}

BOOST_AUTO_TEST_CASE(renew_redials_the_connections_of_all) {
  pools_world w;
  for (unsigned n : {1u, 2u, 3u}) w.take(n).put();
  auto held = w.take(4);
  w.pools->renew();
  w.settle();
  BOOST_TEST(w.net().attempts.size() == 7u);
  for (unsigned n : {1u, 2u, 3u, 4u}) BOOST_TEST(w.open(n) == 1u);
  held.put();
  w.settle();
  BOOST_TEST(w.net().attempts.size() == 8u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
