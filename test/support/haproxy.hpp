// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/process.hpp"
#include "support/reserved_port.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cocp::test {

/// A real haproxy on a port of 127.0.0.1, which passes TCP connections on to servers named s1, s2, ...; each new one to
/// that which has the fewest.
class haproxy {
 public:
  /// Accepting connections. It takes all servers for up until a check has failed.
  /// \throws std::exception when there is no `haproxy` in PATH, or it does not come up
  explicit haproxy(const std::vector<boost::asio::ip::tcp::endpoint>& servers);

  /// As in "127.0.0.1:12345".
  std::string address() const { return port_.address(); }

  /// The state that an administrator gives a server: "ready", or "drain", which gets no new connections.
  /// \throws std::runtime_error if haproxy does not take it
  void set_state(std::string_view server, std::string_view state);

  struct sessions {
    std::uint64_t now;    ///< Connections that are passed on to a server.
    std::uint64_t total;  ///< Those, and those that have ended.
  };
  sessions sessions_of(std::string_view server) const;

 private:
  /// The answer to a command of its "Runtime API".
  std::string ask(const std::string& command) const;

  reserved_port port_;
  temporary_directory directory_;
  std::string admin_ = directory_.path() / "admin";
  std::unique_ptr<process> process_;
};

}  // namespace cocp::test
