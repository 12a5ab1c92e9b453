// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "latency.hpp"

#include <algorithm>
#include <cmath>

namespace bench {
namespace {

std::chrono::nanoseconds nanoseconds_of(double seconds) {
  return std::chrono::nanoseconds(std::llround(seconds * 1e9));
}

}  // namespace

void latency::record(std::chrono::nanoseconds took) {
  counts_(std::chrono::duration<double>(took).count());
  ++count_;
  longest_ = std::max(longest_, took);
}

void latency::add(const latency& other) {
  counts_ += other.counts_;
  count_ += other.count_;
  longest_ = std::max(longest_, other.longest_);
}

std::vector<latency::bin> latency::bins() const {
  std::vector<bin> found;
  const axis& times = counts_.axis();
  for (int i = -1; i <= times.size(); ++i) {
    const std::uint64_t n = counts_.at(i);
    if (n == 0) continue;
    found.push_back({i == times.size() ? longest_ : std::min(longest_, nanoseconds_of(times.value(i + 1))), n});
  }
  return found;
}

std::chrono::nanoseconds latency::quantile(double q) const {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (const bin& b : bins()) {
    seen += b.count;
    if (seen >= wanted) return b.end;
  }
  return longest_;
}

}  // namespace bench
