// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "../bench/load/fault.hpp"
#include "../bench/load/units.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <ostream>
#include <string>
#include <vector>

namespace {

namespace data = boost::unit_test::data;
using namespace std::chrono_literals;
using kind = bench::fault::kind;

struct fault_text {
  const char* text;
  bench::fault right;

  friend std::ostream& operator<<(std::ostream& out, const fault_text& r) { return out << r.text; }
};

const fault_text texts[] = {
    {"2s:kill", {.at = 2s}},
    {"3s:restart", {.at = 3s, .what = kind::restart}},
    {"5s:stall=1s", {.at = 5s, .what = kind::stall, .time = 1s}},
    {"7s:latency=50ms", {.at = 7s, .what = kind::latency, .time = 50ms}},
    {"0.5:latency=0s", {.at = 500ms, .what = kind::latency}},
    {"9s:reset=30%", {.at = 9s, .what = kind::reset, .share = 0.3}},
    {"1.5m:kill", {.at = 90s}},
};

BOOST_DATA_TEST_CASE(a_fault_is_read, data::make(texts)) {
  BOOST_TEST((bench::parse_fault(sample.text) == sample.right));
}

BOOST_DATA_TEST_CASE(what_is_no_fault_is_refused,
                     data::make({"", "kill", "2s:", "2s:kill=1", "x:kill", "2s:stall", "2s:stall=0s", "2s:stall=x",
                                 "2s:reset=30", "2s:reset=101%", "2s:reset", "-1s:kill", "2s:latency=-1s",
                                 "99999999s:kill", "infs:kill"})) {
  BOOST_CHECK_THROW(bench::parse_fault(sample), bench::usage_error);
}

BOOST_AUTO_TEST_CASE(a_fault_is_named_as_it_was_given) {
  for (const char* const text : {"kill", "restart", "stall=1s", "latency=50ms", "reset=30%"}) {
    BOOST_TEST(bench::to_string(bench::parse_fault("1s:" + std::string(text))) == text);
  }
}

BOOST_AUTO_TEST_CASE(a_plan_is_in_order) {
  const auto plan = bench::plan_of({bench::parse_fault("3s:restart"), bench::parse_fault("2s:kill")}, 4s);
  BOOST_TEST((plan == std::vector{bench::parse_fault("2s:kill"), bench::parse_fault("3s:restart")}));
}

BOOST_AUTO_TEST_CASE(what_is_down_is_not_killed_and_what_is_up_not_restarted) {
  const auto f = [](const char* text) { return bench::parse_fault(text); };
  BOOST_CHECK_THROW(bench::plan_of({f("1s:kill"), f("2s:kill")}, 9s), bench::usage_error);
  BOOST_CHECK_THROW(bench::plan_of({f("1s:kill"), f("2s:restart"), f("3s:restart")}, 9s), bench::usage_error);
  BOOST_CHECK_NO_THROW(bench::plan_of({f("1s:kill"), f("2s:stall=1s"), f("3s:restart"), f("4s:kill")}, 9s));
}

}  // namespace
