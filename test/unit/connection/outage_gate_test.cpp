// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/outage_gate.hpp"

#include <boost/test/unit_test.hpp>
#include <chrono>

using namespace std::chrono_literals;
using cocp::detail::dial_cause;
using cocp::detail::outage_gate;
using cocp::detail::time_point;

namespace {

/// A gate, and a clock for it. Without randomness each delay is half of its ceiling.
struct fixture {
  outage_gate gate{100ms, 1s, 3};
  time_point now{1h};

  bool may(dial_cause cause = dial_cause::loss, bool any_up = false) const { return gate.may_dial(cause, any_up, now); }
  outage_gate::ticket begin() { return gate.begin(now); }
  outage_gate::ticket connect() { return gate.succeeded(gate.begin(now), now); }
  void fail(outage_gate::ticket t) { gate.failed(t, now, 0); }
  void lose(outage_gate::ticket t, bool early = false) { gate.lost(t, early, now, 0); }
  auto delay() const { return gate.delay(now); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(outage_gate_, fixture)

BOOST_AUTO_TEST_CASE(at_the_start_one_goes_and_the_others_follow_when_it_has_succeeded) {
  BOOST_TEST(may());
  const auto probe = begin();
  BOOST_TEST(!may());
  BOOST_TEST(!may(dial_cause::demand));
  gate.succeeded(probe, now);
  BOOST_TEST(gate.is_open());
  BOOST_TEST(may());
}

BOOST_AUTO_TEST_CASE(no_more_than_max_dialling_go_at_once) {
  connect();
  const auto a = begin();
  begin();
  const auto c = begin();
  BOOST_TEST(!may());
  gate.succeeded(a, now);
  BOOST_TEST(may());
  begin();
  BOOST_TEST(!may());
  gate.abandoned(c);
  BOOST_TEST(may());
}

BOOST_AUTO_TEST_CASE(while_attempts_fail_there_is_one_for_each_backoff_step) {
  for (auto expected : {50ms, 100ms, 200ms, 400ms, 500ms, 500ms}) {
    BOOST_TEST(may());
    const auto probe = begin();
    BOOST_TEST(!may());
    fail(probe);
    BOOST_TEST(!may());
    BOOST_TEST((delay() == expected));
    BOOST_TEST((gate.next_time() == now + expected));
    now += expected - 1ns;
    BOOST_TEST(!may());
    now += 1ns;
  }
  BOOST_TEST(gate.failures() == 6u);
  connect();
  BOOST_TEST(gate.failures() == 0u);
  fail(begin());
  BOOST_TEST((delay() == 50ms));
}

BOOST_AUTO_TEST_CASE(attempts_that_fail_together_are_one_step) {
  connect();
  const auto a = begin();
  const auto b = begin();
  const auto c = begin();
  fail(a);
  fail(b);
  now += 10ms;
  fail(c);
  BOOST_TEST(gate.failures() == 1u);
  BOOST_TEST((delay() == 40ms));
}

BOOST_AUTO_TEST_CASE(an_attempt_from_before_the_gate_opened_again_does_not_shut_it) {
  connect();
  const auto slow = begin();
  fail(begin());
  now += 50ms;
  connect();
  BOOST_TEST(gate.is_open());
  fail(slow);
  BOOST_TEST(gate.is_open());
}

BOOST_AUTO_TEST_CASE(any_attempt_that_succeeds_opens_it) {
  connect();
  const auto slow = begin();
  fail(begin());
  gate.succeeded(slow, now);
  BOOST_TEST(gate.is_open());
}

BOOST_AUTO_TEST_CASE(after_a_loss_one_redials_at_once_and_the_others_follow) {
  const auto a = connect();
  const auto b = connect();
  lose(a);
  BOOST_TEST(may());
  const auto probe = begin();
  lose(b);
  BOOST_TEST(!may());
  gate.succeeded(probe, now);
  BOOST_TEST(may());
}

BOOST_AUTO_TEST_CASE(a_loss_while_others_are_up_does_not_hold_up_demand) {
  lose(connect());
  begin();
  BOOST_TEST(!may(dial_cause::loss, true));
  BOOST_TEST(may(dial_cause::demand, true));
  BOOST_TEST(!may(dial_cause::demand, false));
}

BOOST_AUTO_TEST_CASE(once_an_attempt_has_failed_demand_waits_too) {
  lose(connect());
  const auto probe = begin();
  const auto demanded = begin();
  fail(demanded);
  BOOST_TEST(gate.failures() == 1u);
  BOOST_TEST(!may(dial_cause::demand, true));
  now += 1h;
  // The probe is still on its way.
  BOOST_TEST(!may());
  fail(probe);
  BOOST_TEST(gate.failures() == 2u);
  BOOST_TEST((delay() == 100ms));
}

BOOST_AUTO_TEST_CASE(demand_that_fails_together_is_one_step) {
  lose(connect());
  begin();
  const auto a = begin();
  const auto b = begin();
  fail(a);
  fail(b);
  BOOST_TEST(gate.failures() == 1u);
}

BOOST_AUTO_TEST_CASE(a_probe_from_before_the_gate_opened_again_is_on_no_trial) {
  lose(connect());
  const auto slow = begin();
  const auto demanded = gate.succeeded(begin(), now);
  lose(demanded, true);
  gate.succeeded(slow, now);
  now += 100ms;
  BOOST_TEST(!gate.pass(now));
  BOOST_TEST(may());
}

BOOST_AUTO_TEST_CASE(a_connection_lost_early_from_before_the_gate_opened_again_is_a_loss) {
  const auto a = connect();
  const auto b = connect();
  lose(a);
  connect();
  lose(b, true);
  BOOST_TEST(gate.failures() == 0u);
  BOOST_TEST(may());
}

BOOST_AUTO_TEST_CASE(an_endpoint_that_accepts_and_closes_is_one_that_fails) {
  // The first one opens it: nothing is known yet.
  lose(connect(), true);
  BOOST_TEST(!gate.is_open());
  BOOST_TEST((delay() == 50ms));
  now += 50ms;
  // The next one has to last.
  auto probe = connect();
  BOOST_TEST(!gate.is_open());
  BOOST_TEST(!may());
  BOOST_TEST(!may(dial_cause::demand, true));
  lose(probe, true);
  BOOST_TEST((delay() == 100ms));
  now += 100ms;
  probe = connect();
  BOOST_TEST((gate.next_time() == now + 100ms));
  now += 99ms;
  BOOST_TEST(!gate.pass(now));
  now += 1ms;
  BOOST_TEST(gate.pass(now));
  BOOST_TEST(gate.is_open());
  BOOST_TEST(gate.failures() == 0u);
  BOOST_TEST((gate.next_time() == time_point::max()));
}

BOOST_AUTO_TEST_CASE(a_connection_lost_early_while_a_probe_is_on_its_way_puts_that_on_trial) {
  const auto a = connect();
  const auto b = connect();
  lose(a);
  const auto probe = begin();
  lose(b, true);
  gate.succeeded(probe, now);
  BOOST_TEST(!gate.is_open());
}

// Who is up then may be that probe alone.
BOOST_AUTO_TEST_CASE(while_a_probe_has_yet_to_last_demand_waits_too) {
  const auto a = connect();
  const auto b = connect();
  lose(a);
  const auto probe = begin();
  lose(b, true);
  BOOST_TEST(gate.failures() == 0u);
  BOOST_TEST(!may(dial_cause::demand, true));
  gate.succeeded(probe, now);
  BOOST_TEST(!may(dial_cause::demand, true));
  now += 100ms;
  BOOST_TEST(gate.pass(now));
  BOOST_TEST(may(dial_cause::demand, true));
}

BOOST_AUTO_TEST_CASE(the_loss_of_a_former_probe_does_not_end_the_backoff_delay) {
  lose(connect(), true);
  now += 50ms;
  const auto probe = connect();
  now += 100ms;
  gate.pass(now);
  fail(begin());
  lose(probe);
  BOOST_TEST(!may());
}

BOOST_AUTO_TEST_CASE(a_loss_after_the_end_of_a_trial_is_redialled_at_once) {
  const auto a = connect();
  const auto b = connect();
  lose(a, true);
  now += 50ms;
  connect();
  now += 100ms;
  lose(b);
  BOOST_TEST(may());
}

BOOST_AUTO_TEST_CASE(connections_that_are_closed_together_soon_after_they_were_accepted_are_one_step) {
  const auto a = connect();
  const auto b = connect();
  const auto c = connect();
  lose(a, true);
  lose(b, true);
  lose(c, true);
  BOOST_TEST(gate.failures() == 1u);
}

BOOST_AUTO_TEST_CASE(a_probe_on_trial_that_is_lost_after_a_clean_exchange_is_redialled_at_once) {
  lose(connect(), true);
  now += 50ms;
  const auto probe = connect();
  lose(probe);
  BOOST_TEST(may());
  BOOST_TEST(gate.failures() == 0u);
}

BOOST_AUTO_TEST_CASE(a_probe_on_trial_that_is_given_up_leaves_its_place_to_the_next_and_opens_nothing) {
  lose(connect(), true);
  now += 50ms;
  const auto probe = connect();
  BOOST_TEST(!may());
  gate.given_up(probe, false, now);
  BOOST_TEST(gate.failures() == 1u);
  BOOST_TEST(may());
  connect();
  BOOST_TEST(!may());
  // Its own time would have passed.
  now += 99ms;
  BOOST_TEST(!gate.pass(now));
}

BOOST_AUTO_TEST_CASE(a_probe_on_trial_that_has_served_or_lasted_opens_it_though_it_is_given_up) {
  for (const bool served : {true, false}) {
    outage_gate other(100ms, 1s, 3);
    other.lost(other.succeeded(other.begin(now), now), true, now, 0);
    now += 50ms;
    const auto probe = other.succeeded(other.begin(now), now);
    if (!served) now += 100ms;
    other.given_up(probe, served, now);
    BOOST_TEST(other.is_open());
  }
}

BOOST_AUTO_TEST_CASE(one_that_is_given_up_ends_the_trial_of_no_other) {
  const auto a = connect();
  const auto b = connect();
  lose(a, true);
  now += 50ms;
  connect();
  gate.given_up(b, true, now);
  BOOST_TEST(!gate.is_open());
  BOOST_TEST(!may());
}

BOOST_AUTO_TEST_CASE(an_endpoint_that_serves_is_not_on_trial_any_more_however_soon_it_closes) {
  lose(connect(), true);
  now += 50ms;
  lose(connect());
  connect();
  BOOST_TEST(gate.is_open());
}

BOOST_AUTO_TEST_CASE(another_endpoint_begins_anew_whoever_is_up) {
  connect();
  gate.reset();
  BOOST_TEST(may(dial_cause::demand, true));
  begin();
  BOOST_TEST(!may(dial_cause::demand, true));
}

BOOST_AUTO_TEST_CASE(an_abandoned_probe_leaves_its_place_to_the_next) {
  const auto probe = begin();
  gate.abandoned(probe);
  BOOST_TEST(may());
  BOOST_TEST(gate.failures() == 0u);
}

BOOST_AUTO_TEST_CASE(retry_now_makes_the_next_probe_due) {
  fail(begin());
  BOOST_TEST(!may());
  gate.retry_now(now);
  BOOST_TEST(may());
  fail(begin());
  BOOST_TEST(gate.failures() == 2u);
  BOOST_TEST((delay() == 100ms));
}

BOOST_AUTO_TEST_CASE(another_endpoint_begins_anew) {
  fail(begin());
  now += 50ms;
  const auto old = begin();
  gate.reset();
  BOOST_TEST(gate.failures() == 0u);
  BOOST_TEST(may());
  begin();
  BOOST_TEST(!may());
  gate.abandoned(old);
  BOOST_TEST(!may());
}

BOOST_AUTO_TEST_SUITE_END()
