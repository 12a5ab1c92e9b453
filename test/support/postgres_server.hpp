// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/process.hpp"
#include "support/reserved_port.hpp"
#include "support/temporary_directory.hpp"

#include <csignal>
#include <memory>
#include <string>
#include <vector>

namespace cocp::test {

/// A real PostgreSQL with a cluster of its own, on a port of 127.0.0.1 that stays its own while it is down, and on a
/// Unix socket. Its user and database are `postgres`: the port wants the password (SCRAM-SHA-256), the socket none. It
/// refuses to run as root; then it runs as the user `postgres`, or as `nobody`.
class postgres_server {
 public:
  /// Made and started, which takes a second. `settings` are of its configuration, as in `{"log_connections=on"}`.
  /// \throws std::exception when there is no PostgreSQL, or it does not come up
  explicit postgres_server(std::string password, std::vector<std::string> settings = {});
  /// As by `stop(SIGQUIT)`: what it leaves behind when it is killed are shared memory and processes.
  ~postgres_server();

  /// As in "127.0.0.1:12345".
  std::string address() const { return port_.address(); }
  /// As in "unix:/path".
  std::string unix_address() const;

  /// SIGINT: ends all sessions with an error. SIGQUIT: the same without ado.
  void stop(int signal = SIGINT);
  /// Answers queries when this returns. \throws as the constructor
  void start();
  /// Of the configuration: sets `setting` ("name=value") and reads it again.
  void reload(const std::string& setting);

  /// What `psql` prints for a query: columns with '|' between them, a row a line.
  std::string ask(const std::string& query) const;
  /// All that it has logged.
  std::string log() const;

 private:
  std::string data() const { return directory_.path() / "data"; }
  /// Whether it has said that it answers queries.
  bool is_ready() const;

  reserved_port port_;
  temporary_directory directory_;
  std::vector<std::string> settings_;
  std::unique_ptr<process> process_;
};

}  // namespace cocp::test
