// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <cstdio>
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
    char out[length + 1];
    std::snprintf(out, sizeof out, "%c%08x%08x%04x%04x%04x\n", kind, request, holder, index & 0xffff, count & 0xffff,
                  answers & 0xffff);
    return std::string(out, length);
  }

  /// Nothing if it is no such line.
  static std::optional<label> parse(std::string_view line) {
    label l;
    const std::string copy(line);
    if (copy.size() != length || copy.back() != '\n') return std::nullopt;
    if (std::sscanf(copy.c_str(), "%c%8x%8x%4x%4x%4x", &l.kind, &l.request, &l.holder, &l.index, &l.count,
                    &l.answers) != 6) {
      return std::nullopt;
    }
    return l.text() == copy ? std::optional(l) : std::nullopt;
  }
};

}  // namespace cocp::test::sim
