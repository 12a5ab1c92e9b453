// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace bench {

/// The command line is wrong; the text says what is wrong with it.
class usage_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The smallest and the largest of sizes that are drawn.
struct byte_range {
  std::size_t least = 64;
  std::size_t most = 64;

  friend bool operator==(const byte_range&, const byte_range&) = default;
};

/// All of the text as a number that is not negative; nothing if it is none.
std::optional<double> parse_number(std::string_view text);

/// As in `2s`, `50ms`, `100us`, `1m`, or `0.5`, which is seconds; nothing if it is none.
std::optional<std::chrono::nanoseconds> parse_time(std::string_view text);

/// As in `30%`: 0 to 1; nothing if it is none.
std::optional<double> parse_share(std::string_view text);

/// As in `64`, or `64..4096`; nothing if it is none.
std::optional<byte_range> parse_bytes(std::string_view text);

/// The shortest of the ways to write it that `parse_time` knows.
std::string to_string(std::chrono::nanoseconds time);

}  // namespace bench
