// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/reserved_port.hpp"
#include "support/start_server.hpp"
#include "support/temporary_directory.hpp"

#include <memory>
#include <string>

namespace cocp::test {

/// A real memcached on a port of 127.0.0.1.
class memcached_server {
 public:
  /// Accepting connections.
  /// \throws std::exception when there is no `memcached` in PATH, or it does not come up
  memcached_server()
      // Started as root it wants to be told who to become. Becoming another would rid it of the signal that is to end
      // it with its parent (prctl(2), PR_SET_PDEATHSIG); any other user it leaves as it is.
      : process_(start_server({"memcached", "-l", "127.0.0.1", "-p", std::to_string(port_.number()), "-U", "0", "-u",
                               "root", "-t", "1", "-m", "16"},
                              {port_.endpoint()}, directory_.path() / "log")) {}

  /// As in "127.0.0.1:12345".
  std::string address() const { return port_.address(); }

 private:
  reserved_port port_;
  temporary_directory directory_;
  std::unique_ptr<process> process_;
};

}  // namespace cocp::test
