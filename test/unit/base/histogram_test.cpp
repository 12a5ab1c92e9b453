// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/test/unit_test.hpp>
#include <cocp/histogram.hpp>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

using namespace std::chrono_literals;
using cocp::duration;
using cocp::histogram;

BOOST_AUTO_TEST_SUITE(histogram_)

BOOST_AUTO_TEST_CASE(is_empty_at_first) {
  const histogram h;
  BOOST_TEST(h.count() == 0u);
  BOOST_TEST((h.quantile(0.5) == 0ns));
  BOOST_TEST((h.sum() == 0ns));
}

BOOST_AUTO_TEST_CASE(a_quantile_is_at_most_an_eighth_too_long_and_never_too_short) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 10'000; ++i) {
    histogram h;
    const duration d(1 + static_cast<duration::rep>(random() % (1ULL << (11 + random() % 31))));
    h.record(d);
    const duration q = h.quantile(1);
    BOOST_REQUIRE((q >= d));
    BOOST_REQUIRE((q <= std::max<duration>(1023ns, d + d / 8)));
  }
}

BOOST_AUTO_TEST_CASE(quantiles_are_in_order) {
  histogram h;
  for (int i = 1; i <= 1000; ++i) h.record(std::chrono::milliseconds(i));
  BOOST_TEST(h.count() == 1000u);
  BOOST_TEST((h.sum() == 500500ms));
  BOOST_TEST((h.quantile(0.5) >= 500ms && h.quantile(0.5) <= 563ms));
  BOOST_TEST((h.quantile(0.99) >= 990ms && h.quantile(0.99) <= 1114ms));
  BOOST_TEST((h.quantile(0) >= 1ms && h.quantile(0) <= 1125us));
  BOOST_TEST((h.quantile(1) >= 1s));
  BOOST_TEST(h.count_up_to(500ms) >= 500u);
  BOOST_TEST(h.count_up_to(500ms) <= 563u);
}

BOOST_AUTO_TEST_CASE(what_did_not_wait_has_a_bucket_of_its_own) {
  histogram h;
  h.record(0ns, 99);
  h.record(1s);
  BOOST_TEST((h.quantile(0.99) == 0ns));
  BOOST_TEST((h.quantile(1) >= 1s));
  BOOST_TEST(h.count_up_to(0ns) == 99u);
}

BOOST_AUTO_TEST_CASE(a_count_up_to_a_nanosecond_less_than_a_power_of_two_is_exact) {
  for (unsigned n = 10; n <= 43; ++n) {
    const duration bound((1LL << n) - 1);
    histogram h;
    h.record(bound);
    h.record(bound + 1ns);
    BOOST_TEST(h.count_up_to(bound) == 1u, "2^" << n << " - 1 ns");
  }
}

BOOST_AUTO_TEST_CASE(takes_any_duration) {
  histogram h;
  for (const duration d :
       {duration::min(), duration(-1), duration(1), duration(1023), duration(1024), duration(24h), duration::max()}) {
    h.record(d);
  }
  BOOST_TEST(h.count() == 7u);
  BOOST_TEST(h.count_up_to(0ns) == 2u);
  BOOST_TEST(h.count_up_to(1us) == 4u);
  BOOST_TEST(h.count_up_to(duration::max()) == 7u);
  BOOST_TEST((h.quantile(1) == duration::max()));
}

BOOST_AUTO_TEST_CASE(a_quantile_outside_0_to_1_is_refused) {
  const histogram h;
  for (const double q : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    BOOST_CHECK_THROW(static_cast<void>(h.quantile(q)), std::invalid_argument);
  }
}

BOOST_AUTO_TEST_SUITE_END()
