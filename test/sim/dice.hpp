// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>

namespace cocp::test::sim {

/// All chance in a simulation: the same seed, the same throws.
class dice {
 public:
  explicit dice(std::uint64_t seed) : random_(seed) {}

  std::uint64_t any() { return random_(); }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  bool percent(unsigned p) { return below(100) < p; }
  template <class T>
  T of(std::initializer_list<T> all) {
    return all.begin()[below(all.size())];
  }

 private:
  std::mt19937_64 random_;
};

}  // namespace cocp::test::sim
