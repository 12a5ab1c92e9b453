// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/endpoint.hpp>
#include <cocp/error.hpp>
#include <cocp/export.hpp>
#include <cocp/impl/session.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <cstddef>
#include <cstdint>

/// OpenSSL's, as its headers declare it.
struct ssl_st;

namespace cocp::detail {

namespace asio = boost::asio;

using plain_socket = asio::generic::stream_protocol::socket;
using wait_handler = asio::any_completion_handler<void(error_code)>;
using io_handler = asio::any_completion_handler<void(error_code, std::size_t)>;

/// What one look at a stream that nobody uses shows.
enum class peek_result { quiet, unread, dead };

/// What a stream has taken to be sent.
struct sent_now {
  std::size_t taken = 0;
  /// The stream has kept nothing of it.
  bool all_gone = true;
};

/// The seam under a connection: one dialled byte stream, made anew for each attempt. All that lies below (a socket, a
/// TLS session, a simulated network) is behind it.
///
/// A stream on a plain socket shows the socket itself, and users' operations go straight to it; the virtual operations
/// serve every other kind.
///
/// It has one owner at a time (supervisor, idle set or lease). Only `shutdown` may be called by others.
///
/// A child process shares its sockets with its parent (fork(2)): there `shutdown` and the destructor tell the peer
/// nothing, and the latter closes the child's descriptor.
class COCP_API stream {
 public:
  stream() noexcept;
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  virtual ~stream() = default;

  /// Its number among all streams of this process, from 1.
  std::uint64_t id() const noexcept { return id_; }
  /// The highest one so far.
  static std::uint64_t last_id() noexcept;
  /// What users keep with it: its owner's, or, in a channel, guarded by that channel's mutex.
  session_list& sessions() noexcept { return sessions_; }

  /// The socket, if this stream is nothing but a socket.
  virtual plain_socket* plain() noexcept { return nullptr; }

  /// Connects. Honours terminal cancellation.
  virtual void async_connect(const endpoint& to, wait_handler handler) = 0;

  /// True if more must be agreed on with the peer before bytes can be exchanged (TLS).
  virtual bool needs_handshake() const noexcept { return false; }
  /// Only if `needs_handshake`, once, when it is connected; what is read and written before is plain. Honours terminal
  /// cancellation, which ends the stream.
  virtual void async_handshake(wait_handler) {}
  /// True if the handshake took up what had been agreed on before.
  virtual bool resumed() const noexcept { return false; }
  /// What it has agreed on with its peer, behind the handshake; null if there was none.
  virtual ssl_st* native_tls() noexcept { return nullptr; }

  virtual void async_read_some(asio::mutable_buffer buffer, io_handler handler) = 0;
  virtual void async_write_some(asio::const_buffer buffer, io_handler handler) = 0;

  /// Sends what it can without waiting; no write is outstanding. What it has taken and kept goes before the next write
  /// has ended, be that one of nothing. With an error it has taken what was sent before.
  virtual sent_now write_now(asio::const_buffer, error_code&) { return {}; }

  /// Tells the peer that nothing more will be written; no write is outstanding, and none follows. Reads go on.
  /// Completes with no bytes.
  virtual void async_shutdown_send(io_handler handler) = 0;

  /// Completes when there is something to read, an end or an error included, or when the stream is destroyed.
  virtual void async_wait_readable(wait_handler handler) = 0;
  /// Ends those waits with `operation_aborted`. Any thread, as long as the stream exists.
  virtual void cancel_wait_readable() noexcept = 0;

  /// Looks without waiting and without consuming. `dead` sets `ec` to the cause; so does `unread` if an end has come
  /// behind the unread bytes. What TLS has to say of an end (close_notify) cannot be seen behind them, only the
  /// socket's own end.
  virtual peek_result peek(error_code& ec) noexcept = 0;

  /// Makes every operation end soon, outstanding or started later. Any thread, as long as the stream exists.
  virtual void shutdown() noexcept = 0;

  virtual endpoint remote_endpoint() const = 0;

 private:
  const std::uint64_t id_;
  session_list sessions_;
};

}  // namespace cocp::detail
