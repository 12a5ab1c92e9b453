// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "options.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>

namespace bench {

/// Random bytes, as many at a time as the options say.
class payload {
 public:
  explicit payload(byte_range sizes) : size_(sizes.least, sizes.most) {}

  std::size_t size() { return size_(generator_); }

  /// Appends `n` bytes.
  void append(std::string& out, std::size_t n) {
    const std::size_t begin = out.size();
    out.resize(begin + n);
    for (std::size_t i = 0; i < n; i += sizeof(std::uint64_t)) {
      const std::uint64_t word = generator_();
      std::memcpy(out.data() + begin + i, &word, std::min(sizeof word, n - i));
    }
  }

 private:
  std::mt19937_64 generator_{std::random_device{}()};
  std::uniform_int_distribution<std::size_t> size_;
};

}  // namespace bench
