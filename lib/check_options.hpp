// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <cocp/options.hpp>

namespace cocp::detail {

/// Throw `std::invalid_argument` naming field, value and rule if a field is outside its range. The address is checked
/// by `parse_address`.
void check(const connection_options& options);
void check(const pool_options& options);

/// As in "1.5 s", "100 ms"; for messages.
std::string to_text(duration d);

}  // namespace cocp::detail
