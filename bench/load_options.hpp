// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "exchange.hpp"

#include <chrono>
#include <cstddef>
#include <iosfwd>
#include <optional>
#include <stdexcept>
#include <string>

namespace bench {

/// What the command line of the load harness says.
struct load_options {
  std::string address;  ///< Of a server of the user's own; empty: start one, kill it and start it again.
  protocol speak = protocol::echo;
  std::size_t size = 10;        ///< Of the pool.
  std::size_t coroutines = 64;  ///< That ask, each in a loop.
  std::size_t threads = 1;
  std::size_t bytes = 64;  ///< Of each request, or of each value stored.
  std::chrono::nanoseconds duration = std::chrono::seconds(6);
  std::chrono::nanoseconds down = std::chrono::seconds(1);  ///< From the death of the server to its new start.
};

/// The command line is wrong; the text says what is wrong with it.
class usage_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Reads the command line. Nothing if it asks for help, which was then printed to `out`. Throws `usage_error`.
std::optional<load_options> parse_load_options(int argc, char** argv, std::ostream& out);

}  // namespace bench
