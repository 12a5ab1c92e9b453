// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "samples.hpp"

#include "support/process.hpp"
#include "support/temporary_directory.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iterator>
#include <stdexcept>

namespace cocp::test::soak {
namespace {

// Faults come and go, and so do descriptors: they are about their median, of as many samples as a quarter has. Latency
// is the machine's too, which others may use: it is about its best tenth, since a pool that gets slower is so at any
// time. The threads are as many as there were.
const bound bounds[] = {{"memory, MiB", &sample::memory, 0.5, 1.05, 1},
                        {"descriptors", &sample::descriptors, 0.5, 1.10, 3},
                        {"threads", &sample::threads, 0.5, 1, 0},
                        {"median latency, ms", &sample::median, 0.1, 1.5, 1},
                        {"99th percentile, ms", &sample::worst, 0.1, 1.5, 20}};

double quantile(const std::vector<sample>& samples, const bound& b, std::size_t from, std::size_t to) {
  std::vector<double> all;
  for (std::size_t n = from; n < to; ++n) all.push_back(samples[n].*b.figure);
  const auto place = all.begin() + static_cast<std::ptrdiff_t>(b.part * static_cast<double>(all.size()));
  std::nth_element(all.begin(), place, all.end());
  return *place;
}

}  // namespace

void measure_process(sample& s) {
  std::ifstream status("/proc/self/status");
  for (std::string name; status >> name;) {
    double figure = 0;
    if (name == "VmRSS:" && status >> figure) s.memory = figure / 1024;
    if (name == "Threads:" && status >> figure) s.threads = figure;
  }
  using listing = std::filesystem::directory_iterator;
  s.descriptors = static_cast<double>(std::distance(listing("/proc/self/fd"), listing())) - 1;
}

bool are_flat(const std::vector<sample>& samples, std::ostream& out) {
  const std::size_t quarter = samples.size() / 4;
  bool all = true;
  for (const bound& b : bounds) {
    const double before = quantile(samples, b, quarter, 2 * quarter);
    const double after = quantile(samples, b, samples.size() - quarter, samples.size());
    const double most = before * b.factor + b.more;
    const bool holds = after <= most;
    out << (holds ? "flat: " : "NOT FLAT: ") << b.name << ": " << before << " in the second quarter, " << after
        << " in the last, may be " << most << '\n';
    all = all && holds;
  }
  return all;
}

void write_csv(const std::vector<sample>& samples, const std::string& path) {
  std::ofstream out(path);
  out << "seconds,memory_mib,descriptors,threads,served,failed,refused,median_ms,p99_ms,troubles\n"
      << std::fixed << std::setprecision(3);
  for (const sample& s : samples) {
    out << s.at << ',' << s.memory << ',' << s.descriptors << ',' << s.threads << ',' << s.served << ',' << s.failed
        << ',' << s.refused << ',' << s.median << ',' << s.worst << ',' << s.troubles << '\n';
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
      << "plot file using 1:2 skip 1 title 'memory, MiB'\n"
      << "plot file using 1:3 skip 1 title 'descriptors', '' using 1:4 skip 1 title 'threads'\n"
      << "set logscale y\nset yrange [0.1:*]\n"
      << "plot file using 1:9 skip 1 title '99th percentile, ms', '' using 1:8 skip 1 title 'median, ms'\n"
      << "unset logscale y\nset yrange [0:*]\nset xlabel 'seconds'\n"
      << "plot file using 1:5 skip 1 title 'served a second', '' using 1:6 skip 1 title 'failed', "
         "'' using 1:7 skip 1 title 'refused'\n";
  out.close();
  process gnuplot({"gnuplot", script});
  if (gnuplot.wait(std::chrono::minutes(1)) != 0) throw std::runtime_error("gnuplot does not draw " + path);
}

}  // namespace cocp::test::soak
