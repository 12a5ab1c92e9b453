// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A redis-server that is stopped (SIGSTOP) under everybody's hands, and goes on (SIGCONT) or dies (SIGKILL). A stopped
// one is no outage that a pool can see: the kernel accepts for it, and takes what it is sent.

#include "support/exchange.hpp"
#include "support/fd_check.hpp"
#include "support/redis_server.hpp"
#include "support/run.hpp"
#include "support/steps.hpp"

#include <cocp.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <ostream>
#include <string_view>

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::duration;
using cocp::errc;

namespace {

using clock_type = std::chrono::steady_clock;

constexpr std::size_t connections = 5;
constexpr std::size_t workers = 10;
// Each worker's, when the server is well again.
constexpr std::size_t exchanges = 20;
constexpr duration limit = 100ms;
constexpr duration retry_max = 40ms;
/// What a machine that is busy may add.
constexpr duration slack = 3s;

struct ending {
  const char* name;
  bool is_killed;

  friend std::ostream& operator<<(std::ostream& out, const ending& e) { return out << e.name; }
};

const ending endings[] = {{"it goes on", false}, {"it is killed, and started again", true}};

enum class phase { before, frozen, after };

struct record {
  phase now = phase::before;
  std::size_t served_before = 0;
  std::size_t expired = 0;
  std::size_t refused = 0;
  std::size_t failed_after = 0;
  std::size_t done = 0;
};

/// An answer that is another's is thrown on, and ends the test.
asio::awaitable<void> try_exchange(cocp::pool& pool, record& seen, std::size_t worker, std::size_t number) {
  const phase begun = seen.now;
  const duration own_limit = begun == phase::after ? duration(patience) : limit;
  const auto start = clock_type::now();
  cocp::lease lease;
  try {
    lease = co_await pool.get(own_limit);
    lease->expires_after(own_limit);
    co_await exchange(*lease, worker, number);
    if (begun == phase::before) ++seen.served_before;
  } catch (const boost::system::system_error& e) {
    BOOST_TEST((lease || e.code() == errc::timed_out), std::string_view(e.what()));
    if (!lease) ++seen.refused;
    if (e.code() == errc::timed_out) ++seen.expired;
    if (begun == phase::after) ++seen.failed_after;
  }
  BOOST_TEST((clock_type::now() - start < 2 * own_limit + slack));
}

asio::awaitable<void> work(cocp::pool& pool, record& seen, std::size_t worker) {
  std::size_t after = 0;
  for (std::size_t number = 0; after < exchanges; ++number) {
    if (seen.now == phase::after) ++after;
    co_await try_exchange(pool, seen, worker, number);
  }
  ++seen.done;
}

asio::awaitable<void> tell(asio::io_context& io, const ending& end) {
  redis_server server;
  const cocp::connection_options to{.address = server.address(), .retry_min = 10ms, .retry_max = retry_max};
  cocp::pool pool(io, to, {.size = connections});
  record seen;
  for (std::size_t n = 0; n < workers; ++n) {
    asio::co_spawn(io, work(pool, seen, n), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
  }
  auto all_are_busy = [&] { return seen.served_before >= workers * exchanges; };
  co_await until(all_are_busy);

  server.freeze();
  seen.now = phase::frozen;
  // All connections have been given up since, and what took their place.
  auto has_shown = [&] { return seen.expired >= 3 * workers; };
  co_await until(has_shown);
  BOOST_TEST(pool.stats().connect_failures == 0u);
  if (end.is_killed) {
    server.kill();
    auto is_known = [&] { return pool.stats().connect_failures >= 3 && seen.refused >= workers; };
    co_await until(is_known);
    server.start();
  } else {
    server.thaw();
  }

  seen.now = phase::after;
  const auto start = clock_type::now();
  auto all_are_done = [&] { return seen.done == workers; };
  co_await until(all_are_done);
  auto all_are_idle = [&] { return pool.stats().idle == connections; };
  co_await until(all_are_idle);
  BOOST_TEST((clock_type::now() - start < retry_max + slack));
  // Of connections on which somebody had asked before.
  BOOST_TEST(seen.failed_after <= connections);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(frozen_server)

BOOST_DATA_TEST_CASE(costs_each_his_time_and_gives_nobody_anothers_answer, data::make(endings), end) {
  const fd_check descriptors;
  asio::io_context io{1};
  run(io, tell(io, end));
}

BOOST_AUTO_TEST_SUITE_END()
