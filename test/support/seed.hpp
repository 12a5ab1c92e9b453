// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

namespace cocp::test {

/// What all that is random in a test program starts from: a new one for each run, which is printed, or what follows
/// `--` on the command line.
inline std::uint64_t random_seed() {
  static const std::uint64_t seed = [] {
    const auto& suite = boost::unit_test::framework::master_test_suite();
    const std::uint64_t s = suite.argc > 1 ? std::strtoull(suite.argv[1], nullptr, 10) : std::random_device{}();
    std::clog << "seed " << s << '\n';
    return s;
  }();
  return seed;
}

}  // namespace cocp::test
