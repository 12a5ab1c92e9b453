// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "base/alarm.hpp"

#include <boost/asio/dispatch.hpp>

#include <new>
#include <thread>
#include <utility>

namespace cocp::detail {

void alarm::begin(std::shared_ptr<void> keep) {
  const std::lock_guard lock(mutex_);
  // Then it goes with the context.
  if (!timer_) return;
  due_ = time_point();
  set();
  keep_ = std::move(keep);
}

void alarm::sleep_until(time_point t, std::shared_ptr<void> keep) noexcept {
  std::unique_lock lock(mutex_);
  if (!timer_) return;
  keep_ = std::move(keep);
  due_ = t;
  arm(lock);
}

void alarm::set() {
  timer_->expires_at(rung_ ? time_point() : due_);
  timer_->async_tell(*this);
}

void alarm::arm(std::unique_lock<adaptive_mutex>& lock) noexcept {
  for (bool again = false; timer_ && keep_; again = true) {
    try {
      set();
      return;
    } catch (const std::bad_alloc&) {
      if (!again) continue;
      // There is nothing that could be set to try again later, and only this thread knows that somebody sleeps.
      lock.unlock();
      std::this_thread::sleep_for(redelivery_pause);
      lock.lock();
    }
  }
}

void alarm::on_timer(error_code) {
  if (!serial_) {
    wake();
    return;
  }
  try {
    asio::dispatch(*serial_, [this] { wake(); });
  } catch (const std::bad_alloc&) {
    std::unique_lock lock(mutex_);
    rung_ = false;
    due_ = later(env_.now(), redelivery_pause);
    arm(lock);
  }
}

void alarm::wake() noexcept {
  std::shared_ptr<void> keep;
  {
    const std::lock_guard lock(mutex_);
    if (!keep_) return;
    keep = std::move(keep_);
    rung_ = false;
  }
  // This may be gone when it returns.
  sleeper_.on_alarm(std::move(keep));
}

void alarm::ring() noexcept {
  const std::lock_guard lock(mutex_);
  rung_ = true;
  if (timer_) timer_->cancel();
}

std::shared_ptr<void> alarm::shutdown() noexcept {
  std::unique_ptr<timer> t;
  const std::lock_guard lock(mutex_);
  t = std::move(timer_);
  return std::move(keep_);
}

}  // namespace cocp::detail
