// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/adaptive_mutex.hpp"

#include <cocp/impl/stream.hpp>
#include <cocp/options.hpp>

#include <boost/asio/cancellation_signal.hpp>

#include <optional>

#include <unistd.h>

namespace cocp::detail {

/// A stream that is nothing but a socket.
class socket_stream final : public stream {
 public:
  socket_stream(const asio::any_io_executor& ex, const connection_options& options);

  plain_socket* plain() noexcept override { return &socket_; }
  void async_connect(const endpoint& to, wait_handler handler) override;
  void async_read_some(asio::mutable_buffer buffer, io_handler handler) override;
  void async_write_some(asio::const_buffer buffer, io_handler handler) override;
  void async_shutdown_send(io_handler handler) override;
  void async_wait_readable(wait_handler handler) override;
  void cancel_wait_readable() noexcept override;
  peek_result peek(error_code& ec) noexcept override;
  /// False in a child process of the one that made it: the connection is the parent's, and what is told to the peer
  /// here would end it.
  bool is_ours() const noexcept { return ::getpid() == process_; }
  /// The end or error that has come, however much there is to read before it; none if none has.
  error_code end_behind() noexcept;
  void shutdown() noexcept override;
  endpoint remote_endpoint() const override;

 private:
  struct connected_handler;
  error_code open(const endpoint& to);
  template <class Handler>
  auto patient(Handler h);

  plain_socket socket_;
  /// Ends the wait for readability. Guarded by `waiting_mutex_`: who starts one is not who ends it.
  asio::cancellation_signal stop_waiting_;
  adaptive_mutex waiting_mutex_;
  /// Of `socket_` once it is open; read by `shutdown` on any thread.
  int descriptor_ = -1;
  const ::pid_t process_ = ::getpid();
  const bool no_delay_;
  const std::optional<duration> keepalive_;
  const std::optional<duration> user_timeout_;
};

}  // namespace cocp::detail
