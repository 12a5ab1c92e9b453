// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/connection.hpp>

#include "connection/backoff.hpp"
#include "support/reluctant_executor.hpp"
#include "support/world.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;
using cocp::event_kind;

namespace {

/// A connection on the fake network.
struct alone : world {
  explicit alone(cocp::connection_options options = {}) {
    if (options.address.empty()) options.address = "10.0.0.1:7";
    options.logger = log.log();
    conn.emplace(io(), options);
  }
  ~alone() { conn.reset(); }

  fake_peer& peer() { return *net().peers.back(); }

  recording_logger log;
  std::optional<cocp::connection> conn;
};

/// One byte, kept until the read that wants it has ended.
struct byte {
  char value = 0;
  asio::mutable_buffer buffer() { return asio::buffer(&value, 1); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(connection)

BOOST_AUTO_TEST_CASE(dials_at_once_and_says_so) {
  alone w;
  BOOST_TEST(!w.conn->is_connected());
  w.settle();
  BOOST_TEST(w.conn->is_connected());
  BOOST_TEST(w.conn->generation() == 1u);
  BOOST_TEST(w.conn->remote_endpoint().port() == 7);
  BOOST_TEST(!w.conn->last_error());
  BOOST_TEST(w.log.count(event_kind::connected) == 1u);
}

BOOST_AUTO_TEST_CASE(constructing_runs_nothing) {
  // Also when it happens on the context's own thread, where a dispatch would run at once.
  world w;
  auto body = [](world& where) -> asio::awaitable<void> {
    cocp::connection c{where.io(), {.address = "10.0.0.1:7"}};
    BOOST_TEST(where.net().attempts.empty());
    co_return;
  };
  w.spawn(body(w));
  w.settle();
}

BOOST_AUTO_TEST_CASE(an_operation_goes_to_the_stream) {
  alone w;
  w.settle();
  auto body = [](alone& a) -> asio::awaitable<void> {
    co_await a.conn->write(asio::buffer("ping", 4));
    BOOST_TEST(a.peer().received == "ping");
    a.peer().send("pong!");
    std::string reply(4, '\0');
    co_await a.conn->read(asio::buffer(reply));
    BOOST_TEST(reply == "pong");
    byte last;
    BOOST_TEST(co_await a.conn->read_some(last.buffer()) == 1u);
    BOOST_TEST(last.value == '!');
    a.peer().send("line\nrest");
    std::string text;
    auto buffer = asio::dynamic_buffer(text);
    BOOST_TEST(co_await a.conn->read_until(buffer, '\n') == 5u);
  };
  auto done = w.watch(body(w));
  w.settle();
  BOOST_TEST(done->done);
  BOOST_TEST(done->what == "");
}

BOOST_AUTO_TEST_CASE(an_operation_issued_while_the_endpoint_is_down_waits_and_runs_on_the_new_stream) {
  world base;
  base.net().default_result = fake_network::connect_result::refused;
  cocp::connection conn{base.io(), {.address = "10.0.0.1:7", .retry_min = 100ms, .retry_max = 100ms}};
  auto sent = base.watch(conn.write(asio::buffer("hello", 5)));
  byte b;
  auto got = base.watch(conn.read_some(b.buffer()));
  base.advance(1s);
  BOOST_TEST(!sent->done);
  BOOST_TEST(conn.last_error() == asio::error::connection_refused);
  base.net().default_result = fake_network::connect_result::accepted;
  base.advance(100ms);
  BOOST_REQUIRE(sent->value.has_value());
  BOOST_TEST(*sent->value == 5u);
  BOOST_TEST(base.net().peers.back()->received == "hello");
  base.net().peers.back()->send("x");
  base.settle();
  BOOST_TEST(got->value.has_value());
  conn.close();
}

BOOST_AUTO_TEST_CASE(a_failing_operation_returns_its_error_and_the_next_one_runs_on_the_new_stream) {
  alone w;
  w.settle();
  byte b;
  auto failing = w.watch(w.conn->read_some(b.buffer()));
  w.advance(1s);
  w.peer().fin();
  w.settle();
  BOOST_TEST(failing->error == asio::error::eof);
  BOOST_TEST(w.conn->generation() == 2u);
  BOOST_TEST(w.conn->last_error() == asio::error::eof);
  BOOST_TEST(w.net().attempts.size() == 2u);
  BOOST_TEST((w.net().attempts[1] == 1s), "the first redial after a loss is immediate");
  auto next = w.watch(w.conn->write(asio::buffer("again", 5)));
  w.settle();
  BOOST_TEST(next->value.has_value());
  BOOST_TEST(w.peer().received == "again");
}

BOOST_AUTO_TEST_CASE(a_failing_operation_returns_the_bytes_transferred) {
  alone w;
  w.settle();
  std::string buffer(10, '\0');
  std::optional<error_code> error;
  std::size_t bytes = 0;
  asio::async_read(*w.conn, asio::buffer(buffer), [&](error_code ec, std::size_t n) {
    error = ec;
    bytes = n;
  });
  w.peer().send("abc");
  w.settle();
  w.peer().reset();
  w.settle();
  BOOST_REQUIRE(error.has_value());
  BOOST_TEST(*error == asio::error::connection_reset);
  BOOST_TEST(bytes == 3u);
}

BOOST_AUTO_TEST_CASE(a_write_left_outstanding_by_a_failed_read_ends_before_the_redial) {
  // Rule 11: the supervisor takes the stream only when nobody uses it.
  alone w;
  w.settle();
  w.peer().stall();
  byte b;
  auto writing = w.watch(w.conn->write(asio::buffer("stuck", 5)));
  auto reading = w.watch(w.conn->read_some(b.buffer()));
  w.settle();
  BOOST_TEST(!writing->done);
  w.peer().reset();
  w.settle();
  BOOST_TEST(reading->error == asio::error::connection_reset);
  BOOST_TEST(writing->done);
  BOOST_TEST((writing->error && writing->error != errc::timed_out));
  BOOST_TEST(w.conn->is_connected() == false);
  w.advance(1s);
  BOOST_TEST(w.conn->is_connected());
}

BOOST_AUTO_TEST_CASE(a_second_read_waits_for_the_first) {
  alone w;
  w.settle();
  byte a;
  byte b;
  auto first = w.watch(w.conn->read_some(a.buffer()));
  auto second = w.watch(w.conn->read_some(b.buffer()));
  w.settle();
  w.peer().send("1");
  w.settle();
  BOOST_TEST(first->done);
  BOOST_TEST(!second->done);
  w.peer().send("2");
  w.settle();
  BOOST_TEST(second->done);
  BOOST_TEST(b.value == '2');
}

BOOST_AUTO_TEST_CASE(a_cancelled_operation_leaves_the_stream_up) {
  alone w;
  w.settle();
  byte b;
  asio::cancellation_signal cancel;
  std::optional<error_code> error;
  w.conn->async_read_some(b.buffer(),
                          asio::bind_cancellation_slot(cancel.slot(), [&](error_code ec, std::size_t) { error = ec; }));
  w.settle();
  cancel.emit(asio::cancellation_type::terminal);
  BOOST_TEST(!error.has_value());
  w.settle();
  BOOST_REQUIRE(error.has_value());
  BOOST_TEST(*error == asio::error::operation_aborted);
  BOOST_TEST(w.conn->is_connected());
  BOOST_TEST(w.conn->generation() == 1u);
}

BOOST_DATA_TEST_CASE(a_type_erased_handler_runs_where_it_belongs_also_if_the_operation_waits_for_the_stream,
                     data::make({false, true}), is_up) {
  alone w;
  if (is_up) w.settle();
  byte b;
  asio::io_context other;
  bool runs_other = false;
  std::optional<error_code> error;
  auto callback = [&](error_code ec, std::size_t) {
    BOOST_TEST(runs_other);
    error = ec;
  };
  using any_handler = asio::any_completion_handler<void(error_code, std::size_t)>;
  w.conn->async_read_some(b.buffer(), any_handler(asio::bind_executor(other, callback)));
  w.settle();
  w.peer().send("1");
  // The start of one that has waited is its handler's as well.
  for (int i = 0; i < 3; ++i) {
    w.settle();
    runs_other = true;
    other.poll();
    runs_other = false;
  }
  BOOST_REQUIRE(error.has_value());
  BOOST_TEST(!*error);
  BOOST_TEST(b.value == '1');
  BOOST_TEST(other.stopped());
}

BOOST_AUTO_TEST_CASE(an_operation_that_waits_for_the_stream_can_be_cancelled) {
  for (auto type :
       {asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total}) {
    world w;
    w.net().default_result = fake_network::connect_result::hangs;
    cocp::connection conn{w.io(), {.address = "10.0.0.1:7"}};
    byte b;
    asio::cancellation_signal cancel;
    std::optional<error_code> error;
    conn.async_read_some(b.buffer(),
                         asio::bind_cancellation_slot(cancel.slot(), [&](error_code ec, std::size_t) { error = ec; }));
    w.settle();
    cancel.emit(type);
    w.settle();
    BOOST_REQUIRE(error.has_value());
    BOOST_TEST(*error == asio::error::operation_aborted);
  }
}

BOOST_AUTO_TEST_CASE(delays_double_up_to_retry_max_and_are_the_sequence_of_the_seeded_generator) {
  const cocp::duration least = 100ms;
  const cocp::duration most = 1s;
  const std::uint64_t seed = 42;
  world w(seed);
  w.net().default_result = fake_network::connect_result::refused;
  recording_logger log;
  cocp::connection conn{w.io(), {.address = "10.0.0.1:7", .retry_min = least, .retry_max = most, .logger = log.log()}};
  w.advance(1h);
  std::mt19937_64 same(seed);
  cocp::duration expected{};
  BOOST_REQUIRE(w.net().attempts.size() > 3000u);
  for (unsigned i = 0; i < w.net().attempts.size(); ++i) {
    BOOST_REQUIRE((w.net().attempts[i] == expected));
    expected += cocp::detail::backoff_delay(i + 1, least, most, same());
  }
  const auto entries = log.entries();
  BOOST_TEST(entries.size() == w.net().attempts.size());
  BOOST_TEST(entries[4].attempt == 5u);
  BOOST_TEST((entries[4].retry_in >= most / 2 && entries[4].retry_in <= most));
}

BOOST_AUTO_TEST_CASE(delays_start_again_after_a_success) {
  world w;
  recording_logger log;
  using result = fake_network::connect_result;
  w.net().next_results = {result::refused, result::refused, result::refused, result::accepted, result::refused};
  cocp::connection conn{w.io(), {.address = "10.0.0.1:7", .logger = log.log()}};
  w.advance(2s);
  BOOST_REQUIRE(conn.is_connected());
  byte b;
  auto lost = w.watch(conn.read_some(b.buffer()));
  w.settle();
  w.net().peers.back()->fin();
  w.settle();
  const auto last = log.entries().back();
  BOOST_TEST((last.kind == event_kind::connect_failed));
  BOOST_TEST(last.attempt == 1u);
  BOOST_TEST((last.retry_in >= 50ms && last.retry_in <= 100ms));
  w.advance(100ms);
  BOOST_TEST(conn.is_connected());
}

BOOST_AUTO_TEST_CASE(an_endpoint_that_accepts_and_closes_is_not_hammered) {
  world w;
  w.net().on_accept = [](fake_peer& p) { p.fin(); };
  cocp::connection conn{w.io(), {.address = "10.0.0.1:7"}};
  auto reader = [](cocp::connection& c) -> asio::awaitable<void> {
    for (;;) {
      byte b;
      error_code ec;
      auto token = asio::redirect_error(asio::use_awaitable, ec);
      co_await c.async_read_some(b.buffer(), token);
      if (ec == errc::closed) co_return;
    }
  };
  w.spawn(reader(conn));
  w.advance(60s);
  // 100 ms doubling to 5 s: fewer than 30 attempts in a minute.
  BOOST_TEST(w.net().attempts.size() > 10u);
  BOOST_TEST(w.net().attempts.size() < 40u);
  conn.close();
}

BOOST_AUTO_TEST_CASE(an_attempt_that_hangs_ends_after_connect_timeout) {
  world w;
  w.net().default_result = fake_network::connect_result::hangs;
  recording_logger log;
  cocp::connection conn{w.io(), {.address = "10.0.0.1:7", .connect_timeout = 2s, .logger = log.log()}};
  w.advance(1999ms);
  BOOST_TEST(log.entries().empty());
  w.advance(1ms);
  BOOST_REQUIRE(log.entries().size() == 1u);
  BOOST_TEST(log.entries()[0].error == errc::timed_out);
  w.net().default_result = fake_network::connect_result::accepted;
  w.advance(100ms);
  BOOST_TEST(conn.is_connected());
}

BOOST_AUTO_TEST_CASE(a_lookup_that_gets_no_answer_ends_after_connect_timeout) {
  world w;
  recording_logger log;
  cocp::connection conn{w.io(), {.address = "unanswered:7", .connect_timeout = 2s, .logger = log.log()}};
  w.advance(2s);
  BOOST_REQUIRE(log.entries().size() == 1u);
  BOOST_TEST(log.entries()[0].error == errc::timed_out);
  BOOST_TEST(w.net().attempts.empty());
  conn.close();
  w.settle();
  // The fake resolver keeps its operation, as the real one keeps its thread.
  w.destroy_context();
}

BOOST_AUTO_TEST_CASE(close_ends_waiting_outstanding_and_later_operations_with_closed) {
  for (bool connected : {true, false}) {
    world w;
    if (!connected) w.net().default_result = fake_network::connect_result::hangs;
    cocp::connection conn{w.io(), {.address = "10.0.0.1:7"}};
    w.settle();
    if (connected) w.net().peers.back()->stall();
    byte b;
    auto reading = w.watch(conn.read_some(b.buffer()));
    auto writing = w.watch(conn.write(asio::buffer("x", 1)));
    w.settle();
    BOOST_TEST(!reading->done);
    BOOST_TEST(!writing->done);
    conn.close();
    conn.close();
    w.settle();
    BOOST_TEST(reading->error == errc::closed);
    BOOST_TEST(writing->error == errc::closed);
    auto later = w.watch(conn.write(asio::buffer("x", 1)));
    auto ready = w.watch(conn.ready());
    w.settle();
    BOOST_TEST(later->error == errc::closed);
    BOOST_TEST(ready->error == errc::closed);
    BOOST_TEST(!conn.is_connected());
    BOOST_TEST(w.net().open() == 0u);
  }
}

BOOST_AUTO_TEST_CASE(an_operation_that_close_ends_and_whose_completion_is_refused_ends_all_the_same) {
  for (const unsigned times : {1u, 3u}) {
    world w;
    w.net().default_result = fake_network::connect_result::hangs;
    cocp::connection conn{w.io(), {.address = "10.0.0.1:7"}};
    w.settle();
    reluctant_executor::control control{1, times};
    const reluctant_executor ex(w.io().get_executor(), control);
    std::optional<error_code> error;
    byte b;
    conn.async_read_some(b.buffer(), asio::bind_executor(ex, [&](error_code ec, std::size_t) { error = ec; }));
    conn.close();
    w.advance(1s);
    BOOST_TEST(control.refused == times);
    BOOST_TEST((error == errc::closed));
  }
}

// Who may not dial at one time has no leave to at another, a moment later.
BOOST_AUTO_TEST_CASE(a_clock_that_goes_on_meanwhile_brings_no_attempt_forward) {
  reluctant_executor::control control{1, ~0u};
  world w;
  w.net().default_result = fake_network::connect_result::refused;
  w.net().look_takes = 2ms;
  cocp::connection conn{w.io(), {.address = "10.0.0.1:7", .retry_min = 100ms, .retry_max = 100ms}};
  byte b;
  // A completion that is refused has its supervisor look each 10 ms.
  const reluctant_executor ex(w.io().get_executor(), control);
  asio::cancellation_signal cancel;
  auto ignore = asio::bind_executor(ex, [](error_code, std::size_t) {});
  conn.async_read_some(b.buffer(), asio::bind_cancellation_slot(cancel.slot(), ignore));
  cancel.emit(asio::cancellation_type::terminal);
  w.advance(5s);
  control.times = 0;
  const auto& at = w.net().attempts;
  BOOST_TEST(at.size() > 40u);
  for (std::size_t i = 1; i < at.size(); ++i) BOOST_TEST((at[i] - at[i - 1] >= 50ms));
  conn.close();
  w.advance(1s);
}

BOOST_AUTO_TEST_CASE(close_closes_the_stream_at_once_also_when_nobody_runs_the_context) {
  alone w;
  w.settle();
  w.conn->close();
  BOOST_TEST(w.net().open() == 0u);
}

BOOST_AUTO_TEST_CASE(ready_waits_until_connected) {
  world w;
  w.net().next_results = {fake_network::connect_result::refused};
  cocp::connection conn{w.io(), {.address = "10.0.0.1:7"}};
  auto ready = w.watch(conn.ready());
  w.settle();
  BOOST_TEST(!ready->done);
  w.advance(100ms);
  BOOST_TEST(ready->value.has_value());
}

BOOST_AUTO_TEST_SUITE(expires_after)

BOOST_AUTO_TEST_CASE(an_outstanding_operation_fails_with_timed_out_and_the_stream_is_replaced) {
  alone w;
  w.settle();
  w.conn->expires_after(1s);
  byte b;
  auto reading = w.watch(w.conn->read_some(b.buffer()));
  w.advance(999ms);
  BOOST_TEST(!reading->done);
  w.advance(1ms);
  BOOST_TEST(reading->error == errc::timed_out);
  BOOST_TEST((reading->error == std::errc::timed_out));
  BOOST_TEST(w.conn->generation() == 2u);
}

BOOST_AUTO_TEST_CASE(an_operation_that_waits_for_the_stream_fails_too) {
  world w;
  w.net().default_result = fake_network::connect_result::refused;
  cocp::connection conn{w.io(), {.address = "10.0.0.1:7"}};
  conn.expires_after(1s);
  auto writing = w.watch(conn.write(asio::buffer("x", 1)));
  w.advance(1s);
  BOOST_TEST(writing->error == errc::timed_out);
}

BOOST_AUTO_TEST_CASE(when_it_passes_with_nothing_outstanding_the_next_operation_fails_at_once) {
  alone w;
  w.settle();
  w.conn->expires_after(1s);
  w.advance(2s);
  BOOST_TEST(w.conn->is_connected());
  auto writing = w.watch(w.conn->write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(writing->error == errc::timed_out);
  w.conn->expires_never();
  auto again = w.watch(w.conn->write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(again->value.has_value());
}

BOOST_AUTO_TEST_CASE(it_can_be_moved_earlier_and_later) {
  alone w;
  w.settle();
  byte b;
  auto reading = w.watch(w.conn->read_some(b.buffer()));
  w.conn->expires_after(10s);
  w.conn->expires_after(1s);
  w.conn->expires_after(5s);
  w.advance(4999ms);
  BOOST_TEST(!reading->done);
  w.advance(1ms);
  BOOST_TEST(reading->error == errc::timed_out);
}

BOOST_AUTO_TEST_CASE(a_duration_of_zero_has_passed) {
  alone w;
  w.settle();
  byte b;
  auto reading = w.watch(w.conn->read_some(b.buffer()));
  w.settle();
  w.conn->expires_after(0s);
  w.settle();
  BOOST_TEST(reading->error == errc::timed_out);
}

BOOST_AUTO_TEST_CASE(it_keeps_no_work_after_close) {
  alone w;
  w.settle();
  w.conn->expires_after(1h);
  w.conn->close();
  w.settle();
  BOOST_TEST(w.io().stopped());
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
