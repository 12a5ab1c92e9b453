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
  double descriptors = 0;  ///< Open.
  double threads = 0;
  double served = 0;   ///< Exchanges a second.
  double failed = 0;   ///< The same.
  double refused = 0;  ///< Calls of `get` that were not served, a second.
  double median = 0;   ///< Of what was served: from `get` to the end of the exchange, in ms.
  double worst = 0;    ///< Of 99 of a hundred.
  double troubles = 0;
};

/// The figures of this process.
void measure_process(sample& s);

/// A figure is flat if it is in the last quarter what it was in the second one, but for these.
struct bound {
  const char* name;
  double sample::*figure;
  /// Of the quarter's samples so many are below what is compared.
  double part;
  double factor;
  double more;
};

/// True if all are. Each is told, in a line.
bool are_flat(const std::vector<sample>& samples, std::ostream& out);

/// Comma separated, with a line of names.
void write_csv(const std::vector<sample>& samples, const std::string& path);
/// A picture of them, by gnuplot(1), as SVG. \throws std::exception
void draw(const std::string& csv, const std::string& title, const std::string& path);

}  // namespace cocp::test::soak
