// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What pools share: rules 5, 6, 15 and 16 over all of them.

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pools.hpp>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "support/pools_world.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;
using connect_result = fake_network::connect_result;

/// Reads until the stream is lost, and waits for the next.
asio::awaitable<void> lost_and_ready(cocp::lease& l) {
  char in = 0;
  const auto room = asio::buffer(&in, 1);
  try {
    co_await l->read_some(room);
  } catch (const boost::system::system_error&) {
    // It is lost.
  }
  co_await l->ready();
}

/// Has two up to the first address, of which one is lost and cannot be redialled.
void lose_one_of_two(pools_world& w) {
  {
    const auto first = w.take(1);
    const auto second = w.take(1);
  }
  w.advance(10s);
  w.net().results_at[w.at(1)] = connect_result::refused;
  w.net().peers[0]->fin();
  w.advance(10ms);
}

BOOST_AUTO_TEST_SUITE(bounds)

BOOST_AUTO_TEST_SUITE(max_connections)

BOOST_AUTO_TEST_CASE(no_more_are_open_or_being_opened_whatever_is_asked) {
  pools_world w({.max_connections = 4}, {.size = 3});
  w.net().connect_latency = [] { return cocp::duration(1ms); };
  std::size_t most = 0;
  w.net().on_attempt = [&] { most = std::max(most, w.net().sockets); };
  std::mt19937 random(7);
  std::vector<std::shared_ptr<pools_world::call>> calls;
  for (int i = 0; i < 300; ++i) {
    calls.push_back(w.get(static_cast<unsigned>(random() % 10)));
    w.advance(1ms);
    for (auto& c : calls) {
      if (c->lease && random() % 3 == 0) random() % 4 == 0 ? c->lease.discard() : c->lease.put();
    }
    std::erase_if(calls, [](const auto& c) { return c->ends != 0 && !c->lease; });
    BOOST_TEST_REQUIRE(w.net().sockets <= 4u);
  }
  BOOST_TEST(most <= 4u);
  for (int i = 0; i < 1000 && !calls.empty(); ++i) {
    for (auto& c : calls) c->lease.put();
    std::erase_if(calls, [](const auto& c) { return c->ends != 0; });
    w.advance(1ms);
  }
  BOOST_TEST(calls.empty(), calls.size() << " still wait");
  BOOST_TEST(w.pools->stats().sum.timeouts == 0u);
}

BOOST_AUTO_TEST_CASE(an_idle_one_of_the_pool_that_was_asked_longest_ago_makes_room) {
  pools_world w({.max_connections = 3});
  for (unsigned n : {1u, 2u, 3u}) w.take(n).put();
  w.take(1).put();
  w.take(4).put();
  BOOST_TEST(w.open(2) == 0u);
  w.take(5).put();
  BOOST_TEST(w.open(3) == 0u);
  BOOST_TEST(w.open(1) == 1u);
  BOOST_TEST(w.net().sockets == 3u);
  BOOST_TEST(w.has_pool(2), "the pool stays");
}

BOOST_AUTO_TEST_CASE(one_that_is_leased_is_never_closed_and_those_who_wait_have_it_when_it_comes_back) {
  pools_world w({.max_connections = 2});
  auto first = w.take(1);
  auto second = w.take(2);
  auto waits = w.get(3);
  w.advance(10s);
  BOOST_TEST(waits->ends == 0u);
  BOOST_TEST(first->is_connected());
  BOOST_TEST(second->is_connected());
  second.put();
  w.settle();
  BOOST_TEST(bool(waits->lease));
  BOOST_TEST(w.open(2) == 0u);
  // There is no need any more.
  first.put();
  w.settle();
  BOOST_TEST(w.open(1) == 1u);
}

BOOST_AUTO_TEST_CASE(one_below_a_min_size_is_never_closed) {
  pools_world w({.max_connections = 2}, {.size = 2, .min_size = 1, .get_timeout = 1min});
  w.take(1).put();
  w.take(2).put();
  auto waits = w.get(3);
  w.advance(30s);
  BOOST_TEST(w.open(1) == 1u);
  BOOST_TEST(w.open(2) == 1u);
  BOOST_TEST(waits->ends == 0u);
  auto held = w.take(1);
  held.put();
  w.settle();
  BOOST_TEST(w.open(1) == 1u);
  w.advance(31s);
  BOOST_TEST(waits->error == errc::timed_out);
}

// Rule 15: nobody of them waits, and somebody else always does.
BOOST_AUTO_TEST_CASE(who_may_not_wait_has_a_place_in_its_turn_too) {
  pools_world w({.max_connections = 1}, {.size = 3, .min_size = 0, .get_timeout = 1h, .fail_fast = 0s});
  w.net().results_at[w.at(5)] = connect_result::refused;
  auto refused = w.get(5);
  w.advance(1s);
  BOOST_TEST(bool(refused->error));
  w.net().results_at.clear();
  bool is_served = false;
  std::shared_ptr<pools_world::call> asks;
  for (int i = 0; i < 4000 && !is_served; ++i) {
    // It has to be opened again each time, since its place is wanted.
    auto other = w.get(9);
    if (!asks || asks->ends != 0) asks = w.get(5);
    w.advance(5ms);
    other->lease.put();
    is_served = bool(asks->lease);
  }
  BOOST_TEST(is_served);
}

BOOST_AUTO_TEST_CASE(a_freed_place_goes_to_the_pool_whose_first_waiter_has_waited_longest) {
  pools_world w({.max_connections = 1});
  auto held = w.take(1);
  std::vector<std::shared_ptr<pools_world::call>> calls;
  for (unsigned n : {4u, 2u, 3u}) {
    calls.push_back(w.get(n));
    w.advance(10ms);
  }
  held.put();
  for (unsigned i = 0; i < 3; ++i) {
    w.settle();
    BOOST_TEST(calls[i]->order == i + 2);
    BOOST_TEST_REQUIRE(bool(calls[i]->lease));
    calls[i]->lease.put();
  }
}

BOOST_AUTO_TEST_CASE(its_own_waiters_come_first) {
  for (const bool dirty : {false, true}) {
    BOOST_TEST_CONTEXT((dirty ? "dirty" : "clean")) {
      pools_world w({.max_connections = 1}, {.size = 1});
      auto held = w.take(1);
      auto other = w.get(2);
      w.advance(10ms);
      auto own = w.get(1);
      w.advance(10ms);
      dirty ? held.discard() : held.put();
      w.settle();
      BOOST_TEST(bool(own->lease));
      BOOST_TEST(other->ends == 0u);
      own->lease.put();
      w.settle();
      BOOST_TEST(bool(other->lease));
    }
  }
}

BOOST_AUTO_TEST_CASE(one_that_comes_back_dirty_leaves_its_place_if_nobody_of_its_own_waits) {
  pools_world w({.max_connections = 1});
  auto held = w.take(1);
  auto other = w.get(2);
  w.settle();
  held.discard();
  w.advance(1ms);
  BOOST_TEST(bool(other->lease));
}

BOOST_AUTO_TEST_CASE(detached_ones_do_not_count) {
  pools_world w({.max_connections = 1});
  auto held = w.take(1);
  held.detach();
  auto second = w.take(2);
  auto third = w.get(3);
  w.settle();
  BOOST_TEST(third->ends == 0u);
  second.detach();
  w.settle();
  BOOST_TEST(bool(third->lease));
}

BOOST_AUTO_TEST_CASE(who_waits_no_more_leaves_his_turn_to_the_next) {
  pools_world w({.max_connections = 1});
  auto held = w.take(1);
  auto second = w.get(2);
  w.advance(1ms);
  auto third = w.get(3);
  w.settle();
  second->cancel.emit(asio::cancellation_type::total);
  w.settle();
  held.put();
  w.settle();
  BOOST_TEST(bool(third->lease));
}

// Its waiter was served by what came back; that another one was wanted is still so.
BOOST_AUTO_TEST_CASE(who_waits_has_it_before_a_pool_that_has_one_and_for_which_nobody_waits_any_more) {
  pools_world w({.max_connections = 2}, {.size = 2});
  auto held = w.take(1);
  auto third = w.take(3);
  auto own = w.get(1);
  w.settle();
  held.put();
  w.advance(1ms);
  BOOST_REQUIRE(bool(own->lease));
  auto other = w.get(2);
  w.advance(1ms);
  w.net().results_at[w.at(1)] = connect_result::hangs;
  third.put();
  w.settle();
  BOOST_TEST(bool(other->lease));
}

BOOST_AUTO_TEST_CASE(nothing_idle_is_closed_for_another_of_the_same_pool) {
  for (const bool waits : {true, false}) {
    pools_world w({.max_connections = 1}, {.size = 3});
    for (int i = 0; i < 5; ++i) {
      auto held = w.take(1);
      std::vector<std::shared_ptr<pools_world::call>> own;
      if (waits) {
        for (int k = 0; k < 3; ++k) own.push_back(w.get(1));
      } else {
        BOOST_TEST(!w.pools->try_get(w.at(1)));
      }
      w.settle();
      held.put();
      for (auto& c : own) w.settle(), c->lease.put();
      w.settle();
    }
    BOOST_TEST(w.net().attempts.size() == 1u);
    // Of another it is.
    BOOST_TEST(bool(w.take(2)));
  }
}

// Rule 15: whoever stood in line himself when he was asked would be asked no more.
BOOST_AUTO_TEST_CASE(an_idle_one_makes_room_though_its_pool_stands_in_line_for_another) {
  pools_world w({.max_connections = 2}, {.size = 2});
  lose_one_of_two(w);
  const auto held = w.take(2);
  w.advance(1s);
  const auto waits = w.get(3);
  w.advance(1s);
  BOOST_TEST(bool(waits->lease));
}

BOOST_AUTO_TEST_CASE(one_that_came_back_before_its_pool_was_asked_makes_room) {
  pools_world w({.max_connections = 1}, {.size = 3});
  w.take(1).put();
  w.advance(1s);
  auto held = w.pools->try_get(w.at(1));
  BOOST_TEST_REQUIRE(bool(held));
  BOOST_TEST(!w.pools->try_get(w.at(1)));
  held.put();
  w.settle();
  BOOST_TEST(w.open(1) == 1u, "for nobody else it is not closed");
  BOOST_TEST(bool(w.take(2)));
}

BOOST_AUTO_TEST_CASE(the_one_that_is_up_is_kept_while_another_is_down) {
  pools_world w({.max_connections = 2}, {.size = 2, .min_size = 1}, {.retry_min = 5s, .retry_max = 5s});
  lose_one_of_two(w);
  const auto held = w.take(2);
  const auto waits = w.get(3);
  w.advance(20s);
  BOOST_TEST(w.open(1) == 1u);
}

BOOST_AUTO_TEST_CASE(one_is_closed_for_a_lease_of_the_same_pool_that_is_to_be_redialled) {
  pools_world w({.max_connections = 2}, {.size = 2});
  auto first = w.take(1);
  auto second = w.take(1);
  w.advance(1s);
  auto other = w.get(2);
  w.settle();
  w.net().results_at[w.at(1)] = connect_result::refused;
  w.net().peers[0]->fin();
  const auto again = w.watch(lost_and_ready(first));
  w.settle();
  BOOST_TEST(bool(other->lease));
  w.net().results_at.clear();
  w.advance(10s);
  BOOST_TEST(!again->done);
  second.put();
  w.settle();
  BOOST_TEST(bool(again->value));
  BOOST_TEST(w.pools->stats().sum.wanted == 2u);
}

BOOST_AUTO_TEST_CASE(one_that_is_detached_while_it_waits_for_its_redial_leaves_its_place) {
  for (unsigned steps = 0; steps < 40; ++steps) {
    BOOST_TEST_CONTEXT(steps << " steps") {
      pools_world w({.max_connections = 1});
      auto held = w.take(1);
      w.advance(1s);
      w.net().results_at[w.at(1)] = connect_result::refused;
      w.net().peers[0]->fin();
      const auto again = w.watch(lost_and_ready(held));
      for (unsigned i = 0; i < steps && w.step(); ++i) {
      }
      held.detach();
      // Nobody waits for the one in its stead.
      auto other = w.get(2);
      w.advance(10s);
      BOOST_TEST(bool(other->lease));
      w.net().results_at.clear();
      other->lease.put();
      w.advance(10s);
      BOOST_TEST(bool(w.take(1)));
    }
  }
}

// Its attempt cannot be dropped any more.
BOOST_AUTO_TEST_CASE(one_that_is_detached_and_wanted_again_while_its_redial_ends_asks_for_a_place_anew) {
  cocp::lease held;
  pools_world* world = nullptr;
  std::shared_ptr<pools_world::call> other;
  unsigned connected = 0;
  pools_world w({.max_connections = 1}, {}, {.logger = [&](const cocp::event& e) {
                  if (e.kind != cocp::event_kind::connected || ++connected != 2) return;
                  held.detach();
                  held.put();
                  BOOST_TEST(!world->pools->try_get(pools_world::at(1)));
                }});
  world = &w;
  held = w.take(1);
  const auto again = w.watch(lost_and_ready(held));
  w.net().connect_latency = [] { return cocp::duration(10ms); };
  w.net().peers[0]->fin();
  while (w.net().attempts.size() < 2) w.advance(1ms);
  other = w.get(2);
  std::size_t most = 0;
  for (int i = 0; i < 1000; ++i) {
    w.advance(1ms);
    most = std::max(most, w.net().sockets);
  }
  BOOST_TEST(connected >= 2u);
  BOOST_TEST(most == 1u);
  BOOST_TEST(bool(other->lease));
}

BOOST_AUTO_TEST_CASE(a_wish_makes_room_too) {
  pools_world w({.max_connections = 1});
  w.take(1).put();
  BOOST_TEST(!w.pools->try_get(w.at(2)));
  w.settle();
  BOOST_TEST(bool(w.pools->try_get(w.at(2))));
  BOOST_TEST(w.open(1) == 0u);
}

BOOST_AUTO_TEST_CASE(a_burst_at_one_address_has_as_many_as_others_can_spare) {
  pools_world w({.max_connections = 5}, {.size = 5});
  std::vector<cocp::lease> some;
  for (unsigned n : {1u, 2u, 3u, 4u, 5u}) some.push_back(w.take(n));
  auto held = std::move(some[0]);
  some.clear();
  w.settle();
  std::vector<std::shared_ptr<pools_world::call>> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(w.get(6));
  w.settle();
  BOOST_TEST(w.open(6) == 4u);
  BOOST_TEST(w.open(1) == 1u);
  held.put();
  w.settle();
  BOOST_TEST(w.open(6) == 5u);
}

BOOST_AUTO_TEST_CASE(room_for_all_who_wait_is_made_at_once_and_not_for_one_after_the_other) {
  auto words = [](cocp::connection& c) -> asio::awaitable<void> {
    const auto out = asio::buffer("QUIT", 4);
    co_await c.write(out);
    char answer = 0;
    const auto in = asio::buffer(&answer, 1);
    co_await c.read(in);
  };
  pools_world w({.max_connections = 3}, {.size = 3}, {.on_close = words});
  // It is known to be well, so that it need not try one first.
  w.take(2).put();
  std::vector<std::shared_ptr<pools_world::call>> calls;
  for (int i = 0; i < 3; ++i) calls.push_back(w.get(1));
  w.advance(2s);
  BOOST_TEST(w.open(1) == 3u);
  calls.clear();
  for (int i = 0; i < 3; ++i) calls.push_back(w.get(2));
  w.settle();
  for (const auto& p : w.net().peers) BOOST_TEST(p->received == "QUIT");
  w.advance(1s);
  for (const auto& c : calls) BOOST_TEST(bool(c->lease));
  calls.clear();
  w.pools->close();
  w.advance(2s);
}

BOOST_AUTO_TEST_CASE(last_words_are_said_before_the_place_is_another_ones) {
  cocp::connection_options each;
  each.on_close = [](cocp::connection& c) -> asio::awaitable<void> {
    const auto out = asio::buffer("QUIT", 4);
    co_await c.write(out);
    char answer = 0;
    const auto in = asio::buffer(&answer, 1);
    co_await c.read(in);
  };
  pools_world w({.max_connections = 1}, {}, each);
  w.take(1).put();
  auto waits = w.get(2);
  w.advance(500ms);
  BOOST_TEST(w.net().peers[0]->received == "QUIT");
  BOOST_TEST(waits->ends == 0u);
  BOOST_TEST(w.net().attempts.size() == 1u);
  w.net().peers[0]->send("!");
  w.settle();
  BOOST_TEST(bool(waits->lease));
  waits->lease.discard();
  w.pools->close();
  w.advance(2s);
}

BOOST_AUTO_TEST_CASE(one_that_goes_leaves_its_places) {
  pools_world w({.unused_for = 1min, .max_connections = 2}, {.size = 2, .min_size = 2});
  w.take(1).put();
  w.settle();
  BOOST_TEST(w.open(1) == 2u);
  auto waits = w.get(2, 10min);
  w.settle();
  BOOST_TEST(waits->ends == 0u);
  w.advance(3min);
  BOOST_TEST(!w.has_pool(1));
  BOOST_TEST(bool(waits->lease));
}

BOOST_AUTO_TEST_CASE(who_waits_on_an_address_that_is_down_keeps_nobody_from_another) {
  pools_world w({.max_connections = 2}, {.size = 5, .get_timeout = std::nullopt});
  std::vector<std::shared_ptr<pools_world::call>> in_vain;
  for (unsigned n = 1; n <= 20; ++n) {
    w.net().results_at[w.at(n)] = connect_result::hangs;
    in_vain.push_back(w.get(n));
  }
  w.advance(1min);
  auto waits = w.get(100);
  // Each of those that are down has its turn: 5 s for two at a time.
  w.advance(1min);
  BOOST_TEST(bool(waits->lease));
  BOOST_TEST(w.net().sockets <= 2u);
  w.pools->close();
  w.settle();
}

BOOST_AUTO_TEST_CASE(an_outage_of_one_holds_no_places_but_that_of_its_probe) {
  pools_world w({.max_connections = 4}, {.size = 4});
  std::vector<cocp::lease> held;
  for (int i = 0; i < 4; ++i) held.push_back(w.take(1));
  w.advance(1s);
  w.net().results_at[w.at(1)] = connect_result::hangs;
  for (auto& p : w.net().peers) p->reset();
  held.clear();
  std::vector<std::shared_ptr<pools_world::call>> in_vain;
  for (int i = 0; i < 4; ++i) in_vain.push_back(w.get(1));
  w.settle();
  std::vector<cocp::lease> others;
  for (int i = 0; i < 3; ++i) others.push_back(w.take(2));
  BOOST_TEST(w.net().sockets == 4u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(max_dialling)

BOOST_AUTO_TEST_CASE(after_one_outage_all_pools_together_dial_that_many_at_once) {
  pools_world w({.max_dialling = 20}, {.size = 16, .min_size = 16});
  for (unsigned n = 0; n < 50; ++n) w.take(n).put();
  w.advance(1s);
  BOOST_TEST(w.net().open() == 800u);
  w.net().default_result = connect_result::refused;
  const auto before = w.net().peers.size();
  for (std::size_t i = 0; i < before; ++i) w.net().peers[i]->reset();
  w.advance(1s);
  w.net().default_result = connect_result::accepted;
  w.net().connect_latency = [] { return cocp::duration(10ms); };
  std::size_t most = 0;
  w.net().on_attempt = [&] { most = std::max(most, w.net().connecting); };
  w.advance(10s);
  BOOST_TEST(w.net().open() == 800u);
  BOOST_TEST(most == 20u);
}

BOOST_AUTO_TEST_CASE(those_that_hang_do_not_keep_others_from_their_turn) {
  pools_world w({.max_dialling = 2}, {.get_timeout = std::nullopt});
  std::vector<std::shared_ptr<pools_world::call>> in_vain;
  for (unsigned n = 1; n <= 10; ++n) {
    w.net().results_at[w.at(n)] = connect_result::hangs;
    in_vain.push_back(w.get(n));
  }
  w.advance(1min);
  auto waits = w.get(100);
  w.advance(30s);
  BOOST_TEST(bool(waits->lease));
  w.pools->close();
  w.settle();
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
