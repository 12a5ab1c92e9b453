// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/dial_desk.hpp"

#include <boost/asio/error.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <vector>

using namespace cocp::detail;
using namespace std::chrono_literals;
namespace error = boost::asio::error;

namespace {

using entries = std::vector<const dial_desk::entry*>;

struct fixture {
  std::array<dial_desk::entry, 4> e;
  dial_desk desk{{.address = "localhost:7", .retry_min = 1s, .retry_max = 1s}, {.fail_fast = 10s, .max_dialling = 2}};

  entries let_in(time_point now) {
    entries all;
    while (dial_desk::entry* const one = desk.next(now)) {
      desk.let(*one, now);
      all.push_back(one);
    }
    return all;
  }
  void connect(dial_desk::entry& one, time_point now) {
    desk.ask(one);
    let_in(now);
    BOOST_TEST_REQUIRE(desk.begin(one));
    desk.connected(one, false, now);
    desk.up(one);
  }
  void fail(dial_desk::entry& one, time_point now) {
    desk.ask(one);
    let_in(now);
    BOOST_TEST_REQUIRE(desk.begin(one));
    desk.failed(one, error::connection_refused, nullptr, false, true, now, 0);
  }
  cocp::stats stats() const {
    cocp::stats s;
    desk.report(s);
    return s;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(a_dial_desk, fixture)

BOOST_AUTO_TEST_CASE(lets_one_try_and_the_others_when_it_has_succeeded_so_many_at_a_time) {
  for (auto& one : e) BOOST_TEST(desk.ask(one));
  BOOST_TEST(!desk.ask(e[0]), "it stands in line already");
  BOOST_TEST((let_in({}) == entries{&e[0]}));
  BOOST_TEST(!desk.begin(e[1]));
  BOOST_TEST(desk.begin(e[0]));
  BOOST_TEST(e[0].is_dialling());
  BOOST_TEST(let_in({}).empty());
  desk.connected(e[0], false, {});
  BOOST_TEST(!e[0].is_dialling());
  BOOST_TEST((let_in({}) == entries{&e[1], &e[2]}));
  desk.begin(e[1]);
  desk.dropped(e[1]);
  BOOST_TEST((let_in({}) == entries{&e[3]}));
}

BOOST_AUTO_TEST_CASE(after_a_failure_lets_one_in_each_time_the_delay_is_over) {
  fail(e[0], time_point(1s));
  BOOST_TEST(desk.failures() == 1u);
  BOOST_TEST(desk.was_lost(e[0]));
  BOOST_TEST((desk.last_failure().error == error::connection_refused));
  desk.ask(e[1]);
  desk.ask(e[2]);
  BOOST_TEST(let_in(time_point(1s)).empty());
  const time_point next = desk.next_time(time_point(1s));
  BOOST_TEST((next == time_point(1s) + desk.delay(time_point(1s))));
  BOOST_TEST((let_in(next) == entries{&e[1]}));
  BOOST_TEST((desk.next_time(next) == time_point::max()), "that depends on the probe");
}

BOOST_AUTO_TEST_CASE(lets_another_in_when_one_does_not_use_its_leave) {
  desk.ask(e[0]);
  desk.ask(e[1]);
  BOOST_TEST((let_in({}) == entries{&e[0]}));
  BOOST_TEST(!desk.withdraw(e[1]), "it had no leave");
  desk.ask(e[1]);
  BOOST_TEST(desk.withdraw(e[0]));
  BOOST_TEST((let_in({}) == entries{&e[1]}));
  BOOST_TEST(!desk.begin(e[0]));
}

BOOST_AUTO_TEST_CASE(says_how_many_more_may_dial_behind_those_in_line) {
  BOOST_TEST(desk.leaves({}) == 1u);
  desk.ask(e[0]);
  let_in({});
  BOOST_TEST(desk.leaves({}) == 0u, "one tries");
  desk.begin(e[0]);
  desk.connected(e[0], false, {});
  desk.up(e[0]);
  BOOST_TEST(desk.leaves({}) == 2u);
  desk.ask(e[1]);
  let_in({});
  BOOST_TEST(desk.leaves({}) == 1u, "who may has not begun");
  desk.withdraw(e[1]);
  BOOST_TEST(desk.leaves({}) == 2u);
}

BOOST_AUTO_TEST_CASE(who_only_wants_more_does_not_wait_behind_who_was_lost) {
  for (std::size_t i = 0; i < 3; ++i) connect(e[i], time_point(1s));
  for (std::size_t i = 1; i < 3; ++i) {
    desk.down(e[i]);
    desk.ended(e[i], {error::eof, {}, ending::lost}, false, nullptr, false, true, time_point(5s), 0);
    desk.ask(e[i]);
  }
  desk.ask(e[3]);
  BOOST_TEST((let_in(time_point(5s)) == entries{&e[1], &e[3]}));
}

BOOST_AUTO_TEST_CASE(lets_nobody_dial_another_endpoint_than_it_was_let) {
  desk.ask(e[0]);
  let_in({});
  BOOST_TEST(desk.revoke(e[0]));
  desk.readdress();
  BOOST_TEST(!desk.begin(e[0]));
  BOOST_TEST(desk.ask(e[0]));
  BOOST_TEST((let_in({}) == entries{&e[0]}));
}

BOOST_AUTO_TEST_CASE(learns_nothing_from_a_former_endpoint) {
  desk.ask(e[0]);
  let_in({});
  desk.begin(e[0]);
  desk.failed(e[0], error::connection_refused, nullptr, true, true, {}, 0);
  BOOST_TEST(desk.failures() == 0u);
  BOOST_TEST(!desk.last_failure().error);
  desk.ask(e[0]);
  let_in({});
  desk.begin(e[0]);
  desk.connected(e[0], true, {});
  desk.ask(e[1]);
  desk.ask(e[2]);
  BOOST_TEST((let_in({}) == entries{&e[1]}), "it is not known whether it is well");
}

BOOST_AUTO_TEST_CASE(is_given_up_when_attempts_have_failed_for_long_with_nothing_up) {
  fail(e[0], time_point(1s));
  BOOST_TEST((desk.gives_up_at(time_point(1s)) == time_point(11s)));
  fail(e[0], time_point(5s));
  BOOST_TEST(!desk.is_given_up(time_point(10s)));
  BOOST_TEST(desk.is_given_up(time_point(11s)));
  BOOST_TEST((desk.gives_up_at(time_point(11s)) == time_point::max()));
  connect(e[0], time_point(12s));
  BOOST_TEST(!desk.is_given_up(time_point(12s)));
  let_in(time_point(12s));
  desk.down(e[0]);
  BOOST_TEST(!desk.is_given_up(time_point(1h)));
}

BOOST_AUTO_TEST_CASE(is_not_given_up_by_failures_that_nobody_wants_to_know_of) {
  desk.ask(e[0]);
  let_in({});
  desk.begin(e[0]);
  desk.failed(e[0], error::connection_refused, nullptr, false, false, {}, 0);
  BOOST_TEST(!desk.is_given_up(time_point(1h)));
  fail(e[0], time_point(2s));
  desk.end_downtime();
  BOOST_TEST(!desk.is_given_up(time_point(1h)));
}

BOOST_AUTO_TEST_CASE(takes_an_early_loss_for_a_failed_attempt) {
  connect(e[0], time_point(1s));
  BOOST_TEST(desk.down(e[0]));
  BOOST_TEST(!desk.down(e[0]), "it is told once");
  desk.ended(e[0], {error::eof, {}, ending::lost}, true, nullptr, false, true, time_point(1s), 0);
  BOOST_TEST(desk.failures() == 1u);
  BOOST_TEST((desk.gives_up_at(time_point(1s)) == time_point(11s)));
  BOOST_TEST(desk.was_lost(e[0]));
}

BOOST_AUTO_TEST_CASE(is_not_shut_by_what_users_give_up) {
  connect(e[0], time_point(1s));
  desk.down(e[0]);
  desk.ended(e[0], {{}, {}, ending::dirty}, false, nullptr, false, true, time_point(1s), 0);
  BOOST_TEST(!desk.was_lost(e[0]));
  desk.ask(e[0]);
  desk.ask(e[1]);
  BOOST_TEST((let_in(time_point(1s)) == entries{&e[0], &e[1]}));
}

BOOST_AUTO_TEST_CASE(counts_those_that_are_counted_by_what_they_do) {
  desk.count(e[0], true);
  desk.ask(e[0]);
  desk.ask(e[1]);
  BOOST_TEST(stats().queued == 1u);
  let_in({});
  BOOST_TEST(stats().queued == 1u);
  desk.begin(e[0]);
  BOOST_TEST(stats().queued == 0u);
  BOOST_TEST(stats().connecting == 1u);
  desk.count(e[1], true);
  BOOST_TEST(stats().queued == 1u);
  desk.count(e[0], false);
  BOOST_TEST(stats().connecting == 0u);
  desk.stopped(e[0]);
  desk.stopped(e[1]);
  BOOST_TEST(stats().queued == 0u);
  BOOST_TEST(stats().connecting == 0u);
}

BOOST_AUTO_TEST_CASE(lets_one_in_at_once_when_the_endpoint_may_be_back) {
  fail(e[0], time_point(1s));
  desk.ask(e[1]);
  desk.retry_now(time_point(1s));
  BOOST_TEST((let_in(time_point(1s)) == entries{&e[1]}));
}

BOOST_AUTO_TEST_SUITE_END()
