// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Random acts of users, operators and the endpoint, in virtual time. The seeds are fixed, so a failure repeats.

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support/pool_world.hpp"
#include "support/sanitized.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using connect_result = fake_network::connect_result;

namespace {

#if defined(COCP_TEST_SANITIZED)
constexpr int worlds = 10;
#else
constexpr int worlds = 100;
#endif

using generator = std::mt19937_64;

const char* const addresses[] = {"10.0.0.1:7", "10.0.0.2:7", "db:7", "unanswered:7"};

cocp::pool_options random_pool(generator& random) {
  cocp::pool_options o{.size = 1 + random() % 8, .max_dialling = 1 + random() % 4};
  if (random() % 3 == 0) o.max_lifetime = 2s;
  if (random() % 3 == 0) o.check_after = 20ms;
  if (random() % 3 == 0) o.fail_fast = std::chrono::milliseconds(random() % 3 * 500);
  return o;
}

cocp::connection_options random_dial(generator& random) {
  cocp::connection_options o{.address = addresses[random() % 4]};
  if (random() % 4 == 0) o.retry_min = 5ms;
  // Each connect takes a turn of the peer's, unless it is gone.
  if (random() % 3 == 0) {
    o.on_connect = [](cocp::connection& c) -> asio::awaitable<void> {
      const auto hello = asio::buffer("hello", 5);
      co_await c.write(hello);
      char b = 0;
      const auto buffer = asio::buffer(&b, 1);
      co_await c.read(buffer);
    };
  }
  return o;
}

/// A pool, those who use it, and an endpoint with its moods.
class mix : public pool_world {
 public:
  explicit mix(std::uint64_t seed) : mix(generator(seed)) {}

  void act() {
    switch (random_() % 16) {
      case 0:
        mood();
        break;
      case 1:
        pool->readdress(addresses[random_() % 4]);
        break;
      case 2:
        pool->retry_now();
        break;
      default:
        harmless_act();
    }
  }

  /// One that is no reason for an attempt while attempts fail.
  void harmless_act() {
    switch (random_() % 8) {
      case 0:
        pool->resize(1 + random_() % 8);
        break;
      case 1:
        calls_.push_back(get(std::chrono::milliseconds(random_() % 2000)));
        break;
      case 2:
        if (auto c = any_call()) c->cancel.emit(asio::cancellation_type::total);
        break;
      case 3:
        if (auto c = any_call()) c->lease.discard();
        break;
      case 4:
        if (auto c = any_call()) c->lease.put();
        break;
      case 5:
        if (!net().peers.empty()) net().peers[random_() % net().peers.size()]->fin();
        break;
      default:
        for (auto n = random_() % 20; n != 0 && step(); --n) answer();
        return;
    }
    // Half of the time the next act comes before anything has run.
    if (random_() % 2 == 0) settle_and_answer();
  }

  void settle_and_answer() {
    settle();
    for (const std::size_t n = net().peers.size(); answer() || n != net().peers.size();) {
      settle();
      if (!answer()) break;
    }
  }

  void pass(cocp::duration d) {
    for (const auto end = net().elapsed() + d; net().elapsed() < end;) {
      advance(std::min<cocp::duration>(5ms, end - net().elapsed()));
      settle_and_answer();
    }
  }

  void mood() {
    net().default_result = random_() % 2 == 0 ? connect_result::accepted : connect_result::refused;
    if (random_() % 4 == 0) net().default_result = connect_result::hangs;
    closes_ = random_() % 3 == 0;
    net().on_accept = [this](fake_peer& p) {
      if (closes_) p.fin();
    };
  }

  void recover() {
    net().default_result = connect_result::accepted;
    net().on_accept = nullptr;
    closes_ = false;
    for (auto& c : calls_) {
      c->cancel.emit(asio::cancellation_type::total);
      c->lease.put();
    }
    settle();
    for (auto& c : calls_) c->lease.put();
    calls_.clear();
  }

  generator random_;

 private:
  explicit mix(generator random) : mix(random_pool(random), random_dial(random), random) {}
  mix(cocp::pool_options p, cocp::connection_options d, generator random)
      : pool_world(std::move(p), std::move(d), random()), random_(random) {}

  std::shared_ptr<call> any_call() { return calls_.empty() ? nullptr : calls_[random_() % calls_.size()]; }

  /// Answers handshakes; whether there were any.
  bool answer() {
    bool any = false;
    const auto peers = net().peers;
    for (const auto& p : peers) {
      if (p->gone || p->received.empty()) continue;
      p->received.clear();
      p->send("!");
      any = true;
    }
    return any;
  }

  std::vector<std::shared_ptr<call>> calls_;
  bool closes_ = false;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(outage_mix)

BOOST_DATA_TEST_CASE(whatever_happened_a_pool_recovers, data::xrange(3 * worlds), seed) {
  mix w(static_cast<std::uint64_t>(seed));
  for (int i = 0; i < 300; ++i) {
    w.act();
    if (w.random_() % 4 == 0) w.advance(std::chrono::milliseconds(w.random_() % 300));
  }
  w.recover();
  const std::size_t size = 1 + w.random_() % 8;
  w.pool->resize(size);
  w.pool->readdress("10.0.0.3:7");
  // The longest backoff delay, and the longest attempt that may be under way.
  w.pass(11s);
  BOOST_TEST(w.pool->stats().connected == size);
  BOOST_TEST(w.pool->stats().connecting == 0u);
  BOOST_TEST(w.net().open() == size);
  std::vector<cocp::lease> all;
  while (cocp::lease l = w.pool->try_get()) all.push_back(std::move(l));
  BOOST_TEST(all.size() == size);
}

BOOST_DATA_TEST_CASE(whatever_happens_an_outage_costs_one_attempt_for_each_step, data::xrange(worlds), seed) {
  mix w(static_cast<std::uint64_t>(seed) + 1000);
  for (int i = 0; i < 100; ++i) {
    w.act();
    if (w.random_() % 4 == 0) w.advance(std::chrono::milliseconds(w.random_() % 300));
  }
  w.net().default_result = connect_result::refused;
  w.settle();
  const auto begun = w.net().attempts.size();
  const auto start = w.net().elapsed();
  while (w.net().elapsed() - start < 30s) {
    w.harmless_act();
    w.advance(std::chrono::milliseconds(w.random_() % 100));
  }
  // 5, 10, 20, ... 2560 ms or 100, 200, ... 3200 ms, and then every 2.5 to 5 s; once more from the beginning if
  // connections were up that were lost later.
  BOOST_TEST(w.net().attempts.size() - begun <= 2 * 10 + 30 / 2.5);
  w.recover();
}

BOOST_AUTO_TEST_SUITE_END()
