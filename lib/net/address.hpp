// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/endpoint.hpp>
#include <cocp/error.hpp>

#include <optional>
#include <string>

namespace cocp::detail {

/// Where to connect, as parsed from `connection_options::address`.
struct address {
  /// As given.
  std::string text;
  std::string host;
  /// A port number or a service name.
  std::string service;
  /// Set if host and port are numeric, or if it is the address of a Unix-domain socket: then there is nothing to look
  /// up. The latter has neither host nor service.
  std::optional<endpoint> numeric;
};

/// Parses `host:port`, `host:service`, `[v6]:port`, `unix:/path` or `unix:@name`; throws `std::invalid_argument` naming
/// value and rule.
address parse_address(const std::string& text);

}  // namespace cocp::detail
