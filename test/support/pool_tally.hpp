// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/stats.hpp>
#include <cstdint>

namespace cocp::test {

/// What was seen of a pool without `max_waiting` and `fail_fast`, against what it counts.
struct pool_tally {
  /// \name Ends of calls
  /// @{
  std::uint64_t gets = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t cancelled = 0;
  /// Because the pool is closed.
  std::uint64_t refused = 0;
  /// @}
  /// \name What the logger was told
  /// @{
  std::uint64_t connects = 0;
  std::uint64_t failures = 0;
  std::uint64_t losses = 0;
  /// @}
  /// The last time.
  stats before{};

  /// Null, or what is wrong.
  const char* compare(const stats& s) {
    if (s.idle + s.leased + s.hooks + s.connecting + s.queued + s.resting != s.wanted)
      return "the gauges do not add up";
    for (const auto counter : {&stats::gets, &stats::waits, &stats::timeouts, &stats::cancelled, &stats::rejected,
                               &stats::connects, &stats::connect_failures, &stats::disconnects, &stats::replaced_dead,
                               &stats::replaced_dirty, &stats::replaced_expired}) {
      if (s.*counter < before.*counter) return "a counter goes back";
    }
    before = s;
    if (s.gets != gets) return "other leases are counted than were given out";
    if (s.timeouts != timed_out) return "other time-outs are counted than there were";
    if (s.cancelled != cancelled) return "other cancellations are counted than there were";
    if (s.rejected != 0) return "a call of get is counted as rejected without max_waiting";
    if (s.wait_time.count() != gets + timed_out + cancelled + refused) return "not the time of each wait is recorded";
    if (s.connects != connects) return "rule 12: other connects are told than are counted";
    if (s.connect_failures != failures) return "rule 12: other failures are told than are counted";
    if (s.disconnects != losses) return "rule 12: other losses are told than are counted";
    return nullptr;
  }
};

}  // namespace cocp::test
