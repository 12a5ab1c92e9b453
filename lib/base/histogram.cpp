// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/histogram.hpp>

#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

namespace cocp {

std::size_t histogram::bucket_of(duration d) noexcept {
  if (d <= duration::zero()) return 0;
  const auto n = static_cast<std::uint64_t>(d.count());
  const auto power = static_cast<unsigned>(std::bit_width(n)) - 1;
  if (power < first_power) return 1;
  if (power > last_power) return 2 + (last_power - first_power + 1) * parts;
  // The three bits after the highest.
  const auto part = static_cast<unsigned>(n >> (power - 3)) & (parts - 1);
  return 2 + (power - first_power) * parts + part;
}

duration histogram::end_of(std::size_t bucket) noexcept {
  if (bucket == 0) return duration::zero();
  if (bucket == 1) return duration((1LL << first_power) - 1);
  const auto power = static_cast<unsigned>((bucket - 2) / parts) + first_power;
  const auto part = static_cast<long long>((bucket - 2) % parts);
  return power > last_power ? duration::max() : duration(((parts + part + 1) << (power - 3)) - 1);
}

void histogram::record(duration d, std::uint64_t times) noexcept {
  buckets_[bucket_of(d)] += times;
  count_ += times;
  if (d <= duration::zero() || times == 0) return;
  // It stops at the longest time there is.
  const auto room = static_cast<std::uint64_t>((duration::max() - sum_).count());
  const auto each = static_cast<std::uint64_t>(d.count());
  sum_ = times > room / each ? duration::max() : sum_ + d * static_cast<duration::rep>(times);
}

void histogram::add(const histogram& other) noexcept {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ = other.sum_ > duration::max() - sum_ ? duration::max() : sum_ + other.sum_;
}

duration histogram::quantile(double q) const {
  if (!(q >= 0 && q <= 1)) throw std::invalid_argument("quantile: " + std::to_string(q) + ": must be 0 to 1");
  if (count_ == 0) return duration::zero();
  const double wanted = std::ceil(q * static_cast<double>(count_));
  std::uint64_t seen = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] == 0) continue;
    last = i;
    seen += buckets_[i];
    if (static_cast<double>(seen) >= wanted) break;
  }
  return end_of(last);
}

std::uint64_t histogram::count_up_to(duration bound) const noexcept {
  std::uint64_t seen = 0;
  const std::size_t last = bucket_of(bound);
  for (std::size_t i = 0; i <= last; ++i) seen += buckets_[i];
  return seen;
}

}  // namespace cocp
