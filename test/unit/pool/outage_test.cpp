// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <algorithm>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <string>
#include <vector>

#include "support/pool_world.hpp"

// Rule 7: an outage costs the endpoint one attempt per backoff step, whatever the pool's size.

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::duration;
using cocp::errc;
using cocp::event_kind;
using connect_result = fake_network::connect_result;

namespace {

/// The most dials that were under way at once in that time.
std::size_t most_dials(pool_world& w, duration d) {
  const auto end = w.net().elapsed() + d;
  std::size_t most = 0;
  while (w.net().elapsed() < end && w.step()) most = std::max(most, w.pool->stats().connecting);
  return most;
}

/// The attempts after the first `n`, as the time since the one before.
std::vector<duration> steps_after(pool_world& w, std::size_t n) {
  std::vector<duration> steps;
  const auto& at = w.net().attempts;
  for (std::size_t i = n + 1; i < at.size(); ++i) steps.push_back(at[i] - at[i - 1]);
  return steps;
}

void check_steps(const std::vector<duration>& steps) {
  duration ceiling = 100ms;
  for (const duration step : steps) {
    BOOST_TEST((step >= ceiling / 2 && step <= ceiling + 1ms), step.count() << " for " << ceiling.count());
    ceiling = std::min<duration>(ceiling * 2, 5s);
  }
}

constexpr std::size_t size = 100;

}  // namespace

BOOST_AUTO_TEST_SUITE(outage)

// The loss is noticed by users, or by the watch on idle connections.
BOOST_DATA_TEST_CASE(of_60_seconds_costs_one_attempt_at_the_loss_and_one_for_each_backoff_step,
                     data::make({false, true}), leased) {
  pool_world w({.size = size});
  w.advance(1s);
  BOOST_REQUIRE(w.pool->stats().connected == size);
  std::vector<cocp::lease> held;
  std::vector<char> bytes(size);
  if (leased) {
    for (std::size_t i = 0; i < size; ++i) {
      held.push_back(w.pool->try_get());
      held.back()->async_read_some(asio::buffer(&bytes[i], 1), [](cocp::error_code, std::size_t) {});
    }
    w.settle();
  }
  w.net().default_result = connect_result::refused;
  const auto died = w.net().elapsed();
  for (const auto& p : w.net().peers) p->reset();
  if (leased) {
    w.settle();
    // A stream is its lease's until that ends.
    BOOST_TEST(w.pool->stats().disconnects == size);
    BOOST_TEST(w.net().attempts.size() == size);
    held.clear();
  }
  BOOST_TEST(most_dials(w, 60s) == 1u);
  BOOST_REQUIRE(w.net().attempts.size() > size);
  BOOST_TEST((w.net().attempts[size] - died <= 50ms));
  check_steps(steps_after(w, size));
  // 100, 200, ... 3200 ms, and then every 2.5 to 5 s.
  BOOST_TEST(w.net().attempts.size() - size <= 8 + 60 / 2.5);
  BOOST_TEST(w.pool->stats().connect_failures == w.net().attempts.size() - size);

  w.net().default_result = connect_result::accepted;
  const auto back = w.net().elapsed();
  while (w.pool->stats().connected != size) w.advance(1ms);
  BOOST_TEST((w.net().elapsed() - back <= 5s));
  // All but the one that tried follow at once.
  BOOST_TEST((w.net().attempts.back() == w.net().attempts[w.net().attempts.size() - size + 1]));
}

BOOST_AUTO_TEST_CASE(at_the_start_costs_one_attempt_for_each_backoff_step) {
  pool_world w({.size = size});
  w.net().default_result = connect_result::refused;
  BOOST_TEST(most_dials(w, 60s) == 1u);
  check_steps(steps_after(w, 0));
  w.net().default_result = connect_result::accepted;
  w.advance(5s);
  BOOST_TEST(w.pool->stats().connected == size);
}

BOOST_AUTO_TEST_CASE(that_answers_nothing_costs_one_attempt_for_each_timeout_and_backoff_step) {
  pool_world w({.size = size}, {.connect_timeout = 1s});
  w.net().default_result = connect_result::hangs;
  BOOST_TEST(most_dials(w, 60s) == 1u);
  BOOST_TEST(w.net().attempts.size() <= 18u);
  w.net().default_result = connect_result::accepted;
  w.advance(7s);
  BOOST_TEST(w.pool->stats().connected == size);
}

BOOST_AUTO_TEST_CASE(makes_one_place_while_it_lasts_and_the_others_when_it_is_over) {
  pool_world w({.size = 500});
  w.net().default_result = connect_result::refused;
  w.advance(60s);
  BOOST_TEST(w.net().strands == 1u);
  const auto s = w.pool->stats();
  BOOST_TEST(s.wanted == 500u);
  BOOST_TEST(s.queued + s.connecting == 500u);
  w.net().default_result = connect_result::accepted;
  w.advance(5s);
  BOOST_TEST(w.pool->stats().connected == 500u);
  BOOST_TEST(w.net().strands == 500u);
}

BOOST_AUTO_TEST_CASE(makes_no_more_places_than_may_dial) {
  pool_world w({.size = 500, .max_dialling = 4});
  w.net().next_results = {connect_result::accepted};
  w.net().default_result = connect_result::hangs;
  w.advance(1s);
  BOOST_TEST(w.net().connecting == 4u);
  BOOST_TEST(w.net().strands == 5u);
  BOOST_TEST(w.pool->stats().queued == 495u);
  w.net().default_result = connect_result::accepted;
  w.net().answer(connect_result::accepted);
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 497u, "those that hang have three of four");
}

BOOST_AUTO_TEST_CASE(no_more_than_max_dialling_connect_at_once) {
  // Each takes a round trip.
  unsigned under_way = 0;
  unsigned most = 0;
  pool_world w({.size = 1000}, {.on_connect = [&](cocp::connection& c) -> asio::awaitable<void> {
                 most = std::max(most, ++under_way);
                 char b = 0;
                 const auto buffer = asio::buffer(&b, 1);
                 co_await c.read(buffer);
                 --under_way;
               }});
  unsigned rounds = 0;
  for (; w.pool->stats().connected != 1000u && rounds < 1000; ++rounds) {
    w.settle();
    const auto peers = w.net().peers;
    for (const auto& p : peers) {
      if (p->inbox.empty()) p->send("!");
    }
    w.settle();
  }
  BOOST_TEST(most == 16u);
  BOOST_TEST(rounds <= 2 + 1000 / 16);
}

BOOST_AUTO_TEST_CASE(a_server_that_accepts_only_some_keeps_those_and_is_not_hammered_for_the_rest) {
  pool_world w({.size = 10});
  std::size_t accepted = 0;
  w.net().on_accept = [&](fake_peer&) {
    if (++accepted == 4) w.net().default_result = connect_result::refused;
  };
  w.advance(60s);
  BOOST_TEST(gauges(*w.pool) == "4 connected, 4 idle, 0 leased, 0 connecting, 0 waiting");
  // The six that were on their way, and then one at a time.
  BOOST_TEST(w.net().attempts.size() <= 10 + 8 + 60 / 2.5);
  std::vector<cocp::lease> leases;
  for (int i = 0; i < 4; ++i) BOOST_TEST(bool(leases.emplace_back(w.pool->try_get())));
}

BOOST_AUTO_TEST_CASE(a_server_that_accepts_and_closes_is_not_hammered) {
  pool_world w({.size = 100});
  w.net().on_accept = [](fake_peer& p) { p.fin(); };
  w.advance(60s);
  BOOST_TEST(w.net().attempts.size() <= 1 + 8 + 60 / 2.5);
  BOOST_TEST(w.pool->stats().connects == 0u);
  w.net().on_accept = nullptr;
  w.advance(6s);
  BOOST_TEST(w.pool->stats().connected == 100u);
}

BOOST_AUTO_TEST_CASE(nor_is_one_that_closes_a_moment_later) {
  pool_world w({.size = 100});
  w.settle();
  std::size_t seen = 0;
  while (w.net().elapsed() < 60s) {
    const auto peers = w.net().peers;
    for (; seen != peers.size(); ++seen) peers[seen]->fin();
    w.advance(10ms);
  }
  // Once all of them, before it is known.
  BOOST_TEST(w.net().attempts.size() <= 100 + 8 + 60 / 2.5);
  w.advance(6s);
  BOOST_TEST(w.pool->stats().connected == 100u);
}

BOOST_AUTO_TEST_CASE(nor_if_retry_min_is_short) {
  pool_world w({.size = 100}, {.retry_min = 10ms});
  std::size_t seen = 0;
  while (w.net().elapsed() < 10s) {
    const auto peers = w.net().peers;
    for (; seen != peers.size(); ++seen) peers[seen]->fin();
    w.advance(1ms);
  }
  BOOST_TEST(w.net().attempts.size() <= 100 + 10 + 10 / 2.5);
}

// For whatever reason: it has not stayed up for long enough.
BOOST_DATA_TEST_CASE(nor_for_a_connection_that_was_given_up_meanwhile, data::make({"renewed", "discarded"}), how) {
  pool_world w({.size = 100});
  w.settle();
  for (const auto& p : w.net().peers) p->fin();
  while (w.net().attempts.size() == 100) w.advance(1ms);
  BOOST_REQUIRE(w.pool->stats().connected == 1u);
  w.net().default_result = connect_result::hangs;
  if (how == std::string("renewed")) {
    w.pool->renew();
  } else {
    w.take().discard();
  }
  BOOST_TEST(most_dials(w, 10s) == 1u);
}

// Of two that are lost together the second was young, so the first that is back has to last: nobody follows it before,
// whenever they asked.
BOOST_AUTO_TEST_CASE(nor_for_those_who_need_more_while_only_one_on_trial_is_up) {
  pool_world w({.size = 10, .min_size = 0});
  char bytes[2];
  const auto lose = [&](pool_world::call& c, fake_peer& peer, char& byte) {
    c.lease->async_read_some(asio::buffer(&byte, 1), [](cocp::error_code, std::size_t) {});
    peer.reset();
    w.settle();
  };
  auto seasoned = w.get();
  w.advance(1s);
  auto young = w.get();
  w.settle();
  BOOST_REQUIRE(w.net().peers.size() == 2u);
  lose(*seasoned, *w.net().peers[0], bytes[0]);
  lose(*young, *w.net().peers[1], bytes[1]);
  w.net().connect_latency = [] { return 10ms; };
  seasoned->lease.put();
  young->lease.put();
  std::vector<std::shared_ptr<pool_world::call>> calls;
  for (int i = 0; i < 8; ++i) calls.push_back(w.get());
  w.settle();
  BOOST_TEST(w.pool->stats().connecting == 1u);
  w.advance(10ms);
  BOOST_TEST(bool(calls[0]->lease));
  BOOST_TEST(w.pool->stats().connecting == 0u);
  calls.push_back(w.get());
  w.settle();
  BOOST_TEST(w.pool->stats().connecting == 0u);
  w.advance(100ms);
  BOOST_TEST(w.pool->stats().connecting == 8u);
  w.advance(10ms);
  for (const auto& c : calls) BOOST_TEST(bool(c->lease));
}

// Rule 7: it has stayed up for retry_min, or served a clean exchange.
BOOST_AUTO_TEST_CASE(the_others_follow_as_soon_as_the_one_on_trial_has_served_a_clean_exchange) {
  pool_world w({.size = 4});
  w.settle();
  BOOST_REQUIRE(w.net().peers.size() == 4u);
  for (const auto& p : w.net().peers) p->fin();
  while (w.net().attempts.size() == 4u) w.advance(1ms);
  w.settle();
  BOOST_REQUIRE(w.pool->stats().connected == 1u);
  {
    cocp::lease l = w.take();
    w.settle();
    BOOST_TEST(w.pool->stats().connected == 1u);
    char byte = 0;
    l->async_write_some(asio::buffer("?", 1), [](cocp::error_code, std::size_t) {});
    w.settle();
    w.peer().send("!");
    l->async_read_some(asio::buffer(&byte, 1), [](cocp::error_code, std::size_t) {});
    w.settle();
    BOOST_TEST(byte == '!');
  }
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 4u);
}

BOOST_AUTO_TEST_CASE(one_connection_that_is_lost_while_others_are_up_holds_up_nobody) {
  pool_world w({.size = 4, .min_size = 2});
  w.advance(1s);
  w.net().default_result = connect_result::hangs;
  w.net().peers[0]->fin();
  w.advance(100ms);
  BOOST_TEST(w.pool->stats().connecting == 1u);
  auto first = w.get();
  auto second = w.get();
  auto third = w.get();
  w.settle();
  BOOST_TEST(bool(first->lease));
  // Two wait, one dial is under way for the loss, one more for the second.
  BOOST_TEST(w.pool->stats().connecting == 2u);
}

BOOST_AUTO_TEST_CASE(nor_do_several_that_wait_for_the_first_to_be_back) {
  pool_world w({.size = 5, .min_size = 3});
  w.advance(1s);
  w.net().default_result = connect_result::hangs;
  w.net().peers[0]->fin();
  w.net().peers[1]->fin();
  w.advance(100ms);
  BOOST_TEST(w.pool->stats().connecting == 1u);
  std::vector<std::shared_ptr<pool_world::call>> calls;
  // One is up, and two are on their way.
  for (int i = 0; i < 4; ++i) calls.push_back(w.get());
  w.settle();
  BOOST_TEST(w.pool->stats().connecting == 2u);
}

BOOST_AUTO_TEST_CASE(a_probe_that_is_not_needed_any_more_leaves_its_place_to_the_next) {
  pool_world w({.size = 2});
  w.net().default_result = connect_result::refused;
  w.settle();
  // Then it is the second one's turn, and then the first one's.
  w.pool->retry_now();
  w.settle();
  w.net().default_result = connect_result::accepted;
  w.pool->retry_now();
  w.pool->resize(1);
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 1u);
  BOOST_TEST(w.net().attempts.size() == 3u);
}

BOOST_AUTO_TEST_CASE(what_users_give_up_never_shuts_the_gate) {
  pool_world w({.size = 5});
  w.advance(1s);
  std::vector<cocp::lease> held;
  for (int i = 0; i < 5; ++i) held.push_back(w.pool->try_get());
  w.net().default_result = connect_result::hangs;
  for (auto& l : held) l.discard();
  w.settle();
  BOOST_TEST(w.pool->stats().connecting == 5u);
}

BOOST_AUTO_TEST_CASE(a_waiter_that_is_cancelled_cancels_no_dial) {
  pool_world w({.size = 1, .min_size = 0});
  w.net().default_result = connect_result::hangs;
  auto got = w.get();
  w.settle();
  got->cancel.emit(asio::cancellation_type::total);
  w.advance(1s);
  BOOST_TEST(got->ends == 1u);
  BOOST_TEST(w.pool->stats().connecting == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
