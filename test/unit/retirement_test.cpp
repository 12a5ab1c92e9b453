// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "retirement.hpp"

#include <algorithm>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::duration;
using cocp::event_kind;
using cocp::detail::retirement_age;
using connect_result = fake_network::connect_result;

BOOST_AUTO_TEST_SUITE(retirement)

BOOST_DATA_TEST_CASE(an_age_is_the_longest_less_a_part_of_up_to_a_quarter,
                     data::make({duration(1ns), duration(3ns), duration(4ns), duration(1s), duration::max()}),
                     longest) {
  std::mt19937_64 random(7);
  duration least = duration::max();
  duration most{};
  for (int i = 0; i < 1000; ++i) {
    const duration age = retirement_age(longest, random());
    least = std::min(least, age);
    most = std::max(most, age);
  }
  BOOST_TEST((most <= longest));
  BOOST_TEST((least >= longest - longest / 4));
  // And all of that part is used.
  BOOST_TEST((most >= longest - longest / 40));
  BOOST_TEST((least <= longest - longest / 5));
}

BOOST_AUTO_TEST_CASE(no_two_connections_get_equally_old) {
  pool_world w({.size = 100, .max_lifetime = 1h});
  w.settle();
  std::set<duration> born;
  w.advance(1h);
  w.advance(1s);
  for (const auto& at : w.net().attempts) born.insert(at);
  // The first hundred are of one moment, each replacement has one of its own.
  BOOST_TEST(w.net().attempts.size() == 200u);
  BOOST_TEST(born.size() == 101u);
}

BOOST_AUTO_TEST_CASE(the_next_one_is_up_before_the_old_one_is_closed) {
  pool_world w({.size = 1, .max_lifetime = 1h});
  unsigned seen = 0;
  w.settle();
  w.net().on_accept = [&](fake_peer&) {
    ++seen;
    BOOST_TEST(!w.net().peers[0]->gone);
  };
  w.advance(1h + 1s);
  BOOST_TEST(seen == 1u);
  BOOST_TEST(w.net().peers[0]->gone);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(counters(*w.pool) == "connects 2, replaced_expired 1");
  BOOST_TEST(w.log.count(event_kind::replaced) == 1u);
  BOOST_TEST(w.log.count(event_kind::closed) == 0u);
}

BOOST_AUTO_TEST_CASE(never_more_than_one_at_a_time_and_never_less_than_the_size_is_there) {
  constexpr std::size_t size = 100;
  pool_world w({.size = size, .max_lifetime = 1h});
  w.settle();
  std::size_t least = size;
  std::size_t most = 0;
  while (w.net().elapsed() < 5h) {
    BOOST_REQUIRE(w.step());
    least = std::min(least, w.pool->stats().connected);
    most = std::max(most, w.net().open());
  }
  BOOST_TEST(least >= size - 1);
  BOOST_TEST(most <= size + 1);
  BOOST_TEST(w.pool->stats().replaced_expired >= 4 * size);
}

BOOST_AUTO_TEST_CASE(a_leased_one_is_replaced_when_it_comes_back) {
  for (const bool waits : {false, true}) {
    pool_world w({.size = 1, .max_lifetime = 1h});
    auto held = w.take();
    w.advance(80min);
    BOOST_TEST(gauges(*w.pool) == "1 connected, 0 idle, 1 leased, 0 connecting, 0 waiting");
    auto sent = w.watch(held->write(asio::buffer("x", 1)));
    w.settle();
    BOOST_TEST(sent->value.has_value());
    held->no_answer();
    auto waiter = waits ? w.get() : nullptr;
    held.put();
    w.settle();
    if (waits) {
      // It does not wait for the heir, which stands by.
      BOOST_TEST(waiter->lease->generation() == 1u);
      BOOST_TEST(gauges(*w.pool) == "2 connected, 1 idle, 1 leased, 0 connecting, 0 waiting");
      waiter->lease.put();
      w.settle();
    }
    BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
    BOOST_TEST(w.net().peers[0]->gone);
    BOOST_TEST(w.pool->stats().replaced_expired == 1u);
  }
}

BOOST_AUTO_TEST_CASE(a_long_lease_keeps_no_other_from_being_replaced) {
  pool_world w({.size = 3, .max_lifetime = 1min});
  auto held = w.take();
  w.advance(1h);
  BOOST_TEST(w.pool->stats().replaced_expired >= 2u * 59);
  BOOST_TEST(w.net().open() <= 4u);
  held.put();
  w.advance(2min);
  BOOST_TEST(w.net().peers[0]->gone);
  BOOST_TEST(w.net().open() == 3u);
}

BOOST_AUTO_TEST_CASE(what_nobody_uses_is_closed_however_often_it_was_replaced) {
  pool_world w({.size = 2, .min_size = 0, .idle_timeout = 10min, .max_lifetime = 4min});
  auto got = w.get();
  w.settle();
  got->lease.put();
  w.advance(11min);
  BOOST_TEST(w.pool->stats().replaced_expired >= 2u);
  BOOST_TEST(gauges(*w.pool) == "0 connected, 0 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(the_old_one_stays_while_the_next_cannot_be_opened) {
  pool_world w({.size = 1, .max_lifetime = 1h});
  w.settle();
  w.net().default_result = connect_result::refused;
  w.advance(3h);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  w.net().default_result = connect_result::accepted;
  w.advance(10s);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.pool->stats().replaced_expired == 1u);
  BOOST_TEST(w.net().open() == 1u);
}

BOOST_AUTO_TEST_CASE(an_old_one_that_dies_meanwhile_leaves_its_place_to_the_next) {
  pool_world w({.size = 2, .max_lifetime = 1h});
  w.settle();
  w.net().default_result = connect_result::refused;
  w.advance(1h);
  for (const auto& p : w.net().peers) p->fin();
  w.advance(10s);
  w.net().default_result = connect_result::accepted;
  w.advance(10s);
  BOOST_TEST(gauges(*w.pool) == "2 connected, 2 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.net().open() == 2u);
  BOOST_TEST(w.pool->stats().disconnects == 2u);
  // The pool goes on replacing.
  w.advance(2h);
  BOOST_TEST(w.pool->stats().replaced_expired >= 2u);
  BOOST_TEST(w.net().open() == 2u);
}

BOOST_AUTO_TEST_CASE(one_that_is_redialled_is_young_again) {
  pool_world w({.size = 1, .max_lifetime = 1h});
  for (int i = 0; i < 10; ++i) {
    w.advance(40min);
    w.peer().fin();
  }
  BOOST_TEST(w.pool->stats().replaced_expired == 0u);
  BOOST_TEST(w.pool->stats().disconnects == 9u);
}

BOOST_AUTO_TEST_CASE(a_shrink_during_a_replacement_leaves_the_new_size) {
  for (std::size_t size : {1u, 2u}) {
    pool_world w({.size = 3, .max_lifetime = 1h});
    auto held = w.take();
    w.net().default_result = connect_result::refused;
    w.advance(1h);
    w.pool->resize(size);
    w.net().default_result = connect_result::accepted;
    w.advance(1min);
    held.put();
    w.advance(2h);
    BOOST_TEST(w.pool->stats().connected == size);
    BOOST_TEST(w.net().open() == size);
  }
}

BOOST_AUTO_TEST_SUITE_END()
