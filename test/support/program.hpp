// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/eventually.hpp"
#include "support/process.hpp"
#include "support/temporary_directory.hpp"

#include <chrono>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace cocp::test {

/// A program whose output is wanted.
class program {
 public:
  explicit program(std::vector<std::string> argv) : process_(std::move(argv), output_) {}

  void signal(int number) { process_.signal(number); }
  /// Its exit status when it has ended; nothing if it does not within `limit`.
  std::optional<int> wait(std::chrono::milliseconds limit = patience) { return process_.wait(limit); }

  /// What it has printed so far, diagnostics included.
  std::string said() const {
    std::ostringstream text;
    text << std::ifstream(output_).rdbuf();
    return text.str();
  }

 private:
  temporary_directory directory_;
  std::string output_ = directory_.path() / "output";
  process process_;
};

}  // namespace cocp::test
