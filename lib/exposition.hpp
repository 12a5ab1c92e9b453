// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/stats.hpp>

#include <string>
#include <vector>

namespace cocp::detail {

/// One pool at one time.
struct pool_snapshot {
  /// Of no other pool.
  std::string name;
  cocp::stats stats;
  bool reports_leases = false;
};

/// The text that `cocp::openmetrics` prints.
std::string to_openmetrics(const std::vector<pool_snapshot>& pools);

}  // namespace cocp::detail
