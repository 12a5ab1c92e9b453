// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "base/time.hpp"

#include <array>
#include <cstdio>

namespace cocp::detail {

std::string to_text(duration d) {
  struct unit {
    double nanoseconds;
    const char* name;
  };
  static constexpr std::array<unit, 3> units{{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}}};
  const auto count = static_cast<double>(d.count());
  for (const unit& u : units) {
    if (count >= u.nanoseconds || count <= -u.nanoseconds) {
      std::array<char, 64> text{};
      std::snprintf(text.data(), text.size(), "%.10g %s", count / u.nanoseconds, u.name);
      return text.data();
    }
  }
  return std::to_string(d.count()) + (d.count() == 0 ? " s" : " ns");
}

}  // namespace cocp::detail
