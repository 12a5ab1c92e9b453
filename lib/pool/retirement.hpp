// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"

#include <cstddef>
#include <cstdint>

namespace cocp::detail {

/// How old a connection may get: `max_lifetime` less a random part of up to a quarter, so that connections that were
/// opened together are not replaced together. `random` is 64 random bits.
duration retirement_age(duration max_lifetime, std::uint64_t random) noexcept;

/// How many places may be without a connection at a time because it had grown old.
std::size_t most_retiring(std::size_t size) noexcept;

/// True if a connection that nobody uses, and that has reached its age at `due`, is to be redialled now. Those who wait
/// for one hold that up, for a quarter of `max_lifetime`.
bool retires(time_point due, duration max_lifetime, bool somebody_waits, time_point now) noexcept;

/// When `retires` may answer otherwise than now for no other reason than the time; `max` for never.
time_point next_retirement(time_point due, duration max_lifetime, time_point now) noexcept;

}  // namespace cocp::detail
