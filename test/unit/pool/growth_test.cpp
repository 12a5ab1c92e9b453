// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/growth.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>

using cocp::detail::connections_to_open;
using cocp::detail::demand;

namespace {

struct row {
  const char* what;
  demand d;
  std::size_t open;

  friend std::ostream& operator<<(std::ostream& out, const row& r) { return out << r.what; }
};

const row rows[] = {
    {"nothing to do", {.limit = 5, .least = 0}, 0},
    {"a start", {.limit = 5, .least = 5}, 5},
    {"a start with a smaller least", {.limit = 5, .least = 2}, 2},
    {"the least is there", {.limit = 5, .least = 2, .wanted = 2}, 0},
    {"more than the least is there", {.limit = 5, .least = 2, .wanted = 4}, 0},
    {"one is missing", {.limit = 5, .least = 3, .wanted = 2}, 1},
    {"the first waiter", {.limit = 5, .waiting = 1}, 1},
    {"a waiter whom a dial covers", {.limit = 5, .wanted = 1, .opening = 1, .waiting = 1}, 0},
    {"a waiter whom no dial covers", {.limit = 5, .wanted = 1, .opening = 1, .waiting = 2}, 1},
    {"a waiter while all are in use", {.limit = 5, .wanted = 3, .waiting = 1}, 1},
    {"more dials than waiters", {.limit = 5, .wanted = 3, .opening = 3, .waiting = 2}, 0},
    {"more waiters than the limit", {.limit = 5, .waiting = 100}, 5},
    {"waiters and little room", {.limit = 5, .wanted = 4, .waiting = 100}, 1},
    {"waiters and no room", {.limit = 5, .wanted = 5, .waiting = 100}, 0},
    {"waiters and less than no room, after a shrink", {.limit = 3, .wanted = 5, .waiting = 100}, 0},
    {"what the least asks for covers the waiters", {.limit = 5, .least = 3, .waiting = 2}, 3},
    {"the waiters ask for more than the least", {.limit = 5, .least = 2, .waiting = 3}, 3},
    {"dials under way for the least cover waiters",
     {.limit = 5, .least = 3, .wanted = 3, .opening = 3, .waiting = 3},
     0},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(growth)

BOOST_DATA_TEST_CASE(opens_what_is_missing_and_no_more, rows, r) { BOOST_TEST(connections_to_open(r.d) == r.open); }

BOOST_AUTO_TEST_SUITE_END()
