// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "support/world.hpp"

namespace cocp::test {

/// For Boost.Test's messages.
inline std::ostream& operator<<(std::ostream& out, fake_network::connect_result r) {
  switch (r) {
    case fake_network::connect_result::accepted:
      return out << "accepted";
    case fake_network::connect_result::refused:
      return out << "refused";
    case fake_network::connect_result::busy:
      return out << "busy";
    case fake_network::connect_result::hangs:
      break;
  }
  return out << "hangs";
}

/// The gauges but for the size, as in "5 connected, 4 idle, 1 leased, 0 connecting, 0 waiting".
inline std::string gauges(const pool& p) {
  const auto s = p.stats();
  return std::to_string(s.connected) + " connected, " + std::to_string(s.idle) + " idle, " + std::to_string(s.leased) +
         " leased, " + std::to_string(s.connecting) + " connecting, " + std::to_string(s.waiting) + " waiting";
}

/// The counters that are not zero, as in "gets 2, waits 1, connects 5".
inline std::string counters(const pool& p) {
  const auto s = p.stats();
  std::string out;
  auto add = [&out](const char* name, std::uint64_t n) {
    if (n == 0) return;
    if (!out.empty()) out += ", ";
    out += std::string(name) + ' ' + std::to_string(n);
  };
  add("gets", s.gets);
  add("waits", s.waits);
  add("timeouts", s.timeouts);
  add("cancelled", s.cancelled);
  add("rejected", s.rejected);
  add("connects", s.connects);
  add("connect_failures", s.connect_failures);
  add("disconnects", s.disconnects);
  add("replaced_dead", s.replaced_dead);
  add("replaced_dirty", s.replaced_dirty);
  add("replaced_expired", s.replaced_expired);
  return out;
}

/// A pool of one connection, unless `options` says otherwise, on the fake network; its address is 10.0.0.1:7 unless
/// `dial` has one.
class pool_world : public world {
 public:
  explicit pool_world(pool_options options = {.size = 1}, connection_options dial = {}, std::uint64_t seed = 1)
      : world(seed) {
    if (dial.address.empty()) dial.address = "10.0.0.1:7";
    if (!dial.logger) dial.logger = log.log();
    pool.emplace(io(), std::move(dial), std::move(options));
  }
  ~pool_world() { pool.reset(); }

  /// Starts one; no `timeout`: the pool's own.
  std::shared_ptr<call> get(std::optional<duration> timeout = {}) {
    return begin_call([&](auto done) {
      if (timeout) {
        pool->async_get(*timeout, std::move(done));
      } else {
        pool->async_get(std::move(done));
      }
    });
  }

  /// A lease of a connection that is idle.
  cocp::lease take() {
    settle();
    auto l = pool->try_get();
    BOOST_REQUIRE(bool(l));
    return l;
  }

  /// The far end of the last connect.
  fake_peer& peer() { return *net().peers.back(); }

  recording_logger log;
  std::optional<cocp::pool> pool;
};

}  // namespace cocp::test
