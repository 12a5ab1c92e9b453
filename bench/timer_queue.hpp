// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cocp/error.hpp>
#include <cocp/options.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <utility>

namespace bench {

/// How one waits for something by hand in Asio, to measure cocp against: each has a timer, which is cancelled when it
/// is his turn. There is one thing to wait for, and one thread.
class timer_queue {
 public:
  class lease {
   public:
    lease() = default;
    explicit lease(timer_queue* from) noexcept : from_(from) {}
    lease(lease&& other) noexcept : from_(std::exchange(other.from_, nullptr)) {}
    lease& operator=(lease&&) = delete;
    ~lease() { put(); }

    explicit operator bool() const noexcept { return from_ != nullptr; }
    void put() noexcept {
      if (timer_queue* const from = std::exchange(from_, nullptr)) from->serve_next();
    }

   private:
    timer_queue* from_ = nullptr;
  };

  explicit timer_queue(boost::asio::io_context& io) : io_(io) {}

  lease try_get() noexcept { return lease(std::exchange(free_, false) ? this : nullptr); }

  /// While it is taken.
  template <class Handler>
  void async_get(cocp::duration limit, Handler handler) {
    waiter& one = waiters_.emplace_back(io_);
    ++waiting_;
    one.timer.expires_after(limit);
    const auto slot = boost::asio::get_associated_cancellation_slot(handler);
    one.timer.async_wait(boost::asio::bind_cancellation_slot(
        slot, [this, &one, handler = std::move(handler)](boost::system::error_code ec) mutable {
          const bool is_served = one.served;
          one.ended = true;
          // Nobody takes out those in the middle.
          if (--waiting_ == 0) {
            waiters_.clear();
            next_ = 0;
          }
          if (is_served) {
            handler(cocp::error_code(), lease(this));
          } else {
            handler(ec ? ec : make_error_code(cocp::errc::timed_out), lease());
          }
        }));
  }
  template <class Handler>
  void async_get(Handler handler) {
    async_get(std::chrono::seconds(30), std::move(handler));
  }

 private:
  struct waiter {
    explicit waiter(boost::asio::io_context& io) : timer(io) {}
    boost::asio::steady_timer timer;
    bool served = false;
    bool ended = false;
  };

  void serve_next() noexcept {
    while (next_ < waiters_.size() && waiters_[next_].ended) ++next_;
    if (next_ == waiters_.size()) {
      free_ = true;
      return;
    }
    waiter& one = waiters_[next_++];
    one.served = true;
    one.timer.cancel();
  }

  boost::asio::io_context& io_;
  std::deque<waiter> waiters_;
  std::size_t waiting_ = 0;  ///< Whose handlers were not yet called.
  std::size_t next_ = 0;     ///< All before it were served, or have ended.
  bool free_ = true;
};

}  // namespace bench
