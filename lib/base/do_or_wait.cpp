// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "base/time.hpp"

#include <cocp/impl/waiter.hpp>

#include <thread>

namespace cocp::detail {

void wait_for_memory() noexcept { std::this_thread::sleep_for(redelivery_pause); }

}  // namespace cocp::detail
