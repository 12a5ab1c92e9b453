// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "baseline.hpp"

#include "numbers.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>

namespace bench {
namespace {

namespace json = boost::json;

double notch_of(const std::vector<double>& sorted) {
  return 1.57 * (quantile_of(sorted, 0.75) - quantile_of(sorted, 0.25)) / std::sqrt(static_cast<double>(sorted.size()));
}

std::vector<double> figures(const json::object& mode, const char* name) {
  std::vector<double> all;
  for (const json::value& block : mode.at("blocks").as_array()) {
    all.push_back(block.as_object().at(name).to_number<double>());
  }
  return all;
}

const json::object* mode_named(const json::object& record, const json::value& name) {
  for (const json::value& m : record.at("modes").as_array()) {
    if (m.as_object().at("mode") == name) return &m.as_object();
  }
  return nullptr;
}

std::string percent(double part, bool sign) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(1) << (sign ? std::showpos : std::noshowpos) << part * 100 << " %";
  return out.str();
}

}  // namespace

change change_of(const std::vector<double>& before, const std::vector<double>& now) {
  constexpr std::size_t least_blocks = 5;
  if (std::min(before.size(), now.size()) < least_blocks) return {.known = false};
  const auto sorted = [](std::vector<double> values) {
    std::ranges::sort(values);
    return values;
  };
  const std::vector<double> was = sorted(before);
  const std::vector<double> is = sorted(now);
  const double median = quantile_of(was, 0.5);
  if (median <= 0) return {.known = false};
  return {(quantile_of(is, 0.5) - median) / median, (notch_of(was) + notch_of(is)) / median};
}

void print_changes(std::ostream& out, const json::object& before, const json::object& now) {
  out << "\nbeside the baseline of " << std::string(before.at("when").as_string())
      << " (in brackets: what may be chance)\n";
  const json::object& setup = now.at("setup").as_object();
  const json::object& was = before.at("setup").as_object();
  for (const auto& [name, value] : setup) {
    const json::value* const old = was.if_contains(name);
    if (old != nullptr && *old == value) continue;
    out << "  not the same work: " << name << " was " << (old != nullptr ? json::serialize(*old) : "not known")
        << " and is " << json::serialize(value) << '\n';
  }
  bool any = false;
  bool known = true;
  for (const json::value& m : now.at("modes").as_array()) {
    const json::object& mode = m.as_object();
    const json::object* const old = mode_named(before, mode.at("mode"));
    if (old == nullptr) continue;
    out << "  " << std::left << std::setw(16) << std::string(mode.at("mode").as_string()) << std::right;
    for (const auto& [key, name] :
         {std::pair("rate", "requests/s"), std::pair("p50", "p50"), std::pair("p99", "p99")}) {
      const change c = change_of(figures(*old, key), figures(mode, key));
      known = known && c.known;
      any = any || c.beyond_noise();
      out << "  " << name << ' ';
      if (c.known) {
        out << percent(c.by, true) << " (" << percent(c.noise, false) << ")" << (c.beyond_noise() ? " CHANGED" : "");
      } else {
        out << "not known";
      }
    }
    out << '\n';
  }
  if (!known) out << "  five slices are needed to tell what is chance\n";
  if (known && !any) out << "  nothing changed beyond the noise of the two runs\n";
  out << std::flush;
}

}  // namespace bench
