// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/slot_life.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <ostream>
#include <vector>

using namespace cocp::detail;

namespace {

struct legal {
  slot_owner from;
  slot_event event;
  slot_owner to;
};

using o = slot_owner;
using e = slot_event;

/// All moves that there are.
const legal moves[] = {
    {o::supervisor, e::arrived, o::moving}, {o::moving, e::shelved, o::idle},     {o::leased, e::shelved, o::idle},
    {o::idle, e::taken, o::leased},         {o::moving, e::handed_on, o::leased}, {o::leased, e::came_back, o::moving},
    {o::idle, e::picked_up, o::moving},     {o::moving, e::hook_begun, o::hook},  {o::hook, e::hook_ended, o::moving},
    {o::idle, e::gone, o::supervisor},      {o::leased, e::gone, o::supervisor},  {o::moving, e::gone, o::supervisor},
    {o::hook, e::gone, o::supervisor},      {o::leased, e::let_go, o::detached},  {o::detached, e::gone, o::supervisor},
};

constexpr slot_owner owners[] = {o::supervisor, o::idle, o::leased, o::detached, o::moving, o::hook};
constexpr slot_event events[] = {e::arrived, e::shelved,   e::taken,      e::handed_on,  e::came_back,
                                 e::let_go,  e::picked_up, e::hook_begun, e::hook_ended, e::gone};

/// A way to each owner.
std::vector<slot_event> way_to(slot_owner owner) {
  switch (owner) {
    case o::supervisor:
      return {};
    case o::idle:
      return {e::arrived, e::shelved};
    case o::leased:
      return {e::arrived, e::handed_on};
    case o::detached:
      return {e::arrived, e::handed_on, e::let_go};
    case o::moving:
      return {e::arrived};
    case o::hook:
      return {e::arrived, e::hook_begun};
  }
  return {};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(a_slot)

BOOST_AUTO_TEST_CASE(goes_from_owner_to_owner_by_these_events_and_no_others) {
  for (const slot_owner from : owners) {
    for (const slot_event event : events) {
      const auto* const found = std::find_if(std::begin(moves), std::end(moves),
                                             [&](const legal& m) { return m.from == from && m.event == event; });
      const slot_owner expected = found == std::end(moves) ? from : found->to;
      BOOST_TEST_CONTEXT("owner " << int(from) << ", event " << int(event)) {
        BOOST_TEST((next_owner(from, event) == expected));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(is_counted_by_its_owner_wherever_it_goes) {
  for (const legal& m : moves) {
    slot_census census;
    slot_census::entry one;
    slot_census::entry other;
    census.add(one);
    census.add(other);
    for (const slot_event event : way_to(m.from)) census.move(one, event);
    BOOST_TEST((one.owner() == m.from));
    census.move(one, m.event);
    BOOST_TEST((one.owner() == m.to));
    for (const slot_owner owner : owners) {
      const std::size_t expected = (owner == m.to ? 1u : 0u) + (owner == o::supervisor ? 1u : 0u);
      BOOST_TEST(census.count(owner) == expected);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
