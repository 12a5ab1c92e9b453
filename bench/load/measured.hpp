// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "latency.hpp"
#include "options.hpp"
#include "tally.hpp"

#include <cocp/stats.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// A moment of a run: what was answered since the one before, and how things stand.
struct sample {
  std::chrono::nanoseconds at{};    ///< From the begin.
  std::chrono::nanoseconds span{};  ///< Since the one before.
  std::uint64_t answered = 0;
  std::uint64_t errors = 0;
  std::chrono::nanoseconds p50{}, p99{}, p999{};
  std::size_t up = 0;
  std::size_t leased = 0;
  std::size_t waiting = 0;
};

/// A part of a run that is long enough to be compared with others: a tenth of it, or a slice of a comparison.
struct block {
  std::chrono::nanoseconds span{};
  std::uint64_t answered = 0;
  std::chrono::nanoseconds p50{}, p90{}, p99{}, p999{};

  double rate() const { return static_cast<double>(answered) / std::chrono::duration<double>(span).count(); }
};

block block_of(const latency& l, std::chrono::nanoseconds span);

/// Something that happened to the server.
struct happening {
  std::chrono::nanoseconds at{};
  std::string what;
  bool over = false;  ///< All is well again.
};

/// What a run of one mode has shown.
struct measured {
  mode how = mode::pool;
  std::chrono::nanoseconds elapsed{};
  latency answers;
  std::vector<sample> samples;
  std::vector<block> blocks;
  std::vector<happening> happened;

  std::map<std::pair<cause, std::string>, std::uint64_t> errors;
  std::uint64_t errors_at_close = 0;  ///< Those since the pool is closed: what it loses then it does not count.
  std::uint64_t wrong = 0;
  std::string first_wrong;
  std::uint64_t answered_after_back = 0;
  std::uint64_t not_begun = 0;  ///< Requests that were due, and that nobody had time for.

  bool interrupted = false;  ///< By Ctrl-C or SIGTERM.
  /// The connections that requests had when the server was killed; nothing if it was not.
  std::optional<std::size_t> leased_at_kill;
  /// From the server's being back until all connections of the pool were up; nothing if that did not happen.
  std::optional<std::chrono::nanoseconds> recovery;
  /// How long the server was down, the last time, and for how long it had been back at the end.
  std::chrono::nanoseconds down_for{};
  std::chrono::nanoseconds back_for{};
  /// What went wrong with the run itself; empty if nothing did.
  std::string trouble;
  /// Of all pools; nothing in another mode.
  std::optional<cocp::stats> pool;

  std::uint64_t errors_of(cause c) const;
  std::uint64_t all_errors() const;
  /// The same by the samples, while the run goes on; wrong answers too.
  std::uint64_t all_errors_so_far() const;
};

/// Goes on where `before` ended.
void append(measured& before, measured next);

/// Adds what `next` counted; its gauges too.
void add(cocp::stats& all, const cocp::stats& next);

}  // namespace bench
