// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "plan.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace cocp::test::sim {

/// What a simulation of one plan has broken, in a process of its own, for it may crash, or hang; empty if nothing.
std::string try_plan(const plan& p);

/// What many simulations have come to.
struct tally {
  std::uint64_t simulations = 0;
  std::uint64_t failed = 0;
  duration virtual_time{};
};

/// Runs one plan after the other, in a process of their own, which is replaced when it crashes or hangs. `next` gives
/// the n-th seed, or nothing at the end, which is also when `failures` have been told on standard output.
tally run_all(const std::function<std::optional<std::uint64_t>(std::uint64_t)>& next, std::uint64_t failures);

/// Cut off after a dozen acts, for what is run again and again.
void make_short(plan& p);

/// The same for one seed, made short, with each of its allocations failing in turn.
tally fail_each_allocation(std::uint64_t seed);

/// A plan that fails too, and has as little in it as could be found.
plan shrink(plan p);

}  // namespace cocp::test::sim
