// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "samples.hpp"

#include "support/process.hpp"
#include "support/temporary_directory.hpp"

#include <malloc.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iterator>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>

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

/// With less a second is one of a machine that is not busy; and so many of those are needed. That its own threads wait
/// for a processor says nothing: they do so when all is well and there is much to do, and the seconds that were left
/// would be those in trouble.
constexpr double others_take_little = 200;
constexpr std::size_t enough_seconds = 15;

/// Of the samples that count; nothing if they are too few.
std::optional<double> median_of(const std::vector<sample>& samples, const bound& b, std::size_t from, std::size_t to) {
  std::vector<double> all;
  for (std::size_t n = from; n < to; ++n) {
    const sample& s = samples[n];
    if (!b.is_time || (s.others < others_take_little && s.served > 0)) all.push_back(s.*b.figure);
  }
  if (all.size() < enough_seconds) return std::nullopt;
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  std::nth_element(all.begin(), middle, all.end());
  return *middle;
}

/// What one process has had of the processors, and those of its children that it has waited for.
struct share {
  pid_t parent = 0;
  double ticks = 0;
  double of_ended_children = 0;
};

/// Of /proc/PID/stat (proc(5)); nothing if it has ended.
std::optional<share> share_of(const std::filesystem::path& process) {
  std::ifstream file(process / "stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // The name of the program may have anything in it, in parentheses.
  std::istringstream words(line.substr(line.rfind(')') + 1));
  share s;
  std::string skipped;
  words >> skipped >> s.parent;
  for (int i = 5; i < 14; ++i) words >> skipped;
  double user = 0, system = 0, childrens_user = 0, childrens_system = 0;
  words >> user >> system >> childrens_user >> childrens_system;
  s.ticks = user + system;
  s.of_ended_children = childrens_user + childrens_system;
  return s;
}

/// What this process and its servers, which are its children, have had of the processors.
double own_ticks() {
  const share own = share_of("/proc/self").value();
  double sum = own.ticks + own.of_ended_children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto s = share_of(entry.path());
    if (s && s->parent == ::getpid()) sum += s->ticks;
  }
  return sum;
}

/// What all have had of them, or the host has taken. With what the kernel did in interrupts: a process that is
/// interrupted is charged with it.
double all_ticks() {
  std::ifstream file("/proc/stat");
  std::string name;
  double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
  file >> name >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal;
  return user + nice + system + irq + softirq + steal;
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
  s.others = (all_ticks() - own_ticks()) * 1000 / static_cast<double>(::sysconf(_SC_CLK_TCK));
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
  out << "seconds,memory_mib,heap_mib,descriptors,threads,served,failed,refused,median_ms,p99_ms,troubles,others_ms\n"
      << std::fixed << std::setprecision(3);
  for (const sample& s : samples) {
    out << s.at << ',' << s.memory << ',' << s.heap << ',' << s.descriptors << ',' << s.threads << ',' << s.served
        << ',' << s.failed << ',' << s.refused << ',' << s.median << ',' << s.worst << ',' << s.troubles << ','
        << s.others << '\n';
  }
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

void draw(const std::string& csv, const std::string& title, const std::string& path) {
  const temporary_directory directory;
  const std::string script = directory.path() / "script";
  std::ofstream out(script);
  out << "set terminal " << (path.ends_with(".png") ? "png" : "svg")
      << " size 900,900 font 'sans,11' background 'white'\n"
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
