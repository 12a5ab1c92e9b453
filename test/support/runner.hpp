// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <thread>
#include <vector>

namespace cocp::test {

/// A context that some threads run.
class runner {
 public:
  explicit runner(unsigned threads) : io(static_cast<int>(threads)), work_(boost::asio::make_work_guard(io)) {
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { io.run(); });
  }
  ~runner() { finish(); }
  runner(const runner&) = delete;
  runner& operator=(const runner&) = delete;

  /// Waits until there is nothing left to do.
  void finish() {
    work_.reset();
    for (auto& t : threads_) {
      if (t.joinable()) t.join();
    }
  }

  boost::asio::io_context io;

 private:
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::vector<std::thread> threads_;
};

}  // namespace cocp::test
