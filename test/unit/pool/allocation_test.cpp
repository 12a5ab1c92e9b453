// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Memory that is not there: each scenario is run again and again, and each time another allocation fails, until one
// needs fewer than that. The program catches what run() throws and runs on.

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "support/failing_memory.hpp"
#include "support/pool_world.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;

namespace {

asio::awaitable<void> greet(cocp::connection& c) {
  const auto out = asio::buffer("hello", 5);
  co_await c.write(out);
  std::array<char, 2> answer{};
  const auto in = asio::buffer(answer);
  co_await c.read(in);
}

/// One run of a scenario.
class trial {
 public:
  world& w() { return world_; }
  cocp::pool& pool() { return *pool_; }

  /// The context is to go as soon as one has failed.
  bool abrupt = false;
  bool closed = false;
  /// Of the pool that is to be made.
  cocp::handshake on_close;
  /// Attempts, and hooks, that are said to have taken too long.
  unsigned timeouts = 0;
  /// What a scenario has found.
  std::string found;

  bool has_ended() const { return abrupt && !failing_allocations::armed(); }

  /// What the program does; it may be told that there is no memory.
  template <class F>
  bool attempt(F f) {
    try {
      f();
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  void go(cocp::duration d) {
    const auto end = world_.net().elapsed() + d;
    while (!has_ended() && !attempt([&] { world_.advance(end - world_.net().elapsed()); })) {
    }
  }

  /// Spared, as what a program begins with.
  void make(const cocp::pool_options& options, const char* address = "10.0.0.1:7") {
    const failing_allocations::spare s;
    cocp::connection_options dial{.address = address, .logger = [this, m = mark_](const cocp::event& e) {
                                    timeouts += e.error == errc::timed_out;
                                  }};
    if (options.on_return) dial.on_connect = greet;
    dial.on_close = on_close;
    pool_.emplace(world_.io(), std::move(dial), options);
  }

  struct call {
    unsigned ends = 0;
    bool started = false;
    error_code error;
    cocp::lease lease;
    asio::cancellation_signal cancel;
  };
  call& get(cocp::duration limit = 5s) {
    call* c = nullptr;
    {
      const failing_allocations::spare s;
      c = calls_.emplace_back(std::make_unique<call>()).get();
    }
    auto done = [c](error_code ec, cocp::lease l) {
      ++c->ends;
      c->error = ec;
      c->lease = std::move(l);
    };
    c->started =
        attempt([&] { pool_->async_get(limit, asio::bind_cancellation_slot(c->cancel.slot(), std::move(done))); });
    return *c;
  }

  void lose_all(void (fake_peer::*how)()) {
    const failing_allocations::spare s;
    const auto peers = world_.net().peers;
    for (const auto& p : peers) {
      if (!p->gone) ((*p).*how)();
    }
  }

  /// Nothing hangs, nothing is lost, and it serves again.
  std::string verdict() {
    failing_allocations::arm(0);
    std::string wrong = found + serves_again();
    for (const auto& c : calls_) {
      if (c->ends != (c->started ? 1u : 0u)) wrong += " a get ended " + std::to_string(c->ends) + " times;";
    }
    calls_.clear();
    if (pool_) {
      const auto drained = world_.watch(pool_->drain());
      world_.advance(3s);
      if (!drained->done) wrong += " drain hangs;";
    }
    pool_.reset();
    world_.advance(3s);
    if (!world_.io().stopped()) wrong += " work is left;";
    if (world_.net().open() != 0) wrong += " a connection is left open;";
    if (world_.net().destroyed_in_use != 0) wrong += " a stream was destroyed in use;";
    world_.destroy_context();
    if (mark_.use_count() != 1) wrong += " something is left;";
    return wrong;
  }

  /// Nothing is left when the context goes now.
  std::string end() {
    failing_allocations::arm(0);
    for (const auto& c : calls_) c->lease.put();
    world_.destroy_context();
    calls_.clear();
    pool_.reset();
    return mark_.use_count() == 1 ? "" : " something is left;";
  }

 private:
  std::string serves_again() {
    for (const auto& c : calls_) c->lease.put();
    world_.advance(60s);
    std::string wrong;
    for (const auto& c : calls_) c->lease.put();
    const auto before = pool_->stats();
    if (closed) return wrong;
    for (std::size_t i = 0; i < before.size; ++i) get(5s);
    world_.advance(10s);
    for (std::size_t i = calls_.size() - before.size; i < calls_.size(); ++i) {
      if (!calls_[i]->lease) wrong += " a place is lost;";
      calls_[i]->lease.put();
    }
    world_.advance(1s);
    const auto s = pool_->stats();
    if (s.leased != 0 || s.waiting != 0 || s.connecting != 0) wrong += " " + gauges(*pool_) + ";";
    return wrong;
  }

  const std::shared_ptr<int> mark_ = std::make_shared<int>();
  world world_;
  std::optional<cocp::pool> pool_;
  std::vector<std::unique_ptr<call>> calls_;
};

void start_up(trial& t) {
  t.make({.size = 2});
  t.go(1s);
}

void named(trial& t) {
  t.make({.size = 1}, "db:7");
  t.go(1s);
}

void get_put_and_hand_off(trial& t) {
  t.make({.size = 1});
  auto& first = t.get();
  auto& second = t.get();
  auto& late = t.get(100ms);
  t.go(10ms);
  first.lease.put();
  t.go(10ms);
  second.lease.put();
  late.lease.put();
  t.go(200ms);
}

asio::awaitable<void> take_and_put(cocp::pool& pool, unsigned times, cocp::duration limit) {
  while (times-- != 0) {
    const cocp::lease l = co_await pool.get(limit);
  }
}

void awaited(trial& t) {
  t.make({.size = 1});
  t.go(10ms);
  auto& first = t.get();
  t.go(10ms);
  for (const cocp::duration limit : {100ms, 1000ms}) {
    // What a coroutine is told that has no memory is its own affair.
    t.attempt([&] { asio::co_spawn(t.w().io(), take_and_put(t.pool(), 2, limit), [](std::exception_ptr) {}); });
  }
  t.go(200ms);
  first.lease.put();
  t.go(10ms);
}

void cancelled(trial& t) {
  t.make({.size = 1});
  t.go(10ms);
  auto& first = t.get();
  auto& second = t.get();
  auto& third = t.get();
  t.go(10ms);
  second.cancel.emit(asio::cancellation_type::total);
  first.lease.put();
  third.cancel.emit(asio::cancellation_type::total);
  t.go(10ms);
}

void lost_when_idle(trial& t) {
  t.make({.size = 2});
  t.go(200ms);
  t.lose_all(&fake_peer::fin);
  t.go(1s);
}

void an_outage(trial& t) {
  t.w().net().default_result = fake_network::connect_result::refused;
  t.make({.size = 2});
  t.get(1s);
  t.go(2s);
  t.w().net().default_result = fake_network::connect_result::accepted;
  t.go(6s);
}

void an_attempt_that_hangs(trial& t) {
  t.w().net().default_result = fake_network::connect_result::hangs;
  t.make({.size = 1});
  t.go(6s);
  if (t.timeouts > 1) t.found += " the second attempt failed with the verdict on the first;";
  t.w().net().default_result = fake_network::connect_result::accepted;
  t.go(6s);
}

void hooks_that_hang(trial& t) {
  t.make({.size = 1, .allow_unread = true, .on_return = greet});
  t.go(6s);
  t.w().net().on_accept = [](fake_peer& p) { p.send("ok"); };
  t.go(6s);
  t.attempt([&] { t.pool().try_get().put(); });
  t.w().net().on_accept = [](fake_peer& p) { p.send("okokokokokokokok"); };
  t.go(6s);
}

// A limit that is moved up has its timer set anew at once; one that is moved back, when it goes off too early.
void operations_that_expire(trial& t) {
  // A read may be outstanding when this returns.
  static char byte = 0;
  static unsigned ends = 0;
  t.make({.size = 1});
  t.go(10ms);
  for (const auto& [first, second] : {std::pair(3s, 1s), std::pair(1s, 3s)}) {
    auto& c = t.get();
    t.go(1s);
    if (!c.lease) return;
    ends = 0;
    for (const cocp::duration limit : {first, second}) t.attempt([&] { c.lease->expires_after(limit); });
    const auto into = asio::buffer(&byte, 1);
    const bool started = t.attempt([&] { c.lease->async_read_some(into, [](error_code, auto) { ++ends; }); });
    t.go(4s);
    if (started && !t.has_ended() && ends != 1) t.found += " a read has outlasted its limit;";
    c.lease.put();
  }
}

void discarded(trial& t) {
  t.make({.size = 1});
  t.go(10ms);
  t.get().lease.discard();
  t.go(10ms);
  t.attempt([&] { t.pool().try_get().discard(); });
  t.go(10ms);
}

void hooks(trial& t) {
  t.w().net().on_accept = [](fake_peer& p) { p.send("okokokokok"); };
  t.make({.size = 1, .allow_unread = true, .on_return = greet, .keepalive = greet, .keepalive_interval = 1s});
  t.go(10ms);
  t.pool().try_get().put();
  t.go(1500ms);
}

void resized(trial& t) {
  t.make({.size = 1});
  t.go(10ms);
  {
    const failing_allocations::spare s;
    t.pool().resize(3);
    t.w().settle();
  }
  t.go(10ms);
  t.attempt([&] { t.pool().resize(2); });
  t.go(10ms);
}

void readdressed(trial& t) {
  t.make({.size = 2});
  t.go(10ms);
  auto held = t.pool().try_get();
  t.attempt([&] { t.pool().readdress("10.0.0.2:7"); });
  t.go(10ms);
  held.put();
  t.go(10ms);
}

void aged(trial& t) {
  t.make({.size = 1, .max_lifetime = 1s});
  t.go(3s);
}

void reported(trial& t) {
  t.make({.size = 1, .report_leases = cocp::lease_report{.held_longer_than = 100ms}});
  t.go(10ms);
  auto held = t.pool().try_get();
  t.go(200ms);
  t.attempt([&] { t.pool().leases(); });
  held.put();
  t.go(10ms);
}

void closed(trial& t) {
  t.make({.size = 2});
  t.go(100ms);
  auto held = t.pool().try_get();
  auto other = t.pool().try_get();
  t.get();
  t.closed = true;
  t.pool().close();
  t.get();
  t.go(10ms);
  held.put();
  other.put();
  t.go(10ms);
}

void closed_while_an_attempt_hangs(trial& t) {
  t.w().net().default_result = fake_network::connect_result::hangs;
  t.make({.size = 1});
  t.get();
  t.go(1s);
  t.closed = true;
  t.pool().close();
  t.go(10ms);
}

void closed_while_hooks_run(trial& t) {
  t.w().net().on_accept = [](fake_peer& p) { p.send("ok"); };
  t.make({.size = 2, .allow_unread = true, .on_return = greet});
  t.go(10ms);
  t.attempt([&] { t.pool().try_get().put(); });
  t.go(10ms);
  t.closed = true;
  t.pool().close();
  t.go(10ms);
}

void last_words(trial& t) {
  t.w().net().on_accept = [](fake_peer& p) { p.send("ok"); };
  t.on_close = greet;
  t.make({.size = 2, .allow_unread = true});
  t.go(10ms);
  t.pool().renew();
  t.go(10ms);
  t.closed = true;
  t.pool().close();
  t.go(10ms);
}

// They have their second, though their supervisor is to end.
void closed_while_last_words_hang(trial& t) {
  t.on_close = greet;
  t.make({.size = 1});
  t.go(10ms);
  t.pool().renew();
  t.go(10ms);
  t.closed = true;
  t.pool().close();
  t.go(10ms);
}

struct scenario {
  const char* name;
  void (*run)(trial&);

  friend std::ostream& operator<<(std::ostream& out, const scenario& s) { return out << s.name; }
};

#define SCENARIO(name) \
  scenario { #name, name }
const scenario scenarios[] = {
    SCENARIO(start_up),
    SCENARIO(named),
    SCENARIO(get_put_and_hand_off),
    SCENARIO(awaited),
    SCENARIO(cancelled),
    SCENARIO(an_outage),
    SCENARIO(an_attempt_that_hangs),
    SCENARIO(discarded),
    SCENARIO(lost_when_idle),
    SCENARIO(operations_that_expire),
    SCENARIO(hooks),
    SCENARIO(hooks_that_hang),
    SCENARIO(resized),
    SCENARIO(aged),
    SCENARIO(readdressed),
    SCENARIO(reported),
    SCENARIO(closed),
    SCENARIO(closed_while_an_attempt_hangs),
    SCENARIO(closed_while_hooks_run),
    SCENARIO(last_words),
    SCENARIO(closed_while_last_words_hang),
};
#undef SCENARIO

}  // namespace

BOOST_AUTO_TEST_SUITE(allocation)

BOOST_DATA_TEST_CASE(whichever_fails_nothing_hangs_or_is_lost_and_the_pool_serves_again, scenarios, s) {
  std::size_t n = 0;
  for (bool ended = false; !ended;) {
    BOOST_REQUIRE(++n < 2000u);
    trial t;
    failing_allocations::arm(n);
    s.run(t);
    ended = failing_allocations::armed();
    const std::string wrong = t.verdict();
    BOOST_TEST(wrong == "", "without the allocation " << n << ':' << wrong);
  }
  BOOST_TEST_MESSAGE("each of " << n - 1 << " allocations has failed");
  BOOST_TEST(n > 5u);
}

BOOST_DATA_TEST_CASE(a_context_that_goes_when_one_has_failed_takes_all_along, scenarios, s) {
  for (std::size_t n = 1;; ++n) {
    BOOST_REQUIRE(n < 2000u);
    trial t;
    t.abrupt = true;
    failing_allocations::arm(n);
    s.run(t);
    const bool ended = failing_allocations::armed();
    const std::string wrong = t.end();
    BOOST_TEST(wrong == "", "without the allocation " << n << ':' << wrong);
    if (ended) break;
  }
}

asio::awaitable<void> take_from_one_and_put(cocp::pools& all, unsigned times) {
  while (times-- != 0) {
    const cocp::lease l = co_await all.get("10.0.0.1:7", 1s);
  }
}

/// One connection, which two coroutines, that both wait for it, hand on. Asio keeps the memory of two coroutines for a
/// thread.
void check_that_waiting_takes_what_asio_has_kept(world& w, cocp::lease first, asio::awaitable<void> one,
                                                 asio::awaitable<void> other, std::function<std::size_t()> waits) {
  const auto done = w.watch(std::move(one));
  const auto other_done = w.watch(std::move(other));
  w.settle();
  first.put();
  w.io().restart();
  while (waits() < 10) BOOST_REQUIRE(w.io().poll_one() == 1);
  const std::size_t before = waits();
  failing_allocations::arm(1);
  for (int i = 0; i < 10; ++i) w.io().poll_one();
  const bool has_taken_none = failing_allocations::armed();
  failing_allocations::arm(0);
  BOOST_TEST(has_taken_none);
  BOOST_TEST(waits() >= before + 5);
  w.settle();
  BOOST_TEST((done->done && other_done->done));
}

BOOST_AUTO_TEST_CASE(a_get_that_waits_takes_what_asio_has_kept) {
  world w;
  cocp::pool pool(w.io(), {.address = "10.0.0.1:7"}, {.size = 1});
  w.settle();
  check_that_waiting_takes_what_asio_has_kept(w, pool.try_get(), take_and_put(pool, 20, 1s), take_and_put(pool, 20, 1s),
                                              [&] { return pool.stats().waits; });
}

BOOST_AUTO_TEST_CASE(a_get_of_one_of_many_pools_takes_no_more) {
  world w;
  cocp::pools all(w.io(), {}, {.size = 1});
  BOOST_TEST(!all.try_get("10.0.0.1:7"));
  w.settle();
  check_that_waiting_takes_what_asio_has_kept(w, all.try_get("10.0.0.1:7"), take_from_one_and_put(all, 20),
                                              take_from_one_and_put(all, 20), [&] { return all.stats().sum.waits; });
}

BOOST_AUTO_TEST_SUITE_END()
