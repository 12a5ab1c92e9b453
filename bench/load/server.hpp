// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "../server_process.hpp"
#include "client.hpp"
#include "fault.hpp"
#include "options.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <memory>
#include <optional>

namespace cocp::test {
class fault_relay;
}  // namespace cocp::test

namespace bench {

/// What is asked: a server that was started here and can be killed, or one of the user's own.
class server {
 public:
  /// Started, and accepting connections. \throws std::exception if it cannot be
  explicit server(const load_options& options);
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// What the faults run on, and whoever conducts the run.
  boost::asio::io_context& context() noexcept { return io_; }
  const target& at() const noexcept { return target_; }

  /// When it listened again. Only of one that was started here, as `kill`.
  boost::asio::awaitable<server_process::clock::time_point> start();
  /// SIGKILL; all its connections are closed when this returns.
  void kill() noexcept;

  /// A fault on the way to it. Only if there is one among the options.
  void disturb(const fault& f);
  /// Everything works again, and is up.
  boost::asio::awaitable<void> mend();

 private:
  struct files;

  boost::asio::io_context io_{1};
  std::unique_ptr<files> files_;
  std::optional<server_process> process_;
  target target_;
  std::unique_ptr<cocp::test::fault_relay> relay_;  ///< In front of the server, if there are faults on the way to it.
  bool running_ = false;
};

}  // namespace bench
