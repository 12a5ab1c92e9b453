// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/tls_stream.hpp"

#include <stdexcept>

namespace cocp::detail {

void check(const tls_options&) {
  throw std::invalid_argument("tls: is set: must be std::nullopt, since cocp was built without OpenSSL (-Dtls)");
}

// `check` lets nobody come this far.
std::shared_ptr<tls_sessions> make_tls_sessions() { return nullptr; }

std::unique_ptr<stream> make_tls_stream(const asio::any_io_executor&, const connection_options&, const destination&) {
  return nullptr;
}

}  // namespace cocp::detail
