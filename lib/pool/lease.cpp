// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/lease.hpp>

#include "pool/pool_core.hpp"

namespace cocp {

void lease::give_back(way how) noexcept {
  detail::pool_core::give_back(static_cast<detail::slot&>(*std::exchange(shown_, nullptr)), how);
}

}  // namespace cocp
