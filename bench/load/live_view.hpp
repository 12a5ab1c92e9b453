// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "measured.hpp"

#include <chrono>
#include <iosfwd>
#include <string>

namespace bench {

/// What is printed while the harness runs: a line that is overwritten on a terminal, or else one after the other.
class live_view {
 public:
  live_view(std::ostream& out, bool terminal) : out_(out), terminal_(terminal) {}

  /// How lines begin from now on; the next one is about another run.
  void begin(std::string title);
  /// The newest sample; to be called with each of them.
  void show(const measured& m);
  /// A line that stays.
  void note(const happening& h);
  /// Leaves the last line where it is.
  void end();

 private:
  std::ostream& out_;
  const bool terminal_;
  std::string title_;
  bool open_ = false;  ///< The cursor is behind a line that will be overwritten.
  std::string on_;     ///< What happened to the server, until it is over.
  std::chrono::nanoseconds last_{};
};

}  // namespace bench
