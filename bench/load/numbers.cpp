// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "numbers.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iomanip>
#include <sstream>

namespace bench {

double quantile_of(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - std::floor(at)) * (sorted[above] - sorted[below]);
}

std::string grouped(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string rate_of(double per_second) { return grouped(static_cast<std::uint64_t>(per_second)) + "/s"; }

std::string short_time(std::chrono::nanoseconds t) {
  if (t.count() == 0) return "-";
  const auto ns = static_cast<double>(t.count());
  const double value = ns >= 1e9 ? ns / 1e9 : ns >= 1e6 ? ns / 1e6 : ns / 1e3;
  std::ostringstream out;
  out << std::fixed
      << std::setprecision(value >= 100  ? 0
                           : value >= 10 ? 1
                                         : 2)
      << value
      << (ns >= 1e9   ? " s"
          : ns >= 1e6 ? " ms"
                      : " us");
  return out.str();
}

std::string count_of(std::uint64_t n, std::string_view what) {
  return grouped(n) + " " + std::string(what) + (n == 1 ? "" : "s");
}

}  // namespace bench
