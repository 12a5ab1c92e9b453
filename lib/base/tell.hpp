// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/event.hpp>

namespace cocp::detail {

/// Tells a logger, if there is one.
inline void tell(const logger& log, const event& e) noexcept {
  if (!log) return;
  try {
    log(e);
  } catch (...) {
    // The contract: a logger that throws harms nothing. There is nobody else to tell.
  }
}

}  // namespace cocp::detail
