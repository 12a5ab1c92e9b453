// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdlib>
#include <iostream>

/// For fuzzers: what does not hold is told, and ends the process, which is what libFuzzer takes for a fault.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::cerr << what << std::endl;
  std::abort();
}
