// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "environment.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <mutex>

namespace cocp::detail {

/// What one coroutine sleeps on: until a time, or until any thread rings.
///
/// A ring is latched: one that comes before the wait ends the next wait. Ringing ends a wait that is already pending,
/// so it allocates nothing; looking at the latch and starting the wait are one critical section, so none is lost.
class alarm {
 public:
  alarm(const asio::any_io_executor& ex, environment& env);

  /// Only one coroutine waits at a time. Several rings before a wait count as one.
  asio::awaitable<void> wait_until(time_point t);
  /// Any thread.
  void ring() noexcept;
  /// The execution context is going away.
  void shutdown() noexcept;

 private:
  std::mutex mutex_;
  std::unique_ptr<timer> timer_;
  bool rung_ = false;
};

}  // namespace cocp::detail
