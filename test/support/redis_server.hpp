// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/process.hpp"
#include "support/reserved_port.hpp"
#include "support/temporary_directory.hpp"

#include <memory>
#include <string>
#include <vector>

namespace cocp::test {

/// A real redis-server on a port of 127.0.0.1 that stays its own while it is down. It keeps nothing: after a restart it
/// is empty.
class redis_server {
 public:
  /// Started, and accepting connections. `settings` is more of its command line, as in `{"--requirepass", "secret"}`.
  /// \throws std::exception when there is no `redis-server` in PATH, or it does not come up
  explicit redis_server(std::vector<std::string> settings = {});

  boost::asio::ip::tcp::endpoint endpoint() const { return port_.endpoint(); }
  /// As in "127.0.0.1:12345".
  std::string address() const { return port_.address(); }

  /// SIGKILL; all its sockets are closed when this returns.
  void kill();
  /// Accepting connections when this returns. \throws as the constructor
  void start();
  /// SIGSTOP: the kernel goes on accepting connections and bytes, and nobody answers. `kill` works on it too.
  void freeze() { process_->signal(SIGSTOP); }
  /// SIGCONT: it answers all that it has been asked meanwhile.
  void thaw() { process_->signal(SIGCONT); }

 private:
  reserved_port port_;
  temporary_directory directory_;
  std::vector<std::string> settings_;
  std::unique_ptr<process> process_;
};

}  // namespace cocp::test
