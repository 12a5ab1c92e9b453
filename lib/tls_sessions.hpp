// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>

namespace cocp::detail {

struct free_session {
  void operator()(SSL_SESSION* s) const noexcept { ::SSL_SESSION_free(s); }
};
using session_ptr = std::unique_ptr<SSL_SESSION, free_session>;

/// Sessions that can be resumed with one peer, by any of the connections to it. Thread-safe.
class tls_sessions {
 public:
  /// The newest one; null if there is none. A ticket of TLS 1.3 is used once as long as there are others (RFC 8446,
  /// appendix C.4); the last one stays, since a pool that has just started has more connections than tickets.
  session_ptr take();
  void put(session_ptr s);

 private:
  /// Of a few kilobytes each.
  static constexpr std::size_t most = 256;

  std::mutex mutex_;
  /// The oldest first.
  std::deque<session_ptr> sessions_;
};

}  // namespace cocp::detail
