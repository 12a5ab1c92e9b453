// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What it costs to be refused. In a flood of calls the refusals are the many: if they were dear they would win, and
// they must not grow with the pool.

#include "support/pool_world.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using connect_result = fake_network::connect_result;

namespace {

/// A pool none of whose connections comes up, and where nobody may wait.
std::unique_ptr<pool_world> full(std::size_t size) {
  auto w = std::make_unique<pool_world>(cocp::pool_options{.size = size, .max_waiting = 0},
                                        cocp::connection_options{.connect_timeout = std::nullopt});
  w->net().default_result = connect_result::hangs;
  w->settle();
  return w;
}

/// The time of the fastest of many rounds: others use the processor too.
cocp::duration time_of(const std::function<void()>& round) {
  cocp::duration best = cocp::duration::max();
  for (int i = 0; i < 30; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    for (int n = 0; n < 50; ++n) round();
    best = std::min<cocp::duration>(best, std::chrono::steady_clock::now() - begin);
  }
  return best;
}

/// One `async_get` to its end. What it gives is put back.
void call(pool_world& w) {
  w.pool->async_get([](cocp::error_code, cocp::lease) {});
  w.io().restart();
  w.io().poll();
}

/// One `get` that throws.
void call_and_catch(pool_world& w) {
  auto body = [](cocp::pool& p) -> asio::awaitable<void> {
    try {
      cocp::lease l = co_await p.get();
    } catch (const boost::system::system_error&) {
    }
  };
  asio::co_spawn(w.io(), body(*w.pool), [](std::exception_ptr) {});
  w.io().restart();
  w.io().poll();
}

struct costs {
  explicit costs(pool_world& w)
      : refused(time_of([&w] { call(w); })),
        thrown(time_of([&w] { call_and_catch(w); })),
        stats(time_of([&w] { BOOST_REQUIRE(w.pool->stats().connected == 0u); })) {}

  cocp::duration refused;
  cocp::duration thrown;
  cocp::duration stats;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(refusal)

// Anything that looks at each connection costs a hundred times as much in the larger one.
BOOST_AUTO_TEST_CASE(costs_the_same_whatever_the_pools_size_and_so_do_the_stats) {
  const auto few = full(10);
  const auto many = full(10'000);
  const costs small(*few);
  const costs large(*many);
  BOOST_TEST_MESSAGE("of 10: " << small.refused.count() / 50 << " ns, " << small.thrown.count() / 50 << " ns, "
                               << small.stats.count() / 50 << " ns; of 10,000: " << large.refused.count() / 50
                               << " ns, " << large.thrown.count() / 50 << " ns, " << large.stats.count() / 50 << " ns");
  BOOST_TEST(large.refused.count() < 4 * small.refused.count());
  BOOST_TEST(large.thrown.count() < 4 * small.thrown.count());
  BOOST_TEST(large.stats.count() < 4 * small.stats.count());
  BOOST_TEST(many->pool->stats().rejected == few->pool->stats().rejected);
}

BOOST_AUTO_TEST_CASE(costs_at_most_twice_what_it_costs_to_be_served) {
  const auto none = full(10);
  pool_world some({.size = 10});
  some.settle();
  const auto refused = time_of([&none] { call(*none); });
  const auto served = time_of([&some] { call(some); });
  BOOST_TEST_MESSAGE("refused " << refused.count() / 50 << " ns, served and put " << served.count() / 50 << " ns");
  BOOST_TEST(refused.count() < 2 * served.count());
  BOOST_TEST(some.pool->stats().gets == 30u * 50u);
}

BOOST_AUTO_TEST_SUITE_END()
