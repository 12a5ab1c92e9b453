// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/stats.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace cocp::detail {

/// One pool at one time.
struct pool_snapshot {
  /// Of no other pool, and in UTF-8.
  std::string name;
  cocp::stats stats;
  bool reports_leases = false;
};

/// The same with U+FFFD for each byte that belongs to no character of UTF-8 (RFC 3629), which is all that the format
/// takes: a single other byte spoils all of a scrape.
std::string to_utf8(std::string_view text);

/// The text that `cocp::openmetrics` prints.
std::string to_openmetrics(const std::vector<pool_snapshot>& pools);

}  // namespace cocp::detail
