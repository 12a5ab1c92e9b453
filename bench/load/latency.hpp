// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/histogram/axis/regular.hpp>
#include <boost/histogram/histogram.hpp>
#include <boost/histogram/storage_adaptor.hpp>

#include <chrono>
#include <cstdint>
#include <tuple>
#include <vector>

namespace bench {

/// How long requests took, in bins that are half a percent wide, from 1 us to 100 s; what is below and above has a bin
/// each.
class latency {
 public:
  /// Requests that took no longer than `end`, and longer than the bin before says.
  struct bin {
    std::chrono::nanoseconds end{};
    std::uint64_t count = 0;
  };

  void record(std::chrono::nanoseconds took);
  void add(const latency& other);

  std::uint64_t count() const noexcept { return count_; }
  std::chrono::nanoseconds longest() const noexcept { return longest_; }
  /// The time that a part `q` of them did not exceed, at most a bin too long; zero if there were none.
  std::chrono::nanoseconds quantile(double q) const;
  /// Those that are not empty.
  std::vector<bin> bins() const;

 private:
  using axis = boost::histogram::axis::regular<double, boost::histogram::axis::transform::log>;

  boost::histogram::histogram<std::tuple<axis>, boost::histogram::dense_storage<std::uint64_t>> counts_{
      std::make_tuple(axis(3684, 1e-6, 100))};
  std::uint64_t count_ = 0;
  std::chrono::nanoseconds longest_{};
};

}  // namespace bench
