// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/event.hpp>

#include <cstdint>

namespace cocp::detail {

/// The delay after the n-th failed attempt in a row (n from 1): uniform in [c/2, c], where
/// c = min(retry_max, retry_min * 2^(n-1)). `random` is 64 random bits.
duration backoff_delay(unsigned n, duration retry_min, duration retry_max, std::uint64_t random) noexcept;

}  // namespace cocp::detail
