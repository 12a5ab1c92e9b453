// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"
#include "pool/dial_desk.hpp"

#include <cocp/error.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace cocp::detail {

/// How a pool was when somebody got no connection.
struct situation {
  std::size_t size = 0;
  std::size_t up = 0;
  std::size_t leased = 0;
  std::size_t hooks = 0;
  std::size_t waiting = 0;
  /// Why the last attempt failed, if that is the reason; and how long ago.
  dial_desk::failure last;
  duration age{};
};

/// As in "get: no connection to localhost:7 within 30 s (size 10: 1 up, 0 leased, 1 in hooks, 3 waiting; last error:
/// Connection refused, 3.2 s ago)". `waited`: the limit of the wait, if it had one.
std::string explain(const char* what, std::string_view name, error_code ec, std::optional<duration> waited,
                    const situation& s);

}  // namespace cocp::detail
