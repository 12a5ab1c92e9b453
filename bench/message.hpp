// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/buffer.hpp>

#include <cstddef>
#include <stdexcept>
#include <vector>

namespace bench {

/// What is sent to an echo server, and what comes back.
class message {
 public:
  explicit message(std::size_t size) : asked_(size), answer_(size) {}

  boost::asio::const_buffer asked() const { return boost::asio::buffer(asked_); }
  boost::asio::mutable_buffer answer() { return boost::asio::buffer(answer_); }

  /// Throws if the answer is another, and makes the next message differ.
  void check() {
    if (answer_ != asked_) throw std::runtime_error("wrong answer");
    ++asked_[0];
  }

 private:
  std::vector<unsigned char> asked_, answer_;
};

}  // namespace bench
