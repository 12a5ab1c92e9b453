// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace bench {

/// Stops an `io_context` that has not run out of work in time. It has a thread, so that it is no work itself.
class watchdog {
 public:
  watchdog(boost::asio::io_context& io, std::chrono::nanoseconds limit)
      : thread_([this, &io, limit](const std::stop_token& called_off) {
          std::unique_lock lock(mutex_);
          never_.wait_for(lock, called_off, limit, [] { return false; });
          if (called_off.stop_requested()) return;
          fired_ = true;
          io.stop();
        }) {}

  bool fired() const noexcept { return fired_; }

 private:
  std::atomic<bool> fired_ = false;
  std::mutex mutex_;
  std::condition_variable_any never_;
  std::jthread thread_;
};

}  // namespace bench
