// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/io_context.hpp>

#include <array>
#include <memory>
#include <string>

namespace cocp::test {

/// A server that answers the first question that it gets only when the test says so, and all others at once. What comes
/// behind the first on the same connection is answered behind it.
class late_server {
 public:
  /// A real redis-server, or a `scripted_server`.
  static constexpr std::array kinds{"redis", "scripted"};
  /// `io` is what the test runs.
  static std::unique_ptr<late_server> make(const std::string& kind, boost::asio::io_context& io);

  virtual ~late_server() = default;

  virtual std::string address() const = 0;
  virtual std::string late_question() const = 0;
  virtual std::string late_answer() const = 0;
  virtual std::string question() const = 0;
  virtual std::string answer() const = 0;

  /// True when the first question has come.
  virtual bool has_question() = 0;
  /// The answer is in the asker's socket when this returns, unless a second connection was accepted meanwhile; then it
  /// is only on its way.
  virtual void answer_late_question() = 0;
};

}  // namespace cocp::test
