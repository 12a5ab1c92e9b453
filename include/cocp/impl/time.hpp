// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

namespace cocp::detail {

using time_point = std::chrono::steady_clock::time_point;

}  // namespace cocp::detail
