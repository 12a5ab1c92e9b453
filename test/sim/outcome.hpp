// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "plan.hpp"

#include <cocp/options.hpp>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace cocp::test::sim {

/// What has come of a simulation.
struct outcome {
  /// What was broken; nothing if all held.
  std::vector<std::string> failures;
  duration virtual_time{};
  /// True if the allocation that was to fail was never made.
  bool spared = true;
};

/// The simulation cannot go on.
struct stuck : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Runs a plan. `trace`: called with a line for all that happens.
outcome simulate(const plan& p, std::function<void(const std::string&)> trace = nullptr);

}  // namespace cocp::test::sim
