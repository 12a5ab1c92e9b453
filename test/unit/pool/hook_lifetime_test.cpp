// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// The end of a pool, or of all, while a hook runs.

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <memory>
#include <optional>
#include <utility>

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

/// Held by whatever must be gone at the end.
using mark = std::shared_ptr<int>;

asio::awaitable<void> read_one(mark m, connection& c) {
  const auto kept = std::move(m);
  char byte = 0;
  auto buffer = asio::buffer(&byte, 1);
  co_await c.read(buffer);
}

asio::awaitable<void> wait_for_ever(mark m) {
  const auto kept = std::move(m);
  const auto ex = co_await asio::this_coro::executor;
  asio::steady_timer never(ex, asio::steady_timer::time_point::max());
  co_await never.async_wait(asio::use_awaitable);
}

asio::awaitable<void> leave_outstanding(mark m, connection& c) {
  const auto kept = std::move(m);
  auto byte = std::make_shared<char>();
  auto buffer = asio::buffer(byte.get(), 1);
  c.async_read_some(buffer, [byte, kept](error_code, std::size_t) {});
  co_return;
}

/// What a hook does.
struct doing {
  const char* name;
  asio::awaitable<void> (*run)(mark, connection&);

  friend std::ostream& operator<<(std::ostream& out, const doing& d) { return out << d.name; }
};

const std::vector<doing> doings{
    {"nothing", [](mark, connection&) -> asio::awaitable<void> { co_return; }},
    {"a read", read_one},
    {"a wait", [](mark m, connection&) { return wait_for_ever(std::move(m)); }},
    {"an operation left behind", leave_outstanding},
    {"a failure", [](mark, connection&) -> asio::awaitable<void> { throw 1; }},
};

cocp::handshake hook(const mark& m, const doing& d) {
  return [m, run = d.run](connection& c) { return run(m, c); };
}

cocp::connection_options marked(const mark& m) {
  return {.address = "10.0.0.1:7", .connect_timeout = 2s, .logger = [m](const cocp::event&) {}};
}

void start(world& w, asio::awaitable<void> body) {
  asio::co_spawn(w.io(), std::move(body), [](std::exception_ptr) {});
}

asio::awaitable<void> close_after(fake_network& net, cocp::pool& p, cocp::duration d) {
  const auto ex = co_await asio::this_coro::executor;
  const auto timer = net.make_timer(ex);
  timer->expires_at(net.now() + d);
  auto wait = [&timer](auto handler) { timer->async_wait(std::move(handler)); };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void(error_code)>(wait, asio::use_awaitable);
  p.close();
}

struct things {
  std::unique_ptr<cocp::pool> pool;
  std::vector<cocp::lease> leases;
};

/// One connection is put back, with a waiter; another one is leased; after a second keepalives begin.
things all(world& w, const mark& m, const doing& d) {
  cocp::pool_options options{.size = 3, .on_return = hook(m, d), .keepalive = hook(m, d), .keepalive_interval = 1s};
  things t{std::make_unique<cocp::pool>(w.io(), marked(m), options), {}};
  w.settle();
  for (int i = 0; i < 3; ++i) t.leases.push_back(t.pool->try_get());
  for (int i = 0; i < 3; ++i) t.pool->async_get([m](error_code, cocp::lease) {});
  t.leases.pop_back();
  t.leases.pop_back();
  start(w, close_after(w.net(), *t.pool, 4s));
  return t;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hook_lifetime)

BOOST_DATA_TEST_CASE(pool_leases_and_context_go_in_any_order_while_a_hook_runs,
                     data::make(doings) * data::make({false, true}) * data::make({false, true}), d, objects_first,
                     pool_first) {
  const auto m = std::make_shared<int>();
  const auto make = [&](world& w) {
    BOOST_REQUIRE_MESSAGE(m.use_count() == 1, "something was left");
    auto t = all(w, m, d);
    // What is destroyed first comes last.
    using objects = std::pair<std::unique_ptr<things>, std::unique_ptr<cocp::pool>>;
    auto pool = pool_first ? std::move(t.pool) : nullptr;
    return objects(std::make_unique<things>(std::move(t)), std::move(pool));
  };
  destroy_at_every_step(make, objects_first);
  BOOST_TEST(m.use_count() == 1);
}

BOOST_DATA_TEST_CASE(when_pool_and_leases_are_gone_what_is_left_ends_without_time_passing,
                     data::make(doings) * data::make({false, true}), d, leases_first) {
  bool ended = false;
  for (unsigned steps = 0; !ended; ++steps) {
    const auto m = std::make_shared<int>();
    world w;
    things t = all(w, m, d);
    for (unsigned i = 0; i < steps && !ended; ++i) ended = !w.step() || w.net().elapsed() > 4s;
    if (leases_first) t.leases.clear();
    // The coroutine that closes it needs the pool, so it is only closed.
    t.pool->close();
    t.leases.clear();
    w.settle();
    BOOST_TEST(w.net().open() == 0u);
    BOOST_TEST(w.net().destroyed_in_use == 0u);
    w.advance(10s);
    t.pool.reset();
    w.settle();
    BOOST_REQUIRE_MESSAGE(m.use_count() == 1, "something was left after " << steps << " handlers");
  }
}

BOOST_DATA_TEST_CASE(drain_ends_at_whatever_step_of_a_hook_it_begins, doings, d) {
  bool ended = false;
  for (unsigned steps = 0; !ended; ++steps) {
    const auto m = std::make_shared<int>();
    world w;
    things t = all(w, m, d);
    for (unsigned i = 0; i < steps && !ended; ++i) ended = !w.step() || w.net().elapsed() > 4s;
    auto drained = w.watch(t.pool->drain());
    w.settle();
    BOOST_TEST(!drained->done);
    t.leases.clear();
    w.settle();
    BOOST_REQUIRE_MESSAGE(drained->value.has_value(), "not drained after " << steps << " handlers");
    BOOST_TEST(w.net().open() == 0u);
    w.advance(10s);
  }
}

BOOST_AUTO_TEST_CASE(close_ends_the_operation_of_a_hook_with_closed) {
  error_code seen;
  error_code then;
  auto watched = [&](connection& c) -> asio::awaitable<void> {
    char byte = 0;
    auto buffer = asio::buffer(&byte, 1);
    try {
      co_await c.read_some(buffer);
    } catch (const boost::system::system_error& e) {
      seen = e.code();
    }
    co_await asio::this_coro::reset_cancellation_state();
    try {
      co_await c.write(buffer);
    } catch (const boost::system::system_error& e) {
      then = e.code();
      throw;
    }
  };
  pool_world w({.size = 1, .on_return = watched});
  w.take().put();
  w.settle();
  w.pool->close();
  // The peer learns of it now.
  BOOST_TEST(w.peer().gone);
  w.settle();
  BOOST_TEST(seen == errc::closed);
  BOOST_TEST(then == errc::closed);
  // Not one more event, nor a counter: the end of the pool is no loss.
  BOOST_TEST(w.log.count(event_kind::closed) == 1u);
  BOOST_TEST(w.log.entries().size() == 2u);
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 1");
}

BOOST_AUTO_TEST_CASE(a_pool_closed_before_its_hook_began_is_freed) {
  const auto m = std::make_shared<int>();
  world w;
  auto p =
      std::make_unique<cocp::pool>(w.io(), marked(m), cocp::pool_options{.size = 1, .on_return = hook(m, doings[1])});
  w.settle();
  p->try_get().put();
  p.reset();
  w.settle();
  BOOST_TEST(w.net().open() == 0u);
  BOOST_TEST(m.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(does_not_run_on_a_lease_that_comes_back_to_a_closed_pool) {
  unsigned runs = 0;
  pool_world w({.size = 2, .on_return = [&](connection&) -> asio::awaitable<void> {
                  ++runs;
                  co_return;
                }});
  auto lease = w.take();
  auto late = w.take();
  w.pool->close();
  auto sent = w.watch(lease->write(asio::buffer("bye", 3)));
  w.settle();
  BOOST_TEST(sent->value.has_value());
  lease.put();
  BOOST_TEST(w.net().open() == 1u);
  w.settle();
  w.pool.reset();
  late.put();
  BOOST_TEST(w.net().open() == 0u);
  w.settle();
  BOOST_TEST(runs == 0u);
}

BOOST_AUTO_TEST_CASE(a_hook_may_close_drain_or_destroy_its_own_pool) {
  for (int way = 0; way < 3; ++way) {
    const auto m = std::make_shared<int>();
    world w;
    std::unique_ptr<cocp::pool> p;
    auto end = [&](connection& c) -> asio::awaitable<void> {
      if (way == 0) p->close();
      // It waits for itself; but close() ends it.
      if (way == 1) co_await p->drain();
      if (way == 2) p.reset();
      co_await read_one(m, c);
    };
    p = std::make_unique<cocp::pool>(w.io(), marked(m), cocp::pool_options{.size = 2, .on_return = end});
    w.settle();
    p->try_get().put();
    std::optional<error_code> waiter;
    auto held = p->try_get();
    p->async_get([&](error_code ec, cocp::lease) { waiter = ec; });
    w.settle();
    held.put();
    w.settle();
    BOOST_TEST((waiter == error_code(errc::closed)));
    BOOST_TEST(w.net().open() == 0u);
    p.reset();
    w.settle();
    BOOST_TEST(w.io().stopped());
  }
}

BOOST_AUTO_TEST_CASE(a_pool_that_outlives_the_context_of_its_waiters_is_freed) {
  for (bool with_hook : {false, true}) {
    const auto m = std::make_shared<int>();
    {
      world w;
      cocp::pool_options options{.size = 1};
      if (with_hook) options.on_return = hook(m, doings[1]);
      cocp::pool p(w.io(), marked(m), options);
      w.settle();
      // What waits holds a lease of the same pool.
      auto held = std::make_shared<cocp::lease>(p.try_get());
      p.async_get([held](error_code, cocp::lease) {});
      held.reset();
      w.destroy_context();
    }
    BOOST_TEST(m.use_count() == 1);
  }
}

BOOST_AUTO_TEST_SUITE_END()
