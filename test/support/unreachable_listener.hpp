// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/reserved_port.hpp"

#include <string>
#include <vector>

namespace cocp::test {

/// A port of 127.0.0.1 where a connect neither succeeds nor fails: its listener accepts nothing and its backlog is
/// full, so that Linux drops every further SYN (listen(2)). It stands for an endpoint that is unreachable.
class unreachable_listener {
 public:
  /// \throws boost::system::system_error
  unreachable_listener();
  unreachable_listener(const unreachable_listener&) = delete;
  unreachable_listener& operator=(const unreachable_listener&) = delete;
  ~unreachable_listener();

  boost::asio::ip::tcp::endpoint endpoint() const { return port_.endpoint(); }
  /// As in "127.0.0.1:12345".
  std::string address() const { return port_.address(); }

 private:
  // True if the connect was still pending after a time that is long for loopback.
  bool connect_hangs();

  reserved_port port_;
  // The listener and what fills its backlog.
  std::vector<int> descriptors_;
};

}  // namespace cocp::test
