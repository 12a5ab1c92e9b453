// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/certificates.hpp"
#include "support/process.hpp"
#include "support/reserved_port.hpp"
#include "support/temporary_directory.hpp"

#include <csignal>
#include <memory>
#include <optional>
#include <string>

namespace cocp::test {

/// A real nginx on ports of 127.0.0.1 that stay its own while it is down, and on a Unix socket. It answers every
/// request with its method and target, as in "GET /some/page", unless its directives say otherwise.
class nginx_server {
 public:
  struct options {
    /// Further directives of its `server`, as in "keepalive_requests 10;".
    std::string directives{};
    /// With which it does TLS too.
    std::optional<key_pair> tls{};
    /// With a process that does the work and one that starts it, as `reload` needs them. `kill` is a SIGTERM then:
    /// after a SIGKILL the worker would live on.
    bool worker = false;
  };

  /// Started, and accepting connections.
  /// \throws std::exception when there is no nginx, or it does not come up
  nginx_server() : nginx_server(options{}) {}
  explicit nginx_server(options o);
  ~nginx_server() { kill(); }
  nginx_server(const nginx_server&) = delete;
  nginx_server& operator=(const nginx_server&) = delete;

  /// As in "127.0.0.1:12345".
  std::string address() const { return plain_.address(); }
  /// The same for TLS. Nobody listens there without `options::tls`.
  std::string tls_address() const { return tls_.address(); }
  unsigned short tls_port() const { return tls_.number(); }
  /// As in "unix:/path".
  std::string unix_address() const { return "unix:" + socket(); }

  /// SIGKILL; all its sockets are closed when this returns.
  void kill();
  /// Accepting connections when this returns. \throws as the constructor
  void start();
  /// As `nginx -s reload`: another worker takes over, and this one closes its idle connections, answers what it was
  /// asked, and ends. Under way when this returns; `$pid` in an answer is the worker's.
  void reload() { process_->signal(SIGHUP); }

 private:
  std::string socket() const { return directory_.path() / "socket"; }

  const options options_;
  reserved_port plain_;
  reserved_port tls_;
  temporary_directory directory_;
  std::unique_ptr<process> process_;
};

}  // namespace cocp::test
