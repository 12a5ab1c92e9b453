// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/openmetrics.hpp>

#include "metrics/exposition.hpp"
#include "pools/pools_core.hpp"

#include <ostream>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace cocp {
namespace {

class snapshots {
 public:
  void add(const detail::pool_core& core, std::string_view name) {
    add(name.empty() ? core.current_address()->name : name, core.stats(), core.options().report_leases.has_value());
  }
  void add(const pools& many) {
    const detail::pools_core& core = detail::core_of(many);
    const bool reports = core.of_each().report_leases.has_value();
    const detail::pools_core::snapshot now = core.stats();
    for (const auto& [address, s] : now.all) add(address, s, reports);
    if (now.has_removed) add("(removed)", now.removed, reports);
  }

  std::vector<detail::pool_snapshot> all;

 private:
  void add(std::string_view name, const stats& s, bool reports_leases) {
    // Before it is made unique: different bytes may become the same.
    const std::string wanted = detail::to_utf8(name);
    auto [unique, is_new] = names_.insert(wanted);
    for (unsigned n = 2; !is_new; ++n) std::tie(unique, is_new) = names_.insert(wanted + '#' + std::to_string(n));
    all.push_back({*unique, s, reports_leases});
  }

  std::set<std::string> names_;
};

}  // namespace

void openmetrics(std::ostream& out, std::span<const named_pool> single, std::span<const pools* const> many) {
  snapshots now;
  for (const named_pool& p : single) now.add(detail::core_of(p.pool), p.name);
  for (const pools* p : many) now.add(*p);
  const std::string text = detail::to_openmetrics(now.all);
  // Unformatted: not the stream's locale, flags or width.
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
}

void openmetrics(std::ostream& out, std::span<const named_pool> pools) { openmetrics(out, pools, {}); }

void openmetrics(std::ostream& out, const pools& many) {
  const pools* const one[] = {&many};
  openmetrics(out, {}, one);
}

void openmetrics(std::ostream& out, std::span<const pool* const> pools) {
  std::vector<named_pool> all;
  all.reserve(pools.size());
  for (const pool* p : pools) all.push_back({{}, *p});
  openmetrics(out, std::span<const named_pool>(all));
}

}  // namespace cocp
