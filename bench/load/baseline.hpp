// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/json/object.hpp>

#include <iosfwd>
#include <vector>

namespace bench {

/// How a figure of two runs differs, by their blocks.
struct change {
  double by = 0;      ///< Of the medians: 0.1 is a tenth more.
  double noise = 0;   ///< What may be chance.
  bool known = true;  ///< There are enough blocks to tell.

  bool beyond_noise() const noexcept { return known && (by > noise || -by > noise); }
};

/// What may be chance are the notches of box plots: 1.57 times the distance of the quartiles by the root of the count,
/// of both runs (McGill, Tukey and Larsen, "Variations of Box Plots", 1978).
change change_of(const std::vector<double>& before, const std::vector<double>& now);

/// What is not as it was in the run `before`.
void print_changes(std::ostream& out, const boost::json::object& before, const boost::json::object& now);

}  // namespace bench
