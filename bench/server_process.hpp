// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <string>
#include <vector>

#include <sys/types.h>

namespace bench {

/// What to run as a server.
struct server_command {
  /// The program, looked up in PATH, and its arguments.
  std::vector<std::string> words;
  /// Printed by the program once it listens; a number behind it is the time of that in nanoseconds of the monotonic
  /// clock. Empty: it says nothing of the kind, and is tried at `port` of 127.0.0.1.
  std::string ready_text;
  unsigned short port = 0;
};

/// This program's own echo server (see `serve_if_asked`) on a port of 127.0.0.1.
server_command echo_server(unsigned short port, std::chrono::microseconds delay = {});

/// The same with TLS: files in PEM.
server_command tls_echo_server(unsigned short port, const std::string& certificate, const std::string& key);
/// With a certificate that nobody can verify, and a delay.
server_command tls_echo_server(unsigned short port, std::chrono::microseconds delay);

/// A redis-server on a port of 127.0.0.1 that writes nothing to disk.
server_command redis_server(unsigned short port);

/// A server in a process of its own, that can be killed and started again.
///
/// The process is in a process group of its own, so that a Ctrl-C at the terminal does not reach it, inherits no
/// descriptor but its standard ones, and is killed by the kernel when the thread that started it ends (prctl(2),
/// PR_SET_PDEATHSIG).
class server_process {
 public:
  using clock = std::chrono::steady_clock;

  explicit server_process(server_command command);
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;
  /// Kills it.
  ~server_process();

  /// Starts it and waits until it listens; the result is when it did. Throws `std::runtime_error` with what the process
  /// printed if it ends before.
  boost::asio::awaitable<clock::time_point> start();
  /// The same for a caller that has nothing else to do meanwhile.
  void start_now();

  /// Sends SIGKILL, if it runs, and waits until it is gone, and its clients have been told.
  void kill() noexcept;

  const std::string& name() const noexcept { return command_.words.front(); }
  pid_t pid() const noexcept { return pid_; }

 private:
  boost::asio::awaitable<clock::time_point> reached();

  server_command command_;
  pid_t pid_ = 0;  ///< 0 if no process is running.
};

}  // namespace bench
