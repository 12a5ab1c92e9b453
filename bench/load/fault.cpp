// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "fault.hpp"

#include "units.hpp"

#include <algorithm>
#include <sstream>

namespace bench {
namespace {

[[noreturn]] void bad_fault(std::string_view text) {
  throw usage_error("--fault is " + std::string(text) +
                    "; it must be a time, a colon, and kill, restart, stall=TIME, latency=TIME or reset=PERCENT%, "
                    "as in 5s:stall=1s");
}

}  // namespace

fault parse_fault(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) bad_fault(text);
  const auto at = parse_time(text.substr(0, colon));
  if (!at) bad_fault(text);
  const std::string_view rest = text.substr(colon + 1);
  const std::size_t equals = rest.find('=');
  const std::string_view name = rest.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? std::string_view() : rest.substr(equals + 1);
  const bool plain = equals == std::string_view::npos;

  fault f{.at = *at};
  if (plain && name == "kill") return f;
  if (plain && name == "restart") {
    f.what = fault::kind::restart;
    return f;
  }
  if (name == "stall" || name == "latency") {
    const auto time = parse_time(value);
    if (!time || (name == "stall" && time->count() == 0)) bad_fault(text);
    f.what = name == "stall" ? fault::kind::stall : fault::kind::latency;
    f.time = *time;
    return f;
  }
  const auto share = parse_share(value);
  if (name != "reset" || !share) bad_fault(text);
  f.what = fault::kind::reset;
  f.share = *share;
  return f;
}

std::string to_string(const fault& f) {
  switch (f.what) {
    case fault::kind::kill:
      return "kill";
    case fault::kind::restart:
      return "restart";
    case fault::kind::stall:
      return "stall=" + to_string(f.time);
    case fault::kind::latency:
      return "latency=" + to_string(f.time);
    case fault::kind::reset:
      break;
  }
  std::ostringstream out;
  out << "reset=" << f.share * 100 << '%';
  return out.str();
}

std::vector<fault> plan_of(std::vector<fault> faults, std::chrono::nanoseconds end) {
  std::ranges::stable_sort(faults, {}, &fault::at);
  bool down = false;
  for (const fault& f : faults) {
    const std::string text = "--fault is " + to_string(f.at) + ":" + to_string(f);
    if (f.at >= end) throw usage_error(text + "; it must be before the end, which is at " + to_string(end));
    if (f.what == fault::kind::kill && down) throw usage_error(text + "; the server is down already");
    if (f.what == fault::kind::restart && !down) throw usage_error(text + "; it must be after a kill");
    if (!f.on_the_way()) down = f.what == fault::kind::kill;
  }
  return faults;
}

}  // namespace bench
