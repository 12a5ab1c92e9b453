// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

namespace bench {

/// The allocations made by this process so far, by whatever function: Asio's own go through `aligned_alloc`, so
/// counting `operator new` would miss them.
std::uint64_t allocations() noexcept;

}  // namespace bench
