// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "base/alarm.hpp"

#include <boost/asio/dispatch.hpp>

#include <new>
#include <thread>
#include <utility>

namespace cocp::detail {

alarm::alarm(const asio::any_io_executor& ex, environment& env) : env_(env), ex_(ex), timer_(env.make_timer(ex)) {}

asio::awaitable<void> alarm::wait_until(time_point t) {
  auto initiate = [this, t](sleeper s) {
    std::unique_lock lock(mutex_);
    // Then it goes with the context.
    if (!timer_) return;
    sleeper_.emplace(std::move(s));
    due_ = t;
    arm(lock);
  };
  constexpr asio::use_awaitable_t<> token;
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(std::move(initiate), token);
}

void alarm::arm(std::unique_lock<std::mutex>& lock) noexcept {
  for (bool again = false; timer_ && sleeper_; again = true) {
    try {
      timer_->expires_at(rung_ ? time_point() : due_);
      timer_->async_wait([this](error_code) { on_timer(); });
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

void alarm::on_timer() {
  std::unique_lock lock(mutex_);
  if (!sleeper_) return;
  const asio::any_io_executor where = sleeper_->get_executor();
  if (where == ex_) {
    lock.unlock();
    wake();
    return;
  }
  lock.unlock();
  try {
    asio::dispatch(where, [this] { wake(); });
  } catch (const std::bad_alloc&) {
    lock.lock();
    rung_ = false;
    due_ = later(env_.now(), redelivery_pause);
    arm(lock);
  }
}

void alarm::wake() {
  std::optional<sleeper> awake;
  {
    const std::lock_guard lock(mutex_);
    if (!sleeper_) return;
    awake.emplace(std::move(*sleeper_));
    sleeper_.reset();
    rung_ = false;
  }
  try {
    // This may be gone when it returns.
    std::move (*awake)();
  } catch (const std::bad_alloc&) {
    // What the coroutine awaits now could not be started, and is gone, and the coroutine with it: it knows that.
  }
}

void alarm::ring() noexcept {
  const std::lock_guard lock(mutex_);
  rung_ = true;
  if (timer_) timer_->cancel();
}

void alarm::shutdown() noexcept {
  std::unique_ptr<timer> t;
  std::optional<sleeper> dropped;
  const std::lock_guard lock(mutex_);
  t = std::move(timer_);
  ex_ = asio::any_io_executor();
  if (!sleeper_) return;
  dropped.emplace(std::move(*sleeper_));
  sleeper_.reset();
}

}  // namespace cocp::detail
