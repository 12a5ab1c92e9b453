// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/downtime.hpp"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <optional>

using namespace std::chrono_literals;
using cocp::detail::downtime;
using cocp::detail::time_point;

namespace {

constexpr time_point start(1h);

}  // namespace

BOOST_AUTO_TEST_SUITE(downtime_of_an_endpoint)

BOOST_AUTO_TEST_CASE(is_too_long_a_while_after_the_first_failed_attempt) {
  downtime d(3s);
  BOOST_TEST((d.at() == time_point::max()));
  d.attempt_failed(start);
  BOOST_TEST((d.at() == start + 3s));
  d.attempt_failed(start + 2s);
  BOOST_TEST((d.at() == start + 3s));
}

BOOST_AUTO_TEST_CASE(begins_anew_when_it_was_over) {
  downtime d(3s);
  d.attempt_failed(start);
  d.over();
  BOOST_TEST((d.at() == time_point::max()));
  d.attempt_failed(start + 1h);
  BOOST_TEST((d.at() == start + 1h + 3s));
}

BOOST_AUTO_TEST_CASE(of_zero_is_too_long_with_the_first_failed_attempt) {
  downtime d(0s);
  d.attempt_failed(start);
  BOOST_TEST((d.at() == start));
}

BOOST_AUTO_TEST_CASE(is_never_too_long_without_a_limit_or_with_the_longest_there_is) {
  for (const std::optional<cocp::duration> limit : {std::optional<cocp::duration>(), {cocp::duration::max()}}) {
    downtime d(limit);
    d.attempt_failed(start);
    d.attempt_failed(start + 1s);
    BOOST_TEST((d.at() == time_point::max()));
  }
}

BOOST_AUTO_TEST_SUITE_END()
