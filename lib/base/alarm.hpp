// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/environment.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <mutex>
#include <optional>

namespace cocp::detail {

/// What one coroutine sleeps on: until a time, or until any thread rings.
///
/// A ring is latched: one that comes before the wait ends the next wait. Ringing ends a wait that is already pending,
/// so it allocates nothing; looking at the latch and starting the wait are one critical section, so none is lost.
///
/// A coroutine whose handler is destroyed is gone, and that is what becomes of the handler that an operation could not
/// take for lack of memory. So the sleeper's handler stays here, and the timer only has a nudge, which can be set
/// again.
class alarm {
 public:
  alarm(const asio::any_io_executor& ex, environment& env);

  /// Only one coroutine waits at a time. Several rings before a wait count as one. Not cancellable; does not throw.
  asio::awaitable<void> wait_until(time_point t);
  /// Any thread.
  void ring() noexcept;
  /// The execution context is going away.
  void shutdown() noexcept;

 private:
  using sleeper = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;

  /// Sets the timer for the sleeper. `lock` is on `mutex_`.
  void arm(std::unique_lock<std::mutex>& lock) noexcept;
  void on_timer();
  void wake();

  environment& env_;
  /// Where the timer's handler runs. Both are let go of when the context goes away. Guarded by `mutex_`, as all below.
  asio::any_io_executor ex_;
  std::mutex mutex_;
  std::unique_ptr<timer> timer_;
  /// Who sleeps. Left by `wake`, to which one nudge is on its way, or by `shutdown`.
  std::optional<sleeper> sleeper_;
  time_point due_;
  bool rung_ = false;
};

}  // namespace cocp::detail
