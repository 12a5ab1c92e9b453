// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/tls_sessions.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include <openssl/asn1.h>
#include <openssl/x509.h>

namespace cocp::detail {
namespace {

/// The epoch if it cannot be told.
std::time_t end_of(const X509* certificate) noexcept {
  std::tm t{};
  return ::ASN1_TIME_to_tm(::X509_get0_notAfter(certificate), &t) == 1 ? ::timegm(&t) : 0;
}

}  // namespace

std::time_t end_of_chain(const SSL* ssl) noexcept {
  // What was verified has the authority's own certificate too; without verification there may be none.
  const STACK_OF(X509)* chain = ::SSL_get0_verified_chain(ssl);
  if (!chain) chain = ::SSL_get_peer_cert_chain(ssl);
  std::time_t end = std::numeric_limits<std::time_t>::max();
  for (int i = 0; i < sk_X509_num(chain); ++i) end = std::min(end, end_of(sk_X509_value(chain, i)));
  return end;
}

kept_session tls_sessions::take(std::time_t now) {
  const std::lock_guard lock(mutex_);
  std::erase_if(sessions_, [now](const kept_session& s) { return s.until <= now; });
  if (sessions_.empty()) return {};
  const kept_session& newest = sessions_.back();
  if (sessions_.size() > 1 && ::SSL_SESSION_get_protocol_version(newest.session.get()) >= TLS1_3_VERSION) {
    kept_session s = std::move(sessions_.back());
    sessions_.pop_back();
    return s;
  }
  ::SSL_SESSION_up_ref(newest.session.get());
  return {session_ptr(newest.session.get()), newest.until};
}

void tls_sessions::put(kept_session s) {
  const std::lock_guard lock(mutex_);
  sessions_.push_back(std::move(s));
  if (sessions_.size() > most) sessions_.pop_front();
}

}  // namespace cocp::detail
