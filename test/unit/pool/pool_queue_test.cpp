// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <variant>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using connect_result = fake_network::connect_result;

namespace {

struct cancellation {
  const char* name;
  asio::cancellation_type type;

  friend std::ostream& operator<<(std::ostream& out, const cancellation& c) { return out << c.name; }
};

const std::vector<cancellation> cancellations{{"terminal", asio::cancellation_type::terminal},
                                              {"partial", asio::cancellation_type::partial},
                                              {"total", asio::cancellation_type::total}};

const char* const one_idle = "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting";
const char* const one_leased = "1 connected, 0 idle, 1 leased, 0 connecting, 0 waiting";

/// Opened once, by hand.
class gate {
 public:
  explicit gate(asio::io_context& io) : timer_(io, asio::steady_timer::time_point::max()) {}
  void open() { timer_.expires_at(asio::steady_timer::time_point::min()); }
  asio::awaitable<void> opened() {
    constexpr auto token = asio::as_tuple(asio::use_awaitable);
    co_await timer_.async_wait(token);
  }

 private:
  asio::steady_timer timer_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(pool_queue)

BOOST_AUTO_TEST_SUITE(order)

BOOST_AUTO_TEST_CASE(first_come_first_served) {
  pool_world w;
  auto lease = w.take();
  std::vector<std::shared_ptr<pool_world::call>> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(w.get());
  lease.put();
  for (unsigned i = 0; i < 5; ++i) {
    w.settle();
    BOOST_TEST(calls[i]->order == i + 1);
    BOOST_REQUIRE(bool(calls[i]->lease));
    if (i < 4) BOOST_TEST(calls[i + 1]->ends == 0u);
    calls[i]->lease.put();
  }
  BOOST_TEST(gauges(*w.pool) == one_idle);
}

BOOST_AUTO_TEST_CASE(a_newcomer_does_not_overtake_while_a_connection_is_on_its_way_to_a_waiter) {
  pool_world w;
  auto lease = w.take();
  auto first = w.get();
  lease.put();
  BOOST_TEST(first->ends == 0u, "it is on its way");
  BOOST_TEST(!w.pool->try_get());
  auto second = w.get();
  auto third = w.watch(w.pool->get());
  w.settle();
  BOOST_TEST(bool(first->lease));
  BOOST_TEST(second->ends == 0u);
  BOOST_TEST(!third->done);
  first->lease.put();
  BOOST_TEST(!w.pool->try_get());
  w.settle();
  BOOST_TEST(bool(second->lease));
  BOOST_TEST(!third->done);
}

BOOST_AUTO_TEST_CASE(a_newcomer_does_not_overtake_when_connections_come_up) {
  pool_world w({.size = 2});
  auto first = w.get();
  auto second = w.get();
  auto third = w.get();
  // At every step somebody new looks.
  while (first->ends + second->ends < 2) {
    BOOST_REQUIRE(w.step());
    BOOST_TEST(!w.pool->try_get());
  }
  BOOST_TEST((bool(first->lease) && bool(second->lease)));
  BOOST_TEST(third->ends == 0u);
  first->lease.put();
  w.settle();
  BOOST_TEST(bool(third->lease));
}

BOOST_AUTO_TEST_CASE(a_replaced_connection_comes_back_to_the_first_waiter) {
  pool_world w;
  auto lease = w.take();
  auto first = w.get();
  auto second = w.get();
  lease.discard();
  w.settle();
  BOOST_TEST(bool(first->lease));
  BOOST_TEST(second->ends == 0u);
}

BOOST_AUTO_TEST_CASE(ten_thousand_waiters_on_three_connections_are_served_in_order) {
  pool_world w({.size = 3});
  std::vector<unsigned> served;
  constexpr unsigned waiters = 10'000;
  for (unsigned i = 0; i < waiters; ++i) {
    w.pool->async_get([&, i](cocp::error_code ec, cocp::lease l) {
      if (!ec) served.push_back(i);
      // Keeps it for a turn.
      asio::post(w.io(), [kept = std::move(l)]() mutable { kept.put(); });
    });
  }
  BOOST_TEST(w.pool->stats().waiting == waiters);
  w.settle();
  BOOST_TEST(served.size() == waiters);
  BOOST_TEST(std::is_sorted(served.begin(), served.end()));
  BOOST_TEST(w.pool->stats().waits == waiters);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(cancelling)

BOOST_DATA_TEST_CASE(a_waiter_cancelled_before_the_put_gets_nothing, data::make(cancellations), c) {
  pool_world w;
  auto lease = w.take();
  auto first = w.get();
  auto second = w.get();
  first->cancel.emit(c.type);
  lease.put();
  w.settle();
  BOOST_TEST(first->ends == 1u);
  BOOST_TEST(first->error == asio::error::operation_aborted);
  BOOST_TEST(!first->lease);
  BOOST_TEST(bool(second->lease));
  BOOST_TEST(gauges(*w.pool) == one_leased);
}

BOOST_DATA_TEST_CASE(a_connection_given_to_a_waiter_cancelled_in_the_same_turn_goes_to_the_next,
                     data::make(cancellations), c) {
  pool_world w;
  auto lease = w.take();
  auto first = w.get();
  auto second = w.get();
  lease.put();
  first->cancel.emit(c.type);
  first->cancel.emit(c.type);
  w.settle();
  BOOST_TEST(first->ends == 1u);
  BOOST_TEST(first->error == asio::error::operation_aborted);
  BOOST_TEST(!first->lease);
  BOOST_REQUIRE(bool(second->lease));
  BOOST_TEST(gauges(*w.pool) == one_leased);
  second->lease.put();
  BOOST_TEST(gauges(*w.pool) == one_idle);
}

BOOST_DATA_TEST_CASE(a_connection_given_to_a_waiter_cancelled_before_its_handler_runs_goes_to_the_next,
                     data::make(cancellations), c) {
  // Put and cancellation are handlers of their own, and the completion is behind them in the scheduler's queue.
  pool_world w;
  auto lease = w.take();
  auto first = w.get();
  auto second = w.get();
  asio::post(w.io(), [&] { lease.put(); });
  asio::post(w.io(), [&] { first->cancel.emit(c.type); });
  w.settle();
  BOOST_TEST(first->ends == 1u);
  BOOST_TEST(first->error == asio::error::operation_aborted);
  BOOST_TEST(bool(second->lease));
  BOOST_TEST(gauges(*w.pool) == one_leased);
}

BOOST_DATA_TEST_CASE(a_waiter_cancelled_after_its_handler_ran_keeps_its_lease, data::make(cancellations), c) {
  pool_world w;
  auto lease = w.take();
  auto first = w.get();
  auto second = w.get();
  lease.put();
  w.settle();
  first->cancel.emit(c.type);
  w.settle();
  BOOST_TEST(first->ends == 1u);
  BOOST_TEST(bool(first->lease));
  BOOST_TEST(second->ends == 0u);
}

BOOST_DATA_TEST_CASE(a_connection_found_idle_goes_back_if_the_caller_is_cancelled_before_its_handler_runs,
                     data::make(cancellations), c) {
  pool_world w;
  w.settle();
  auto first = w.get();
  BOOST_TEST(first->ends == 0u);
  auto second = w.get();
  first->cancel.emit(c.type);
  w.settle();
  BOOST_TEST(first->error == asio::error::operation_aborted);
  BOOST_TEST(bool(second->lease));
}

BOOST_AUTO_TEST_CASE(a_connection_passes_through_all_waiters_that_are_gone) {
  pool_world w;
  auto lease = w.take();
  std::vector<std::shared_ptr<pool_world::call>> gone;
  for (int i = 0; i < 100; ++i) gone.push_back(w.get());
  auto last = w.get();
  w.settle();
  lease.put();
  // Each is cancelled once it has been handed the connection.
  for (auto& each : gone) {
    each->cancel.emit(asio::cancellation_type::total);
    w.io().restart();
    while (each->ends == 0) BOOST_REQUIRE(w.io().poll_one() != 0);
    BOOST_TEST(w.pool->stats().leased == 1u);
  }
  w.settle();
  for (auto& each : gone) BOOST_TEST(each->error == asio::error::operation_aborted);
  BOOST_TEST(bool(last->lease));
}

BOOST_AUTO_TEST_CASE(nothing_is_lost_at_whatever_step_a_waiting_coroutine_is_cancelled) {
  for (int step = 0, more = 1; more; ++step) {
    pool_world w;
    auto lease = w.take();
    asio::cancellation_signal cancel;
    std::optional<bool> succeeded;
    auto body = [](cocp::pool& p) -> asio::awaitable<void> { cocp::lease got = co_await p.get(); };
    asio::co_spawn(w.io(), body(*w.pool),
                   asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr e) { succeeded = !e; }));
    asio::post(w.io(), [&] { lease.put(); });
    for (int i = 0; i < step && more; ++i) more = static_cast<int>(w.io().poll_one());
    cancel.emit(asio::cancellation_type::terminal);
    auto next = w.get();
    w.settle();
    BOOST_TEST(succeeded.has_value());
    BOOST_TEST(bool(next->lease), "step " << step);
    BOOST_TEST(gauges(*w.pool) == one_leased);
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(timeouts)

BOOST_AUTO_TEST_CASE(waiters_end_in_the_order_of_their_deadlines) {
  pool_world w({.size = 1, .get_timeout = 3s});
  auto lease = w.take();
  auto never = w.get(cocp::duration::max());
  auto own = w.get();
  auto late = w.get(4s);
  auto early = w.get(1s);
  auto same = w.get(3s);
  w.advance(1s - 1ns);
  BOOST_TEST(early->ends == 0u);
  w.advance(1ns);
  BOOST_TEST(early->ends == 1u);
  w.advance(1s);
  auto newer = w.get(500ms);
  w.advance(1h);
  BOOST_TEST(early->order == 1u);
  BOOST_TEST(newer->order == 2u);
  BOOST_TEST(own->order == 3u);
  BOOST_TEST(same->order == 4u);
  BOOST_TEST(late->order == 5u);
  for (const auto& each : {own, late, early, same, newer}) {
    BOOST_TEST(each->ends == 1u);
    BOOST_TEST(each->error == errc::timed_out);
    BOOST_TEST(!each->lease);
  }
  BOOST_TEST(never->ends == 0u);
  BOOST_TEST(counters(*w.pool) == "gets 1, timeouts 5, connects 1");
  lease.put();
  w.settle();
  BOOST_TEST(bool(never->lease));
}

BOOST_AUTO_TEST_CASE(a_waiter_that_was_served_or_cancelled_does_not_time_out) {
  pool_world w({.size = 1, .get_timeout = 1s});
  auto lease = w.take();
  auto served = w.get();
  auto cancelled = w.get();
  lease.put();
  cancelled->cancel.emit(asio::cancellation_type::partial);
  w.advance(10s);
  BOOST_TEST((served->ends == 1u && served->lease));
  BOOST_TEST(cancelled->ends == 1u);
  BOOST_TEST(w.pool->stats().timeouts == 0u);
}

BOOST_AUTO_TEST_CASE(a_wait_ends_once_at_whatever_step_a_put_meets_its_timeout) {
  bool served = false;
  bool timed_out = false;
  for (int step = 0, more = 1; more; ++step) {
    pool_world w;
    auto lease = w.take();
    auto first = w.get(1s);
    auto second = w.get(1h);
    w.settle();
    w.net().move(1s);
    w.io().restart();
    for (int i = 0; i < step && more; ++i) more = static_cast<int>(w.io().poll_one());
    lease.put();
    w.settle();
    BOOST_TEST(first->ends == 1u);
    if (first->lease) {
      served = true;
      BOOST_TEST(!first->error);
      BOOST_TEST(second->ends == 0u);
      first->lease.put();
      w.settle();
    } else {
      timed_out = true;
      BOOST_TEST(first->error == errc::timed_out);
    }
    BOOST_TEST(bool(second->lease));
    BOOST_TEST(gauges(*w.pool) == one_leased);
  }
  BOOST_TEST((served && timed_out), "both outcomes were seen");
}

BOOST_AUTO_TEST_CASE(a_wait_that_is_cancelled_at_its_timeout_ends_once) {
  for (bool timeout_first : {true, false}) {
    pool_world w;
    auto lease = w.take();
    auto got = w.get(1s);
    w.settle();
    if (timeout_first) w.net().move(1s);
    got->cancel.emit(asio::cancellation_type::terminal);
    w.advance(1s);
    BOOST_TEST(got->ends == 1u);
    BOOST_TEST(gauges(*w.pool) == one_leased);
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(alternatives)

using asio::experimental::awaitable_operators::operator||;

/// 0: a lease came first, 1: the gate was opened first.
asio::awaitable<void> get_or(cocp::pool& p, gate& g, std::optional<std::size_t>& outcome) {
  auto both = p.get() || g.opened();
  auto first = co_await std::move(both);
  outcome = first.index();
}

BOOST_AUTO_TEST_CASE(get_or_a_timer_ends_with_what_comes_first) {
  pool_world w;
  gate g(w.io());
  std::optional<std::size_t> outcome;
  auto lease = w.take();
  w.spawn(get_or(*w.pool, g, outcome));
  w.settle();
  lease.put();
  w.settle();
  BOOST_TEST((outcome == 0u));
  BOOST_TEST(gauges(*w.pool) == one_idle);

  lease = w.take();
  w.spawn(get_or(*w.pool, g, outcome));
  w.settle();
  BOOST_TEST(w.pool->stats().waiting == 1u);
  g.open();
  w.settle();
  BOOST_TEST((outcome == 1u));
  BOOST_TEST(gauges(*w.pool) == one_leased);
  lease.put();
  BOOST_TEST(gauges(*w.pool) == one_idle);
}

BOOST_AUTO_TEST_CASE(get_or_a_timer_loses_no_slot_at_whatever_step_they_meet) {
  std::set<std::size_t> outcomes;
  for (bool put_first : {true, false}) {
    for (int step = 0, more = 1; more; ++step) {
      pool_world w;
      gate g(w.io());
      std::optional<std::size_t> outcome;
      auto lease = w.take();
      w.spawn(get_or(*w.pool, g, outcome));
      auto put = [&] { lease.put(); };
      auto open = [&] { g.open(); };
      asio::post(w.io(), [&] { put_first ? put() : open(); });
      for (int i = 0; i < step && more; ++i) more = static_cast<int>(w.io().poll_one());
      put_first ? open() : put();
      auto next = w.get();
      w.settle();
      BOOST_REQUIRE(outcome.has_value());
      outcomes.insert(*outcome);
      BOOST_TEST(bool(next->lease), "step " << step);
      BOOST_TEST(gauges(*w.pool) == one_leased);
    }
  }
  BOOST_TEST(outcomes.size() == 2u, "both outcomes were seen");
}

BOOST_AUTO_TEST_CASE(get_or_an_expired_timer_loses_no_slot_when_one_is_idle) {
  pool_world w;
  w.settle();
  gate g(w.io());
  g.open();
  std::optional<std::size_t> outcome;
  w.spawn(get_or(*w.pool, g, outcome));
  w.settle();
  BOOST_TEST(outcome.has_value());
  BOOST_TEST(gauges(*w.pool) == one_idle);
}

BOOST_AUTO_TEST_SUITE_END()

// A model of the pool: who waits, in order; who holds which connection.
BOOST_DATA_TEST_CASE(no_connection_is_in_two_leases_and_none_is_lost, data::xrange(30u), seed) {
  std::mt19937 random(seed);
  constexpr std::size_t size = 4;
  pool_world w({.size = size, .get_timeout = 60s}, {}, seed);
  std::vector<std::shared_ptr<pool_world::call>> waiting;
  std::vector<cocp::lease> held;
  w.settle();
  auto pick = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  auto gather = [&] {
    bool somebody_waits = false;
    for (auto& each : waiting) {
      if (each->ends == 0) {
        somebody_waits = true;
      } else if (each->lease) {
        BOOST_TEST(!somebody_waits, "a later one was served first");
        held.push_back(std::move(each->lease));
      }
    }
    std::erase_if(waiting, [](const auto& each) { return each->ends != 0; });
    std::set<cocp::connection*> distinct;
    for (auto& each : held) distinct.insert(&*each);
    BOOST_TEST(distinct.size() == held.size());
    const auto s = w.pool->stats();
    BOOST_TEST(s.leased == held.size());
    BOOST_TEST(s.waiting == waiting.size());
    BOOST_TEST((s.idle == 0 || s.waiting == 0));
    BOOST_TEST(s.leased + s.idle <= size);
    BOOST_TEST(s.connects == s.connected + s.disconnects + s.replaced_dirty);
  };
  auto give = [&](bool discard) {
    if (held.empty()) return;
    std::swap(held[pick(held.size())], held.back());
    if (discard) held.back().discard();
    held.pop_back();
  };
  for (unsigned i = 0; i < 300; ++i) {
    switch (pick(8)) {
      case 0:
      case 1:
        waiting.push_back(w.get());
        break;
      case 2:
        if (auto l = w.pool->try_get()) held.push_back(std::move(l));
        break;
      case 3:
      case 4:
        give(false);
        break;
      case 5:
        give(true);
        break;
      case 6:
        if (!waiting.empty()) waiting[pick(waiting.size())]->cancel.emit(asio::cancellation_type::total);
        break;
      default:
        if (auto& peer = *w.net().peers[pick(w.net().peers.size())]; !peer.gone) {
          pick(2) != 0 ? peer.fin() : peer.reset();
        }
    }
    // Sometimes several of these happen in one turn.
    if (pick(3) == 0) continue;
    w.advance(std::chrono::milliseconds(pick(200)));
    gather();
  }
  for (auto& each : waiting) each->cancel.emit(asio::cancellation_type::terminal);
  held.clear();
  w.advance(10s);
  gather();
  held.clear();
  w.advance(10s);
  BOOST_TEST(gauges(*w.pool) == "4 connected, 4 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.net().open() == size);
}

BOOST_AUTO_TEST_CASE(close_ends_every_waiter_once_with_closed) {
  pool_world w;
  auto lease = w.take();
  std::vector<std::shared_ptr<pool_world::call>> calls;
  for (int i = 0; i < 10; ++i) calls.push_back(w.get());
  w.pool->close();
  calls.front()->cancel.emit(asio::cancellation_type::terminal);
  BOOST_TEST(w.pool->stats().waiting == 0u);
  lease.put();
  w.advance(1h);
  unsigned order = 0;
  for (auto& each : calls) {
    BOOST_TEST(each->ends == 1u);
    BOOST_TEST(each->error == errc::closed);
    BOOST_TEST(each->order == ++order);
  }
}

BOOST_AUTO_TEST_CASE(close_does_not_take_a_connection_that_is_on_its_way_to_a_waiter) {
  for (bool cancelled : {false, true}) {
    pool_world w;
    auto lease = w.take();
    auto first = w.get();
    auto second = w.get();
    lease.put();
    w.pool->close();
    if (cancelled) first->cancel.emit(asio::cancellation_type::terminal);
    w.settle();
    BOOST_TEST(bool(first->lease) == !cancelled);
    BOOST_TEST(second->error == errc::closed);
    BOOST_TEST(w.net().open() == (cancelled ? 0u : 1u));
  }
}

BOOST_AUTO_TEST_SUITE_END()
