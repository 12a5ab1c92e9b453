// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "tally.hpp"

#include <cocp/stats.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace bench {

/// What happened to the server, and to the run.
struct course {
  std::chrono::nanoseconds elapsed{};
  bool ours = false;         ///< The server was the harness's own to kill.
  bool interrupted = false;  ///< By Ctrl-C or SIGTERM.
  /// The leases that were out when the server was killed; nothing if it was not.
  std::optional<std::size_t> leased_at_kill;
  /// From the server's being back until all connections were up; nothing if that did not happen.
  std::optional<std::chrono::nanoseconds> recovery;
  /// What went wrong with the run itself; empty if nothing did.
  std::string trouble;
};

/// What is wrong with the result, one sentence each; nothing if all is as it should be.
std::vector<std::string> faults(const course& c, const tally& t, const cocp::stats& s);

void print_summary(std::ostream& out, const course& c, const tally& t, const cocp::stats& s);

/// The line that is printed while the harness runs: one that is overwritten on a terminal, or else one after the other.
class live_line {
 public:
  live_line(std::ostream& out, bool terminal);

  /// How often `show` should be called.
  std::chrono::milliseconds interval() const noexcept;
  void show(std::chrono::nanoseconds elapsed, const tally& t, const cocp::stats& s);
  /// A line that stays.
  void note(std::chrono::nanoseconds elapsed, const std::string& text);
  /// Leaves the live line where it is.
  void end();

 private:
  std::ostream& out_;
  const bool terminal_;
  bool open_ = false;  ///< The cursor is behind a live line.
  std::chrono::nanoseconds last_time_{};
  std::uint64_t last_requests_ = 0;
};

}  // namespace bench
