// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/destination.hpp"

#include "net/tls_stream.hpp"

#include <stdexcept>

namespace cocp::detail {

std::shared_ptr<const destination> make_destination(const std::string& text, const connection_options& options) {
  auto to = std::make_shared<destination>();
  static_cast<address&>(*to) = parse_address(text);
  to->name = options.name.empty() ? text : options.name;
  if (options.tls) {
    if (options.tls->verify && options.tls->server_name.empty() && (to->host.empty() || to->host == ".")) {
      throw std::invalid_argument("tls.server_name: empty: must be given, or verify be false, since \"" + text +
                                  "\" has no host name to verify");
    }
    to->sessions = make_tls_sessions();
  }
  return to;
}

}  // namespace cocp::detail
