// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string_view>

namespace cocp::detail {

/// Bytes of the character in UTF-8 (RFC 3629) that the text, which is not empty, begins with; zero if it begins with
/// none.
std::size_t character_size(std::string_view text) noexcept;

}  // namespace cocp::detail
