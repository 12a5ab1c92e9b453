// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/fault_relay.hpp"
#include "support/redis_server.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace cocp::test::soak {

/// Does to the network and the server what is drawn from a seed: each relay is good for a while and bad for a while,
/// and the server is now and then killed, or stopped, and brought back. What is to come does not depend on what has
/// come of it.
class fault_schedule {
 public:
  using duration = std::chrono::nanoseconds;

  fault_schedule(std::uint64_t seed, std::vector<fault_relay*> relays, redis_server& server);

  /// Does what is due `since` the start.
  void advance(duration since);
  /// All is well from now on.
  void end();

  /// How many of the relays and the server are not well now.
  std::size_t troubles() const;
  /// How many changes there have been.
  std::size_t changes() const { return changes_; }

 private:
  struct course {
    std::mt19937_64 random;
    duration next{};
    bool is_bad = false;
  };
  enum class health { well, killed, stopped };

  static duration draw(std::mt19937_64& random, duration least, duration most);
  static bool one_in(std::mt19937_64& random, unsigned n) { return random() % n == 0; }
  static way_faults draw_way(std::mt19937_64& random);
  static relay_faults draw_faults(std::mt19937_64& random);
  void turn(course& c, fault_relay& relay);
  void turn_server();
  void mend_server();

  std::vector<fault_relay*> relays_;
  redis_server& server_;
  std::vector<course> courses_;
  course servers_;
  health health_ = health::well;
  std::size_t changes_ = 0;
};

}  // namespace cocp::test::soak
