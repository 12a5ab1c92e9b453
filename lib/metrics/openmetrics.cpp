// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/openmetrics.hpp>

#include "metrics/exposition.hpp"
#include "pool/pool_core.hpp"

#include <ostream>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace cocp {
namespace {

std::vector<detail::pool_snapshot> look_at(std::span<const named_pool> pools) {
  std::set<std::string> names;
  std::vector<detail::pool_snapshot> result;
  result.reserve(pools.size());
  for (const named_pool& p : pools) {
    const detail::pool_core& core = detail::core_of(p.pool);
    // Before it is made unique: different bytes may become the same.
    const std::string wanted = detail::to_utf8(p.name.empty() ? core.current_address()->name : p.name);
    auto [name, is_new] = names.insert(wanted);
    for (unsigned n = 2; !is_new; ++n) std::tie(name, is_new) = names.insert(wanted + '#' + std::to_string(n));
    result.push_back({*name, core.stats(), core.options().report_leases.has_value()});
  }
  return result;
}

}  // namespace

void openmetrics(std::ostream& out, std::span<const named_pool> pools) {
  const std::string text = detail::to_openmetrics(look_at(pools));
  // Unformatted: not the stream's locale, flags or width.
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
}

void openmetrics(std::ostream& out, std::span<const pool* const> pools) {
  std::vector<named_pool> all;
  all.reserve(pools.size());
  for (const pool* p : pools) all.push_back({{}, *p});
  openmetrics(out, std::span<const named_pool>(all));
}

}  // namespace cocp
