// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <random>
#include <string>
#include <vector>

#include "support/pool_world.hpp"

// What a caller learns, and how soon, when there are not enough connections or none.

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using connect_result = fake_network::connect_result;

BOOST_AUTO_TEST_SUITE(overload)

BOOST_AUTO_TEST_SUITE(fail_fast)

BOOST_AUTO_TEST_CASE(get_waits_until_the_first_attempt_has_ended_and_then_fails_with_its_error) {
  pool_world w({.size = 3, .fail_fast = 0s});
  w.net().default_result = connect_result::refused;
  auto early = w.get();
  auto checked = w.watch(w.pool->ready());
  BOOST_TEST(early->ends == 0u);
  w.settle();
  BOOST_TEST(early->error == asio::error::connection_refused);
  BOOST_TEST(checked->error == asio::error::connection_refused);
  auto late = w.watch(w.pool->get());
  w.settle();
  BOOST_TEST(late->error == asio::error::connection_refused);
  BOOST_TEST(late->what ==
             "get: no connection to 10.0.0.1:7: Connection refused (size 3: 0 up, 0 leased, 0 waiting; last "
             "attempt 0.0 s ago)");
}

BOOST_AUTO_TEST_CASE(get_waits_while_nothing_is_known_of_the_endpoint) {
  pool_world w({.size = 1, .fail_fast = 0s}, {.connect_timeout = 2s});
  w.net().default_result = connect_result::hangs;
  auto got = w.get();
  w.advance(1900ms);
  BOOST_TEST(got->ends == 0u);
  w.advance(100ms);
  BOOST_TEST(got->error == errc::timed_out);
}

BOOST_AUTO_TEST_CASE(those_who_wait_when_the_endpoint_goes_fail_when_an_attempt_does) {
  pool_world w({.size = 1, .fail_fast = 0s});
  auto held = w.take();
  auto waiter = w.get();
  w.advance(1s);
  w.net().default_result = connect_result::hangs;
  w.peer().reset();
  held.put();
  w.advance(1s);
  BOOST_TEST(waiter->ends == 0u);
  w.advance(4s);
  BOOST_TEST(waiter->error == errc::timed_out);
  BOOST_TEST(w.pool->stats().waiting == 0u);
}

BOOST_AUTO_TEST_CASE(get_waits_while_any_connection_is_up) {
  pool_world w({.size = 2, .fail_fast = 0s});
  w.net().on_accept = [&w](fake_peer&) { w.net().default_result = connect_result::refused; };
  auto held = w.take();
  w.advance(1s);
  BOOST_TEST(w.pool->stats().connect_failures != 0u);
  auto waiter = w.get();
  w.advance(1s);
  BOOST_TEST(waiter->ends == 0u);
  held.put();
  w.settle();
  BOOST_TEST(bool(waiter->lease));
}

BOOST_AUTO_TEST_CASE(a_short_outage_fails_nobody_and_in_a_long_one_those_who_wait_fail_when_the_time_has_come) {
  for (const bool comes_back : {true, false}) {
    pool_world w({.size = 2, .fail_fast = 3s}, {.retry_max = 500ms});
    w.advance(1s);
    w.net().default_result = connect_result::refused;
    for (const auto& p : w.net().peers) p->reset();
    w.settle();
    auto early = w.get();
    auto up = w.watch(w.pool->ready(2));
    w.advance(2s);
    auto late = w.get();
    w.settle();
    BOOST_TEST((early->ends == 0u && late->ends == 0u && !up->done));
    if (comes_back) w.net().default_result = connect_result::accepted;
    w.advance(999ms);
    BOOST_TEST((early->ends == 0u) != comes_back);
    w.advance(1ms);
    if (comes_back) {
      BOOST_TEST(bool(early->lease));
      BOOST_TEST(bool(late->lease));
      BOOST_TEST(up->value.has_value());
    } else {
      BOOST_TEST(early->error == asio::error::connection_refused);
      BOOST_TEST(late->error == asio::error::connection_refused);
      BOOST_TEST(up->error == asio::error::connection_refused);
      auto now = w.get();
      w.settle();
      BOOST_TEST(now->error == asio::error::connection_refused);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_time_is_that_since_the_first_failed_attempt_and_not_since_somebody_asked) {
  pool_world w({.size = 1, .fail_fast = 10s}, {.connect_timeout = 2s});
  w.net().default_result = connect_result::hangs;
  w.advance(11900ms);
  auto got = w.get();
  w.settle();
  BOOST_TEST(got->ends == 0u);
  w.advance(100ms);
  BOOST_TEST(got->error == errc::timed_out);
  BOOST_TEST(w.pool->stats().timeouts == 0u);
}

BOOST_AUTO_TEST_CASE(one_that_was_up_has_the_time_start_anew) {
  pool_world w({.size = 1, .fail_fast = 3s}, {.retry_max = 1s});
  for (int i = 0; i < 3; ++i) {
    w.net().default_result = connect_result::accepted;
    w.advance(2s);
    w.net().default_result = connect_result::refused;
    w.peer().reset();
    w.settle();
    auto got = w.get();
    w.advance(2s);
    BOOST_TEST(got->ends == 0u);
    got->cancel.emit(asio::cancellation_type::total);
  }
}

BOOST_AUTO_TEST_CASE(one_that_is_closed_as_soon_as_it_is_accepted_has_not_been_up) {
  pool_world w({.size = 1, .fail_fast = 10s}, {.retry_max = 1s});
  w.settle();
  // Most of the time nothing is up, and sometimes for a moment.
  auto pass = [&w](cocp::duration d) {
    for (const auto end = w.net().elapsed() + d; w.net().elapsed() < end;) {
      for (const auto& p : w.net().peers) {
        if (!p->gone) p->fin();
      }
      w.advance(10ms);
    }
  };
  pass(9s);
  BOOST_TEST(w.pool->stats().connects > 5u);
  while (w.pool->try_get()) pass(10ms);
  auto waiter = w.get(5s);
  w.settle();
  BOOST_TEST(waiter->ends == 0u);
  waiter->cancel.emit(asio::cancellation_type::total);
  pass(2s);
  w.settle();
  while (w.pool->try_get()) pass(10ms);
  auto late = w.get(5s);
  w.settle();
  BOOST_TEST((late->ends == 1u && late->error));
}

BOOST_AUTO_TEST_CASE(refusals_rank) {
  struct row {
    bool close;
    cocp::duration limit;
    bool down;
    cocp::error_code error;
  };
  const row rows[] = {
      {true, 0s, true, errc::closed},
      {false, 0s, true, errc::timed_out},
      {false, 1s, true, asio::error::connection_refused},
      {false, 1s, false, errc::overloaded},
  };
  for (const row& r : rows) {
    pool_world w({.size = 1, .get_timeout = r.limit, .max_waiting = 0, .fail_fast = 0s});
    w.net().default_result = r.down ? connect_result::refused : connect_result::hangs;
    w.settle();
    if (r.close) w.pool->close();
    auto got = w.get();
    auto up = w.watch(w.pool->ready());
    w.settle();
    BOOST_TEST(got->error == r.error);
    if (r.error != errc::overloaded) BOOST_TEST(up->error == r.error);
    w.pool->close();
  }
}

BOOST_AUTO_TEST_CASE(whoever_asks_brings_a_pool_back_that_has_given_up_its_last_dial) {
  for (const auto limit : {cocp::duration(0s), cocp::duration(1s), cocp::duration::max()}) {
    pool_world w({.size = 2, .min_size = 0, .idle_timeout = 10s, .fail_fast = limit}, {.retry_max = 2s});
    w.net().default_result = connect_result::refused;
    auto first = w.get(2s);
    w.advance(1min);
    BOOST_TEST(first->ends == 1u);
    BOOST_TEST(w.pool->stats().connecting == 0u);
    const auto attempts = w.net().attempts.size();
    w.advance(1min);
    BOOST_TEST(w.net().attempts.size() == attempts);
    w.net().default_result = connect_result::accepted;
    // Nobody knows that it is down: the time starts anew.
    auto again = w.get();
    w.settle();
    BOOST_TEST(bool(again->lease));
  }
}

BOOST_AUTO_TEST_CASE(one_that_fails_so_is_a_wish_all_the_same) {
  pool_world w({.size = 2, .min_size = 0, .idle_timeout = 10s, .fail_fast = 0s}, {.retry_max = 2s});
  w.net().default_result = connect_result::refused;
  for (int i = 0; i < 100; ++i) {
    auto got = w.get();
    w.advance(1s);
    BOOST_TEST(got->error == asio::error::connection_refused);
    // Nobody waits for it, and yet it is not given up.
    BOOST_TEST(w.pool->stats().wanted == 1u);
  }
  w.net().default_result = connect_result::accepted;
  w.get();
  w.advance(2s);
  auto got = w.get();
  w.settle();
  BOOST_TEST(bool(got->lease));
}

BOOST_AUTO_TEST_CASE(get_works_again_when_the_endpoint_is_back) {
  pool_world w({.size = 1, .fail_fast = 0s});
  w.net().default_result = connect_result::refused;
  w.advance(1s);
  w.net().default_result = connect_result::accepted;
  w.advance(5s);
  auto got = w.get();
  w.settle();
  BOOST_TEST(bool(got->lease));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(many_waiters_with_different_timeouts_end_in_the_order_of_their_deadlines) {
  constexpr std::size_t n = 100'000;
  pool_world w;
  auto held = w.take();
  std::mt19937_64 random(11);
  std::vector<cocp::duration> ended;
  ended.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    const cocp::duration timeout(1 + static_cast<cocp::duration::rep>(random() % 1'000'000'000));
    w.pool->async_get(timeout, [&ended, timeout](cocp::error_code ec, cocp::lease) {
      BOOST_CHECK(ec == errc::timed_out);
      ended.push_back(timeout);
    });
  }
  w.settle();
  // All are due in the same turn.
  w.net().move(2s);
  w.settle();
  BOOST_TEST(ended.size() == n);
  BOOST_TEST(std::is_sorted(ended.begin(), ended.end()));
  BOOST_TEST(w.pool->stats().timeouts == n);
}

BOOST_AUTO_TEST_SUITE(wait_time)

BOOST_AUTO_TEST_CASE(counts_every_call_those_that_did_not_wait_and_those_that_failed_too) {
  pool_world w({.size = 1, .max_waiting = 2});
  auto held = w.take();
  auto served = w.get();
  auto late = w.get(1s);
  auto rejected = w.get();
  w.settle();
  BOOST_TEST(rejected->error == errc::overloaded);
  w.advance(1s);
  BOOST_TEST(late->error == errc::timed_out);
  auto cancelled = w.get();
  w.advance(1s);
  cancelled->cancel.emit(asio::cancellation_type::total);
  w.advance(1s);
  held.put();
  w.settle();
  BOOST_TEST(bool(served->lease));
  const auto t = w.pool->stats().wait_time;
  BOOST_TEST(t.count() == 5u);
  BOOST_TEST(t.count_up_to(0ns) == 2u);
  BOOST_TEST((t.sum() == 5s));
  BOOST_TEST((t.quantile(0.4) == 0ns));
  BOOST_TEST((t.quantile(0.8) >= 1s && t.quantile(0.8) < 1200ms));
  BOOST_TEST((t.quantile(1) >= 3s && t.quantile(1) < 3400ms));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
