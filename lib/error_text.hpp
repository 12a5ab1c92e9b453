// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/error.hpp>

#include <exception>
#include <string>

namespace cocp::detail {

/// A `boost::system::system_error` whose text is all that there is to say.
[[nodiscard]] std::exception_ptr make_text_error(error_code ec, std::string text);

}  // namespace cocp::detail
