// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <span>

namespace cocp::test::sim {

/// All chance in a simulation: the same seed, the same throws.
class dice {
 public:
  explicit dice(std::uint64_t seed) : random_(seed) {}
  /// Of which the first are what somebody has written down: a byte for each throw, and two for `any`. Then it goes on
  /// as from a seed. What is written down lives as long.
  explicit dice(std::span<const std::uint8_t> written) : written_(written), random_(written.size()) {}

  std::uint64_t any() {
    if (written_.empty()) return random_();
    const std::size_t high = below(256);
    return high << 8 | below(256);
  }
  std::size_t below(std::size_t n) {
    if (written_.empty()) return static_cast<std::size_t>(random_() % n);
    const std::size_t thrown = written_.front() % n;
    written_ = written_.subspan(1);
    return thrown;
  }
  bool one_in(std::size_t n) { return below(n) == 0; }
  bool percent(unsigned p) { return below(100) < p; }
  template <class T>
  T of(std::initializer_list<T> all) {
    return all.begin()[below(all.size())];
  }
  /// Something written down is left.
  bool has_written() const { return !written_.empty(); }

 private:
  std::span<const std::uint8_t> written_;
  std::mt19937_64 random_;
};

}  // namespace cocp::test::sim
