// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A lease that keeps its connection for good, and a drain that does not wait for ever.

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "support/pool_world.hpp"
#include "support/quick_executor.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::event_kind;

namespace {

asio::awaitable<void> read_all(cocp::lease& l) {
  std::array<char, 16> in{};
  for (;;) co_await l->read_some(asio::buffer(in));
}

asio::awaitable<void> make_ready(cocp::lease& l) { co_await l->ready(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(detach)

BOOST_AUTO_TEST_CASE(leaves_the_place_to_another_connection) {
  pool_world w({.size = 1});
  auto tunnel = w.take();
  const auto waits = w.get();
  w.settle();
  BOOST_TEST(waits->ends == 0u);
  tunnel.detach();
  w.settle();
  BOOST_REQUIRE(bool(waits->lease));
  const cocp::stats s = w.pool->stats();
  BOOST_TEST(s.detached == 1u);
  BOOST_TEST(s.leased == 1u);
  BOOST_TEST(s.connected == 1u);
  BOOST_TEST(s.wanted == 1u);
  BOOST_TEST(w.net().open() == 2u);
}

// It was planned when all slots there are were taken.
BOOST_AUTO_TEST_CASE(the_other_one_is_opened_in_its_slot_if_the_lease_has_ended_by_then) {
  pool_world w({.size = 1});
  auto tunnel = w.take();
  tunnel.detach();
  tunnel.put();
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.net().open() == 1u);
  BOOST_TEST(w.pool->stats().detached == 0u);
}

BOOST_AUTO_TEST_CASE(keeps_the_connection_and_its_stream) {
  pool_world w({.size = 1});
  auto tunnel = w.take();
  auto& peer = w.peer();
  const auto id = tunnel->id();
  tunnel.detach();
  tunnel.detach();
  w.settle();
  BOOST_TEST(tunnel->id() == id);
  const auto sent = w.watch(tunnel->write(asio::buffer("hello", 5)));
  w.settle();
  BOOST_TEST(bool(sent->value));
  BOOST_TEST(peer.received == "hello");
}

BOOST_AUTO_TEST_CASE(closes_it_when_the_lease_ends_and_nobody_else_has_it) {
  for (const bool used : {false, true}) {
    pool_world w({.size = 2});
    auto tunnel = w.take();
    const auto id = tunnel->id();
    if (used) {
      const auto sent = w.watch(tunnel->write(asio::buffer("hello", 5)));
      w.settle();
    }
    tunnel.detach();
    w.settle();
    BOOST_TEST(w.net().open() == 3u);
    tunnel.put();
    w.settle();
    BOOST_TEST(w.net().open() == 2u);
    BOOST_TEST(w.pool->stats().detached == 0u);
    BOOST_TEST(w.pool->stats().idle == 2u);
    BOOST_TEST(w.pool->stats().replaced_dirty == 0u);
    BOOST_TEST(w.log.count(event_kind::closed) == 1u);
    BOOST_TEST(w.log.entries().back().id == id);
    for (int i = 0; i < 2; ++i) BOOST_TEST(w.take()->id() != id);
  }
}

BOOST_AUTO_TEST_CASE(a_loss_is_told_once_and_says_nothing_of_the_endpoint) {
  pool_world w({.size = 1});
  auto tunnel = w.take();
  auto& peer = w.peer();
  tunnel.detach();
  w.settle();
  const auto reads = w.watch(read_all(tunnel));
  peer.fin();
  w.settle();
  BOOST_TEST((reads->error == asio::error::eof));
  BOOST_TEST(w.log.count(event_kind::disconnected) == 1u);
  BOOST_TEST(w.pool->stats().disconnects == 1u);
  BOOST_TEST(w.pool->stats().connected == 1u);
  BOOST_TEST(w.net().attempts.size() == 2u);
  // It is not redialled, now or when its lease ends.
  tunnel.put();
  w.settle();
  BOOST_TEST(w.net().attempts.size() == 2u);
  BOOST_TEST(w.log.count(event_kind::disconnected) == 1u);
}

BOOST_AUTO_TEST_CASE(it_cannot_have_another_stream) {
  for (const bool lost_before : {false, true}) {
    pool_world w({.size = 1});
    auto tunnel = w.take();
    auto& peer = w.peer();
    // Or else a loss counts as a failed attempt.
    w.advance(1s);
    if (!lost_before) tunnel.detach(), w.settle();
    const auto reads = w.watch(read_all(tunnel));
    peer.fin();
    w.settle();
    if (lost_before) tunnel.detach();
    const auto again = w.watch(make_ready(tunnel));
    w.settle();
    BOOST_TEST((again->error == asio::error::eof));
    tunnel.put();
    w.settle();
    // The place behind it is as good as any.
    BOOST_TEST(bool(w.take()));
  }
}

// What was told before is not waited for; else the end of the next stream in that slot would pass for it.
BOOST_AUTO_TEST_CASE(of_one_that_was_lost_before_the_loss_is_told_once_and_so_is_the_next_one) {
  pool_world w({.size = 1});
  w.advance(1s);
  auto first = w.take();
  const auto reads = w.watch(read_all(first));
  w.peer().fin();
  w.settle();
  first.detach();
  w.settle();
  first.put();
  w.settle();
  BOOST_TEST(w.log.count(event_kind::disconnected) == 1u);
  BOOST_TEST(w.pool->stats().disconnects == 1u);
  // Its slot is vacant now, and has the place of the one that is detached next.
  auto second = w.take();
  second.detach();
  w.advance(1s);
  auto third = w.take();
  const auto reads_too = w.watch(read_all(third));
  w.peer().fin();
  w.settle();
  third.put();
  w.advance(1s);
  BOOST_TEST(w.log.count(event_kind::disconnected) == 2u);
  BOOST_TEST(w.pool->stats().disconnects == 2u);
  BOOST_TEST(w.pool->stats().connected == 1u);
}

BOOST_AUTO_TEST_CASE(who_waits_for_another_stream_waits_no_more) {
  pool_world w({.size = 1});
  auto tunnel = w.take();
  const auto reads = w.watch(read_all(tunnel));
  w.net().default_result = fake_network::connect_result::refused;
  w.peer().fin();
  w.settle();
  const auto again = w.watch(make_ready(tunnel));
  w.settle();
  BOOST_TEST(!again->done);
  tunnel.detach();
  w.settle();
  BOOST_TEST((again->error == asio::error::eof));
}

// Its leave to dial, or its turn in line for that, is one that another needs.
BOOST_AUTO_TEST_CASE(while_it_is_to_be_redialled_it_leaves_the_next_attempt_to_others) {
  for (const bool held : {true, false}) {
    for (unsigned steps = 0, most = 1; steps < most; ++steps) {
      BOOST_TEST_CONTEXT(steps << " steps, the lease is " << (held ? "kept" : "put")) {
        pool_world w({.size = 1});
        w.advance(1s);
        auto tunnel = w.take();
        const auto reads = w.watch(read_all(tunnel));
        w.net().default_result = fake_network::connect_result::refused;
        w.peer().fin();
        w.settle();
        const auto again = w.watch(make_ready(tunnel));
        unsigned taken = 0;
        while (taken < steps && !again->done && w.step()) {
          if (++taken == 30) w.net().default_result = fake_network::connect_result::accepted;
        }
        if (!again->done) most = steps + 2;
        tunnel.detach();
        w.settle();
        w.net().default_result = fake_network::connect_result::accepted;
        if (!held) tunnel.put();
        w.advance(6s);
        const cocp::stats s = w.pool->stats();
        BOOST_TEST(s.connected == 1u);
        BOOST_TEST(s.idle == 1u);
        BOOST_TEST(s.wanted == 1u);
        BOOST_TEST(s.detached == (held ? 1u : 0u));
        BOOST_TEST(s.disconnects == 1u);
        BOOST_TEST(w.log.count(event_kind::disconnected) == 1u);
        BOOST_TEST(bool(w.pool->try_get()));
      }
    }
  }
}

// As on another thread, between the steps in which the pool is told of it.
BOOST_AUTO_TEST_CASE(a_stream_that_it_was_given_before_it_was_detached_stays) {
  for (const bool told : {false, true}) {
    BOOST_TEST_CONTEXT((told ? "told" : "not told")) {
      pool_world w({.size = 1});
      w.advance(1s);
      auto tunnel = w.take();
      const auto reads = w.watch(read_all(tunnel));
      w.peer().fin();
      w.settle();
      std::shared_ptr<world::outcome<bool>> again;
      if (told) again = w.watch(make_ready(tunnel));
      bool detached = false;
      auto then_detach = [&]() -> asio::awaitable<void> {
        if (told) {
          co_await w.pool->ready();
        } else {
          co_await tunnel->ready();
        }
        tunnel.detach();
        detached = true;
      };
      asio::co_spawn(quick_executor(w.io()), then_detach(), asio::detached);
      w.settle();
      BOOST_TEST(detached);
      const auto sent = w.watch(tunnel->write(asio::buffer("hello", 5)));
      w.settle();
      BOOST_TEST(bool(sent->value));
      BOOST_TEST(tunnel->is_connected());
      cocp::stats s = w.pool->stats();
      BOOST_TEST(s.detached == 1u);
      BOOST_TEST(s.connected == 1u);
      BOOST_TEST(s.idle == 1u);
      BOOST_TEST(w.net().open() == 2u);
      tunnel.put();
      w.settle();
      s = w.pool->stats();
      BOOST_TEST(s.connected == 1u);
      BOOST_TEST(s.disconnects == 1u);
      BOOST_TEST(w.net().open() == 1u);
      BOOST_TEST(bool(w.pool->try_get()));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_report_of_leases_leaves_it_out) {
  pool_world w({.size = 2, .report_leases = cocp::lease_report{1s}});
  auto tunnel = w.take();
  auto other = w.take();
  tunnel.detach();
  BOOST_TEST(w.pool->leases().size() == 1u);
  w.advance(2s);
  BOOST_TEST(w.log.count(event_kind::lease_overdue) == 1u);
  tunnel.put();
  w.settle();
  BOOST_TEST(w.log.count(event_kind::lease_returned) == 0u);
}

BOOST_AUTO_TEST_CASE(a_drain_waits_for_it) {
  pool_world w({.size = 1});
  auto tunnel = w.take();
  tunnel.detach();
  w.settle();
  const auto drained = w.watch(w.pool->drain());
  w.advance(1h);
  BOOST_TEST(!drained->done);
  tunnel.put();
  w.settle();
  BOOST_TEST(drained->done);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(reused)

BOOST_AUTO_TEST_CASE(a_stream_is_when_a_lease_before_did_something_on_it) {
  pool_world w({.size = 1, .one_way = true});
  BOOST_TEST(!cocp::lease().reused());
  BOOST_TEST(!w.take().reused());
  auto l = w.take();
  BOOST_TEST(!l.reused());
  const auto sent = w.watch(l->write(asio::buffer("hello", 5)));
  w.settle();
  BOOST_TEST(!l.reused());
  l.put();
  BOOST_TEST(w.take().reused());
  w.take().discard();
  w.settle();
  BOOST_TEST(!w.take().reused());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(drain_with_a_limit)

BOOST_AUTO_TEST_CASE(returns_at_once_when_nothing_is_out) {
  pool_world w({.size = 2});
  w.settle();
  const auto drained = w.watch(w.pool->drain(1h));
  w.settle();
  BOOST_TEST(drained->value.value_or(9) == 0u);
}

BOOST_AUTO_TEST_CASE(lets_leases_end_until_then) {
  pool_world w({.size = 2});
  auto l = w.take();
  const auto reads = w.watch(read_all(l));
  const auto drained = w.watch(w.pool->drain(10s));
  w.advance(9s);
  BOOST_TEST(!reads->done);
  l.put();
  w.settle();
  BOOST_TEST(drained->value.value_or(9) == 0u);
}

BOOST_DATA_TEST_CASE(ends_what_is_outstanding_and_what_is_begun_later, data::make({false, true}), detached) {
  pool_world w({.size = 3});
  auto l = w.take();
  auto other = w.take();
  if (detached) l.detach(), w.settle();
  const auto reads = w.watch(read_all(l));
  const auto drained = w.watch(w.pool->drain(10s));
  w.advance(10s);
  BOOST_TEST((reads->error == errc::closed));
  const auto sent = w.watch(other->write(asio::buffer("hello", 5)));
  w.settle();
  BOOST_TEST((sent->error == errc::closed));
  BOOST_TEST(!drained->done);
  l.put();
  other.put();
  w.settle();
  BOOST_TEST(drained->value.value_or(9) == 2u);
}

BOOST_AUTO_TEST_CASE(returns_a_second_later_whatever_is_still_out) {
  for (const cocp::duration limit : {cocp::duration(0s), cocp::duration(-1s), cocp::duration(10s)}) {
    pool_world w({.size = 1});
    auto l = w.take();
    const auto drained = w.watch(w.pool->drain(limit));
    w.advance(std::max(limit, cocp::duration(0s)) + 999ms);
    BOOST_TEST(!drained->done);
    w.advance(1ms);
    BOOST_TEST(drained->value.value_or(9) == 1u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
