// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "retirement.hpp"

namespace cocp::detail {

duration retirement_age(duration max_lifetime, std::uint64_t random) noexcept {
  const auto part = static_cast<std::uint64_t>(max_lifetime.count()) / 4;
  // The remainder's bias is below 2^-10 for any lifetime under a year.
  return max_lifetime - duration(static_cast<duration::rep>(random % (part + 1)));
}

}  // namespace cocp::detail
