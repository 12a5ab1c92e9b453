// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/budget.hpp"

#include <boost/test/unit_test.hpp>

#include <array>
#include <limits>

using namespace cocp::detail;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

/// Somebody waits since then.
budget::need since(std::chrono::seconds t, std::size_t places = 1) { return {time_point(t), places}; }
budget::need nobody() { return {}; }

struct fixture {
  bool ask(budget& b, std::size_t i, bool has_place, budget::need n) { return b.ask(e[i], has_place, n, now); }

  std::array<budget::entry, 4> e;
  time_point now{1h};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(a_budget, fixture)

BOOST_AUTO_TEST_CASE(gives_as_many_places_and_dials_as_there_are) {
  budget b(2, 3);
  BOOST_TEST(ask(b, 0, false, since(1s)));
  BOOST_TEST(ask(b, 1, false, since(1s)));
  BOOST_TEST(!ask(b, 2, false, since(1s)));
  BOOST_TEST(e[2].stands_in_line());
  BOOST_TEST(!e[2].waits_for_dial());
  BOOST_TEST(ask(b, 0, true, since(1s)), "it has a place");
  BOOST_TEST(!ask(b, 1, true, since(1s)));
  BOOST_TEST(e[1].waits_for_dial());
  BOOST_TEST(b.places() == 2u);
  BOOST_TEST(b.dials() == 3u);
}

BOOST_AUTO_TEST_CASE(what_is_refused_takes_nothing) {
  budget b(2, 1);
  BOOST_TEST(ask(b, 0, false, since(1s)));
  BOOST_TEST(!ask(b, 1, false, since(1s)));
  BOOST_TEST(e[1].waits_for_dial());
  BOOST_TEST(b.places() == 1u);
  BOOST_TEST(b.dials() == 1u);
}

BOOST_AUTO_TEST_CASE(a_place_goes_to_whose_first_waiter_has_waited_longest) {
  budget b(1, unlimited);
  BOOST_TEST(ask(b, 0, false, since(1s)));
  BOOST_TEST(!ask(b, 1, false, nobody()));
  BOOST_TEST(!ask(b, 2, false, since(3s)));
  BOOST_TEST(!ask(b, 3, false, since(2s)));
  BOOST_TEST((b.next() == nullptr));
  b.dialling(e[0], 0);
  b.give_up(e[0], false);
  BOOST_TEST((b.next() == &e[3]));
  BOOST_TEST(!ask(b, 2, false, since(3s)), "another comes first");
  BOOST_TEST(ask(b, 3, false, since(2s)));
  b.give_up(e[3], false);
  BOOST_TEST((b.next() == &e[2]));
  b.settle(e[2]);
  BOOST_TEST((b.next() == &e[1]));
}

BOOST_AUTO_TEST_CASE(of_those_who_wait_as_long_the_first_that_came_is_the_first) {
  budget b(1, unlimited);
  ask(b, 0, false, since(1s));
  ask(b, 1, false, nobody());
  ask(b, 2, false, nobody());
  // To ask once more is no later turn.
  ask(b, 1, false, nobody());
  b.give_up(e[0], false);
  BOOST_TEST((b.next() == &e[1]));
}

BOOST_AUTO_TEST_CASE(who_stands_in_line_has_his_turn_whether_anybody_waits_or_not) {
  budget b(1, unlimited);
  now = time_point(10s);
  ask(b, 0, false, since(10s));
  ask(b, 1, false, nobody());
  now = time_point(11s);
  BOOST_TEST(!ask(b, 2, false, since(11s)));
  b.give_up(e[0], false);
  BOOST_TEST(!ask(b, 2, false, since(11s)), "who has come later");
  BOOST_TEST((b.next() == &e[1]));
  BOOST_TEST(ask(b, 1, false, nobody()));
}

BOOST_AUTO_TEST_CASE(who_has_a_place_and_nobody_who_waits_for_another_comes_last_until_it_has_none) {
  budget b(2, unlimited);
  now = time_point(10s);
  ask(b, 0, false, since(10s));
  ask(b, 1, false, since(10s));
  ask(b, 0, false, nobody());
  now = time_point(11s);
  ask(b, 2, false, since(11s));
  BOOST_TEST((b.next() == nullptr));
  b.give_up(e[1], false);
  BOOST_TEST((b.next() == &e[2]));
  b.waits(e[0], since(12s));
  BOOST_TEST((b.next() == &e[0]), "it has stood there for longer");
  b.waits(e[0], nobody());
  BOOST_TEST((b.next() == &e[2]));
  b.give_up(e[0], false);
  BOOST_TEST((b.next() == &e[0]));
}

BOOST_AUTO_TEST_CASE(whose_waiters_have_gone_stands_where_it_has_come_or_where_the_next_ones_do) {
  budget b(1, unlimited);
  now = time_point(3s);
  ask(b, 0, false, since(1s));
  ask(b, 1, false, since(1s));
  ask(b, 2, false, since(2s));
  b.waits(e[1], since(4s));
  b.give_up(e[0], false);
  BOOST_TEST((b.next() == &e[2]));
  b.settle(e[2]);
  now = time_point(5s);
  ask(b, 2, false, since(4s));
  BOOST_TEST((b.next() == &e[1]), "nobody of its waiters waits for longer, but it does");
  b.waits(e[0], since(1s));
  BOOST_TEST(!e[0].stands_in_line(), "who needs nothing is not made to");
}

BOOST_AUTO_TEST_CASE(a_dial_that_ends_is_the_next_ones) {
  budget b(unlimited, 1);
  BOOST_TEST(ask(b, 0, false, since(1s)));
  BOOST_TEST(!ask(b, 1, false, since(2s)));
  BOOST_TEST((b.next() == nullptr));
  b.dialling(e[0], 0);
  BOOST_TEST((b.next() == &e[1]));
  BOOST_TEST(!ask(b, 2, false, since(3s)));
  BOOST_TEST(ask(b, 1, false, since(2s)));
}

BOOST_AUTO_TEST_CASE(whose_turn_it_is_has_what_he_waits_for_when_he_asks) {
  budget b(unlimited, 2);
  ask(b, 0, false, nobody());
  ask(b, 0, false, nobody());
  for (std::size_t i : {1u, 2u, 3u}) BOOST_TEST(!ask(b, i, false, nobody()));
  b.dialling(e[0], 1);
  BOOST_TEST((b.next() == &e[1]));
  BOOST_TEST(ask(b, 1, false, nobody()));
  BOOST_TEST(!ask(b, 1, false, nobody()), "it would have another");
  b.dialling(e[0], 0);
  BOOST_TEST((b.next() == &e[2]));
  BOOST_TEST(ask(b, 2, false, nobody()));
}

BOOST_AUTO_TEST_CASE(room_is_made_by_the_one_that_was_asked_longest_ago) {
  budget b(2, unlimited);
  for (auto& one : e) b.asked(one);
  ask(b, 0, false, since(1s));
  ask(b, 1, false, since(1s));
  BOOST_TEST((b.next_to_make_room() == nullptr), "nobody needs it");
  ask(b, 2, false, since(1s));
  BOOST_TEST((b.next_to_make_room() == &e[0]));
  b.asked(e[0]);
  BOOST_TEST((b.next_to_make_room() == &e[1]));
  b.leaves(e[1]);
  BOOST_TEST((b.next_to_make_room() == nullptr), "one is enough");
  b.give_up(e[1], true);
  BOOST_TEST((b.next() == &e[2]));
}

BOOST_AUTO_TEST_CASE(as_much_room_is_made_as_is_needed) {
  budget b(2, unlimited);
  ask(b, 0, false, since(1s));
  ask(b, 0, false, since(1s));
  ask(b, 2, false, since(1s, 2));
  b.leaves(e[0]);
  BOOST_TEST((b.next_to_make_room() == &e[0]));
  b.leaves(e[0]);
  BOOST_TEST((b.next_to_make_room() == nullptr));
}

BOOST_AUTO_TEST_CASE(one_that_has_nothing_to_close_offers_what_becomes_idle_until_nobody_needs_it) {
  budget b(1, unlimited);
  ask(b, 0, false, since(1s));
  ask(b, 1, false, since(1s));
  b.press(e[0]);
  BOOST_TEST((b.next_to_make_room() == nullptr));
  BOOST_TEST(b.claims(e[0]));
  BOOST_TEST(!b.claims(e[0]), "one is on its way");
  b.give_up(e[0], true);
  BOOST_TEST(ask(b, 1, false, since(1s)));
  ask(b, 0, false, since(2s));
  BOOST_TEST((b.next_to_make_room() == &e[1]));
}

BOOST_AUTO_TEST_CASE(one_that_had_nothing_to_close_is_asked_again_once_nobody_has_needed_it) {
  budget b(1, unlimited);
  ask(b, 0, false, since(1s));
  ask(b, 1, false, since(1s));
  b.press(e[0]);
  b.settle(e[1]);
  BOOST_TEST(!b.claims(e[0]));
  ask(b, 1, false, since(2s));
  BOOST_TEST((b.next_to_make_room() == &e[0]));
}

BOOST_AUTO_TEST_CASE(what_goes_leaves_all_that_it_had) {
  budget b(1, 1);
  ask(b, 0, false, since(1s));
  ask(b, 1, false, since(1s));
  b.leaves(e[0]);
  b.remove(e[0]);
  b.remove(e[1]);
  BOOST_TEST(b.places() == 0u);
  BOOST_TEST(b.dials() == 0u);
  BOOST_TEST((b.next() == nullptr));
  BOOST_TEST((b.next_to_make_room() == nullptr));
  BOOST_TEST(ask(b, 2, false, since(1s)));
  ask(b, 3, false, since(1s));
  BOOST_TEST((b.next_to_make_room() == &e[2]), "nothing is on its way any more");
  for (auto& one : e) b.remove(one);
}

BOOST_AUTO_TEST_SUITE_END()
