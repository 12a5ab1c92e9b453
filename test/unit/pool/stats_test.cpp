// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What a scraper sees of a pool, whenever it looks: counters that never decrease, and gauges that add up.

#include "support/pool_world.hpp"
#include "support/seed.hpp"

#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using connect_result = fake_network::connect_result;

namespace {

/// The counters of a pool as they were when it last looked.
class scraper {
 public:
  /// What is wrong with what it sees now, or nothing.
  std::string look(const cocp::pool& p) {
    const cocp::stats s = p.stats();
    const std::array<std::uint64_t, 16> now{s.gets,
                                            s.waits,
                                            s.timeouts,
                                            s.cancelled,
                                            s.rejected,
                                            s.connects,
                                            s.connect_failures,
                                            s.disconnects,
                                            s.replaced_dead,
                                            s.replaced_dirty,
                                            s.replaced_expired,
                                            s.tls_resumed,
                                            s.wait_time.count(),
                                            s.create_time.count(),
                                            s.use_time.count(),
                                            static_cast<std::uint64_t>(s.wait_time.sum().count())};
    std::string wrong;
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (now[i] < last_[i]) wrong += "counter " + std::to_string(i) + " has decreased; ";
    }
    last_ = now;
    const std::size_t sum = s.idle + s.leased + s.hooks + s.connecting + s.queued + s.resting;
    if (sum != s.wanted || s.resting > s.wanted) {
      wrong += gauges(p) + ", " + std::to_string(s.hooks) + " in hooks, " + std::to_string(s.queued) + " queued, " +
               std::to_string(s.resting) + " resting, " + std::to_string(s.wanted) + " wanted; ";
    }
    if (s.wait_time.count() != s.gets + s.timeouts + s.cancelled + s.rejected + failed) {
      wrong += "wait_time has " + std::to_string(s.wait_time.count()) + " of " + counters(p) + "; ";
    }
    return wrong;
  }

  /// Calls of `get` that failed and have no counter of their own.
  std::uint64_t failed = 0;

 private:
  std::array<std::uint64_t, 16> last_{};
};

/// Users, losses and time at random.
class chaos {
 public:
  chaos(std::uint64_t seed, cocp::pool_options options)
      : random_(seed), world_(std::move(options), {.connect_timeout = 1s, .logger = [](const cocp::event&) {}}, seed) {
    world_.net().on_peek = [this] { look(); };
  }
  ~chaos() {
    world_.net().on_peek = nullptr;
    held_.clear();
    calls_.clear();
  }

  /// What is wrong at any step of it, or nothing.
  std::string run(unsigned steps) {
    for (unsigned i = 0; i < steps && wrong_.empty(); ++i) {
      act();
      look();
      // Sometimes nobody runs for a while, so that a cancellation meets what is on its way.
      for (std::size_t n = pick(12); n != 0; --n) {
        world_.io().restart();
        world_.io().poll_one();
        look();
      }
    }
    return wrong_;
  }

 private:
  std::size_t pick(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

  void look() { wrong_ += scraper_.look(*world_.pool); }

  void act() {
    auto& net = world_.net();
    switch (pick(12)) {
      case 0:
      case 1:
        calls_.push_back(world_.get(10ms * static_cast<int>(pick(5))));
        break;
      case 2:
        if (auto l = world_.pool->try_get()) held_.push_back(std::move(l));
        break;
      case 3:
        if (!calls_.empty()) calls_[pick(calls_.size())]->cancel.emit(asio::cancellation_type::terminal);
        break;
      case 4:
        for (auto& c : calls_) {
          if (c->lease) held_.push_back(std::move(c->lease));
        }
        std::erase_if(calls_, [](const auto& c) { return c->ends != 0; });
        break;
      case 5:
      case 6:
        if (held_.empty()) break;
        if (pick(4) == 0) held_.back().discard();
        held_.pop_back();
        break;
      case 7:
        if (!net.peers.empty()) net.peers[pick(net.peers.size())]->fin();
        break;
      case 8:
        net.default_result = pick(3) == 0 ? connect_result::refused : connect_result::accepted;
        break;
      case 9:
        world_.pool->resize(1 + pick(4));
        break;
      case 10:
        world_.pool->readdress(pick(2) == 0 ? "10.0.0.1:7" : "10.0.0.2:7");
        break;
      default:
        net.move(std::chrono::milliseconds(1 + pick(200)));
    }
  }

  std::mt19937_64 random_;
  pool_world world_;
  scraper scraper_;
  std::string wrong_;
  std::vector<std::shared_ptr<pool_world::call>> calls_;
  std::vector<cocp::lease> held_;
};

cocp::handshake slow_hook() {
  return [](cocp::connection& c) -> asio::awaitable<void> {
    co_await asio::post(c.get_executor(), asio::use_awaitable);
    co_await asio::post(c.get_executor(), asio::use_awaitable);
  };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stats)

BOOST_DATA_TEST_CASE(no_counter_decreases_and_the_gauges_add_up_at_every_step, data::xrange(4), kind) {
  const bool hooks = kind & 1;
  const bool on_demand = kind & 2;
  cocp::pool_options options{.size = 3, .max_waiting = 4};
  if (on_demand) {
    options.min_size = 0;
    options.idle_timeout = 300ms;
    options.max_lifetime = 500ms;
  }
  if (hooks) {
    options.on_return = slow_hook();
    options.keepalive = slow_hook();
    options.keepalive_interval = 100ms;
  }
  chaos c(random_seed(), options);
  BOOST_TEST(c.run(20'000) == "");
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_dead_at_the_check_was_never_a_get) {
  pool_world w;
  w.advance(1s);
  std::uint64_t gets = 0;
  std::size_t leased = 0;
  w.net().on_peek = [&] {
    gets = w.pool->stats().gets;
    leased = w.pool->stats().leased;
  };
  w.peer().fin();
  BOOST_TEST(!w.pool->try_get());
  BOOST_TEST(gets == 0u);
  BOOST_TEST(leased == 1u);
  BOOST_TEST(counters(*w.pool) == "connects 1, disconnects 1, replaced_dead 1");
  w.settle();
  auto lease = w.pool->try_get();
  BOOST_TEST(gets == 0u);
  BOOST_TEST(w.pool->stats().gets == 1u);
  w.net().on_peek = nullptr;
}

BOOST_AUTO_TEST_CASE(a_call_that_is_cancelled_while_its_lease_is_on_the_way_was_never_a_get) {
  for (const bool waits : {false, true}) {
    pool_world w;
    std::optional<cocp::lease> held;
    if (waits) held = w.take();
    w.settle();
    auto call = w.get();
    w.advance(3ms);
    if (waits) {
      held->put();
    } else {
      // Idle: given at once, and completed through the executor.
      call->lease.put();
      w.settle();
      call = w.get();
    }
    const auto before = w.pool->stats();
    call->cancel.emit(asio::cancellation_type::terminal);
    w.settle();
    BOOST_TEST(call->error == asio::error::operation_aborted);
    const auto after = w.pool->stats();
    BOOST_TEST(before.gets == 1u);
    BOOST_TEST(after.gets == 1u);
    BOOST_TEST(after.waits == before.waits);
    BOOST_TEST(after.cancelled == 1u);
    BOOST_TEST(after.wait_time.count() == 2u);
    BOOST_TEST((after.wait_time.sum() == (waits ? 3ms : 0ms)));
  }
}

BOOST_AUTO_TEST_CASE(what_hooks_hold_is_in_the_gauges_and_in_the_text_of_get) {
  auto never = [](cocp::connection& c) -> asio::awaitable<void> {
    std::array<char, 1> byte{};
    co_await c.read_some(asio::buffer(byte));
  };
  pool_world w({.size = 1, .on_return = never}, {.connect_timeout = 5s});
  w.take().put();
  BOOST_TEST(w.pool->stats().hooks == 1u);
  auto got = w.watch(w.pool->get(1s));
  w.advance(1s);
  BOOST_TEST(got->what ==
             "get: no connection to 10.0.0.1:7 within 1 s (size 1: 1 up, 0 leased, 1 in hooks, 0 waiting)");
  w.advance(4s);
  BOOST_TEST(w.pool->stats().hooks == 0u);
  const auto& events = w.log.entries();
  BOOST_TEST(events.at(1).line == "info replaced 10.0.0.1:7: timed out: on_return took longer than connect_timeout");
}

BOOST_AUTO_TEST_CASE(a_keepalive_that_took_too_long_is_named) {
  auto never = [](cocp::connection& c) -> asio::awaitable<void> {
    std::array<char, 1> byte{};
    co_await c.read_some(asio::buffer(byte));
  };
  pool_world w({.size = 1, .keepalive = never, .keepalive_interval = 10s}, {.connect_timeout = 5s});
  w.advance(16s);
  BOOST_TEST(w.log.entries().at(1).reason == "keepalive took longer than connect_timeout");
}

BOOST_AUTO_TEST_CASE(those_who_wait_to_dial_are_queued) {
  pool_world w({.size = 4, .max_dialling = 2});
  w.net().default_result = connect_result::hangs;
  w.settle();
  BOOST_TEST(w.pool->stats().connecting == 1u, "the first one tells whether the endpoint is there");
  BOOST_TEST(w.pool->stats().queued == 3u);
  BOOST_TEST(w.pool->stats().resting == 0u);
  BOOST_TEST(w.pool->stats().wanted == 4u);
}

BOOST_AUTO_TEST_CASE(a_closed_pool_wants_what_has_not_ended_yet) {
  pool_world w({.size = 3});
  auto lease = w.take();
  w.pool->close();
  BOOST_TEST(w.pool->stats().wanted == 1u);
  BOOST_TEST(w.pool->stats().connected == 1u);
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 1u);
  lease.put();
  w.settle();
  BOOST_TEST(w.pool->stats().wanted == 0u);
  BOOST_TEST(w.pool->stats().connected == 0u);
  BOOST_TEST(gauges(*w.pool) == "0 connected, 0 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(what_is_lost_in_a_lease_of_a_closed_pool_is_not_up) {
  pool_world w;
  auto lease = w.take();
  std::array<char, 1> byte{};
  lease->async_read_some(asio::buffer(byte), [](cocp::error_code, std::size_t) {});
  w.pool->close();
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 1u);
  w.peer().reset();
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 0u);
  BOOST_TEST(w.pool->stats().leased == 1u);
}

BOOST_AUTO_TEST_CASE(why_a_leases_connection_went_is_counted_when_the_lease_has_ended) {
  pool_world w;
  w.take().discard();
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 1, replaced_dirty 1");
  BOOST_TEST(w.pool->stats().connected == 0u);
  w.settle();
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 2, replaced_dirty 1", "and not once more by its supervisor");
  BOOST_TEST(w.pool->stats().connected == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
