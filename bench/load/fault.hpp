// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// What is done to the server, or to what is between it and the client.
struct fault {
  enum class kind {
    kill,     ///< The server is killed.
    restart,  ///< It is started again.
    stall,    ///< For a time nothing gets through.
    latency,  ///< From now on each direction takes so much longer.
    reset,    ///< From now on so many of the requests have their connection reset.
  };

  std::chrono::nanoseconds at{};  ///< From the begin of the measurement.
  kind what = kind::kill;
  std::chrono::nanoseconds time{};  ///< Of `stall` and `latency`.
  double share = 0;                 ///< Of `reset`: 0 to 1.

  /// It needs something between the server and the client.
  bool on_the_way() const noexcept { return what != kind::kill && what != kind::restart; }

  /// It ends one that was before: no latency, no resets.
  bool is_none() const noexcept {
    return (what == kind::latency && time.count() == 0) || (what == kind::reset && share == 0);
  }

  friend bool operator==(const fault&, const fault&) = default;
};

/// As in `2s:kill`, `5s:stall=1s`, `7s:latency=50ms`, `9s:reset=30%`. \throws usage_error
fault parse_fault(std::string_view text);

/// Its name with its value, as on the command line.
std::string to_string(const fault& f);

/// Sorts them by time. \throws usage_error if that makes no sense, as a restart of what is not down does, or is not
/// over before `end`
std::vector<fault> plan_of(std::vector<fault> faults, std::chrono::nanoseconds end);

}  // namespace bench
