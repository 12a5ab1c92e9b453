// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "../bench/load/latency.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstdint>

namespace {

namespace data = boost::unit_test::data;
using namespace std::chrono_literals;

/// Half a percent, and the rounding to nanoseconds.
bool is_about(std::chrono::nanoseconds is, std::chrono::nanoseconds right) {
  return is >= right && is.count() <= right.count() + right.count() / 199 + 1;
}

BOOST_DATA_TEST_CASE(a_time_is_known_to_half_a_percent,
                     data::make({1'001, 15'300, 999'999, 1'000'000, 123'456'789}) ^
                         data::make({1'001, 15'300, 999'999, 1'000'000, 123'456'789}),
                     ns, again) {
  bench::latency l;
  l.record(std::chrono::nanoseconds(ns));
  // So that it is not the longest, which is exact.
  l.record(99s);
  BOOST_TEST(is_about(l.quantile(0.5), std::chrono::nanoseconds(again)), l.quantile(0.5).count());
}

BOOST_AUTO_TEST_CASE(quantiles_are_those_of_all_times) {
  bench::latency l;
  for (int i = 1; i <= 10'000; ++i) l.record(std::chrono::microseconds(10 * i));
  BOOST_TEST(l.count() == 10'000u);
  BOOST_TEST(is_about(l.quantile(0.5), 50ms));
  BOOST_TEST(is_about(l.quantile(0.99), 99ms));
  BOOST_TEST(is_about(l.quantile(0.9999), 99'990us));
  BOOST_TEST((l.quantile(1) == 100ms));
  BOOST_TEST((l.longest() == 100ms));
}

BOOST_AUTO_TEST_CASE(merged_it_is_as_if_all_had_been_recorded_in_one) {
  bench::latency all;
  bench::latency halves[2];
  for (int i = 1; i <= 1'000; ++i) {
    all.record(std::chrono::microseconds(i * i));
    halves[i % 2].record(std::chrono::microseconds(i * i));
  }
  halves[0].add(halves[1]);
  BOOST_TEST(halves[0].count() == all.count());
  BOOST_TEST((halves[0].longest() == all.longest()));
  for (const double q : {0.01, 0.5, 0.9, 0.99, 0.999}) BOOST_TEST((halves[0].quantile(q) == all.quantile(q)));
}

BOOST_AUTO_TEST_CASE(what_is_too_short_or_too_long_counts_too) {
  bench::latency l;
  l.record(0ns);
  l.record(1000s);
  BOOST_TEST(l.count() == 2u);
  BOOST_TEST(l.quantile(0.5) <= 1us);
  BOOST_TEST((l.quantile(1) == 1000s));
}

BOOST_AUTO_TEST_CASE(of_nothing_all_is_zero) {
  const bench::latency l;
  BOOST_TEST((l.quantile(0.99) == 0ns));
  BOOST_TEST(l.bins().empty());
}

}  // namespace
