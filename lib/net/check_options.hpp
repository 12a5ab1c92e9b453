// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/options.hpp>

namespace cocp::detail {

/// Throws `std::invalid_argument` naming field, value and rule if a field is outside its range. The address is checked
/// by `parse_address`.
void check(const connection_options& options);

}  // namespace cocp::detail
