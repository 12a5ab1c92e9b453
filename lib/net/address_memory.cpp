// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/address_memory.hpp"

#include "net/connect_race.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace cocp::detail {

void address_memory::failed(const endpoint& at, failure how, time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    failed_.insert_or_assign(at, entry{now, ++failures_, how});
  } catch (const std::bad_alloc&) {
    return;
  }
  if (failed_.size() <= most) return;
  failed_.erase(std::min_element(failed_.begin(), failed_.end(),
                                 [](const auto& a, const auto& b) { return a.second.number < b.second.number; }));
}

void address_memory::succeeded(const endpoint& at, time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  failed_.erase(at);
  std::erase_if(failed_, [now](const auto& e) { return now - e.second.when >= forget_after; });
}

std::vector<candidate> address_memory::in_order(const std::vector<endpoint>& found) const {
  std::vector<endpoint> good;
  std::vector<std::pair<endpoint, entry>> bad;
  {
    const std::lock_guard lock(mutex_);
    for (const endpoint& e : found) {
      if (const auto known = failed_.find(e); known != failed_.end()) {
        bad.push_back(*known);
      } else {
        good.push_back(e);
      }
    }
  }
  std::sort(bad.begin(), bad.end(), [](const auto& a, const auto& b) { return a.second.number < b.second.number; });
  std::vector<candidate> order;
  order.reserve(found.size());
  for (const endpoint& e : interleave_families(good)) order.push_back({e, false});
  for (const auto& [e, known] : bad) order.push_back({e, known.how == failure::connected});
  return order;
}

}  // namespace cocp::detail
