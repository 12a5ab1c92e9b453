// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "alarm.hpp"

#include <boost/asio/append.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace cocp::detail {

alarm::alarm(const asio::any_io_executor& ex, environment& env) : timer_(env.make_timer(ex)) {}

asio::awaitable<void> alarm::wait_until(time_point t) {
  constexpr auto token = asio::as_tuple(asio::use_awaitable);
  auto initiate = [this, t](auto handler) {
    std::unique_lock lock(mutex_);
    if (!rung_ && timer_) {
      timer_->expires_at(t);
      timer_->async_wait(std::move(handler));
    } else {
      lock.unlock();
      auto ex = asio::get_associated_executor(handler);
      asio::post(ex, asio::append(std::move(handler), error_code()));
    }
  };
  co_await asio::async_initiate<decltype(token), void(error_code)>(std::move(initiate), token);
  const std::lock_guard lock(mutex_);
  rung_ = false;
}

void alarm::ring() noexcept {
  const std::lock_guard lock(mutex_);
  rung_ = true;
  if (timer_) timer_->cancel();
}

void alarm::shutdown() noexcept {
  std::unique_ptr<timer> t;
  const std::lock_guard lock(mutex_);
  t = std::move(timer_);
}

}  // namespace cocp::detail
