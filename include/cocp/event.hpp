// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/error.hpp>
#include <cocp/export.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string_view>

namespace cocp {

/// The unit of every time in cocp's interface.
using duration = std::chrono::nanoseconds;

/// What happened to a connection.
enum class event_kind {
  /// An attempt succeeded, `on_connect` included.
  connected,
  /// An attempt failed; `error` says why, `retry_in` when the next one starts.
  connect_failed,
  /// The stream was lost; `error` says why. It is redialled.
  disconnected,
  /// The stream was given up on purpose, for the reason in `reason`. It is redialled, or another has taken its place.
  replaced,
  /// The connection was closed, by `close()` or a destructor, or because nobody needs it (`idle_timeout`, `resize`).
  closed,
  /// A lease is out for longer than `lease_report::held_longer_than`; `reason` says for how long, and where it was
  /// taken.
  lease_overdue,
  /// Such a lease has come back; `reason` says the same.
  lease_returned,
};

/// How much attention an event deserves.
enum class severity { debug, info, warning, error };

/// One line of what happens to a connection, as told to a `logger`. It never holds data that was sent or received.
/// \par Lifetime
/// The views are valid only during the call of the logger.
struct event {
  /// What happened.
  event_kind kind = event_kind::connected;
  /// `debug` for `closed`, `warning` for `connect_failed`, `disconnected` and `lease_overdue`, else `info`.
  severity level = severity::info;
  /// The address as given in `connection_options`, or to `pool::readdress`.
  std::string_view address{};
  /// The cause; empty for `connected` and `closed`.
  error_code error{};
  /// `connected` and `connect_failed`: the attempts that the endpoint has had since it was last up, this one included.
  unsigned attempt = 0;
  /// `connect_failed`, `disconnected` and `replaced`: the delay before the next attempt.
  duration retry_in{};
  /// The cause in words where `error` alone does not say it, without the message of that; may be empty. Words from
  /// outside, as those of an exception that left `on_connect`, are cut off after 240 bytes, and control characters in
  /// them are escaped ("\\n", "\\x1b").
  std::string_view reason{};
  /// The number of the stream (see `connection::id`); 0 if there was none: an attempt that ended before it had
  /// connected, or a connection closed while it was down.
  std::uint64_t id = 0;
  /// What the endpoint is called: `connection_options::name`, or else the address. Empty: the address.
  std::string_view name{};
};

/// The word for an `event_kind`, as in "connect_failed".
COCP_API std::string_view to_string(event_kind kind) noexcept;
/// The word for a `severity`, as in "warning".
COCP_API std::string_view to_string(severity level) noexcept;

/// Prints one line without a line feed, as in
/// `warning connect_failed localhost:7: Connection refused (attempt 3, retry in 312 ms)`. The endpoint is
/// called by its name. Control characters are escaped.
COCP_API std::ostream& operator<<(std::ostream& out, const event& e);

/// Receives events. Called on the executor of the pool or connection, from several threads at once if that executor
/// has several, and never under a lock. It may not block: it is called by whoever dials, closes and reports, and until
/// it returns that connection is not redialled, and the thread runs nothing else. Hand on to another thread what is to
/// go where writing can take long. An exception that leaves it is dropped.
using logger = std::function<void(const event&)>;

/// A logger that prints each event as one line to `out`, and flushes it. Its calls do not overlap: while `out` blocks,
/// all who have something to tell wait. \par Lifetime `out` must outlive every pool and connection that has the logger,
/// and live until the execution context has run what they left to it, or is gone.
COCP_API logger log_to(std::ostream& out);

}  // namespace cocp
