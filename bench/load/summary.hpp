// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "measured.hpp"
#include "options.hpp"

#include <iosfwd>
#include <string>
#include <vector>

namespace bench {

/// What is wrong with the result, one sentence each; nothing if all is as it should be. What a server's death does to a
/// mode without a pool is no fault.
std::vector<std::string> faults(const load_options& options, const measured& m);

/// Of one mode.
void print_summary(std::ostream& out, const load_options& options, const measured& m);

/// A table of the modes, each beside the first.
void print_comparison(std::ostream& out, const load_options& options, const std::vector<measured>& modes);

/// The medians of the blocks' figures, and how far they are spread.
struct spread {
  double median = 0;
  double least = 0;
  double most = 0;
};

/// Of some figures. Nothing is zero.
spread spread_of(std::vector<double> values);

/// What the blocks of one mode have of a figure, divided by those of another, block by block: slices that were taken
/// one after the other share what the machine did meanwhile.
spread ratio_of(const measured& m, const measured& to, double (*figure)(const block&));

double rate_figure(const block& b);
double p50_figure(const block& b);
double p99_figure(const block& b);

}  // namespace bench
