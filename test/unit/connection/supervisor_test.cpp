// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <functional>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;
using cocp::event_kind;
using connect_result = fake_network::connect_result;

namespace {

/// What the logger was told, without the delays: one line an event.
std::string told(const recording_logger& log) {
  std::ostringstream out;
  for (const auto& e : log.entries()) {
    out << to_string(e.kind) << ' ' << e.address;
    if (e.error) out << ": " << e.error.message();
    if (!e.reason.empty()) out << " (" << e.reason << ')';
    if (e.attempt != 0) out << ", attempt " << e.attempt;
    out << '\n';
  }
  return out.str();
}

/// Outlives what is left outstanding.
char byte = 0;

void ignore(error_code, std::size_t) {}

cocp::connection_options with(cocp::handshake on_connect) {
  cocp::connection_options options;
  options.connect_timeout = 2s;
  options.on_connect = std::move(on_connect);
  return options;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(supervisor)

BOOST_AUTO_TEST_SUITE(log)

BOOST_AUTO_TEST_CASE(every_connect_failed_attempt_and_loss_is_told_once_with_address_and_cause) {
  pool_world w;
  w.net().next_results = {connect_result::refused, connect_result::refused};
  w.advance(1s);
  w.peer().fin();
  w.advance(1s);
  auto lease = w.take();
  auto reading = w.watch(lease->read_some(asio::buffer(&byte, 1)));
  w.settle();
  w.peer().reset();
  w.settle();
  auto again = w.watch(lease->ready());
  w.advance(1s);
  lease.discard();
  w.advance(1s);
  w.pool->close();
  w.settle();
  BOOST_TEST(told(w.log) ==
             "connect_failed 10.0.0.1:7: Connection refused, attempt 1\n"
             "connect_failed 10.0.0.1:7: Connection refused, attempt 2\n"
             "connected 10.0.0.1:7, attempt 3\n"
             "disconnected 10.0.0.1:7: End of file\n"
             "connected 10.0.0.1:7, attempt 1\n"
             "disconnected 10.0.0.1:7: Connection reset by peer\n"
             "connected 10.0.0.1:7, attempt 1\n"
             "replaced 10.0.0.1:7 (the lease was discarded)\n"
             "connected 10.0.0.1:7, attempt 1\n"
             "closed 10.0.0.1:7\n");
}

BOOST_AUTO_TEST_CASE(the_delay_until_the_next_attempt_is_told) {
  pool_world w;
  w.net().next_results = {connect_result::refused, connect_result::refused};
  w.advance(1s);
  const auto e = w.log.entries();
  const auto& at = w.net().attempts;
  BOOST_REQUIRE(e.size() == 3u);
  BOOST_REQUIRE(at.size() == 3u);
  BOOST_TEST((e[0].retry_in == at[1] - at[0]));
  BOOST_TEST((e[1].retry_in == at[2] - at[1]));
}

BOOST_AUTO_TEST_CASE(each_connection_of_a_pool_is_told_of_once) {
  pool_world w({.size = 3});
  w.advance(1s);
  for (const auto& p : w.net().peers) p->fin();
  w.advance(1s);
  w.pool->close();
  w.settle();
  BOOST_TEST(w.log.count(event_kind::connected) == 6u);
  BOOST_TEST(w.log.count(event_kind::disconnected) == 3u);
  BOOST_TEST(w.log.count(event_kind::closed) == 3u);
  BOOST_TEST(w.log.entries().size() == 12u);
}

BOOST_AUTO_TEST_CASE(an_attempt_that_close_ends_is_no_failed_attempt) {
  pool_world w;
  w.net().default_result = connect_result::hangs;
  w.settle();
  w.pool->close();
  w.settle();
  BOOST_TEST(told(w.log) == "closed 10.0.0.1:7\n");
}

BOOST_AUTO_TEST_CASE(a_leased_connection_is_told_closed_when_the_pool_is_and_no_more_after_that) {
  // Its supervisor ends with the pool, so that io_context::run() returns: nobody is left to tell of what comes later.
  pool_world w;
  auto lease = w.take();
  w.pool->close();
  w.settle();
  BOOST_TEST(lease->is_connected());
  BOOST_TEST(w.log.count(event_kind::closed) == 1u);
  auto reading = w.watch(lease->read_some(asio::buffer(&byte, 1)));
  w.settle();
  w.peer().reset();
  w.settle();
  BOOST_TEST(reading->error == asio::error::connection_reset);
  lease.put();
  w.settle();
  BOOST_TEST(w.log.count(event_kind::disconnected) == 0u);
  BOOST_TEST(w.log.count(event_kind::closed) == 1u);
}

BOOST_AUTO_TEST_CASE(no_data_is_told) {
  pool_world w({.size = 1}, with([](cocp::connection& c) -> asio::awaitable<void> {
                 co_await c.write(asio::buffer("PASSWORD", 8));
                 std::string answer(6, '\0');
                 co_await c.read(asio::buffer(answer));
               }));
  w.net().on_accept = [](fake_peer& p) { p.send("SECRETand more"); };
  w.advance(1s);
  BOOST_TEST(!w.log.entries().empty());
  for (const auto& e : w.log.entries()) {
    BOOST_TEST(e.line.find("PASSWORD") == std::string::npos);
    BOOST_TEST(e.line.find("SECRET") == std::string::npos);
    BOOST_TEST(e.line.find("and more") == std::string::npos);
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(on_connect)

BOOST_AUTO_TEST_CASE(runs_before_anyone_may_use_the_connection_and_uses_it_while_they_wait) {
  unsigned runs = 0;
  std::string answer(3, '\0');
  pool_world w({.size = 1}, with([&](cocp::connection& c) -> asio::awaitable<void> {
                 ++runs;
                 BOOST_TEST(c.is_connected());
                 co_await c.write(asio::buffer("AUTH", 4));
                 co_await c.read(asio::buffer(answer));
               }));
  auto got = w.get();
  auto ready = w.watch(w.pool->ready());
  w.settle();
  BOOST_TEST(w.peer().received == "AUTH");
  BOOST_TEST(got->ends == 0u);
  BOOST_TEST(!ready->done);
  BOOST_TEST(!w.pool->try_get());
  BOOST_TEST(gauges(*w.pool) == "0 connected, 0 idle, 0 leased, 1 connecting, 1 waiting");
  BOOST_TEST(w.log.entries().empty());
  w.peer().send("+OK");
  w.settle();
  BOOST_TEST(answer == "+OK");
  BOOST_TEST(bool(got->lease));
  BOOST_TEST(ready->value.has_value());
  BOOST_TEST(told(w.log) == "connected 10.0.0.1:7, attempt 1\n");
  got->lease.discard();
  w.settle();
  BOOST_TEST(runs == 2u, "after each connect");
}

BOOST_AUTO_TEST_CASE(an_operation_started_meanwhile_runs_after_it) {
  world w;
  auto options = with([](cocp::connection& c) -> asio::awaitable<void> {
    co_await c.write(asio::buffer("AUTH", 4));
    co_await c.read_some(asio::buffer(&byte, 1));
  });
  options.address = "10.0.0.1:7";
  cocp::connection c{w.io(), options};
  auto sent = w.watch(c.write(asio::buffer("hello", 5)));
  w.advance(1s);
  BOOST_TEST(w.net().peers[0]->received == "AUTH");
  BOOST_TEST(!c.is_connected());
  w.net().peers[0]->send("+");
  w.settle();
  BOOST_TEST(sent->value.has_value());
  BOOST_TEST(w.net().peers[0]->received == "AUTHhello");
  BOOST_TEST(c.generation() == 1u);
}

/// What is thrown, and what is told of it.
struct failure {
  const char* name;
  void (*fail)();
  const char* line;

  friend std::ostream& operator<<(std::ostream& out, const failure& f) { return out << f.name; }
};

const std::vector<failure> failures{
    {"system_error", [] { throw boost::system::system_error(asio::error::access_denied); },
     "connect_failed 10.0.0.1:7: Permission denied"},
    {"std::exception", [] { throw std::runtime_error("wrong password"); },
     "connect_failed 10.0.0.1:7: handshake failed (wrong password)"},
    {"int", [] { throw 42; }, "connect_failed 10.0.0.1:7: handshake failed ("},
};

BOOST_DATA_TEST_CASE(the_attempt_failed_when_it_throws_and_is_retried_with_backoff, data::make(failures), f) {
  for (bool after_io : {false, true}) {
    unsigned runs = 0;
    pool_world w({.size = 1}, with([&](cocp::connection& c) -> asio::awaitable<void> {
                   if (after_io) co_await c.write(asio::buffer("AUTH", 4));
                   if (++runs <= 3) f.fail();
                 }));
    auto got = w.get();
    w.settle();
    BOOST_TEST(w.net().open() == 0u);
    BOOST_TEST(told(w.log).starts_with(f.line));
    w.advance(2s);
    BOOST_TEST(bool(got->lease));
    BOOST_TEST(counters(*w.pool) == "gets 1, waits 1, connects 1, connect_failures 3");
    const auto& at = w.net().attempts;
    BOOST_REQUIRE(at.size() == 4u);
    cocp::duration most = 100ms;
    for (unsigned i = 1; i < 4; ++i, most *= 2)
      BOOST_TEST((at[i] - at[i - 1] >= most / 2 && at[i] - at[i - 1] <= most));
    BOOST_TEST(w.log.count(event_kind::connect_failed) == 3u);
    BOOST_TEST(w.log.entries().back().attempt == 4u);
  }
}

/// Never ends by itself.
struct hang {
  const char* name;
  cocp::handshake on_connect;

  friend std::ostream& operator<<(std::ostream& out, const hang& h) { return out << h.name; }
};

const std::vector<hang> hangs{
    {"on a read", [](cocp::connection& c) -> asio::awaitable<void> { co_await c.read_some(asio::buffer(&byte, 1)); }},
    {"on a write",
     [](cocp::connection& c) -> asio::awaitable<void> {
       for (;;) co_await c.write(asio::buffer("x", 1));
     }},
    {"on a timer",
     [](cocp::connection& c) -> asio::awaitable<void> {
       asio::steady_timer timer(c.get_executor(), asio::steady_timer::time_point::max());
       co_await timer.async_wait(asio::use_awaitable);
     }},
    {"on a timer, and hides the error",
     [](cocp::connection& c) -> asio::awaitable<void> {
       asio::steady_timer timer(c.get_executor(), asio::steady_timer::time_point::max());
       try {
         co_await timer.async_wait(asio::use_awaitable);
       } catch (const boost::system::system_error&) {
       }
     }},
    {"on a second read",
     [](cocp::connection& c) -> asio::awaitable<void> {
       c.async_read_some(asio::buffer(&byte, 1), ignore);
       co_await c.read_some(asio::buffer(&byte, 1));
     }},
};

BOOST_DATA_TEST_CASE(connect_timeout_ends_it_when_it_hangs, data::make(hangs), h) {
  pool_world w({.size = 1}, with(h.on_connect));
  w.net().on_accept = [](fake_peer& p) { p.stall(); };
  w.advance(2s - 1ns);
  BOOST_TEST(w.log.entries().empty());
  BOOST_TEST(w.net().open() == 1u);
  w.advance(1ns);
  BOOST_REQUIRE(w.log.entries().size() == 1u);
  BOOST_TEST((w.log.entries()[0].kind == event_kind::connect_failed));
  BOOST_TEST(w.log.entries()[0].error == errc::timed_out);
  BOOST_TEST(w.net().open() == 0u);
  w.advance(100ms);
  BOOST_TEST(w.net().attempts.size() == 2u, "and the next attempt starts after the delay");
  BOOST_TEST(w.net().destroyed_in_use == 0u);
}

BOOST_DATA_TEST_CASE(close_ends_it_when_it_hangs, data::make(hangs), h) {
  pool_world w({.size = 1}, with(h.on_connect));
  w.net().on_accept = [](fake_peer& p) { p.stall(); };
  w.advance(1s);
  w.pool->close();
  w.settle();
  BOOST_TEST(w.io().stopped());
  BOOST_TEST(w.net().open() == 0u);
  BOOST_TEST(told(w.log) == "closed 10.0.0.1:7\n");
}

BOOST_AUTO_TEST_CASE(an_error_of_the_stream_is_the_error_of_the_attempt) {
  pool_world w({.size = 1}, with([](cocp::connection& c) -> asio::awaitable<void> {
                 co_await c.read_some(asio::buffer(&byte, 1));
               }));
  w.settle();
  w.peer().fin();
  w.settle();
  BOOST_TEST(told(w.log).starts_with("connect_failed 10.0.0.1:7: End of file"));
  BOOST_TEST(w.pool->stats().disconnects == 0u, "it was never up");
}

BOOST_AUTO_TEST_CASE(its_own_expires_after_bounds_it_and_ends_with_it) {
  bool use = true;
  pool_world w({.size = 1}, with([&](cocp::connection& c) -> asio::awaitable<void> {
                 c.expires_after(1s);
                 if (use) co_await c.read_some(asio::buffer(&byte, 1));
               }));
  w.advance(1s);
  BOOST_REQUIRE(w.log.entries().size() == 1u);
  BOOST_TEST(w.log.entries()[0].error == errc::timed_out);
  use = false;
  w.advance(500ms);
  auto lease = w.take();
  auto reading = w.watch(lease->read_some(asio::buffer(&byte, 1)));
  w.advance(1h);
  BOOST_TEST(!reading->done);
}

BOOST_AUTO_TEST_CASE(the_attempt_failed_when_it_leaves_an_operation_outstanding) {
  std::optional<error_code> left;
  unsigned runs = 0;
  pool_world w({.size = 1}, with([&](cocp::connection& c) -> asio::awaitable<void> {
                 if (++runs == 1) {
                   c.async_read_some(asio::buffer(&byte, 1), [&](error_code ec, std::size_t) { left = ec; });
                 }
                 co_return;
               }));
  w.settle();
  BOOST_TEST(left.has_value());
  BOOST_TEST((left && *left));
  BOOST_TEST(told(w.log).starts_with("connect_failed 10.0.0.1:7: handshake failed (on_connect left an operation"));
  BOOST_TEST(w.net().open() == 0u);
  BOOST_TEST(w.net().destroyed_in_use == 0u);
  w.advance(1s);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(the_attempt_failed_when_its_coroutine_is_destroyed) {
  // As one is that waits on another context when that goes.
  auto other = std::make_unique<asio::io_context>();
  unsigned runs = 0;
  pool_world w({.size = 1}, with([&](cocp::connection&) -> asio::awaitable<void> {
                 if (++runs != 1) co_return;
                 auto there = asio::bind_executor(other->get_executor(), asio::use_awaitable);
                 co_await asio::post(there);
               }));
  w.settle();
  other.reset();
  w.settle();
  BOOST_TEST(w.log.count(event_kind::connect_failed) == 1u);
  BOOST_TEST(w.net().open() == 0u);
  BOOST_TEST(w.net().destroyed_in_use == 0u);
  w.advance(1s);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(the_attempt_failed_when_it_closes_the_connection) {
  pool_world w({.size = 1}, with([](cocp::connection& c) -> asio::awaitable<void> {
                 c.close();
                 co_return;
               }));
  w.settle();
  BOOST_TEST(w.log.entries().size() == 1u);
  BOOST_TEST(w.log.entries()[0].error == errc::closed);
  BOOST_TEST(w.net().open() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(a_server_that_speaks_first)

BOOST_AUTO_TEST_CASE(is_a_failed_attempt) {
  pool_world w;
  w.net().on_accept = [](fake_peer& p) { p.send("220 hello\r\n"); };
  auto got = w.get();
  w.advance(1s);
  BOOST_TEST(got->ends == 0u);
  BOOST_TEST(w.log.count(event_kind::connected) == 0u);
  BOOST_REQUIRE(!w.log.entries().empty());
  BOOST_TEST((w.log.entries()[0].kind == event_kind::connect_failed));
  BOOST_TEST(w.log.entries()[0].error == errc::unsolicited_data);
  // 100 ms doubling.
  BOOST_TEST(w.net().attempts.size() <= 6u);
  BOOST_TEST(w.net().open() == 0u);
}

BOOST_AUTO_TEST_CASE(a_moment_after_the_connect_is_not_hammered) {
  // As over a real network: the greeting is one trip behind the connect.
  world w;
  recording_logger log;
  cocp::pool pool(w.io(), {.address = "10.0.0.1:7", .logger = log.log()}, {.size = 1});
  for (std::size_t greeted = 0; w.net().elapsed() < 10s;) {
    w.advance(1ms);
    for (; greeted < w.net().peers.size(); ++greeted) w.net().peers[greeted]->send("220 hello\r\n");
  }
  BOOST_REQUIRE(log.entries().size() >= 2u);
  BOOST_TEST(log.entries()[1].error == errc::unsolicited_data);
  // 100 ms doubling to 5 s.
  BOOST_TEST(w.net().attempts.size() <= 15u);
}

BOOST_AUTO_TEST_CASE(may_do_so_with_allow_unread) {
  pool_world w({.size = 1, .allow_unread = true});
  w.net().on_accept = [](fake_peer& p) { p.send("220 hello\r\n"); };
  auto lease = w.take();
  std::string line;
  auto buffer = asio::dynamic_buffer(line);
  auto got = w.watch(lease->read_until(buffer, '\n'));
  w.settle();
  BOOST_TEST(got->value.has_value());
  BOOST_TEST(line == "220 hello\r\n");
}

BOOST_AUTO_TEST_CASE(may_do_so_if_on_connect_reads_it) {
  pool_world w({.size = 1}, with([](cocp::connection& c) -> asio::awaitable<void> {
                 std::string line;
                 auto buffer = asio::dynamic_buffer(line);
                 co_await c.read_until(buffer, '\n');
                 BOOST_TEST(line == "220 hello\r\n");
               }));
  w.net().on_accept = [](fake_peer& p) { p.send("220 hello\r\n"); };
  w.take().put();
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 1");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(ownership)

/// One way in which a connection that is in use ends.
struct ending {
  const char* name;
  void (*end)(pool_world& w, cocp::lease& l);

  friend std::ostream& operator<<(std::ostream& out, const ending& e) { return out << e.name; }
};

const std::vector<ending> endings{
    {"put", [](pool_world&, cocp::lease& l) { l.put(); }},
    {"discard", [](pool_world&, cocp::lease& l) { l.discard(); }},
    {"close through the lease", [](pool_world&, cocp::lease& l) { l->close(); }},
    {"expiry", [](pool_world&, cocp::lease& l) { l->expires_after(0s); }},
    {"FIN", [](pool_world& w, cocp::lease&) { w.peer().fin(); }},
    {"RST", [](pool_world& w, cocp::lease&) { w.peer().reset(); }},
    {"RST and put", [](pool_world& w, cocp::lease& l) { w.peer().reset(), l.put(); }},
    {"close of the pool and put", [](pool_world& w, cocp::lease& l) { w.pool->close(), l.put(); }},
    {"put and close of the pool", [](pool_world& w, cocp::lease& l) { l.put(), w.pool->close(); }},
    {"close of the pool and RST", [](pool_world& w, cocp::lease&) { w.pool->close(), w.peer().reset(); }},
};

// At whatever step after the operations were started, and whatever else is under way.
BOOST_DATA_TEST_CASE(no_stream_is_destroyed_while_somebody_uses_it, data::make(endings), e) {
  for (int step = 0, more = 1; more; ++step) {
    pool_world w;
    auto lease = w.take();
    w.peer().stall();
    unsigned ended = 0;
    auto count = [&](error_code ec, std::size_t) {
      BOOST_TEST(bool(ec));
      ++ended;
    };
    lease->async_read_some(asio::buffer(&byte, 1), count);
    lease->async_write_some(asio::buffer(&byte, 1), count);
    lease->async_read_some(asio::buffer(&byte, 1), count);
    e.end(w, lease);
    w.io().restart();
    for (int i = 0; i < step && more; ++i) more = static_cast<int>(w.io().poll_one());
    lease.put();
    w.pool->close();
    w.advance(1s);
    BOOST_TEST(ended == 3u);
    BOOST_TEST(w.net().destroyed_in_use == 0u);
    BOOST_TEST(w.net().open() == 0u);
    BOOST_TEST(w.io().stopped());
  }
}

// The handlers of the operations run on another context, in its own time: until then the stream is theirs.
BOOST_DATA_TEST_CASE(a_stream_stays_until_the_last_handler_on_it_has_been_called, data::make(endings), e) {
  pool_world w;
  asio::io_context other;
  auto lease = w.take();
  w.peer().stall();
  unsigned ended = 0;
  auto count = asio::bind_executor(other, [&](error_code, std::size_t) { ++ended; });
  lease->async_read_some(asio::buffer(&byte, 1), count);
  lease->async_write_some(asio::buffer(&byte, 1), count);
  e.end(w, lease);
  for (unsigned handlers = 0; handlers < 2; ++handlers) {
    // What is written after an end of file may go on until the lease ends.
    if (handlers == 1) lease.put();
    w.advance(1s);
    BOOST_TEST(w.net().attempts.size() == 1u);
    BOOST_TEST(w.net().destroyed_in_use == 0u);
    other.restart();
    other.poll_one();
    BOOST_TEST(ended == handlers + 1);
  }
  w.advance(1s);
  const bool closed = w.pool->stats().connected == 0;
  BOOST_TEST(w.net().attempts.size() == (closed ? 1u : 2u));
  BOOST_TEST(w.net().peers.front()->gone);
  BOOST_TEST(w.net().destroyed_in_use == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
