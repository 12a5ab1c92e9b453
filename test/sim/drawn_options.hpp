// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "dice.hpp"

#include <cocp/options.hpp>

#include <cstdint>
#include <string>

namespace cocp::test::sim {

/// A pool's options drawn at random: the extremes of each, off, equal to another, and between.
struct drawn_options {
  pool_options pool;
  /// The hooks are the simulation's.
  connection_options dial;
  bool on_connect = false;
  bool on_return = false;
  bool keepalive = false;
  bool on_close = false;

  /// `plain`: a bit for each option in the order of the drawing, which keeps its default then.
  drawn_options(dice& d, std::uint64_t plain);

  /// As in "size 3 min_size 0 ...".
  std::string text() const;
  /// Something happens again and again in less than a second, as long as the pool lives.
  bool is_busy() const;

  static constexpr unsigned count = 23;
};

}  // namespace cocp::test::sim
