// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/backoff.hpp"

#include <algorithm>

namespace cocp::detail {

duration backoff_delay(unsigned n, duration retry_min, duration retry_max, std::uint64_t random) noexcept {
  duration c = retry_min;
  // Doubling stops before it could overflow: then retry_max is less than twice c.
  while (n > 1 && c <= retry_max / 2) {
    c *= 2;
    --n;
  }
  if (n > 1) c = retry_max;
  c = std::min(c, retry_max);
  const auto ceiling = static_cast<std::uint64_t>(c.count());
  const std::uint64_t floor = ceiling / 2;
  // The remainder's bias is below 2^-20 for any delay under two hours, and no delay is left out.
  return duration(static_cast<duration::rep>(floor + random % (ceiling - floor + 1)));
}

}  // namespace cocp::detail
