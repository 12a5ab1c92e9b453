// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <ctime>
#include <deque>
#include <memory>
#include <mutex>

namespace cocp::detail {

struct free_session {
  void operator()(SSL_SESSION* s) const noexcept { ::SSL_SESSION_free(s); }
};
using session_ptr = std::unique_ptr<SSL_SESSION, free_session>;

/// A session, and when it must be given up (POSIX time): nobody looks at certificates when it is resumed.
struct kept_session {
  session_ptr session;
  std::time_t until = 0;
};

/// The earliest `notAfter` of the chain of certificates that the handshake ended with; the last of all times if the
/// peer has shown none. Not of a session that was resumed, which has looked at none.
std::time_t end_of_chain(const SSL* ssl) noexcept;

/// Sessions that can be resumed with one peer, by any of the connections to it. Thread-safe.
class tls_sessions {
 public:
  /// The newest one; null if there is none that is still good at that time. A ticket of TLS 1.3 is used once as long as
  /// there are others (RFC 8446, appendix C.4); the last one stays, since a pool that has just started has more
  /// connections than tickets.
  kept_session take(std::time_t now);
  void put(kept_session s);

 private:
  /// Of a few kilobytes each.
  static constexpr std::size_t most = 256;

  std::mutex mutex_;
  /// The oldest first.
  std::deque<kept_session> sessions_;
};

}  // namespace cocp::detail
