// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

namespace cocp::test {

/// A program run as a child. It inherits no descriptor but the standard ones, since Asio's sockets are not closed on
/// exec and a copy of one in a child would keep its connection open. It gets a signal when the thread that started it
/// ends, so that it outlives no test that crashes: SIGKILL, unless it has children of its own to end.
class process {
 public:
  /// Runs `argv`, looked up in PATH. What it prints goes to the file `output`; an empty name leaves it where the
  /// parent's goes.
  /// \throws boost::system::system_error when it cannot be run
  explicit process(std::vector<std::string> argv, const std::string& output = {}, int last_signal = SIGKILL);
  /// SIGKILL, unless it was waited for.
  ~process();
  process(const process&) = delete;
  process& operator=(const process&) = delete;

  pid_t id() const noexcept { return id_; }

  /// Nothing if it was waited for.
  void signal(int number);
  /// Sends SIGKILL and waits.
  void kill();

  /// Waits for its end, at most for `limit`. Its exit status, or minus the number of the signal that ended it; nothing
  /// if it still runs.
  std::optional<int> wait(std::chrono::milliseconds limit);

 private:
  pid_t id_;
  std::optional<int> status_;
};

}  // namespace cocp::test
