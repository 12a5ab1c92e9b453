// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "tls_sessions.hpp"

#include <utility>

namespace cocp::detail {

session_ptr tls_sessions::take() {
  const std::lock_guard lock(mutex_);
  if (sessions_.empty()) return nullptr;
  SSL_SESSION* const newest = sessions_.back().get();
  if (sessions_.size() > 1 && ::SSL_SESSION_get_protocol_version(newest) >= TLS1_3_VERSION) {
    session_ptr s = std::move(sessions_.back());
    sessions_.pop_back();
    return s;
  }
  ::SSL_SESSION_up_ref(newest);
  return session_ptr(newest);
}

void tls_sessions::put(session_ptr s) {
  const std::lock_guard lock(mutex_);
  sessions_.push_back(std::move(s));
  if (sessions_.size() > most) sessions_.pop_front();
}

}  // namespace cocp::detail
