// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A million random steps of a pool's users, checked against a simple model after each: a queue, and a count of leases.
// The seed is printed; `-- SEED` repeats a run.

#include "support/pool_world.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <ostream>
#include <random>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;

namespace {

#if defined(COCP_TEST_SANITIZED)
constexpr unsigned steps = 100'000;
#else
constexpr unsigned steps = 1'000'000;
#endif

constexpr std::size_t size = 3;
constexpr std::array<cocp::duration, 4> timeouts{1ms, 5ms, 20ms, 100ms};

/// One whose wait should still go on.
struct waiting_call {
  std::shared_ptr<pool_world::call> call;
  cocp::duration deadline;
};

class model {
 public:
  explicit model(std::uint64_t seed)
      : random_(seed),
        // A loss is never so early that it counts as a failed attempt.
        world_({.size = size}, {.retry_min = 1ns, .retry_max = 1ns, .logger = [](const cocp::event&) {}}, seed) {
    world_.settle();
  }

  /// Does something, and checks what came of it. False if that is not what the model says.
  bool step() {
    const bool as_expected = act();
    const auto s = world_.pool->stats();
    // Whoever can be served has been.
    return as_expected && s.leased == held_.size() && s.waiting == queue_.size() && s.connected == size &&
           s.idle == size - held_.size() && (queue_.empty() || held_.size() == size) &&
           std::ranges::all_of(queue_, [](const auto& w) { return w.call->ends == 0; });
  }

  friend std::ostream& operator<<(std::ostream& out, const model& m) {
    return out << gauges(*m.world_.pool) << "; expected " << m.held_.size() << " leased, " << m.queue_.size()
               << " waiting; the last act was " << m.last_;
  }

  /// How many calls were served, cancelled, and timed out.
  std::array<unsigned, 3> ends{};

 private:
  std::size_t pick(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

  bool act() {
    last_ = pick(10);
    switch (last_) {
      case 0:
      case 1:
      case 2:
      case 3:
        return get();
      case 4:
      case 5:
        return give_back(false);
      case 6:
        return give_back(true);
      case 7:
        return cancel();
      case 8:
        kill();
        break;
      default:
        break;
    }
    return pass(std::chrono::microseconds(1 + pick(3000)));
  }

  bool get() {
    const cocp::duration timeout = timeouts[pick(timeouts.size())];
    auto call = world_.get(timeout);
    world_.settle();
    if (held_.size() < size) return served(*call);
    queue_.push_back({std::move(call), world_.net().elapsed() + timeout});
    return true;
  }

  bool give_back(bool discard) {
    if (held_.empty()) return true;
    std::swap(held_[pick(held_.size())], held_.back());
    if (discard) held_.back().discard();
    held_.pop_back();
    world_.settle();
    if (queue_.empty()) return true;
    auto first = queue_.front().call;
    queue_.erase(queue_.begin());
    return served(*first);
  }

  bool cancel() {
    if (queue_.empty()) return true;
    const auto at = queue_.begin() + static_cast<std::ptrdiff_t>(pick(queue_.size()));
    auto call = at->call;
    queue_.erase(at);
    call->cancel.emit(asio::cancellation_type::total);
    world_.settle();
    return ended(*call, asio::error::operation_aborted, 1);
  }

  void kill() {
    auto& peers = world_.net().peers;
    std::erase_if(peers, [](const auto& p) { return p->gone; });
    fake_peer& peer = *peers[pick(peers.size())];
    pick(2) == 0 ? peer.fin() : peer.reset();
    // Nobody is to be told of it, and what is idle is up again when somebody looks.
    world_.settle();
  }

  /// Those whose time comes end, in the order of their deadlines.
  bool pass(cocp::duration d) {
    world_.advance(d);
    const auto now = world_.net().elapsed();
    std::vector<waiting_call> due;
    std::ranges::copy_if(queue_, std::back_inserter(due), [&](const auto& w) { return w.deadline <= now; });
    std::erase_if(queue_, [&](const auto& w) { return w.deadline <= now; });
    std::ranges::sort(due, {}, &waiting_call::deadline);
    unsigned latest = 0;
    unsigned latest_before = 0;
    cocp::duration deadline{};
    for (const auto& w : due) {
      // Those with the same deadline in any order.
      if (std::exchange(deadline, w.deadline) != w.deadline) latest_before = latest;
      if (!ended(*w.call, errc::timed_out, 2) || w.call->order < latest_before) return false;
      latest = std::max(latest, w.call->order);
    }
    return true;
  }

  bool served(pool_world::call& call) {
    if (!ended(call, {}, 0) || !call.lease) return false;
    held_.push_back(std::move(call.lease));
    return true;
  }

  bool ended(const pool_world::call& call, error_code how, std::size_t kind) {
    ++ends[kind];
    return call.ends == 1 && call.error == how;
  }

  std::mt19937_64 random_;
  std::size_t last_ = 0;
  pool_world world_;
  std::vector<waiting_call> queue_;
  std::vector<cocp::lease> held_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(queue_model)

BOOST_AUTO_TEST_CASE(says_what_becomes_of_every_call_of_get) {
  model m(random_seed());
  for (unsigned i = 0; i < steps; ++i) BOOST_REQUIRE_MESSAGE(m.step(), "step " << i << " came out otherwise: " << m);
  for (std::size_t kind = 0; kind < 3; ++kind) BOOST_TEST(m.ends[kind] > steps / 100, "of kind " << kind);
}

BOOST_AUTO_TEST_SUITE_END()
