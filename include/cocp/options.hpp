// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/event.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <optional>
#include <string>

namespace cocp {

class connection;

/// Prepares a connection for use, as a protocol's greeting or log-in does. An exception that leaves it means that
/// the connection is not usable.
/// \par Lifetime
/// The connection is valid only during the call.
/// \par Cancellation
/// When the time for it is up, or the pool is closed, what it waits on is cancelled (`terminal`) and its connection
/// ends; it must then end too.
using handshake = std::function<boost::asio::awaitable<void>(connection&)>;

/// How to reach the endpoint. In every optional duration `std::nullopt` means off or no limit.
/// \par Exceptions
/// The constructors that take it throw `std::invalid_argument`, naming field, value and rule, when a field is outside
/// its range.
struct connection_options {
  /// `host:port`, `host:service` or `[v6]:port`. A numeric host is never looked up.
  std::string address{};

  /// The limit of one whole attempt: name lookup, connect and `on_connect`. More than zero.
  std::optional<duration> connect_timeout = std::chrono::seconds(5);

  /// The delay before attempt n+1 is uniform in [c/2, c], c = min(retry_max, retry_min * 2^(n-1)).
  /// More than zero; `retry_max` not less than `retry_min`.
  duration retry_min = std::chrono::milliseconds(100);
  duration retry_max = std::chrono::seconds(5);

  /// Run after each connect, before anyone may use the connection. When it throws, the attempt has failed. The
  /// connection that it is given works while all other users of the stream still wait.
  handshake on_connect{};

  /// Told of each connect, failed attempt and loss once.
  cocp::logger logger{};

  /// TCP_NODELAY (tcp(7)): send small writes at once.
  bool no_delay = true;

  /// The idle time before the kernel probes the peer (TCP_KEEPIDLE, tcp(7)); rounded up to whole seconds.
  /// 1 s to 32,767 s.
  std::optional<duration> tcp_keepalive = std::chrono::seconds(30);

  /// Sent data that stays unacknowledged for longer fails the connection (TCP_USER_TIMEOUT, tcp(7), RFC 5482); rounded
  /// up to whole milliseconds. 1 ms to 2^31-1 ms.
  std::optional<duration> tcp_user_timeout = std::chrono::seconds(30);
};

/// How many connections, and who may have them.
/// \par Exceptions
/// The constructor of `pool` throws `std::invalid_argument`, naming field, value and rule, when a field is outside its
/// range.
struct pool_options {
  /// The most connections; not zero. All of them are opened at once and kept open.
  std::size_t size = 5;

  /// The longest wait in `get()`. Zero: do not wait at all. Not negative.
  std::optional<duration> get_timeout = std::chrono::seconds(30);

  /// A `get` that would have to wait behind this many fails at once with `errc::overloaded`.
  std::size_t max_waiting = std::numeric_limits<std::size_t>::max();

  /// A connection idle at least this long is verified (one non-blocking peek) before it is given out. Zero: always.
  /// Not negative. Whatever this says, a connection on which a lease did I/O is checked once before the next lease.
  duration check_after{};

  /// True for protocols whose server may speak first or push: unread bytes do not make a connection dirty.
  bool allow_unread = false;

  /// False: a lease that started an operation and is destroyed while an exception propagates has its connection
  /// replaced, not reused.
  bool keep_on_exception = false;
};

}  // namespace cocp
