// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/event.hpp>

#include <cstdint>

namespace cocp::detail {

/// How old a connection may get: `max_lifetime` less a random part of up to a quarter, so that connections that were
/// opened together are not replaced together. `random` is 64 random bits.
duration retirement_age(duration max_lifetime, std::uint64_t random) noexcept;

}  // namespace cocp::detail
