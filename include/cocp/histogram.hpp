// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/event.hpp>
#include <cocp/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace cocp {

/// Counts durations in buckets that are an eighth of a power of two wide, from 1 us to over an hour; those below and
/// above have a bucket each. Fixed size, no allocation.
///
/// \par Thread safety
/// None: a value type.
class COCP_API histogram {
 public:
  /// Negative durations count as zero.
  void record(duration d, std::uint64_t times = 1) noexcept;

  /// The same for all that `other` has recorded.
  void add(const histogram& other) noexcept;

  /// How many durations were recorded.
  std::uint64_t count() const noexcept { return count_; }
  /// All of them together; the longest `duration` if that is too short.
  duration sum() const noexcept { return sum_; }

  /// The shortest time that a part `q` of the durations did not exceed, rounded up to the end of its bucket: at most an
  /// eighth too long. Zero if nothing was recorded.
  /// \par Exceptions
  /// `std::invalid_argument` unless `q` is 0 to 1.
  duration quantile(double q) const;

  /// How many durations were not longer than `bound`, rounded up to the end of its bucket. Exact for bounds that are
  /// the end of one, as zero and 2^n - 1 ns are, n being 10 to 43.
  std::uint64_t count_up_to(duration bound) const noexcept;

 private:
  static constexpr unsigned first_power = 10;
  static constexpr unsigned last_power = 42;
  static constexpr unsigned parts = 8;

  static std::size_t bucket_of(duration d) noexcept;
  static duration end_of(std::size_t bucket) noexcept;

  /// Zero; less than 2^first_power ns; the parts of each power; more.
  std::array<std::uint64_t, 2 + (last_power - first_power + 1) * parts + 1> buckets_{};
  std::uint64_t count_ = 0;
  duration sum_{};
};

}  // namespace cocp
