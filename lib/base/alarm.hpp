// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/adaptive_mutex.hpp"
#include "base/environment.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <mutex>

namespace cocp::detail {

/// What somebody sleeps on: until a time, or until any thread rings.
///
/// A ring is latched: one that comes before the sleep ends the next one. Ringing ends a wait that is already pending,
/// so it allocates nothing; looking at the latch and starting the wait are one critical section, so none is lost.
///
/// What keeps the sleeper alive stays here, and the timer only has a nudge, which can be set again where it could not
/// be taken for lack of memory.
class alarm final : private timer::listener {
 public:
  class sleeper {
   public:
    /// The sleep is over. It sleeps again, with what it has slept with, or lets go of that, and of this with it.
    virtual void on_alarm(std::shared_ptr<void> keep) noexcept = 0;

   protected:
    ~sleeper() = default;
  };

  /// `who` is called on `ex`, or on `*serial` if that is not null; it must be as long as there is a sleep.
  alarm(const asio::any_io_executor& ex, environment& env, sleeper& who, const asio::any_io_executor* serial)
      : env_(env), sleeper_(who), serial_(serial), timer_(env.make_timer(ex)) {}

  /// The first sleep, which ends at once, though not in here. `keep`, not null, keeps the sleeper. Throws
  /// `std::bad_alloc`, and then there is no sleep.
  void begin(std::shared_ptr<void> keep);
  /// Only one sleeps at a time. Several rings before a sleep count as one.
  void sleep_until(time_point t, std::shared_ptr<void> keep) noexcept;
  /// Any thread.
  void ring() noexcept;
  /// The execution context is going away. What keeps the sleeper, if it sleeps.
  std::shared_ptr<void> shutdown() noexcept;

 private:
  /// \name Under `mutex_`
  /// @{
  void set();
  /// Sets the timer, however long that takes. `lock` is on `mutex_`.
  void arm(std::unique_lock<adaptive_mutex>& lock) noexcept;
  /// @}
  void on_timer(error_code ec) override;
  void wake() noexcept;

  environment& env_;
  sleeper& sleeper_;
  const asio::any_io_executor* const serial_;
  /// Guards all below.
  adaptive_mutex mutex_;
  /// Null when the context has gone.
  std::unique_ptr<timer> timer_;
  /// Set while there is a sleep: one nudge is on its way to `wake`.
  std::shared_ptr<void> keep_;
  time_point due_;
  bool rung_ = false;
};

}  // namespace cocp::detail
