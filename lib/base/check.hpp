// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"

#include <string>

namespace cocp::detail {

/// \name What options are checked with
///
/// Throw `std::invalid_argument` that names the field, its value and the rule.
/// @{

/// As in "size: 0: must be at least 1".
[[noreturn]] void reject(const char* field, const std::string& value, const std::string& rule);
void require_positive(const char* field, duration value);
void require_not_negative(const char* field, duration value);
/// @}

}  // namespace cocp::detail
