// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/asio/redirect_error.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <stdexcept>
#include <vector>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;
using cocp::event_kind;
using connect_result = fake_network::connect_result;

namespace {

/// Leases of `n` connections, each asked for when the one before was there.
std::vector<cocp::lease> take(pool_world& w, std::size_t n) {
  std::vector<cocp::lease> taken;
  while (taken.size() != n) {
    auto got = w.get();
    w.settle();
    BOOST_REQUIRE(bool(got->lease));
    taken.push_back(std::move(got->lease));
  }
  return taken;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pool_size)

BOOST_AUTO_TEST_SUITE(on_demand)

BOOST_AUTO_TEST_CASE(only_min_size_connections_are_opened_when_nobody_asks) {
  pool_world w({.size = 5, .min_size = 2});
  w.advance(1min);
  BOOST_TEST(gauges(*w.pool) == "2 connected, 2 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.pool->stats().size == 5u);
}

BOOST_AUTO_TEST_CASE(an_empty_pool_opens_nothing_and_serves_the_first_who_asks) {
  pool_world w({.size = 5, .min_size = 0});
  w.advance(1h);
  BOOST_TEST(w.net().attempts.size() == 0u);
  BOOST_TEST(!w.pool->try_get());
  auto got = w.get();
  w.settle();
  BOOST_TEST(bool(got->lease));
  BOOST_TEST(gauges(*w.pool) == "1 connected, 0 idle, 1 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(a_waiter_opens_one_only_if_those_on_their_way_do_not_cover_the_waiters) {
  pool_world w({.size = 6, .min_size = 0});
  auto held = take(w, 1);
  w.net().default_result = connect_result::hangs;
  std::vector<std::shared_ptr<pool_world::call>> calls;
  for (std::size_t n : {1u, 2u, 3u, 4u, 5u, 5u, 5u}) {
    calls.push_back(w.get());
    w.settle();
    BOOST_TEST(w.pool->stats().connecting == n);
  }
  // Dials go on for whoever comes next.
  for (auto& c : calls) c->cancel.emit(asio::cancellation_type::total);
  w.settle();
  calls = {w.get(), w.get()};
  w.settle();
  BOOST_TEST(w.pool->stats().connecting == 5u);
  BOOST_TEST(w.net().attempts.size() == 6u);
}

BOOST_AUTO_TEST_CASE(a_burst_grows_to_the_size_and_not_beyond) {
  pool_world w({.size = 3, .min_size = 1});
  std::vector<std::shared_ptr<pool_world::call>> calls;
  for (int i = 0; i < 10; ++i) calls.push_back(w.get());
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "3 connected, 0 idle, 3 leased, 0 connecting, 7 waiting");
  for (auto& c : calls) {
    w.settle();
    BOOST_TEST(bool(c->lease));
    c->lease.put();
  }
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "3 connected, 3 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.net().attempts.size() == 3u);
}

BOOST_AUTO_TEST_CASE(ready_opens_as_many_as_it_waits_for) {
  pool_world w({.size = 5, .min_size = 0});
  auto up = w.watch(w.pool->ready(3));
  w.settle();
  BOOST_TEST(up->value.has_value());
  BOOST_TEST(gauges(*w.pool) == "3 connected, 3 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(one_above_min_size_that_is_lost_is_redialled_too) {
  pool_world w({.size = 2, .min_size = 0});
  take(w, 1)[0].put();
  w.advance(1s);
  w.peer().fin();
  w.advance(100ms);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.net().attempts.size() == 2u);
}

BOOST_AUTO_TEST_CASE(asking_opens_one_whether_or_not_one_may_wait) {
  struct row {
    const char* what;
    cocp::pool_options options;
    void (*ask)(pool_world&);
  };
  const row rows[] = {
      {"get behind max_waiting 0", {.max_waiting = 0}, [](pool_world& w) { w.get(); }},
      {"get with get_timeout 0", {.get_timeout = 0s}, [](pool_world& w) { w.get(); }},
      {"get(0s)", {}, [](pool_world& w) { w.get(0s); }},
      {"get of a coroutine", {}, [](pool_world& w) { w.watch(w.pool->get(0s)); }},
      {"try_get", {}, [](pool_world& w) { BOOST_TEST(!w.pool->try_get()); }},
      {"ready with get_timeout 0", {.get_timeout = 0s}, [](pool_world& w) { w.watch(w.pool->ready()); }},
  };
  for (const row& r : rows) {
    BOOST_TEST_CONTEXT(r.what) {
      cocp::pool_options o = r.options;
      o.size = 3;
      o.min_size = 0;
      pool_world w(std::move(o));
      w.settle();
      r.ask(w);
      w.settle();
      BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
      BOOST_TEST(bool(w.pool->try_get()));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_refused_ready_opens_as_many_as_it_asked_for) {
  pool_world w({.size = 5, .min_size = 0, .get_timeout = 0s});
  auto up = w.watch(w.pool->ready(3));
  w.settle();
  BOOST_TEST(up->error == errc::timed_out);
  BOOST_TEST(gauges(*w.pool) == "3 connected, 3 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(one_who_may_not_wait_opens_one_only_if_those_on_their_way_do_not_cover_him_too) {
  pool_world w({.size = 6, .min_size = 0});
  w.net().default_result = connect_result::hangs;
  for (int i = 0; i < 5; ++i) {
    BOOST_TEST(!w.pool->try_get());
    w.get(0s);
    w.settle();
    BOOST_TEST(w.pool->stats().connecting == 1u);
  }
  w.pool->close();
  pool_world after({.size = 6, .min_size = 0});
  auto held = take(after, 1);
  after.net().default_result = connect_result::hangs;
  auto a = after.get();
  auto b = after.get();
  after.settle();
  BOOST_TEST(after.pool->stats().connecting == 2u);
  for (int i = 0; i < 5; ++i) after.get(0s);
  after.settle();
  BOOST_TEST(after.pool->stats().connecting == 3u);
}

BOOST_AUTO_TEST_CASE(a_wish_is_not_forgotten_whatever_is_asked_for_next) {
  pool_world w({.size = 6, .min_size = 0, .get_timeout = 0s});
  BOOST_TEST(!w.pool->try_get());
  w.pool->resize(4);
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 1u);
  auto up = w.watch(w.pool->ready(3));
  // The one that is up, and then none.
  auto held = w.pool->try_get();
  BOOST_TEST(!w.pool->try_get());
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 3u);
}

BOOST_AUTO_TEST_CASE(everything_at_every_step) {
  // Grows, shrinks, lets one idle out and two grow old, and ends.
  constexpr auto live = [](cocp::pool& pool) -> asio::awaitable<void> {
    {
      cocp::lease a = co_await pool.get();
      cocp::lease b = co_await pool.get();
      pool.resize(1);
      pool.resize(4);
      cocp::lease c = co_await pool.get();
      b.put();
      c.put();
      a->expires_after(5s);
      char byte = 0;
      error_code ec;
      auto token = asio::redirect_error(asio::use_awaitable, ec);
      const auto buffer = asio::buffer(&byte, 1);
      co_await a->async_read_some(buffer, token);
      BOOST_TEST(ec == errc::timed_out);
    }
    co_await pool.drain();
  };
  for (bool first : {false, true}) {
    destroy_at_every_step(
        [&](world& w) {
          auto p = std::make_unique<cocp::pool>(
              w.io(), cocp::connection_options{.address = "10.0.0.1:7"},
              cocp::pool_options{.size = 3, .min_size = 1, .idle_timeout = 1s, .max_lifetime = 2s});
          w.spawn(live(*p));
          return p;
        },
        first);
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(idle_timeout)

BOOST_AUTO_TEST_CASE(one_above_min_size_that_is_not_used_is_closed) {
  pool_world w({.size = 3, .min_size = 1, .idle_timeout = 10s});
  for (auto& l : take(w, 3)) l.put();
  w.advance(9900ms);
  BOOST_TEST(gauges(*w.pool) == "3 connected, 3 idle, 0 leased, 0 connecting, 0 waiting");
  w.advance(200ms);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.net().open() == 1u);
  BOOST_TEST(w.log.count(event_kind::closed) == 2u);
  BOOST_TEST(w.log.entries().back().reason == "it was not used for as long as idle_timeout");
  w.advance(1h);
  BOOST_TEST(w.net().attempts.size() == 3u);
  // Not a loss, and nothing to be told at the end once more.
  BOOST_TEST(counters(*w.pool) == "gets 3, waits 3, connects 3");
  w.pool->close();
  w.settle();
  BOOST_TEST(w.log.count(event_kind::closed) == 3u);
}

BOOST_AUTO_TEST_CASE(one_that_is_used_stays) {
  pool_world w({.size = 2, .min_size = 0, .idle_timeout = 10s});
  for (int i = 0; i < 20; ++i) {
    take(w, 1)[0].put();
    w.advance(9s);
  }
  BOOST_TEST(w.net().attempts.size() == 1u);
  w.advance(2s);
  BOOST_TEST(gauges(*w.pool) == "0 connected, 0 idle, 0 leased, 0 connecting, 0 waiting");
}

// What is wanted, and down, is not kept open.
BOOST_AUTO_TEST_CASE(the_only_one_that_is_up_stays) {
  pool_world w({.size = 2, .min_size = 1, .idle_timeout = 10s});
  auto held = take(w, 2);
  held[0].put();
  w.advance(5s);
  held[1].put();
  w.advance(1s);
  w.net().default_result = connect_result::refused;
  w.net().peers[1]->fin();
  w.advance(1min);
  BOOST_TEST(w.pool->stats().connected == 1u);
  // Nor does the other one come back: it was above min_size.
  BOOST_TEST(w.pool->stats().wanted == 1u);
}

BOOST_AUTO_TEST_CASE(one_that_is_up_goes_when_another_has_come_back) {
  pool_world w({.size = 2, .min_size = 1, .idle_timeout = 10s});
  auto held = take(w, 2);
  held[0].put();
  w.advance(5s);
  w.net().default_result = connect_result::refused;
  w.net().peers[1]->fin();
  w.advance(1s);
  held[1].put();
  w.advance(7s);
  BOOST_TEST(w.net().open() == 1u);
  w.net().default_result = connect_result::accepted;
  w.pool->retry_now();
  w.advance(1s);
  BOOST_TEST(w.net().open() == 1u);
  BOOST_TEST(w.net().peers[0]->gone);
}

BOOST_AUTO_TEST_CASE(one_that_was_discarded_was_used_too) {
  pool_world w({.size = 2, .min_size = 0, .idle_timeout = 10s});
  auto held = take(w, 1);
  w.advance(20s);
  held[0].discard();
  w.advance(9s);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(what_ready_has_opened_is_closed_though_it_was_in_vain) {
  pool_world w({.size = 2, .min_size = 0, .idle_timeout = 10s, .get_timeout = 30s});
  w.net().on_accept = [&w](fake_peer&) { w.net().default_result = connect_result::refused; };
  auto up = w.watch(w.pool->ready(2));
  w.advance(29s);
  BOOST_TEST(w.pool->stats().connected == 1u);
  w.advance(11s);
  BOOST_TEST(up->error == errc::timed_out);
  w.advance(1min);
  BOOST_TEST(w.pool->stats().connected == 0u);
}

BOOST_AUTO_TEST_CASE(the_one_used_last_stays) {
  pool_world w({.size = 3, .min_size = 1, .idle_timeout = 10s});
  for (auto& l : take(w, 3)) l.put();
  w.advance(5s);
  auto used = take(w, 1);
  auto sent = w.watch(used[0]->write(asio::buffer("x", 1)));
  w.settle();
  used[0]->no_answer();
  used.clear();
  w.advance(5100ms);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  for (const auto& p : w.net().peers) BOOST_TEST(p->gone == (p->received != "x"));
}

BOOST_AUTO_TEST_CASE(a_redial_is_no_use) {
  pool_world w({.size = 2, .min_size = 0, .idle_timeout = 10s});
  take(w, 1)[0].put();
  for (int i = 0; i < 3; ++i) {
    w.advance(3s);
    w.peer().fin();
    w.advance(100ms);
  }
  BOOST_TEST(w.net().attempts.size() == 4u);
  w.advance(1s);
  BOOST_TEST(gauges(*w.pool) == "0 connected, 0 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(dials_that_nobody_waits_for_any_more_are_given_up) {
  pool_world w({.size = 2, .min_size = 0, .idle_timeout = 1min});
  w.net().default_result = connect_result::refused;
  auto got = w.get(1s);
  w.advance(2min);
  BOOST_TEST(got->error == errc::timed_out);
  const auto attempts = w.net().attempts.size();
  BOOST_TEST(attempts > 5u);
  w.advance(1h);
  BOOST_TEST(w.net().attempts.size() == attempts);
  w.net().default_result = connect_result::accepted;
  auto again = w.get();
  w.settle();
  BOOST_TEST(bool(again->lease));
}

BOOST_AUTO_TEST_CASE(a_dial_is_kept_as_long_as_somebody_asks_who_may_not_wait) {
  pool_world w({.size = 1, .min_size = 0, .idle_timeout = 10s, .max_waiting = 0},
               {.connect_timeout = std::nullopt, .on_connect = [](cocp::connection& c) -> asio::awaitable<void> {
                  char b = 0;
                  const auto buffer = asio::buffer(&b, 1);
                  co_await c.read(buffer);
                }});
  for (int i = 0; i < 8; ++i) {
    w.get();
    w.advance(4s);
  }
  w.peer().send("!");
  w.settle();
  auto got = w.get();
  w.settle();
  BOOST_TEST(bool(got->lease));
  BOOST_TEST(w.net().attempts.size() == 1u);
}

// What was before, when somebody wanted one, says nothing of now: `fail_fast` begins anew.
BOOST_AUTO_TEST_CASE(the_time_for_which_the_endpoint_was_down_ends_when_nobody_wants_a_connection) {
  pool_world w({.size = 1, .min_size = 0, .idle_timeout = 1s, .get_timeout = std::nullopt, .fail_fast = 10s},
               {.connect_timeout = 1s});
  w.net().default_result = connect_result::refused;
  w.get();
  w.advance(1min);
  BOOST_TEST(w.pool->stats().wanted == 0u);
  const auto next = w.get();
  w.advance(8s);
  BOOST_TEST(next->ends == 0u);
  w.advance(8s);
  BOOST_TEST(next->error == asio::error::connection_refused);
}

BOOST_AUTO_TEST_CASE(a_dial_for_who_did_not_wait_is_given_up_too) {
  pool_world w({.size = 1, .min_size = 0, .idle_timeout = 1s}, {.connect_timeout = std::nullopt});
  w.net().default_result = connect_result::hangs;
  BOOST_TEST(!w.pool->try_get());
  w.advance(10s);
  BOOST_TEST(w.pool->stats().wanted == 0u);
  BOOST_TEST(w.net().sockets == 0u);
}

BOOST_AUTO_TEST_CASE(one_that_came_up_late_is_kept_from_then_on) {
  pool_world w({.size = 1, .min_size = 0, .idle_timeout = 10s}, {.retry_max = 1s});
  w.net().default_result = connect_result::refused;
  w.get(0s);
  w.advance(8s);
  w.net().default_result = connect_result::accepted;
  w.advance(10s);
  BOOST_TEST(w.pool->stats().idle == 1u);
  w.advance(2s);
  BOOST_TEST(w.pool->stats().idle == 0u);
}

BOOST_AUTO_TEST_CASE(however_short_it_is_an_attempt_has_the_time_it_needs) {
  pool_world w({.size = 1, .min_size = 0, .idle_timeout = 1ns},
               {.on_connect = [](cocp::connection& c) -> asio::awaitable<void> {
                 char b = 0;
                 const auto buffer = asio::buffer(&b, 1);
                 co_await c.read(buffer);
               }});
  w.get(0s);
  w.advance(2s);
  w.peer().send("!");
  w.settle();
  BOOST_TEST(bool(w.pool->try_get()));
}

BOOST_AUTO_TEST_CASE(however_short_it_is_the_housekeeper_does_not_spin) {
  struct row {
    const char* what;
    void (*begin)(pool_world&);
    void (*ask)(pool_world&);
  };
  const row rows[] = {
      {"somebody waits in an outage", [](pool_world& w) { w.get(); }, [](pool_world&) {}},
      {"many ask in an outage who may not wait", [](pool_world&) {},
       [](pool_world& w) { BOOST_TEST(!w.pool->try_get()); }},
  };
  for (const row& r : rows) {
    BOOST_TEST_CONTEXT(r.what) {
      pool_world w({.size = 3, .min_size = 0, .idle_timeout = 1ns, .get_timeout = std::nullopt});
      w.net().default_result = connect_result::refused;
      r.begin(w);
      unsigned steps = 0;
      for (; w.net().elapsed() < 10s && steps < 20'000; ++steps) {
        r.ask(w);
        if (!w.step()) w.advance(1ms);
      }
      BOOST_TEST(steps < 20'000u);
      w.pool->close();
    }
  }
}

BOOST_AUTO_TEST_CASE(what_has_not_begun_to_dial_goes_before_what_has) {
  // Two are wanted, of which one dials; and when one has to go that is the other.
  pool_world w({.size = 2, .min_size = 1, .idle_timeout = 10s, .max_dialling = 1},
               {.connect_timeout = std::nullopt, .on_connect = [](cocp::connection& c) -> asio::awaitable<void> {
                  char b = 0;
                  const auto buffer = asio::buffer(&b, 1);
                  co_await c.read(buffer);
                }});
  w.get(1s);
  w.get(1s);
  w.advance(30s);
  w.peer().send("!");
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.net().attempts.size() == 1u);
}

BOOST_AUTO_TEST_CASE(off_keeps_what_was_opened) {
  pool_world w({.size = 3, .min_size = 0, .idle_timeout = std::nullopt});
  for (auto& l : take(w, 3)) l.put();
  w.advance(24h);
  BOOST_TEST(gauges(*w.pool) == "3 connected, 3 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(resize)

BOOST_AUTO_TEST_CASE(to_zero_is_refused) {
  pool_world w;
  BOOST_CHECK_EXCEPTION(w.pool->resize(0), std::invalid_argument, [](const std::invalid_argument& e) {
    BOOST_TEST(e.what() == "resize: 0: must be at least 1");
    return true;
  });
  w.settle();
  BOOST_TEST(w.pool->stats().size == 1u);
}

BOOST_AUTO_TEST_CASE(grows_at_once) {
  pool_world w({.size = 2});
  w.settle();
  w.pool->resize(5);
  w.settle();
  BOOST_TEST(w.pool->stats().size == 5u);
  BOOST_TEST(gauges(*w.pool) == "5 connected, 5 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(growing_serves_those_who_wait) {
  pool_world w({.size = 1, .min_size = 0});
  auto held = take(w, 1);
  auto a = w.get();
  auto b = w.get();
  w.settle();
  w.pool->resize(2);
  w.settle();
  BOOST_TEST(bool(a->lease));
  BOOST_TEST(!b->lease);
  w.pool->resize(10);
  w.settle();
  BOOST_TEST(bool(b->lease));
  BOOST_TEST(gauges(*w.pool) == "3 connected, 0 idle, 3 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(closes_idle_connections_first_and_leased_ones_when_they_come_back) {
  pool_world w({.size = 5});
  auto held = take(w, 3);
  w.pool->resize(2);
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "3 connected, 0 idle, 3 leased, 0 connecting, 0 waiting");
  auto waiter = w.get();
  auto sent = w.watch(held[0]->write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(sent->value.has_value());
  held[0]->no_answer();
  // One too many: it is closed, though somebody waits.
  held.pop_back();
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "2 connected, 0 idle, 2 leased, 0 connecting, 1 waiting");
  held.pop_back();
  w.settle();
  BOOST_TEST(bool(waiter->lease));
  BOOST_TEST(gauges(*w.pool) == "2 connected, 0 idle, 2 leased, 0 connecting, 0 waiting");
  held.clear();
  waiter->lease.put();
  w.advance(1h);
  BOOST_TEST(gauges(*w.pool) == "2 connected, 2 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.log.count(event_kind::closed) == 3u);
  BOOST_TEST(w.net().attempts.size() == 5u);
}

BOOST_AUTO_TEST_CASE(closes_one_that_comes_back_unused_though_nothing_was_idle) {
  pool_world w({.size = 2});
  auto held = take(w, 2);
  w.pool->resize(1);
  held.pop_back();
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "1 connected, 0 idle, 1 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.net().open() == 1u);
}

BOOST_AUTO_TEST_CASE(gives_up_dials_first) {
  pool_world w({.size = 2});
  w.settle();
  w.net().default_result = connect_result::refused;
  w.pool->resize(4);
  w.advance(1s);
  w.pool->resize(2);
  w.advance(1min);
  const auto attempts = w.net().attempts.size();
  w.advance(1h);
  BOOST_TEST(w.net().attempts.size() == attempts);
  BOOST_TEST(gauges(*w.pool) == "2 connected, 2 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(gives_up_who_has_not_begun_to_dial_before_who_has) {
  pool_world w({.size = 3, .min_size = 0, .max_dialling = 1},
               {.on_connect = [](cocp::connection& c) -> asio::awaitable<void> {
                 char b = 0;
                 const auto buffer = asio::buffer(&b, 1);
                 co_await c.read(buffer);
               }});
  auto a = w.get();
  auto b = w.get();
  auto c = w.get();
  w.settle();
  w.pool->resize(1);
  w.peer().send("!");
  w.settle();
  BOOST_TEST(bool(a->lease));
  BOOST_TEST(w.net().attempts.size() == 1u);
}

BOOST_AUTO_TEST_CASE(gives_up_who_began_to_dial_last_first) {
  pool_world w({.size = 3, .min_size = 0}, {.on_connect = [](cocp::connection& c) -> asio::awaitable<void> {
                 char b = 0;
                 const auto buffer = asio::buffer(&b, 1);
                 co_await c.read(buffer);
               }});
  auto held = w.get();
  w.settle();
  w.peer().send("!");
  w.settle();
  auto a = w.get();
  w.advance(1s);
  auto b = w.get();
  w.advance(1s);
  BOOST_TEST(w.pool->stats().connecting == 2u);
  w.pool->resize(2);
  w.settle();
  w.net().peers[1]->send("!");
  w.settle();
  BOOST_TEST(bool(a->lease));
}

BOOST_AUTO_TEST_CASE(a_dial_that_is_given_up_ends_at_once_and_says_nothing_of_the_endpoint) {
  pool_world w({.size = 2, .min_size = 0, .max_dialling = 1}, {.connect_timeout = std::nullopt});
  auto held = take(w, 1);
  w.net().default_result = connect_result::hangs;
  auto waiter = w.get();
  w.advance(1s);
  BOOST_TEST(w.pool->stats().connecting == 1u);
  w.pool->resize(1);
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "1 connected, 0 idle, 1 leased, 0 connecting, 1 waiting");
  BOOST_TEST(w.log.count(event_kind::connect_failed) == 0u);
  BOOST_TEST(w.pool->stats().connect_failures == 0u);
  // Its leave to dial is another's.
  w.net().default_result = connect_result::accepted;
  w.pool->resize(2);
  w.settle();
  BOOST_TEST(bool(waiter->lease));
}

BOOST_AUTO_TEST_CASE(ends_a_wait_for_more_than_there_may_be) {
  pool_world w({.size = 3, .get_timeout = std::nullopt});
  w.net().default_result = connect_result::refused;
  auto three = w.watch(w.pool->ready(3));
  auto one = w.watch(w.pool->ready(1));
  w.settle();
  w.pool->resize(1);
  w.settle();
  BOOST_TEST(three->done);
  BOOST_TEST(three->error == boost::system::errc::invalid_argument);
  BOOST_TEST(three->what == "ready: 3: must not be more than size (1)");
  BOOST_TEST(!one->done);
  w.pool->close();
}

BOOST_AUTO_TEST_CASE(a_dial_that_is_given_up_closes_what_it_had_opened) {
  pool_world w({.size = 1, .min_size = 0}, {.on_connect = [](cocp::connection& c) -> asio::awaitable<void> {
                 char b = 0;
                 co_await c.read(asio::buffer(&b, 1));
               }});
  w.pool->resize(2);
  auto first = w.get();
  w.settle();
  w.peer().send("!");
  w.settle();
  BOOST_TEST(bool(first->lease));
  auto second = w.get();
  w.settle();
  BOOST_TEST(w.pool->stats().connecting == 1u);
  w.pool->resize(1);
  w.settle();
  BOOST_TEST(w.peer().gone);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 0 idle, 1 leased, 0 connecting, 1 waiting");
  BOOST_TEST(w.log.count(event_kind::connected) == 1u);
  BOOST_TEST(w.log.count(event_kind::closed) == 0u);
}

// One at a time is down for its age, and as long as it is no other may be.
BOOST_AUTO_TEST_CASE(one_that_is_given_up_while_it_is_redialled_for_its_age_is_not_in_the_way_of_the_next) {
  pool_world w({.size = 3, .max_lifetime = 10s}, {.connect_timeout = std::nullopt});
  w.settle();
  w.net().default_result = connect_result::hangs;
  w.advance(11s);
  BOOST_TEST(w.net().open() == 2u);
  w.pool->resize(2);
  w.advance(1s);
  BOOST_TEST(w.net().open() == 1u);
}

BOOST_AUTO_TEST_CASE(min_size_follows_unless_it_was_given) {
  pool_world all({.size = 2});
  pool_world some({.size = 2, .min_size = 2});
  for (auto* w : {&all, &some}) {
    w->pool->resize(1);
    w->settle();
    BOOST_TEST(w->pool->stats().connected == 1u);
    BOOST_TEST(w->pool->stats().min_size == 1u);
    w->pool->resize(4);
    w->settle();
  }
  BOOST_TEST(all.pool->stats().connected == 4u);
  BOOST_TEST(all.pool->stats().min_size == 4u);
  BOOST_TEST(some.pool->stats().connected == 2u);
  BOOST_TEST(some.pool->stats().min_size == 2u);
}

BOOST_AUTO_TEST_CASE(ready_knows_the_new_size) {
  pool_world w({.size = 1});
  w.pool->resize(3);
  auto up = w.watch(w.pool->ready(3));
  auto more = w.watch(w.pool->ready(4));
  w.settle();
  BOOST_TEST(up->value.has_value());
  BOOST_TEST(more->what == "ready: 4: must not be more than size (3)");
}

BOOST_AUTO_TEST_CASE(of_a_closed_pool_opens_nothing) {
  pool_world w({.size = 1});
  w.settle();
  w.pool->close();
  w.pool->resize(3);
  w.advance(1min);
  BOOST_TEST(w.net().attempts.size() == 1u);
  BOOST_TEST(w.pool->stats().connected == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
