// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"

#include <optional>

namespace cocp::detail {

/// How long an endpoint may be down before nobody waits for it any more (`pool_options::fail_fast`): the time begins
/// with the first attempt that fails after a connection was last up.
///
/// Pure: it knows no clock. It begins with `attempt_failed`, and ends with `over`; that `at` has come is for others to
/// see.
class downtime {
 public:
  /// Nothing: for ever.
  explicit downtime(std::optional<duration> limit) noexcept : limit_(limit) {}

  /// Counts only if no time is running.
  void attempt_failed(time_point now) noexcept {
    if (limit_ && at_ == time_point::max()) at_ = later(now, *limit_);
  }
  /// A connection was up, it is another endpoint, or nobody wants a connection.
  void over() noexcept { at_ = time_point::max(); }

  /// When it has been down for too long; `max` for never.
  time_point at() const noexcept { return at_; }

 private:
  std::optional<duration> limit_;
  time_point at_ = time_point::max();
};

}  // namespace cocp::detail
