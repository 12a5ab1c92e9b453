// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// The mutex of pools and channels on several threads: for ThreadSanitizer, and for the wake-ups.

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <barrier>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include "base/adaptive_mutex.hpp"

namespace data = boost::unit_test::data;
using cocp::detail::adaptive_mutex;

namespace {

/// What it guards: ThreadSanitizer sees that each thread sees what the one before has written.
struct guarded {
  adaptive_mutex mutex;
  std::size_t sum = 0;

  void add(std::size_t times) {
    for (std::size_t n = 0; n < times; ++n) {
      const std::lock_guard lock(mutex);
      // Now and then for so long that the others fall asleep.
      if (n % 1024 == 0) std::this_thread::yield();
      ++sum;
    }
  }
};

/// The sum that so many threads make of it.
std::size_t add_at_once(int threads, std::size_t times_each) {
  guarded g;
  std::barrier begin(threads);
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&] {
        begin.arrive_and_wait();
        g.add(times_each);
      });
    }
  }
  return g.sum;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(adaptive_mutex_)

BOOST_AUTO_TEST_CASE(is_taken_once) {
  adaptive_mutex mutex;
  BOOST_TEST(mutex.try_lock());
  BOOST_TEST(!mutex.try_lock());
  mutex.unlock();
  BOOST_TEST(mutex.try_lock());
  mutex.unlock();
}

BOOST_DATA_TEST_CASE(one_at_a_time_has_it, data::make({2, 4, 16}), threads) {
  constexpr std::size_t each = 20'000;
  BOOST_TEST(add_at_once(threads, each) == each * static_cast<std::size_t>(threads));
}

// More than one: each that wakes has to know that there may be others.
BOOST_AUTO_TEST_CASE(all_who_fell_asleep_are_woken) {
  constexpr std::size_t sleepers = 3;
  guarded g;
  std::vector<std::jthread> all;
  g.mutex.lock();
  for (std::size_t i = 0; i < sleepers; ++i) {
    all.emplace_back([&] {
      const std::lock_guard lock(g.mutex);
      ++g.sum;
    });
  }
  while (!g.mutex.is_awaited()) std::this_thread::yield();
  g.mutex.unlock();
  for (auto& t : all) t.join();
  BOOST_TEST(g.sum == sleepers);
}

BOOST_AUTO_TEST_SUITE_END()
