// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace bench {

/// When requests are due that come at a constant rate, whether those before have been answered or not. Who is late
/// takes the next one all the same, and its latency counts from when it was due: a stalled server makes all of them
/// late that came meanwhile, not only those that it held up ("coordinated omission"). Thread-safe.
class schedule {
 public:
  using clock = std::chrono::steady_clock;

  schedule(clock::time_point start, double rate) : start_(start), rate_(rate) {}

  /// When the next request is due that nobody has taken.
  clock::time_point take() noexcept { return due(taken_.fetch_add(1, std::memory_order_relaxed)); }

  /// How many of those that were due before `now` nobody has taken.
  std::uint64_t not_taken(clock::time_point now) const noexcept {
    if (now <= start_) return 0;
    const std::chrono::duration<double> time = now - start_;
    const auto all = static_cast<std::uint64_t>(time.count() * rate_);
    const std::uint64_t taken = taken_.load(std::memory_order_relaxed);
    return all > taken ? all - taken : 0;
  }

 private:
  clock::time_point due(std::uint64_t n) const noexcept {
    const std::chrono::duration<double> after(static_cast<double>(n) / rate_);
    return start_ + std::chrono::duration_cast<clock::duration>(after);
  }

  const clock::time_point start_;
  const double rate_;  ///< A second.
  std::atomic<std::uint64_t> taken_ = 0;
};

}  // namespace bench
