// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cocp::test::sim {

/// What every byte that is sent in a simulation is a part of: a line of fixed length, which says whose it is.
struct label {
  /// 'Q': of a request; 'A': of its answer; 'P': pushed.
  char kind = 0;
  std::uint32_t request = 0;
  /// Who holds the stream: a lease, or a hook.
  std::uint32_t holder = 0;
  /// Which line of how many it is.
  std::uint32_t index = 0;
  std::uint32_t count = 0;
  /// How many lines the answer has.
  std::uint32_t answers = 0;

  static constexpr std::size_t length = 30;

  std::string text() const {
    std::string out(length, kind);
    std::size_t at = 1;
    // By hand: half of a simulation's time would be snprintf's and sscanf's.
    const auto put = [&](std::uint32_t n, std::size_t digits) {
      for (std::size_t i = digits; i-- != 0; n >>= 4) out[at + i] = "0123456789abcdef"[n & 0xf];
      at += digits;
    };
    put(request, 8);
    put(holder, 8);
    put(index, 4);
    put(count, 4);
    put(answers, 4);
    out[at] = '\n';
    return out;
  }

  /// Nothing if it is no such line.
  static std::optional<label> parse(std::string_view line) {
    if (line.size() != length || line.back() != '\n') return std::nullopt;
    std::size_t at = 1;
    bool well = true;
    const auto get = [&](std::size_t digits) {
      std::uint32_t n = 0;
      for (const std::size_t end = at + digits; at != end; ++at) {
        const char c = line[at];
        const bool is_digit = c >= '0' && c <= '9';
        well = well && (is_digit || (c >= 'a' && c <= 'f'));
        n = n << 4 | static_cast<std::uint32_t>(is_digit ? c - '0' : c - 'a' + 10);
      }
      return n;
    };
    label l;
    l.kind = line[0];
    l.request = get(8);
    l.holder = get(8);
    l.index = get(4);
    l.count = get(4);
    l.answers = get(4);
    well = well && (l.kind == 'Q' || l.kind == 'A' || l.kind == 'P');
    return well ? std::optional(l) : std::nullopt;
  }
};

}  // namespace cocp::test::sim
