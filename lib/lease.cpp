// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/lease.hpp>

#include "pool_core.hpp"

#include <exception>

namespace cocp {

void lease::give_back(way how) noexcept {
  // Only the destructor can be part of an unwinding, and only the thread that unwinds knows of it.
  const bool unwinding = how == way::destroyed && std::uncaught_exceptions() > 0;
  detail::pool_core::give_back(std::move(core_), *std::exchange(shown_, nullptr), unwinding, how == way::discarded);
}

}  // namespace cocp
