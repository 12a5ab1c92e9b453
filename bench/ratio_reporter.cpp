// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "ratio_reporter.hpp"

#include <algorithm>
#include <cstddef>
#include <iomanip>

#include <unistd.h>

namespace bench {
namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

ratio_reporter::ratio_reporter() : ConsoleReporter(::isatty(STDOUT_FILENO) == 1 ? OO_Color : OO_None) {}

void ratio_reporter::ReportRuns(const std::vector<Run>& runs) {
  ConsoleReporter::ReportRuns(runs);
  for (const Run& run : runs) {
    if (run.error_occurred) good_ = false;
    // Where each repetition is told, another in their middle changes nothing.
    const bool counts = run.run_type == Run::RT_Iteration || run.aggregate_name == "median";
    if (run.error_occurred || !counts) continue;
    const std::string& name = run.run_name.function_name;
    times* t = find(name);
    if (!t) t = &all_.emplace_back(times{name, run.family_index, {}, {}});
    t->real.push_back(run.GetAdjustedRealTime());
    t->cpu.push_back(run.GetAdjustedCPUTime());
  }
}

void ratio_reporter::Finalize() {
  // Where they are interleaved, they were run in no order.
  std::ranges::sort(all_, {}, &times::place);
  std::ostream& out = GetOutputStream();
  out << "\nover its floor, by the medians of repetitions          time       CPU\n"
      << std::fixed << std::setprecision(3);
  for (const times& t : all_) {
    const times* const floor = floor_of(t.name);
    if (!floor || floor == &t) continue;
    out << std::left << std::setw(45) << t.name << std::right << std::setw(13) << median(t.real) / median(floor->real)
        << std::setw(10) << median(t.cpu) / median(floor->cpu) << '\n';
  }
}

ratio_reporter::times* ratio_reporter::find(const std::string& name) {
  const auto found = std::ranges::find(all_, name, &times::name);
  return found == all_.end() ? nullptr : &*found;
}

ratio_reporter::times* ratio_reporter::floor_of(std::string name) {
  for (std::size_t end = name.rfind('/'); end != std::string::npos; end = name.rfind('/')) {
    name.resize(end);
    if (times* const floor = find(name + "/floor")) return floor;
  }
  return nullptr;
}

}  // namespace bench
