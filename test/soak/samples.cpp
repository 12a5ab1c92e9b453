// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "samples.hpp"

#include "support/process.hpp"
#include "support/temporary_directory.hpp"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iterator>
#include <optional>
#include <stdexcept>

namespace cocp::test::soak {
namespace {

/// A figure is flat if it is in the last quarter no more than that.
struct bound {
  const char* name;
  double sample::*figure;
  double factor;
  double more;
  /// It is the machine's too.
  bool is_time = false;
};

// Faults come and go, and so do descriptors, time and what is held back: hence the medians. The threads are as many as
// there were.
const bound bounds[] = {
    {"resident, MiB", &sample::memory, 1.05, 1},           {"heap, MiB", &sample::heap, 1.05, 0.5},
    {"descriptors", &sample::descriptors, 1.10, 3},        {"threads", &sample::threads, 1, 0},
    {"median latency, ms", &sample::median, 1.5, 1, true}, {"99th percentile, ms", &sample::worst, 1.5, 50, true},
};

/// With less a second is one of a machine that is not busy; and so many of those are needed.
constexpr double kept_waiting_little = 300;
constexpr std::size_t enough_seconds = 15;

/// Of the samples that count; nothing if they are too few.
std::optional<double> median_of(const std::vector<sample>& samples, const bound& b, std::size_t from, std::size_t to) {
  std::vector<double> all;
  for (std::size_t n = from; n < to; ++n) {
    const sample& s = samples[n];
    if (!b.is_time || (s.kept_waiting < kept_waiting_little && s.served > 0)) all.push_back(s.*b.figure);
  }
  if (all.size() < enough_seconds) return std::nullopt;
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  std::nth_element(all.begin(), middle, all.end());
  return *middle;
}

}  // namespace

void measure_process(sample& s) {
  std::ifstream status("/proc/self/status");
  for (std::string name; status >> name;) {
    double figure = 0;
    if (name == "VmRSS:" && status >> figure) s.memory = figure / 1024;
    if (name == "Threads:" && status >> figure) s.threads = figure;
  }
  const struct mallinfo2 heap = ::mallinfo2();
  s.heap = static_cast<double>(heap.uordblks + heap.hblkhd) / (1 << 20);
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    // On a processor, and waiting for one, in ns (Documentation/scheduler/sched-stats of Linux).
    double on = 0, waiting = 0;
    if (std::ifstream(task.path() / "schedstat") >> on >> waiting) s.kept_waiting += waiting / 1'000'000;
  }
  using listing = std::filesystem::directory_iterator;
  s.descriptors = static_cast<double>(std::distance(listing("/proc/self/fd"), listing())) - 1;
}

bool are_flat(const std::vector<sample>& samples, std::ostream& out) {
  const std::size_t quarter = samples.size() / 4;
  bool all = true;
  for (const bound& b : bounds) {
    const std::optional<double> before = median_of(samples, b, quarter, 2 * quarter);
    const std::optional<double> after = median_of(samples, b, samples.size() - quarter, samples.size());
    if (!before || !after) {
      out << "NOT TESTED: " << b.name << ": too few seconds in which the machine was not busy\n";
      continue;
    }
    const double most = *before * b.factor + b.more;
    const bool holds = *after <= most;
    out << (holds ? "flat: " : "NOT FLAT: ") << b.name << ": " << *before << " in the second quarter, " << *after
        << " in the last, may be " << most << '\n';
    all = all && holds;
  }
  return all;
}

void write_csv(const std::vector<sample>& samples, const std::string& path) {
  std::ofstream out(path);
  out << "seconds,memory_mib,heap_mib,descriptors,threads,served,failed,refused,median_ms,p99_ms,troubles,kept_waiting_"
         "ms\n"
      << std::fixed << std::setprecision(3);
  for (const sample& s : samples) {
    out << s.at << ',' << s.memory << ',' << s.heap << ',' << s.descriptors << ',' << s.threads << ',' << s.served
        << ',' << s.failed << ',' << s.refused << ',' << s.median << ',' << s.worst << ',' << s.troubles << ','
        << s.kept_waiting << '\n';
  }
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

void draw(const std::string& csv, const std::string& title, const std::string& path) {
  const temporary_directory directory;
  const std::string script = directory.path() / "script";
  std::ofstream out(script);
  out << "set terminal svg size 900,900 font 'sans,11' background 'white'\n"
      << "set output '" << path << "'\nset datafile separator ','\nset grid\nset key top left\nset yrange [0:*]\n"
      << "set multiplot layout 4,1 title '" << title << "'\n"
      << "set style data lines\nfile = '" << csv << "'\n"
      << "plot file using 1:2 skip 1 title 'resident, MiB', '' using 1:3 skip 1 title 'heap, MiB'\n"
      << "plot file using 1:4 skip 1 title 'descriptors', '' using 1:5 skip 1 title 'threads'\n"
      << "set logscale y\nset yrange [0.1:*]\n"
      << "plot file using 1:10 skip 1 title '99th percentile, ms', '' using 1:9 skip 1 title 'median, ms'\n"
      << "unset logscale y\nset yrange [0:*]\nset xlabel 'seconds'\n"
      << "plot file using 1:6 skip 1 title 'served a second', '' using 1:7 skip 1 title 'failed', "
         "'' using 1:8 skip 1 title 'refused'\n";
  out.close();
  process gnuplot({"gnuplot", script});
  if (gnuplot.wait(std::chrono::minutes(1)) != 0) throw std::runtime_error("gnuplot does not draw " + path);
}

}  // namespace cocp::test::soak
