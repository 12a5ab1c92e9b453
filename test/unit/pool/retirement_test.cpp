// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/retirement.hpp"

#include <algorithm>
#include <boost/asio/detached.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <cstdint>
#include <memory>
#include <ostream>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "support/pool_world.hpp"
#include "support/quick_executor.hpp"

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

namespace {

struct row {
  const char* what;
  duration age;  // Beyond its own limit.
  bool somebody_waits;
  bool goes;
  duration next;  // From now; `max` for never.

  friend std::ostream& operator<<(std::ostream& out, const row& r) { return out << r.what; }
};

// Of connections that may get 8 s old.
const row rows[] = {
    {"young", -1s, false, false, 1s},
    {"young, and wanted", -1s, true, false, 1s},
    {"just old enough", 0s, false, true, 2s},
    {"just old enough, and wanted", 0s, true, false, 2s},
    {"old", 1s, false, true, 1s},
    {"old, and wanted", 1s, true, false, 1s},
    {"held up for long enough", 2s, true, true, duration::max()},
    {"very old", 1h, false, true, duration::max()},
    {"very old, and wanted", 1h, true, true, duration::max()},
};

asio::awaitable<void> go_on_and_put(cocp::lease l) {
  co_await l->ready();
  l.put();
}

asio::awaitable<void> wait_for_answer(cocp::connection& c) {
  char b = 0;
  const auto buffer = asio::buffer(&b, 1);
  co_await c.read(buffer);
}

}  // namespace

BOOST_DATA_TEST_CASE(it_goes_when_nobody_uses_it_or_waits_and_a_wait_holds_it_up_for_a_quarter, rows, r) {
  const cocp::detail::time_point now(24h);
  const auto due = now - r.age;
  BOOST_TEST(cocp::detail::retires(due, 8s, r.somebody_waits, now) == r.goes);
  const auto next = cocp::detail::next_retirement(due, 8s, now);
  BOOST_TEST((next == (r.next == duration::max() ? cocp::detail::time_point::max() : now + r.next)));
}

BOOST_AUTO_TEST_CASE(one_that_was_old_before_all_time_goes_whoever_waits) {
  using cocp::detail::time_point;
  constexpr auto due = time_point::min();
  static_assert(cocp::detail::later(due, 8s) == due + 8s);
  BOOST_TEST(cocp::detail::retires(due, 8s, true, time_point(24h)));
  BOOST_TEST((cocp::detail::next_retirement(due, 8s, time_point(24h)) == time_point::max()));
}

BOOST_AUTO_TEST_CASE(one_that_may_get_as_old_as_can_be_never_goes) {
  using cocp::detail::time_point;
  const time_point now(24h);
  BOOST_TEST(!cocp::detail::retires(time_point::max(), duration::max(), false, now));
  BOOST_TEST((cocp::detail::next_retirement(now - 1s, duration::max(), now) < time_point::max()));
  BOOST_TEST((cocp::detail::next_retirement(time_point::max() - 1s, duration::max(), now) == time_point::max() - 1s));
}

BOOST_AUTO_TEST_CASE(a_tenth_of_the_places_at_a_time_and_one_at_least) {
  for (std::size_t size = 1; size != 300; ++size) {
    BOOST_TEST(cocp::detail::most_retiring(size) == std::max<std::size_t>(1, size / 10));
  }
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

BOOST_AUTO_TEST_CASE(an_old_one_is_redialled_in_its_own_place) {
  pool_world w({.size = 1, .max_lifetime = 1h});
  unsigned seen = 0;
  w.settle();
  w.net().on_accept = [&](fake_peer&) {
    ++seen;
    BOOST_TEST(w.net().peers[0]->gone);
  };
  w.advance(1h + 1s);
  BOOST_TEST(seen == 1u);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(counters(*w.pool) == "connects 2, replaced_expired 1");
  BOOST_TEST(w.log.count(event_kind::replaced) == 1u);
  BOOST_TEST(w.log.count(event_kind::closed) == 0u);
}

BOOST_AUTO_TEST_CASE(never_more_than_size_are_open_and_at_most_a_tenth_is_missing) {
  for (std::size_t size : {1u, 3u, 25u, 100u}) {
    BOOST_TEST_CONTEXT("size " << size) {
      pool_world w({.size = size, .max_lifetime = 1h});
      w.settle();
      std::size_t least = size;
      std::size_t most = 0;
      while (w.net().elapsed() < 5h) {
        BOOST_REQUIRE(w.step());
        least = std::min(least, w.pool->stats().connected);
        most = std::max(most, w.net().open());
      }
      BOOST_TEST(least >= size - std::max<std::size_t>(1, size / 10));
      BOOST_TEST(most <= size);
      BOOST_TEST(w.pool->stats().replaced_expired >= 4 * size);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_server_that_allows_just_size_sees_all_replaced) {
  pool_world w({.size = 3, .max_lifetime = 1min});
  w.net().on_accept = [&w](fake_peer& p) {
    if (w.net().open() > 3) p.reset();
  };
  w.settle();
  w.advance(1h);
  BOOST_TEST(w.pool->stats().connect_failures == 0u);
  BOOST_TEST(w.pool->stats().disconnects == 0u);
  BOOST_TEST(w.pool->stats().replaced_expired >= 3u * 59);
}

BOOST_AUTO_TEST_CASE(a_leased_one_is_replaced_when_it_comes_back) {
  pool_world w({.size = 1, .max_lifetime = 1h});
  auto held = w.take();
  w.advance(80min);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 0 idle, 1 leased, 0 connecting, 0 waiting");
  held.put();
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.net().peers[0]->gone);
  BOOST_TEST(w.pool->stats().replaced_expired == 1u);
}

BOOST_AUTO_TEST_CASE(one_that_somebody_waits_for_is_given_to_him_for_a_quarter_of_the_time) {
  pool_world w({.size = 1, .max_lifetime = 1h});
  w.settle();
  auto holder = w.get();
  // As in a pool that is always busy: whoever comes waits for the one before.
  duration replaced_at{};
  while (w.net().elapsed() < 3h && replaced_at == 0s) {
    auto next = w.get();
    w.advance(10s);
    const auto before = w.net().peers.size();
    holder->lease.put();
    w.settle();
    BOOST_REQUIRE(bool(next->lease));
    holder = next;
    if (w.net().peers.size() != before) replaced_at = w.net().elapsed();
  }
  // It is due at 45 min to 1 h, and held up for 15 min.
  BOOST_TEST((replaced_at >= 1h));
  BOOST_TEST((replaced_at <= 75min + 10s));
}

BOOST_AUTO_TEST_CASE(a_long_lease_keeps_no_other_from_being_replaced) {
  pool_world w({.size = 3, .max_lifetime = 1min});
  auto held = w.take();
  w.advance(1h);
  BOOST_TEST(w.pool->stats().replaced_expired >= 2u * 59);
  BOOST_TEST(w.net().open() == 3u);
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

BOOST_AUTO_TEST_CASE(while_the_next_cannot_be_opened_no_more_than_a_tenth_go) {
  for (std::size_t size : {3u, 30u}) {
    pool_world w({.size = size, .max_lifetime = 1h});
    w.settle();
    w.net().default_result = connect_result::refused;
    w.advance(10h);
    BOOST_TEST(w.pool->stats().connected == size - std::max<std::size_t>(1, size / 10));
    w.net().default_result = connect_result::accepted;
    w.advance(10s);
    BOOST_TEST(w.pool->stats().connected == size);
    BOOST_TEST(w.pool->stats().replaced_expired == size);
    BOOST_TEST(w.net().open() == size);
  }
}

BOOST_AUTO_TEST_CASE(one_whose_redial_is_given_up_leaves_its_turn_to_another) {
  pool_world w({.size = 4, .min_size = 1, .idle_timeout = 1h, .max_lifetime = 30min});
  std::vector<std::shared_ptr<pool_world::call>> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(w.get());
  w.settle();
  w.net().default_result = connect_result::refused;
  for (auto& c : calls) c->lease.put();
  w.advance(2h);
  w.net().default_result = connect_result::accepted;
  // One is left of four, and goes on being replaced.
  w.advance(24h);
  BOOST_TEST(w.pool->stats().connected == 1u);
  BOOST_TEST(w.pool->stats().replaced_expired >= 40u);
}

BOOST_AUTO_TEST_CASE(old_ones_that_die_are_redialled_and_the_pool_goes_on) {
  pool_world w({.size = 2, .max_lifetime = 1h});
  w.settle();
  w.net().default_result = connect_result::refused;
  w.advance(1h);
  for (const auto& p : w.net().peers) {
    if (!p->gone) p->fin();
  }
  w.advance(10s);
  w.net().default_result = connect_result::accepted;
  w.advance(10s);
  BOOST_TEST(gauges(*w.pool) == "2 connected, 2 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.net().open() == 2u);
  BOOST_TEST(w.pool->stats().disconnects == 1u);
  w.advance(2h);
  BOOST_TEST(w.pool->stats().replaced_expired >= 3u);
  BOOST_TEST(w.net().open() == 2u);
}

BOOST_AUTO_TEST_CASE(a_redial_that_takes_long_holds_its_place) {
  pool_world w({.size = 2, .max_lifetime = 1h}, {.connect_timeout = std::nullopt, .on_connect = wait_for_answer});
  w.settle();
  w.peer().send("!");
  w.settle();
  w.peer().send("!");
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 2u);
  w.advance(3h);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 1 connecting, 0 waiting");
  w.peer().send("!");
  w.settle();
  // Now the other's turn has come.
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 1 connecting, 0 waiting");
  w.peer().send("!");
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "2 connected, 2 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(what_grows_old_together_is_dialled_together) {
  // An age says nothing of the endpoint, so the gate stays open.
  pool_world w({.size = 20, .max_lifetime = 1h}, {.connect_timeout = std::nullopt});
  w.settle();
  w.net().default_result = connect_result::hangs;
  w.advance(1h);
  BOOST_TEST(gauges(*w.pool) == "18 connected, 18 idle, 0 leased, 2 connecting, 0 waiting");
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

BOOST_DATA_TEST_CASE(one_that_is_redialled_in_a_lease_is_young_however_soon_that_ends, data::make({false, true}),
                     renewed) {
  pool_world w({.size = 1, .max_lifetime = 1h});
  auto lease = w.take();
  w.advance(2h);
  if (renewed) w.pool->renew();
  w.peer().reset();
  const auto sent = w.watch(lease->write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(!sent->value.has_value());
  asio::co_spawn(asio::any_io_executor(quick_executor(w.io())), go_on_and_put(std::move(lease)), asio::detached);
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.net().attempts.size() == 2u);
  BOOST_TEST(w.pool->stats().replaced_expired == 0u);
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
