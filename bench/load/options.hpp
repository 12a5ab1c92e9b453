// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "fault.hpp"
#include "units.hpp"

#include <chrono>
#include <cstddef>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace bench {

enum class protocol { echo, redis, memcached, http };

/// How the coroutines get at the server.
enum class mode {
  pool,            ///< A lease for each request.
  own_connection,  ///< A connection each, which it redials when it is broken: the floor.
  dial_each,       ///< A connection for each request.
  locked,          ///< One connection for all, which they queue for.
};

/// The largest payload. More would need a reader while it is written: the sockets' buffers might not take a whole
/// request and its answer.
constexpr std::size_t longest_payload = 65'536;

/// What the command line of the load harness says.
struct load_options {
  std::string connect;  ///< A server of the user's own; empty: start one.
  protocol speak = protocol::echo;
  bool tls = false;
  bool insecure = false;          ///< Does not verify the server's certificate.
  std::string path = "/payload";  ///< Of HTTP.
  std::vector<mode> modes = {mode::pool};
  bool compare = false;         ///< The modes, in turn.
  std::size_t rounds = 1;       ///< Slices of each mode.
  std::size_t size = 10;        ///< Of the pool.
  std::size_t coroutines = 64;  ///< That ask, each in a loop.
  std::size_t threads = 1;
  bool context_each =
      false;         ///< An `io_context` for each thread, with a part of the coroutines and of the pool's size.
  byte_range bytes;  ///< Of each request, or of each value stored.
  double rate = 0;   ///< Requests a second, whether those before are answered or not; 0: each after the last.
  std::chrono::nanoseconds think{};  ///< From an answer to the next request.
  std::chrono::nanoseconds duration = std::chrono::seconds(6);
  std::vector<fault> faults;  ///< By time.
  std::string json;           ///< Files; empty: none.
  std::string report;
  std::string baseline;
};

const char* to_string(mode m) noexcept;
const char* to_string(protocol p) noexcept;

/// Reads the command line. Nothing if it asks for help, which was then printed to `out`. \throws usage_error
std::optional<load_options> parse_load_options(int argc, const char* const* argv, std::ostream& out);

}  // namespace bench
