// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Rules 3 and 13: nothing crosses streams, and no request is left behind for the next user.

#include "support/pool_world.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;
using cocp::event_kind;

namespace {

/// What came of an operation that was started with a callback.
struct result {
  std::optional<error_code> error;
  std::size_t bytes = 0;
  auto handler() {
    return [this](error_code ec, std::size_t n) {
      error = ec;
      bytes = n;
    };
  }
};

/// A connection that stands alone, and where the bytes of the tests live.
struct alone : world {
  alone() {
    conn.emplace(io(), cocp::connection_options{.address = "10.0.0.1:7"});
    settle();
  }
  ~alone() { conn.reset(); }

  fake_peer& peer() { return *net().peers.back(); }

  std::array<char, 8> in{};
  std::optional<cocp::connection> conn;
};

/// A lease of the one connection of a pool.
struct leased : pool_world {
  explicit leased(cocp::pool_options options = {.size = 1}) : pool_world(std::move(options)) { lease = take(); }

  /// The stream of the lease is lost; `cause` is told by a read.
  void lose(error_code cause) {
    auto reading = watch(lease->read_some(asio::buffer(in)));
    settle();
    cause == asio::error::eof ? peer().fin() : peer().reset();
    settle();
    BOOST_TEST(reading->error == cause);
  }

  std::array<char, 8> in{};
  cocp::lease lease;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(one_stream)

BOOST_AUTO_TEST_SUITE(of_a_connection_alone)

BOOST_AUTO_TEST_CASE(a_read_that_ends_well_on_a_stream_that_is_down_reports_the_loss_with_its_bytes) {
  alone w;
  w.peer().stall();
  result written;
  result read;
  w.conn->async_write_some(asio::buffer("x", 1), written.handler());
  asio::async_read(*w.conn, asio::buffer(w.in), read.handler());
  w.settle();
  // In this order: the stream is down before the read, which has ended well, is told of.
  w.peer().fail_write(asio::error::broken_pipe);
  w.peer().send("OLD!");
  w.settle();
  w.advance(1s);
  w.peer().send("new-");
  w.settle();
  BOOST_TEST((written.error == asio::error::broken_pipe));
  BOOST_TEST((read.error == asio::error::broken_pipe));
  BOOST_TEST(read.bytes == 4u);
}

BOOST_AUTO_TEST_CASE(a_write_that_ends_well_on_a_stream_that_is_down_reports_the_loss_with_its_bytes) {
  alone w;
  auto old = w.net().peers.back();
  old->stall();
  result written;
  result read;
  w.conn->async_read_some(asio::buffer(w.in), read.handler());
  asio::async_write(*w.conn, asio::buffer("12345678", 8), written.handler());
  w.settle();
  // The read sees the end before the write, which has ended well, is told of.
  old->fin();
  old->take(4);
  w.settle();
  w.advance(1s);
  BOOST_TEST((read.error == asio::error::eof));
  BOOST_TEST((written.error == asio::error::eof));
  BOOST_TEST(written.bytes == 4u);
  BOOST_TEST(old->received == "1234");
  BOOST_TEST(w.peer().received == "");
  BOOST_TEST(w.conn->generation() == 2u);
}

BOOST_AUTO_TEST_CASE(a_member_has_no_parts_on_two_streams) {
  alone w;
  w.peer().stall();
  result written;
  w.conn->async_write_some(asio::buffer("x", 1), written.handler());
  auto read = w.watch(w.conn->read(asio::buffer(w.in)));
  w.settle();
  w.peer().fail_write(asio::error::broken_pipe);
  w.peer().send("OLD!");
  w.settle();
  w.advance(1s);
  w.peer().send("new-");
  w.settle();
  BOOST_TEST(read->error == asio::error::broken_pipe);
  BOOST_TEST(read->what == "read 10.0.0.1:7: Broken pipe");
}

BOOST_AUTO_TEST_CASE(two_members_of_a_kind_do_not_mix) {
  alone w;
  w.peer().stall(3);
  auto first = w.watch(w.conn->write(asio::buffer("aaaaaaaa", 8)));
  auto second = w.watch(w.conn->write(asio::buffer("bbbbbbbb", 8)));
  for (int i = 0; i < 20; ++i) {
    w.settle();
    w.peer().take(1);
  }
  w.settle();
  BOOST_TEST(w.peer().received == "aaaaaaaabbbbbbbb");
  BOOST_TEST(first->value.has_value());
  BOOST_TEST(second->value.has_value());

  std::array<char, 4> more{};
  auto four = w.watch(w.conn->read(asio::buffer(more)));
  auto line = std::make_shared<std::string>();
  auto buffer = asio::dynamic_buffer(*line);
  auto rest = w.watch(w.conn->read_until(buffer, '\n'));
  for (const char c : std::string("1234line\n")) {
    w.settle();
    w.peer().send({&c, 1});
  }
  w.settle();
  BOOST_TEST(std::string(more.data(), more.size()) == "1234");
  BOOST_TEST(*line == "line\n");
  BOOST_TEST(four->value.has_value());
  BOOST_TEST(rest->value.has_value());
}

BOOST_AUTO_TEST_CASE(what_waited_for_a_stream_that_is_lost_before_it_could_start_is_told_why) {
  asio::io_context other;
  alone w;
  result first;
  result second;
  result written;
  w.conn->async_read_some(asio::buffer(w.in), first.handler());
  w.conn->async_read_some(asio::buffer(w.in), asio::bind_executor(other, second.handler()));
  w.peer().send("1");
  // The second read has begun now, but its handler waits on the other context.
  w.settle();
  w.peer().stall();
  w.conn->async_write_some(asio::buffer("x", 1), written.handler());
  w.settle();
  w.peer().fail_write(asio::error::broken_pipe);
  w.settle();
  other.run();
  BOOST_TEST(first.bytes == 1u);
  BOOST_TEST((second.error == asio::error::broken_pipe));
  BOOST_TEST(second.bytes == 0u);
}

// Between its parts another may have had its turn, and that one fails.
BOOST_AUTO_TEST_CASE(a_part_that_waits_behind_an_operation_is_not_for_the_next_stream) {
  alone w;
  auto old = w.net().peers.back();
  old->stall(4);
  result composed;
  result other;
  asio::async_write(*w.conn, asio::buffer("12345678", 8), composed.handler());
  w.conn->async_write_some(asio::buffer("x", 1), other.handler());
  w.settle();
  old->fail_write(asio::error::broken_pipe);
  w.advance(1s);
  BOOST_TEST((other.error == asio::error::broken_pipe));
  BOOST_TEST((composed.error == asio::error::broken_pipe));
  BOOST_TEST(composed.bytes == 4u);
  BOOST_TEST(old->received == "1234");
  BOOST_TEST(w.net().peers.back()->received == "");
}

BOOST_AUTO_TEST_CASE(ready_that_is_cancelled_at_any_time_does_no_harm) {
  for (unsigned steps = 0; steps < 8; ++steps) {
    alone w;
    asio::cancellation_signal cancel;
    asio::co_spawn(w.io(), w.conn->ready(), asio::bind_cancellation_slot(cancel.slot(), [](std::exception_ptr) {}));
    for (unsigned i = 0; i < steps; ++i) w.io().restart(), w.io().poll_one();
    cancel.emit(asio::cancellation_type::terminal);
    w.settle();
    auto written = w.watch(w.conn->write(asio::buffer("x", 1)));
    w.settle();
    BOOST_TEST(written->value.has_value(), "cancelled after " << steps << " steps");
  }
}

BOOST_AUTO_TEST_CASE(a_line_that_does_not_fit_is_no_loss) {
  alone w;
  std::string line;
  auto read = w.watch(w.conn->read_until(asio::dynamic_buffer(line, 4), '\n'));
  w.settle();
  w.peer().send("12345\n");
  w.advance(1s);
  BOOST_TEST((read->error == asio::error::not_found));
  auto rest = w.watch(w.conn->read_some(asio::buffer(w.in)));
  w.advance(1s);
  BOOST_TEST(rest->value.value_or(0) == 2u);
  BOOST_TEST(w.conn->generation() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(of_a_lease)

BOOST_AUTO_TEST_CASE(an_end_of_file_ends_reads_only) {
  leased w;
  w.lose(asio::error::eof);
  auto written = w.watch(w.lease->write(asio::buffer("more", 4)));
  auto again = w.watch(w.lease->read_some(asio::buffer(w.in)));
  w.advance(1s);
  BOOST_TEST(written->value.has_value());
  BOOST_TEST(again->error == asio::error::eof);
  BOOST_TEST(w.peer().received == "more");
  BOOST_TEST(!w.lease->is_connected());
  BOOST_TEST(w.net().attempts.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_write_that_fails_behind_an_end_of_file_ends_writes_and_says_why) {
  leased w;
  w.lose(asio::error::eof);
  w.peer().fail_write(asio::error::broken_pipe);
  auto written = w.watch(w.lease->write(asio::buffer("more", 4)));
  w.settle();
  BOOST_TEST(written->error == asio::error::broken_pipe);
  auto refused = w.watch(w.lease->write(asio::buffer("more", 4)));
  auto read = w.watch(w.lease->read_some(asio::buffer(w.in)));
  w.advance(1s);
  BOOST_TEST(refused->error == asio::error::broken_pipe);
  BOOST_TEST(read->error == asio::error::eof);
  BOOST_TEST(w.log.count(event_kind::disconnected) == 1u);
  BOOST_TEST(w.net().attempts.size() == 1u);
}

BOOST_AUTO_TEST_CASE(of_two_pumps_neither_goes_on_in_another_stream) {
  leased w;
  auto old = w.net().peers.back();
  auto pump = [](cocp::connection& c, unsigned& n) -> asio::awaitable<void> {
    for (;; ++n) co_await asio::async_write(c, asio::buffer("x", 1), asio::use_awaitable);
  };
  unsigned n = 0;
  old->stall(3);
  auto writing = w.watch(pump(*w.lease, n));
  auto reading = w.watch(w.lease->read_some(asio::buffer(w.in)));
  w.settle();
  old->fin();
  w.settle();
  BOOST_TEST(reading->error == asio::error::eof);
  old->take(2);
  w.advance(1s);
  BOOST_TEST(n == 5u);
  old->reset();
  w.advance(1s);
  BOOST_TEST(writing->error == asio::error::broken_pipe);
  BOOST_TEST(old->received == "xxxxx");
  BOOST_TEST(w.net().attempts.size() == 1u);
  w.lease.put();
  w.advance(1s);
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 2, disconnects 1");
}

BOOST_AUTO_TEST_CASE(after_a_failed_write_reads_deliver_what_had_arrived_and_then_the_loss) {
  leased w;
  w.peer().send("HTTP 413");
  w.peer().fail_write(asio::error::broken_pipe);
  auto written = w.watch(w.lease->write(asio::buffer("body", 4)));
  w.settle();
  BOOST_TEST(written->error == asio::error::broken_pipe);
  auto refused = w.watch(w.lease->write(asio::buffer("more", 4)));
  std::array<char, 4> half{};
  auto first = w.watch(w.lease->read(asio::buffer(half)));
  w.settle();
  BOOST_TEST(first->value.has_value());
  auto second = w.watch(w.lease->read(asio::buffer(half)));
  w.settle();
  BOOST_TEST(second->value.has_value());
  auto last = w.watch(w.lease->read_some(asio::buffer(half)));
  w.settle();
  BOOST_TEST(last->error == asio::error::broken_pipe);
  BOOST_TEST(refused->error == asio::error::broken_pipe);
  BOOST_TEST(w.peer().received == "");
}

BOOST_AUTO_TEST_CASE(what_waits_behind_an_operation_of_a_stream_that_is_lost_is_told) {
  leased w;
  w.peer().stall();
  result writes[2];
  result reads[2];
  for (auto& r : reads) w.lease->async_read_some(asio::buffer(w.in), r.handler());
  for (auto& r : writes) w.lease->async_write_some(asio::buffer("x", 1), r.handler());
  w.settle();
  w.peer().reset();
  w.settle();
  for (const auto& r : reads) BOOST_TEST((r.error == asio::error::connection_reset));
  for (const auto& r : writes) BOOST_TEST((r.error == asio::error::connection_reset));
}

// So it is where nobody redials: the pool was closed, or it is an attempt's own stream.
BOOST_AUTO_TEST_CASE(what_waits_behind_an_operation_is_told_of_a_loss_also_when_nobody_redials) {
  leased w;
  w.pool->close();
  result reads[2];
  for (auto& r : reads) w.lease->async_read_some(asio::buffer(w.in), r.handler());
  w.settle();
  w.peer().fin();
  w.settle();
  for (const auto& r : reads) BOOST_TEST((r.error == asio::error::eof));
  w.lease.put();

  unsigned ended = 0;
  auto in = std::make_shared<std::array<char, 8>>();
  auto read_twice = [&ended, in](cocp::connection& c) -> asio::awaitable<void> {
    c.async_read_some(asio::buffer(*in), [&ended](error_code, std::size_t) { ++ended; });
    co_await c.read_some(asio::buffer(*in));
  };
  pool_world two({.size = 1}, {.on_connect = read_twice});
  two.settle();
  two.peer().fin();
  two.settle();
  BOOST_TEST(ended == 1u);
  BOOST_TEST(two.log.count(event_kind::connect_failed) == 1u);
}

BOOST_AUTO_TEST_CASE(a_loss_is_told_and_counted_when_it_is_noticed_and_the_redial_begins_with_the_end) {
  leased w;
  w.lose(asio::error::connection_reset);
  BOOST_TEST(w.log.count(event_kind::disconnected) == 1u);
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 1, disconnects 1");
  w.advance(10s);
  BOOST_TEST(w.net().attempts.size() == 1u);
  w.lease.put();
  w.advance(10s);
  BOOST_TEST(w.net().attempts.size() == 2u);
  BOOST_TEST(w.log.count(event_kind::disconnected) == 1u);
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 2, disconnects 1");
}

BOOST_AUTO_TEST_CASE(ready_of_a_stream_that_is_up_changes_nothing) {
  leased w;
  auto ready = w.watch(w.lease->ready());
  w.settle();
  BOOST_TEST(ready->value.has_value());
  BOOST_TEST(w.lease->generation() == 1u);
}

BOOST_AUTO_TEST_CASE(ready_is_the_consent_to_go_on_with_another_stream) {
  leased w;
  auto old = w.net().peers.back();
  w.lose(asio::error::connection_reset);
  auto ready = w.watch(w.lease->ready());
  auto early = w.watch(w.lease->write(asio::buffer("early", 5)));
  w.advance(1s);
  BOOST_TEST(early->error == asio::error::connection_reset);
  BOOST_TEST(ready->value.has_value());
  BOOST_TEST(w.lease->generation() == 2u);
  BOOST_TEST(w.lease->is_connected());
  auto written = w.watch(w.lease->write(asio::buffer("again", 5)));
  auto read = w.watch(w.lease->read_some(asio::buffer(w.in)));
  w.settle();
  w.peer().send("!");
  w.settle();
  BOOST_TEST(written->value.has_value());
  BOOST_TEST(read->value.has_value());
  BOOST_TEST(old->received == "");
  BOOST_TEST(w.peer().received == "again");
  w.lease.put();
  w.advance(1s);
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 2, disconnects 1");
}

BOOST_AUTO_TEST_CASE(ready_waits_until_no_operation_of_the_lease_is_outstanding) {
  asio::io_context other;
  leased w;
  result read;
  w.lease->async_read_some(asio::buffer(w.in), asio::bind_executor(other, read.handler()));
  w.peer().fail_write(asio::error::broken_pipe);
  auto written = w.watch(w.lease->write(asio::buffer("x", 1)));
  w.settle();
  auto ready = w.watch(w.lease->ready());
  w.advance(1s);
  BOOST_TEST(!ready->done);
  BOOST_TEST(w.net().attempts.size() == 1u);
  other.run();
  BOOST_TEST((read.error == asio::error::broken_pipe));
  w.advance(1s);
  BOOST_TEST(ready->value.has_value());
  BOOST_TEST(w.lease->generation() == 2u);
}

// A part that has ended well belongs to the stream that was given up, and so does what follows.
BOOST_AUTO_TEST_CASE(a_part_that_ends_after_the_consent_reports_the_loss) {
  asio::io_context other;
  leased w;
  result read;
  asio::async_read(*w.lease, asio::buffer(w.in), asio::bind_executor(other, read.handler()));
  w.peer().send("OLD!");
  w.settle();
  w.peer().fail_write(asio::error::broken_pipe);
  auto written = w.watch(w.lease->write(asio::buffer("x", 1)));
  w.settle();
  auto ready = w.watch(w.lease->ready());
  w.settle();
  other.run();
  w.advance(1s);
  BOOST_TEST((read.error == asio::error::broken_pipe));
  BOOST_TEST(read.bytes == 4u);
  BOOST_TEST(ready->value.has_value());
}

// It may be a later part of a composed operation.
BOOST_AUTO_TEST_CASE(what_waits_behind_an_operation_is_not_for_the_stream_after_the_consent) {
  asio::io_context other;
  leased w;
  auto old = w.net().peers.back();
  result first;
  result second;
  w.lease->async_read_some(asio::buffer(w.in), asio::bind_executor(other, first.handler()));
  w.lease->async_read_some(asio::buffer(w.in), second.handler());
  old->fail_write(asio::error::broken_pipe);
  w.watch(w.lease->write(asio::buffer("x", 1)));
  w.settle();
  auto ready = w.watch(w.lease->ready());
  w.settle();
  BOOST_TEST((second.error == asio::error::broken_pipe));
  other.run();
  w.advance(1s);
  BOOST_TEST(ready->value.has_value());
  BOOST_TEST((first.error == asio::error::broken_pipe));
}

BOOST_AUTO_TEST_CASE(a_consent_that_was_given_up_lets_nothing_through) {
  leased w;
  w.lose(asio::error::connection_reset);
  w.net().next_results = {fake_network::connect_result::hangs};
  w.lease->expires_after(1s);
  auto ready = w.watch(w.lease->ready());
  w.advance(2s);
  BOOST_TEST(ready->error == errc::timed_out);
  BOOST_TEST(ready->what == "ready 10.0.0.1:7: timed out; not connected: Connection reset by peer");
  w.lease->expires_never();
  // The attempt fails by its own limit, and the next succeeds.
  w.advance(10s);
  BOOST_TEST(w.lease->generation() == 2u);
  BOOST_TEST(!w.lease->is_connected());
  auto written = w.watch(w.lease->write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(written->error == asio::error::connection_reset);
  BOOST_TEST(w.peer().received == "");
  auto again = w.watch(w.lease->ready());
  w.settle();
  BOOST_TEST(again->value.has_value());
  auto through = w.watch(w.lease->write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(w.peer().received == "x");
}

BOOST_AUTO_TEST_CASE(ready_that_is_cancelled_can_be_called_again) {
  leased w;
  w.lose(asio::error::eof);
  w.net().next_results = {fake_network::connect_result::hangs};
  asio::cancellation_signal cancel;
  std::optional<std::exception_ptr> ended;
  asio::co_spawn(w.io(), w.lease->ready(),
                 asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr e) { ended = e; }));
  w.settle();
  cancel.emit(asio::cancellation_type::terminal);
  w.settle();
  BOOST_REQUIRE(ended.has_value());
  BOOST_TEST((*ended != nullptr));
  auto again = w.watch(w.lease->ready());
  w.advance(10s);
  BOOST_TEST(again->value.has_value());
}

BOOST_AUTO_TEST_CASE(ready_that_is_cancelled_at_any_time_takes_no_stream_from_its_lease) {
  for (unsigned steps = 0; steps < 8; ++steps) {
    leased w;
    asio::cancellation_signal cancel;
    asio::co_spawn(w.io(), w.lease->ready(), asio::bind_cancellation_slot(cancel.slot(), [](std::exception_ptr) {}));
    for (unsigned i = 0; i < steps; ++i) w.io().restart(), w.io().poll_one();
    cancel.emit(asio::cancellation_type::terminal);
    w.settle();
    auto written = w.watch(w.lease->write(asio::buffer("x", 1)));
    w.settle();
    BOOST_TEST(written->value.has_value(), "cancelled after " << steps << " steps");
  }
}

BOOST_AUTO_TEST_CASE(a_consent_is_given_when_its_ready_has_succeeded_and_not_before) {
  for (unsigned steps = 0; steps < 40; ++steps) {
    leased w;
    w.lose(asio::error::connection_reset);
    asio::cancellation_signal cancel;
    std::optional<std::exception_ptr> ended;
    asio::co_spawn(w.io(), w.lease->ready(),
                   asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr e) { ended = e; }));
    for (unsigned i = 0; i < steps; ++i) w.io().restart(), w.io().poll_one();
    cancel.emit(asio::cancellation_type::terminal);
    w.advance(1s);
    BOOST_REQUIRE(ended.has_value());
    auto written = w.watch(w.lease->write(asio::buffer("x", 1)));
    w.settle();
    BOOST_TEST(written->value.has_value() == (*ended == nullptr), "cancelled after " << steps << " steps");
  }
}

// Its handler runs when the connection is in another lease.
BOOST_AUTO_TEST_CASE(ready_that_is_cancelled_late_does_not_harm_the_next_lease) {
  asio::io_context other;
  leased w;
  w.lose(asio::error::connection_reset);
  asio::cancellation_signal cancel;
  std::optional<std::exception_ptr> ended;
  asio::co_spawn(other, w.lease->ready(),
                 asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr e) { ended = e; }));
  other.poll();
  // It takes its way over the other context, and is there when the stream is.
  cancel.emit(asio::cancellation_type::terminal);
  w.advance(1s);
  w.lease.put();
  w.advance(1s);
  w.lease = w.take();
  other.restart();
  other.poll();
  BOOST_TEST(ended.has_value());
  auto written = w.watch(w.lease->write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(written->value.has_value());
}

BOOST_AUTO_TEST_CASE(ready_fails_with_closed_after_the_pools_close) {
  leased w;
  w.lose(asio::error::eof);
  auto waiting = w.watch(w.lease->ready());
  w.pool->close();
  auto later = w.watch(w.lease->ready());
  w.settle();
  BOOST_TEST(waiting->error == errc::closed);
  BOOST_TEST(later->error == errc::closed);
}

BOOST_AUTO_TEST_CASE(a_hook_has_only_one_stream) {
  std::vector<std::string> said;
  auto hook = [&said](cocp::connection& c) -> asio::awaitable<void> {
    char b = 0;
    error_code ec;
    co_await c.async_read_some(asio::buffer(&b, 1), asio::redirect_error(asio::use_awaitable, ec));
    try {
      co_await c.ready();
    } catch (const std::exception& e) {
      said.push_back(e.what());
      throw;
    }
  };
  {
    pool_world w({.size = 1}, {.connect_timeout = std::nullopt, .on_connect = hook});
    w.settle();
    w.peer().fin();
    w.settle();
    BOOST_TEST(w.log.count(event_kind::connect_failed) == 1u);
  }
  pool_world w({.size = 1, .on_return = hook}, {.connect_timeout = std::nullopt});
  w.take().put();
  w.settle();
  w.peer().fin();
  w.advance(1s);
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 2, disconnects 1");
  BOOST_TEST(said.size() == 2u);
  for (const auto& text : said) BOOST_TEST(text == "ready 10.0.0.1:7: End of file");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(no_request_is_left_behind)

struct ending {
  const char* name;
  /// Whether the connection must not be leased again before it was reconnected.
  bool dirty;
  void (*run)(leased& w);

  friend std::ostream& operator<<(std::ostream& out, const ending& e) { return out << e.name; }
};

void ask(leased& w) {
  w.watch(w.lease->write(asio::buffer("ask", 3)));
  w.settle();
}

void hear(leased& w, std::string_view answer = "!") {
  w.watch(w.lease->read_some(asio::buffer(w.in)));
  w.peer().send(answer);
  w.settle();
}

const std::vector<ending> endings{
    {"a request", true, [](leased& w) { ask(w); }},
    {"a request and its answer", false, [](leased& w) { ask(w), hear(w); }},
    {"an answer, and then a request", true, [](leased& w) { ask(w), hear(w), ask(w); }},
    {"two requests and an answer", false, [](leased& w) { ask(w), ask(w), hear(w); }},
    {"a request that has no answer", false, [](leased& w) { ask(w), w.lease->no_answer(); }},
    {"another request after one without an answer", true, [](leased& w) { ask(w), w.lease->no_answer(), ask(w); }},
    {"no_answer before the request", true, [](leased& w) { w.lease->no_answer(), ask(w); }},
    {"an empty write", false,
     [](leased& w) {
       w.watch(w.lease->write(asio::const_buffer()));
       w.settle();
     }},
    {"an empty read after a request", true,
     [](leased& w) {
       ask(w);
       w.watch(w.lease->read_some(asio::mutable_buffer()));
       w.settle();
     }},
    {"a request whose answer was in the buffer before", true,
     [](leased& w) {
       static std::string text;
       text = "line\n";
       ask(w);
       auto read = w.watch(w.lease->read_until(asio::dynamic_buffer(text), '\n'));
       w.settle();
       BOOST_TEST(read->value.has_value());
     }},
    {"a line read after a request", false,
     [](leased& w) {
       static std::string text;
       text.clear();
       ask(w);
       auto read = w.watch(w.lease->read_until(asio::dynamic_buffer(text), '\n'));
       w.peer().send("line\n");
       w.settle();
       BOOST_TEST(read->value.has_value());
     }},
};

BOOST_DATA_TEST_CASE(a_lease_that_ends_behind_a_write_is_dirty, data::make(endings), e) {
  leased w;
  e.run(w);
  w.lease.put();
  w.advance(1s);
  BOOST_TEST(w.pool->stats().replaced_dirty == (e.dirty ? 1u : 0u));
  BOOST_TEST(w.take()->generation() == (e.dirty ? 2u : 1u));
}

BOOST_DATA_TEST_CASE(but_not_where_nothing_is_answered, data::make(endings), e) {
  leased w({.size = 1, .one_way = true});
  e.run(w);
  w.lease.put();
  w.advance(1s);
  BOOST_TEST(w.pool->stats().replaced_dirty == 0u);
  // Nor is it held against the next lease.
  w.take().put();
  w.advance(1s);
  BOOST_TEST(w.take()->generation() == 1u);
}

BOOST_AUTO_TEST_CASE(on_connect_and_keepalive_may_end_behind_a_write_and_on_return_may_not) {
  auto say = [](cocp::connection& c) -> asio::awaitable<void> { co_await c.write(asio::buffer("x", 1)); };
  pool_world w({.size = 1, .keepalive = say, .keepalive_interval = 1s}, {.on_connect = say});
  w.advance(10s);
  BOOST_TEST(counters(*w.pool) == "connects 1");
  BOOST_TEST(w.peer().received.size() > 5u);

  pool_world returns({.size = 1, .on_return = say});
  returns.take().put();
  returns.advance(1s);
  BOOST_TEST(counters(*returns.pool) == "gets 1, connects 2, replaced_dirty 1");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(half_a_message)

BOOST_AUTO_TEST_CASE(is_left_by_a_composed_write_whose_next_part_is_cancelled_while_it_waits) {
  leased w;
  w.peer().stall(4);
  asio::cancellation_signal cancel;
  result composed;
  result other;
  asio::async_write(*w.lease, asio::buffer("12345678", 8),
                    asio::bind_cancellation_slot(cancel.slot(), composed.handler()));
  // It gets its turn when the first part has ended, and before the second one.
  w.lease->async_write_some(asio::buffer("x", 1), other.handler());
  w.settle();
  cancel.emit(asio::cancellation_type::terminal);
  w.settle();
  BOOST_TEST((composed.error == asio::error::operation_aborted));
  w.peer().take(100);
  w.settle();
  BOOST_TEST(other.bytes == 1u);
  w.lease->no_answer();
  w.lease.put();
  w.advance(1s);
  BOOST_TEST(w.pool->stats().replaced_dirty == 1u);
}

BOOST_AUTO_TEST_CASE(is_left_by_a_lease_that_ends_while_an_operation_waits) {
  leased w;
  asio::io_context other;
  result first;
  result second;
  w.lease->async_read_some(asio::buffer(w.in), first.handler());
  w.lease->async_read_some(asio::buffer(w.in), second.handler());
  w.lease.put();
  w.advance(1s);
  BOOST_TEST((first.error == asio::error::operation_aborted));
  BOOST_TEST((second.error == asio::error::operation_aborted));
  BOOST_TEST(w.pool->stats().replaced_dirty == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
