// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace cocp::test::soak {

/// What was measured in one second.
struct sample {
  double at = 0;           ///< Seconds since the start.
  double memory = 0;       ///< Resident, in MiB.
  double heap = 0;         ///< Allocated and not freed, in MiB.
  double descriptors = 0;  ///< Open.
  double threads = 0;
  double served = 0;   ///< Exchanges a second.
  double failed = 0;   ///< The same.
  double refused = 0;  ///< Calls of `get` that were not served, a second.
  double median = 0;   ///< Of what was served: from `get` to the end of the exchange, in ms.
  double worst = 0;    ///< Of 99 of a hundred.
  double troubles = 0;
  /// What others than this process and its servers took of the processors, in ms a second: what a busy machine adds to
  /// latency. The kernel counts all by its ticks and each exactly: so it may be below 0, by some tens.
  double others = 0;
};

/// The figures of this process; `others` since the machine's start.
void measure_process(sample& s);

/// True if what has a bound is in the last quarter, in the median, what it was in the second one. Each figure is told,
/// in a line. Latency is judged by the seconds in which the machine was not busy with others; if there are too few of
/// them, it is said to be not tested.
bool are_flat(const std::vector<sample>& samples, std::ostream& out);

/// Comma separated, with a line of names.
void write_csv(const std::vector<sample>& samples, const std::string& path);
/// A picture of them, by gnuplot(1): a PNG where `path` ends with .png, else an SVG. \throws std::exception
void draw(const std::string& csv, const std::string& title, const std::string& path);

}  // namespace cocp::test::soak
