// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/execution.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <utility>

namespace cocp::test {

/// What is given to it runs at once, and what that makes ready with it: as quick as another thread can be.
class quick_executor {
 public:
  explicit quick_executor(boost::asio::io_context& io) noexcept : io_(&io) {}

  boost::asio::io_context& query(boost::asio::execution::context_t) const noexcept { return *io_; }
  // As is all that is of an io_context's thread.
  static constexpr boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) noexcept {
    return boost::asio::execution::blocking.never;
  }
  template <class Function>
  void execute(Function f) const {
    boost::asio::post(*io_, std::move(f));
    while (io_->poll() != 0) {
    }
  }
  bool operator==(const quick_executor&) const noexcept = default;

 private:
  boost::asio::io_context* io_;
};

}  // namespace cocp::test
