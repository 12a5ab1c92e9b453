// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

namespace cocp::detail {

/// What a pool has and needs.
struct demand {
  std::size_t limit = 0;    ///< The most connections.
  std::size_t least = 0;    ///< To be kept open when nobody asks; not more than `limit`.
  std::size_t wanted = 0;   ///< Connections that are up or on their way; may be above `limit` after a shrink.
  std::size_t opening = 0;  ///< Those of them that are not up yet.
  std::size_t waiting = 0;  ///< Callers of `get` that wait.
};

/// How many more connections to open. A waiter causes one only when those on their way do not already cover the
/// waiters.
std::size_t connections_to_open(const demand& d) noexcept;

}  // namespace cocp::detail
