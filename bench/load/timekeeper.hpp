// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>

#include <chrono>

namespace bench {

/// Where the time comes from; a test has one of its own.
class timekeeper {
 public:
  using clock = std::chrono::steady_clock;

  timekeeper() = default;
  timekeeper(const timekeeper&) = delete;
  timekeeper& operator=(const timekeeper&) = delete;
  virtual ~timekeeper() = default;

  virtual clock::time_point now() = 0;
  virtual boost::asio::awaitable<void> sleep_until(clock::time_point t) = 0;
};

/// That of the machine.
timekeeper& machine_time();

}  // namespace bench
