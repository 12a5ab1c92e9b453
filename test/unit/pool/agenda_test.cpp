// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/agenda.hpp"

#include <boost/test/unit_test.hpp>

using namespace cocp::detail;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(an_agenda)

BOOST_AUTO_TEST_CASE(that_is_empty_lets_sleep_for_ever) {
  agenda a;
  BOOST_TEST((a.begin_sleep() == time_point::max()));
  BOOST_TEST(!a.take(duty::look, time_point(1h)));
}

BOOST_AUTO_TEST_CASE(lets_sleep_until_the_first_of_what_is_due) {
  agenda a;
  BOOST_TEST(a.set(duty::look, time_point(3s)));
  BOOST_TEST(a.set(duty::gate, time_point(2s)));
  BOOST_TEST(!a.set(duty::age, time_point(5s)), "the sleeper wakes earlier");
  BOOST_TEST((a.begin_sleep() == time_point(2s)));
}

BOOST_AUTO_TEST_CASE(wakes_the_sleeper_only_for_what_comes_before_the_end_of_his_sleep) {
  agenda a;
  BOOST_TEST(a.by(duty::look, time_point(3s)));
  a.begin_sleep();
  BOOST_TEST(!a.by(duty::gate, time_point(4s)));
  BOOST_TEST(!a.by(duty::gate, time_point(3s)));
  BOOST_TEST(a.by(duty::gate, time_point(1s)));
  BOOST_TEST(!a.by(duty::age, time_point(2s)), "it was rung for already");
}

BOOST_AUTO_TEST_CASE(keeps_the_earlier_of_two_times_unless_it_is_put_down_anew) {
  agenda a;
  (void)a.by(duty::look, time_point(2s));
  (void)a.by(duty::look, time_point(3s));
  BOOST_TEST((a.at(duty::look) == time_point(2s)));
  (void)a.set(duty::look, time_point(3s));
  BOOST_TEST((a.at(duty::look) == time_point(3s)));
}

BOOST_AUTO_TEST_CASE(gives_out_what_is_due_once) {
  agenda a;
  (void)a.set(duty::report, time_point(2s));
  BOOST_TEST(!a.take(duty::report, time_point(1s)));
  BOOST_TEST(a.take(duty::report, time_point(2s)));
  BOOST_TEST(!a.take(duty::report, time_point(2s)));
  BOOST_TEST((a.begin_sleep() == time_point::max()));
}

BOOST_AUTO_TEST_SUITE_END()
