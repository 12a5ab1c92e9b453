// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/headcount.hpp"

#include <boost/test/unit_test.hpp>

#include <array>

using namespace cocp::detail;
using namespace std::chrono_literals;

namespace {

struct fixture {
  std::array<headcount::entry, 4> e;
  headcount count{4, 1, {10s, 20s}};

  fixture() {
    for (auto& each : e) count.add(each);
  }

  void open(headcount::entry& one, time_point now) {
    count.want(one, now);
    count.attempt_begun(one);
    count.connected(one, now);
    count.placed(one);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(a_headcount, fixture)

BOOST_AUTO_TEST_CASE(wants_as_many_as_are_kept_open_and_as_many_more_as_wait) {
  BOOST_TEST(count.missing(0, 0) == 1u);
  BOOST_TEST(count.missing(3, 0) == 3u);
  BOOST_TEST(count.missing(9, 0) == 4u);
  BOOST_TEST(count.missing(0, 2) == 2u);
  count.want(e[0], {});
  BOOST_TEST(count.missing(1, 0) == 0u, "one is on its way");
  count.connected(e[0], {});
  BOOST_TEST(count.opening() == 1u);
  count.placed(e[0]);
  BOOST_TEST(count.opening() == 0u);
  BOOST_TEST(count.missing(1, 0) == 1u, "who waits has not got it");
  BOOST_TEST(count.missing(0, 0) == 0u);
}

BOOST_AUTO_TEST_CASE(of_nothing_said_keeps_all_open) {
  headcount all(3, std::nullopt, {10s, 20s});
  BOOST_TEST(all.missing(0, 0) == 3u);
  BOOST_TEST(all.min_size() == 3u);
  all.resize(2);
  BOOST_TEST(all.min_size() == 2u);
}

BOOST_AUTO_TEST_CASE(has_too_many_after_it_was_made_smaller_until_they_go) {
  open(e[0], {});
  open(e[1], {});
  BOOST_TEST(!count.is_surplus());
  count.resize(1);
  BOOST_TEST(count.is_surplus());
  count.gone(e[0], false, {});
  count.unwant(e[0]);
  BOOST_TEST(!count.is_surplus());
  BOOST_TEST(count.wanted() == 1u);
  BOOST_TEST(!e[0].is_counted());
  BOOST_TEST(e[1].is_counted());
}

BOOST_AUTO_TEST_CASE(gives_up_one_that_has_not_begun_and_else_the_one_that_began_last) {
  BOOST_TEST(!count.find_unopened());
  for (auto* one : {&e[0], &e[1], &e[2]}) count.want(*one, {});
  count.attempt_begun(e[1]);
  count.attempt_begun(e[0]);
  BOOST_TEST((count.find_unopened().made == &e[2]));
  count.connected(e[2], {});
  BOOST_TEST((count.find_unopened().made == &e[0]), "what is up is not given up");
  count.attempt_ended(e[0]);
  BOOST_TEST((count.find_unopened().made == &e[0]));
  count.lost_on_arrival(e[2]);
  BOOST_TEST(count.opening() == 3u);
}

BOOST_AUTO_TEST_CASE(gives_up_what_nobody_has_needed_for_long_and_gives_what_has_begun_its_time) {
  count.want(e[0], time_point(0s));
  count.want(e[1], time_point(5s));
  count.attempt_begun(e[0]);
  time_point next = time_point::max();
  BOOST_TEST(!count.find_unneeded(time_point(14s), next));
  BOOST_TEST((next == time_point(15s)));
  BOOST_TEST((count.find_unneeded(time_point(15s), next).made == &e[1]));
  count.unwant(e[1]);
  next = time_point::max();
  BOOST_TEST(!count.find_unneeded(time_point(15s), next));
  BOOST_TEST((next == time_point(20s)));
  BOOST_TEST((count.find_unneeded(time_point(20s), next).made == &e[0]));
}

BOOST_AUTO_TEST_CASE(lets_one_that_has_not_begun_go_in_the_stead_of_one_that_has) {
  count.want(e[0], time_point(0s));
  count.attempt_begun(e[0]);
  count.want(e[1], time_point(15s));
  time_point next = time_point::max();
  BOOST_TEST((count.find_unneeded(time_point(20s), next).made == &e[1]));
  count.unwant(e[1]);
  BOOST_TEST(!count.find_unneeded(time_point(34s), next), "it was needed when the other was");
  BOOST_TEST((count.find_unneeded(time_point(35s), next).made == &e[0]));
}

BOOST_AUTO_TEST_CASE(takes_a_wish_for_a_need_at_the_next_look) {
  count.want(e[0], time_point(0s));
  count.wish();
  count.note_wishes(time_point(9s));
  count.note_wishes(time_point(12s));
  time_point next = time_point::max();
  BOOST_TEST(!count.find_unneeded(time_point(18s), next));
  BOOST_TEST((next == time_point(19s)));
}

BOOST_AUTO_TEST_CASE(takes_the_first_connect_for_a_need_and_no_other) {
  count.want(e[0], time_point(0s));
  BOOST_TEST((count.connected(e[0], time_point(3s)) == time_point(3s)));
  count.placed(e[0]);
  count.gone(e[0], false, time_point(4s));
  BOOST_TEST((count.connected(e[0], time_point(7s)) == time_point(4s)));
  count.unwant(e[0]);
  count.want(e[0], time_point(8s));
  BOOST_TEST((count.connected(e[0], time_point(9s)) == time_point(9s)));
}

BOOST_AUTO_TEST_CASE(spares_those_that_are_kept_open_or_asked_for) {
  for (auto& one : e) open(one, {});
  BOOST_TEST(count.spare(0) == 3u);
  BOOST_TEST(count.spare(3) == 1u);
  BOOST_TEST(count.spare(9) == 0u);
}

BOOST_AUTO_TEST_CASE(spares_of_those_that_are_open_no_more_than_others_make_up_for) {
  for (auto& one : e) open(one, {});
  BOOST_TEST(count.spare_open(0) == 3u);
  count.gone(e[0], false, {});
  BOOST_TEST(count.spare(0) == 3u);
  BOOST_TEST(count.spare_open(0) == 2u);
  BOOST_TEST(count.spare_open(3) == 0u);
  count.plan(1, {});
  BOOST_TEST(count.spare_open(0) == 2u);
}

BOOST_AUTO_TEST_CASE(gives_one_its_time_that_was_dialled_in_a_lease_and_then_put_back) {
  open(e[0], time_point(0s));
  count.want(e[1], time_point(9s));
  count.gone(e[0], true, time_point(0s));
  BOOST_TEST((count.find_unopened().made == &e[1]));
  time_point next = time_point::max();
  BOOST_TEST(!count.find_unneeded(time_point(18s), next));
}

BOOST_AUTO_TEST_CASE(leaves_one_that_is_dialled_in_a_lease_open) {
  open(e[0], {});
  count.attempt_begun(e[0]);
  count.attempt_ended(e[0]);
  BOOST_TEST(count.opening() == 0u);
  BOOST_TEST(!count.find_unopened());
}

BOOST_AUTO_TEST_CASE(counts_the_planned_as_wanted_and_not_open) {
  count.plan(2, {});
  BOOST_TEST(count.wanted() == 2u);
  BOOST_TEST(count.opening() == 2u);
  BOOST_TEST(count.missing(2, 0) == 0u);
  BOOST_TEST(count.missing(3, 0) == 1u);
  count.begin_planned(e[0]);
  BOOST_TEST(count.planned() == 1u);
  BOOST_TEST(count.wanted() == 2u);
  BOOST_TEST(count.opening() == 2u);
  BOOST_TEST(e[0].is_counted());
  count.unplan_all();
  BOOST_TEST(count.planned() == 0u);
  BOOST_TEST(count.wanted() == 1u);
}

BOOST_AUTO_TEST_CASE(gives_up_the_planned_first) {
  count.want(e[0], {});
  count.plan(1, {});
  const headcount::leaver first = count.find_unopened();
  BOOST_TEST((first && !first.made));
  count.unplan();
  BOOST_TEST((count.find_unopened().made == &e[0]));
}

BOOST_AUTO_TEST_CASE(gives_up_the_planned_that_nobody_has_needed_for_long) {
  count.plan(1, time_point(0s));
  count.plan(1, time_point(2s));
  time_point next = time_point::max();
  BOOST_TEST(!count.find_unneeded(time_point(11s), next));
  BOOST_TEST((next == time_point(12s)));
  BOOST_TEST((count.find_unneeded(time_point(12s), next) && !count.find_unneeded(time_point(12s), next).made));
}

BOOST_AUTO_TEST_CASE(lets_a_planned_one_go_in_the_stead_of_one_that_has_begun) {
  count.want(e[0], time_point(0s));
  count.attempt_begun(e[0]);
  count.plan(1, time_point(15s));
  time_point next = time_point::max();
  BOOST_TEST((count.find_unneeded(time_point(20s), next) && !count.find_unneeded(time_point(20s), next).made));
  count.unplan();
  BOOST_TEST(!count.find_unneeded(time_point(34s), next), "it was needed when the other was");
  BOOST_TEST((count.find_unneeded(time_point(35s), next).made == &e[0]));
}

BOOST_AUTO_TEST_CASE(takes_the_need_of_the_planned_along) {
  count.plan(1, time_point(3s));
  count.begin_planned(e[0]);
  time_point next = time_point::max();
  BOOST_TEST(!count.find_unneeded(time_point(12s), next));
  BOOST_TEST((next == time_point(13s)));
}

BOOST_AUTO_TEST_SUITE_END()
