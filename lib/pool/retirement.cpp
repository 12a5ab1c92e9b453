// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/retirement.hpp"

#include <algorithm>

namespace cocp::detail {
namespace {

/// The end of the time for which somebody who waits may hold it up.
time_point last_call(time_point due, duration max_lifetime) noexcept { return later(due, max_lifetime / 4); }

}  // namespace

duration retirement_age(duration max_lifetime, std::uint64_t random) noexcept {
  const auto part = static_cast<std::uint64_t>(max_lifetime.count()) / 4;
  // The remainder's bias is below 2^-10 for any lifetime under a year.
  return max_lifetime - duration(static_cast<duration::rep>(random % (part + 1)));
}

std::size_t most_retiring(std::size_t size) noexcept { return std::max<std::size_t>(1, size / 10); }

bool retires(time_point due, duration max_lifetime, bool somebody_waits, time_point now) noexcept {
  return (somebody_waits ? last_call(due, max_lifetime) : due) <= now;
}

time_point next_retirement(time_point due, duration max_lifetime, time_point now) noexcept {
  if (due > now) return due;
  const time_point last = last_call(due, max_lifetime);
  return last > now ? last : time_point::max();
}

}  // namespace cocp::detail
