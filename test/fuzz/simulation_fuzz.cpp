// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// The simulation (test/sim), of which the bytes say what is done. `simulation-fuzz FILE` replays one.

#include "outcome.hpp"
#include "plan.hpp"

#include "fuzz/require.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cocp::test::sim;
  const outcome o = simulate(plan(std::span(data, size)));
  require(o.failures.empty(), o.failures.empty() ? "" : o.failures.front().c_str());
  return 0;
}
