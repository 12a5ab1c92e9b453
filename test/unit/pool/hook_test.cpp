// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <stdexcept>
#include <vector>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::connection;
using cocp::errc;
using cocp::error_code;
using cocp::event_kind;

namespace {

constexpr cocp::duration timeout = 5s;
char byte = 0;

asio::awaitable<void> do_nothing(connection&) { co_return; }

/// Asks, and waits for an answer of one byte.
asio::awaitable<void> reset(connection& c) {
  auto question = asio::buffer("RESET", 5);
  co_await c.write(question);
  auto answer = asio::buffer(&byte, 1);
  co_await c.read(answer);
}

asio::awaitable<void> wait_for_ever(connection&) {
  const auto ex = co_await asio::this_coro::executor;
  asio::steady_timer never(ex, asio::steady_timer::time_point::max());
  co_await never.async_wait(asio::use_awaitable);
}

/// Counts what it runs.
cocp::handshake counted(unsigned& runs, cocp::handshake inner = do_nothing) {
  return [&runs, inner](connection& c) {
    ++runs;
    return inner(c);
  };
}

cocp::pool_options returning(cocp::handshake hook, std::size_t size = 1) {
  return {.size = size, .on_return = std::move(hook)};
}

void ask(pool_world& w, cocp::lease& lease) {
  auto sent = w.watch(lease->write(asio::buffer("ask", 3)));
  w.settle();
  BOOST_TEST(sent->value.has_value());
  lease->no_answer();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(on_return)

BOOST_AUTO_TEST_CASE(runs_once_after_each_lease_that_was_put_back) {
  unsigned runs = 0;
  pool_world w(returning(counted(runs)));
  w.settle();
  BOOST_TEST(runs == 0u);
  for (unsigned round = 1; round <= 5; ++round) {
    auto lease = w.take();
    BOOST_TEST(runs == round - 1);
    if (round % 2 == 0) ask(w, lease);
    lease.put();
    // Never inside `put`.
    BOOST_TEST(runs == round - 1);
    BOOST_TEST(!w.pool->try_get());
    w.settle();
    BOOST_TEST(runs == round);
  }
  w.advance(1h);
  BOOST_TEST(runs == 5u);
  BOOST_TEST(counters(*w.pool) == "gets 5, connects 1");
}

BOOST_AUTO_TEST_CASE(runs_before_a_waiter_gets_the_connection) {
  unsigned runs = 0;
  pool_world w(returning(counted(runs, reset)));
  auto lease = w.take();
  auto first = w.get();
  auto second = w.get();
  lease.put();
  w.settle();
  BOOST_TEST(w.peer().received == "RESET");
  BOOST_TEST(first->ends == 0u);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 0 idle, 0 leased, 0 connecting, 2 waiting");
  w.peer().send("+");
  w.settle();
  BOOST_REQUIRE(bool(first->lease));
  BOOST_TEST(first->lease->generation() == 1u);
  BOOST_TEST(runs == 1u);
  first->lease.put();
  w.settle();
  BOOST_TEST(second->ends == 0u);
  w.peer().send("+");
  w.settle();
  BOOST_TEST(bool(second->lease));
  BOOST_TEST(runs == 2u);
}

BOOST_AUTO_TEST_CASE(others_are_leased_while_it_runs) {
  pool_world w(returning(reset, 2));
  auto held = w.take();
  auto lease = w.take();
  auto waiter = w.get();
  lease.put();
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "2 connected, 0 idle, 1 leased, 0 connecting, 1 waiting");
  // The first one put back had the last connect.
  auto peers = w.net().peers;
  const auto busy = peers[0]->received.empty() ? 1u : 0u;
  held.put();
  w.settle();
  peers[1 - busy]->send("+");
  w.settle();
  BOOST_REQUIRE(bool(waiter->lease));
  waiter->lease.put();
  w.settle();
  peers[1 - busy]->send("+");
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "2 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(bool(w.pool->try_get()));
  BOOST_TEST(!peers[busy]->gone);
}

BOOST_AUTO_TEST_CASE(does_not_run_on_what_is_replaced_anyway) {
  unsigned runs = 0;
  pool_world w(returning(counted(runs, reset)));
  w.take().discard();
  // An operation outstanding.
  {
    auto lease = w.take();
    lease->async_read_some(asio::buffer(&byte, 1), [](error_code, std::size_t) {});
  }
  // The peer has gone.
  {
    auto lease = w.take();
    ask(w, lease);
    w.advance(1s);
    w.peer().fin();
  }
  w.settle();
  // An exception.
  try {
    auto lease = w.take();
    ask(w, lease);
    throw 1;
  } catch (int) {
  }
  w.settle();
  BOOST_TEST(runs == 0u);
  BOOST_TEST(w.take()->generation() == 5u);
  BOOST_TEST(counters(*w.pool) == "gets 5, connects 5, disconnects 1, replaced_dead 1, replaced_dirty 3");
}

BOOST_AUTO_TEST_CASE(never_reads_an_answer_that_a_lease_left) {
  for (bool waits : {false, true}) {
    unsigned runs = 0;
    pool_world w({.size = 1, .check_after = 1h, .on_return = counted(runs, reset)});
    w.take().put();
    w.settle();
    w.peer().send("+");
    w.settle();
    BOOST_TEST(runs == 1u);
    auto lease = w.take();
    ask(w, lease);
    w.peer().send("answer");
    auto waiter = waits ? w.get() : nullptr;
    lease.put();
    w.settle();
    BOOST_TEST(runs == 1u);
    if (waits) BOOST_TEST(waiter->lease->generation() == 2u);
    BOOST_TEST(w.pool->stats().replaced_dirty == 1u);
    BOOST_TEST(w.log.entries()[1].error == errc::unsolicited_data);
  }
}

BOOST_AUTO_TEST_CASE(what_comes_behind_it_is_found_before_the_next_lease_however_soon_that_is) {
  pool_world w({.size = 1, .check_after = 1h, .on_return = reset});
  w.take().put();
  w.settle();
  w.peer().send("+");
  w.settle();
  BOOST_TEST(w.pool->stats().idle == 1u);
  w.peer().send("more");
  BOOST_TEST(!w.pool->try_get());
  BOOST_TEST(w.pool->stats().replaced_dirty == 1u);
}

BOOST_AUTO_TEST_CASE(what_it_leaves_unread_replaces_the_connection) {
  pool_world w(returning(reset));
  w.take().put();
  w.settle();
  w.peer().send("two");
  BOOST_TEST(!w.pool->try_get());
  w.settle();
  BOOST_TEST(!w.pool->try_get());
  w.settle();
  BOOST_TEST(w.take()->generation() == 2u);
  BOOST_TEST(w.pool->stats().replaced_dirty == 1u);
}

/// How a hook fails, how long that takes, and what is told of it.
struct failure {
  const char* name;
  cocp::handshake hook;
  cocp::duration takes;
  const char* line;

  friend std::ostream& operator<<(std::ostream& out, const failure& f) { return out << f.name; }
};

const std::vector<failure> failures{
    {"throws system_error",
     [](connection&) -> asio::awaitable<void> {
       throw boost::system::system_error(asio::error::access_denied);
       co_return;
     },
     0s, "info replaced 10.0.0.1:7: Permission denied"},
    {"throws std::exception",
     [](connection&) -> asio::awaitable<void> {
       throw std::runtime_error("in a transaction");
       co_return;
     },
     0s, "in a transaction"},
    {"throws something else", [](connection&) -> asio::awaitable<void> { throw 42; }, 0s, "info replaced 10.0.0.1:7: "},
    {"is no coroutine and throws", [](connection&) -> asio::awaitable<void> { throw std::runtime_error("at once"); },
     0s, "at once"},
    {"hangs in a read", reset, timeout, "info replaced 10.0.0.1:7: timed out"},
    {"hangs in a wait", wait_for_ever, timeout, "info replaced 10.0.0.1:7: timed out"},
    {"throws after it began to read",
     [](connection& c) -> asio::awaitable<void> {
       c.async_read_some(asio::buffer(&byte, 1), [](error_code, std::size_t) {});
       throw std::runtime_error("in between");
       co_return;
     },
     0s, "in between"},
    {"leaves an operation outstanding",
     [](connection& c) -> asio::awaitable<void> {
       c.async_read_some(asio::buffer(&byte, 1),
                         [](error_code ec, std::size_t) { BOOST_TEST((ec == asio::error::operation_aborted)); });
       co_return;
     },
     0s, "info replaced 10.0.0.1:7: an operation was left outstanding"},
    {"lets an operation expire",
     [](connection& c) -> asio::awaitable<void> {
       c.expires_after(1s);
       co_await reset(c);
     },
     1s, "info replaced 10.0.0.1:7: timed out"},
    {"closes its connection",
     [](connection& c) -> asio::awaitable<void> {
       c.close();
       co_return;
     },
     0s, "info replaced 10.0.0.1:7: closed"},
};

BOOST_DATA_TEST_CASE(replaces_the_connection_if_it, data::make(failures) * data::make({false, true}), f, waits) {
  unsigned runs = 0;
  pool_world w(returning(counted(runs, f.hook)), {.connect_timeout = timeout});
  w.settle();
  auto lease = w.take();
  auto waiter = waits ? w.get() : nullptr;
  lease.put();
  if (f.takes != 0s) {
    w.advance(f.takes - 1ns);
    BOOST_TEST(w.net().attempts.size() == 1u);
    BOOST_TEST(gauges(*w.pool).starts_with("1 connected, 0 idle, 0 leased, 0 connecting"));
    w.advance(1ns);
  }
  w.settle();
  BOOST_TEST(runs == 1u);
  if (!waits) waiter = w.get();
  w.settle();
  BOOST_REQUIRE(bool(waiter->lease));
  BOOST_TEST(waiter->lease->generation() == 2u);
  BOOST_TEST(w.pool->stats().replaced_dirty == 1u);
  BOOST_TEST(w.pool->stats().replaced_dead == 0u);
  BOOST_TEST(w.pool->stats().disconnects == 0u);
  const auto told = w.log.entries();
  BOOST_REQUIRE(told.size() == 3u);
  BOOST_TEST(told[1].line.find(f.line) != std::string::npos, told[1].line);
  // on_connect has nothing to do with it.
  BOOST_TEST(told[1].line.find("on_connect") == std::string::npos, told[1].line);
  BOOST_TEST(w.net().open() == 1u);
  BOOST_TEST(w.net().destroyed_in_use == 0u);
}

BOOST_AUTO_TEST_CASE(a_connection_that_dies_while_it_runs_is_a_loss_that_is_told_once) {
  pool_world w(returning(reset));
  w.advance(1s);
  auto waiter = (w.take().put(), w.get());
  w.settle();
  w.peer().reset();
  w.settle();
  BOOST_TEST(waiter->lease->generation() == 2u);
  BOOST_TEST(counters(*w.pool) == "gets 2, waits 1, connects 2, disconnects 1");
  const auto told = w.log.entries();
  BOOST_REQUIRE(told.size() == 3u);
  BOOST_TEST(told[1].error == asio::error::connection_reset);
}

BOOST_AUTO_TEST_CASE(a_limit_of_time_that_it_sets_ends_with_it) {
  pool_world w(returning([](connection& c) -> asio::awaitable<void> {
    c.expires_after(1s);
    auto question = asio::buffer("RESET", 5);
    co_await c.write(question);
  }));
  w.take().put();
  auto lease = w.take();
  w.advance(10s);
  auto sent = w.watch(lease->write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(sent->value.has_value());
}

BOOST_AUTO_TEST_CASE(a_waiter_cancelled_while_it_runs_loses_nothing) {
  pool_world w(returning(reset));
  w.take().put();
  auto first = w.get();
  auto late = w.get();
  auto last = w.get();
  w.settle();
  first->cancel.emit(asio::cancellation_type::total);
  w.peer().send("+");
  // Until the hook has ended and the second one was chosen.
  while (w.pool->stats().leased == 0) BOOST_REQUIRE(w.step());
  late->cancel.emit(asio::cancellation_type::total);
  w.settle();
  w.peer().send("+");
  w.settle();
  BOOST_TEST(first->error == asio::error::operation_aborted);
  BOOST_TEST(late->error == asio::error::operation_aborted);
  BOOST_REQUIRE(bool(last->lease));
  BOOST_TEST(last->lease->generation() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
