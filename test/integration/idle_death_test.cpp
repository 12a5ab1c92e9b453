// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// The peer ends the connections of a pool while nobody uses them.

#include "support/scripted_server.hpp"
#include "support/socket_fixture.hpp"
#include "support/steps.hpp"

#include <cocp.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <ostream>
#include <string>
#include <string_view>

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;

namespace {

using clock_type = std::chrono::steady_clock;

constexpr std::size_t size = 10;

/// How the peer ends its sessions.
struct death {
  const char* name;
  void (scripted_server::*how)();

  void of(scripted_server& server) const { (server.*how)(); }
  friend std::ostream& operator<<(std::ostream& out, const death& d) { return out << d.name; }
};

const death deaths[] = {{"FIN", &scripted_server::close_all}, {"RST", &scripted_server::reset_all}};

/// What was done on a lease while its connection died, and how long a connection may be idle without being looked at.
struct use {
  const char* name;
  bool echoes;
  cocp::duration check_after;

  friend std::ostream& operator<<(std::ostream& out, const use& u) { return out << u.name; }
};

const use uses[] = {{"nothing", false, 0s}, {"an echo", true, 0s}, {"an echo, check_after is an hour", true, 1h}};

struct fixture : socket_fixture {
  // Users beside the test's coroutine, and what they have found.
  std::size_t served = 0;

  asio::awaitable<void> use_next(cocp::pool& pool) {
    const cocp::lease lease = co_await pool.get();
    BOOST_TEST(lease->generation() == 2u);
    co_await echo(*lease, "alive");
    ++served;
  }
  void start_next(cocp::pool& pool) {
    asio::co_spawn(io, use_next(pool), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
  }

  /// A connection that ends sooner than `retry_min` counts as a failed attempt.
  static cocp::connection_options at(const scripted_server& server) {
    return {.address = server.address(), .retry_min = 1ms, .retry_max = 20ms};
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(idle_death, fixture)

BOOST_DATA_TEST_CASE(of_all_connections_is_mended_within_100_ms_and_before_anybody_asks,
                     data::make(deaths) * data::make({0ms, 200ms}), death, idle_before) {
  run([&]() -> asio::awaitable<void> {
    // A loaded machine may take longer, but not every time.
    constexpr std::size_t tries = 5;
    scripted_server server(io.get_executor());
    cocp::pool pool(io, at(server), {.size = size});
    clock_type::duration quickest = clock_type::duration::max();
    for (std::size_t n = 0; n < tries && quickest > 100ms; ++n) {
      auto up = [&] { return server.open() == size && pool.stats().idle == size; };
      co_await until(up);
      // The pool watches what was idle for a while.
      asio::steady_timer idling(io, idle_before);
      co_await idling.async_wait(asio::use_awaitable);
      const std::size_t before = server.accepted();
      const auto start = clock_type::now();
      death.of(server);
      auto mended = [&] { return server.accepted() == before + size && pool.stats().idle == size; };
      co_await until(mended);
      quickest = std::min(quickest, clock_type::now() - start);
      BOOST_TEST(pool.stats().replaced_dead == (n + 1) * size);
    }
    BOOST_TEST((quickest <= 100ms));
    BOOST_TEST(pool.stats().gets == 0u);
    BOOST_TEST(pool.stats().connected == size);
  });
}

BOOST_DATA_TEST_CASE(of_one_with_unread_bytes_is_noticed_all_the_same, data::make(deaths), death) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    cocp::pool pool(io, at(server), {.size = 1, .allow_unread = true});
    co_await pool.ready();
    co_await until([&] { return server.open() == 1; });
    server.push_all("bye");
    death.of(server);
    co_await until([&] { return pool.stats().connects == 2 && pool.stats().connected == 1; });
    BOOST_TEST(pool.stats().replaced_dead == 1u);

    // Nor is it given out in the turn in which it dies.
    co_await until([&] { return server.open() == 1; });
    server.push_all("bye");
    death.of(server);
    BOOST_TEST(!pool.try_get());
    BOOST_TEST(pool.stats().replaced_dead == 2u);
    co_await pool.drain();
    server.stop_listening();
  });
}

BOOST_DATA_TEST_CASE(reaches_nobody_who_asks_in_the_same_turn, data::make(deaths), death) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    cocp::pool pool(io, at(server), {.size = size});
    auto up = [&] { return server.open() == size && pool.stats().idle == size; };
    co_await until(up);
    death.of(server);
    // Each asks at once, before the pool can hear of it.
    for (std::size_t n = 0; n < size; ++n) start_next(pool);
    BOOST_TEST(pool.stats().waiting == size);
    auto all_served = [&] { return served == size && pool.stats().idle == size; };
    co_await until(all_served);
    BOOST_TEST(pool.stats().gets == size);
    BOOST_TEST(pool.stats().replaced_dead == size);
  });
}

BOOST_DATA_TEST_CASE(of_all_connections_leaves_none_to_try_get_in_the_same_turn, data::make(deaths), death) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    cocp::pool pool(io, at(server), {.size = size});
    auto up = [&] { return server.open() == size && pool.stats().idle == size; };
    co_await until(up);
    death.of(server);
    const cocp::lease lease = pool.try_get();
    BOOST_TEST(!lease);
    BOOST_TEST(pool.stats().gets == 0u);
    BOOST_TEST(pool.stats().replaced_dead == size);
    auto mended = [&] { return pool.stats().idle == size; };
    co_await until(mended);
  });
}

BOOST_DATA_TEST_CASE(of_a_lease_that_is_put_back_clean_does_not_reach_the_one_who_waits,
                     data::make(deaths) * data::make(uses), death, use) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    cocp::pool pool(io, at(server), {.size = 1, .check_after = use.check_after});
    cocp::lease lease = co_await pool.get();
    if (use.echoes) co_await echo(*lease, "used");
    auto accepted = [&] { return server.open() == 1; };
    co_await until(accepted);
    start_next(pool);
    auto waits = [&] { return pool.stats().waiting == 1; };
    co_await until(waits);
    death.of(server);
    lease.put();
    auto back = [&] { return served == 1 && pool.stats().idle == 1; };
    co_await until(back);
    BOOST_TEST(pool.stats().replaced_dead == 1u);
    BOOST_TEST(pool.stats().connects == 2u);
  });
}

BOOST_AUTO_TEST_SUITE_END()
