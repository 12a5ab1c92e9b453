// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/backoff.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <ostream>
#include <random>

using namespace std::chrono_literals;
using cocp::duration;
using cocp::detail::backoff_delay;

namespace {

/// After the n-th failure in a row the delay is in [ceiling / 2, ceiling].
struct row {
  unsigned n;
  duration retry_min;
  duration retry_max;
  duration ceiling;

  friend std::ostream& operator<<(std::ostream& out, const row& r) {
    return out << "n=" << r.n << " retry_min=" << r.retry_min.count() << " retry_max=" << r.retry_max.count();
  }
};

constexpr std::uint64_t all_ones = std::numeric_limits<std::uint64_t>::max();

const row rows[] = {
    {1, 100ms, 5s, 100ms},
    {2, 100ms, 5s, 200ms},
    {6, 100ms, 5s, 3200ms},
    {7, 100ms, 5s, 5s},
    {8, 100ms, 5s, 5s},
    {1000000, 100ms, 5s, 5s},
    {std::numeric_limits<unsigned>::max(), 100ms, 5s, 5s},
    {1, 1s, 1s, 1s},
    {9, 1s, 1s, 1s},
    {2, 3s, 5s, 5s},
    {1, 1ns, 1ns, 1ns},
    {2, 1ns, 3ns, 2ns},
    {3, 1ns, 3ns, 3ns},
    {64, 1ns, duration::max(), duration::max()},
    {100, 1s, duration::max(), duration::max()},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(backoff)

BOOST_DATA_TEST_CASE(the_delay_is_in_the_upper_half_of_the_doubled_minimum, rows, r) {
  std::mt19937_64 random(r.n);
  for (int i = 0; i < 1000; ++i) {
    const duration d = backoff_delay(r.n, r.retry_min, r.retry_max, random());
    BOOST_REQUIRE((d >= r.ceiling / 2 && d <= r.ceiling));
  }
}

BOOST_DATA_TEST_CASE(both_ends_are_reached, rows, r) {
  const auto low = static_cast<std::uint64_t>((r.ceiling / 2).count());
  const auto width = static_cast<std::uint64_t>(r.ceiling.count()) - low;
  BOOST_TEST((backoff_delay(r.n, r.retry_min, r.retry_max, 0) == r.ceiling / 2));
  BOOST_TEST((backoff_delay(r.n, r.retry_min, r.retry_max, width) == r.ceiling));
}

BOOST_AUTO_TEST_CASE(it_is_uniform) {
  // Ten equal parts of [500 ms, 1 s], 100,000 draws: each part holds a tenth, within 5 standard deviations (475).
  std::mt19937_64 random(7);
  int parts[10] = {};
  for (int i = 0; i < 100000; ++i) {
    const auto d = backoff_delay(1, 1s, 1s, random()) - 500ms;
    ++parts[std::min<std::int64_t>(9, d / 50ms)];
  }
  for (int n : parts) BOOST_TEST(std::abs(n - 10000) < 475);
}

BOOST_AUTO_TEST_CASE(no_random_number_leads_outside) {
  BOOST_TEST((backoff_delay(3, 100ms, 5s, all_ones) >= 200ms));
  BOOST_TEST((backoff_delay(3, 100ms, 5s, all_ones) <= 400ms));
}

BOOST_AUTO_TEST_SUITE_END()
