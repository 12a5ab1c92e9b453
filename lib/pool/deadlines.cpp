// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/deadlines.hpp"

namespace cocp::detail {

void deadlines::add(pool_waiter& w, time_point deadline, duration timeout) noexcept {
  w.deadline_ = deadline;
  lane* chosen = nullptr;
  for (lane& l : lanes_) {
    if (l.waiters.empty()) {
      if (!chosen) chosen = &l;
    } else if (l.timeout == timeout) {
      chosen = &l;
      break;
    }
  }
  if (chosen) {
    chosen->timeout = timeout;
    chosen->waiters.push_back(w);
  } else {
    // The hint costs nothing, and spares the search if this is the latest.
    others_.insert(others_.end(), w);
  }
}

void deadlines::remove(pool_waiter& w) noexcept {
  // Neither list nor tree counts what it holds: any of the lists will do.
  if (w.deadline_list_hook::is_linked()) lanes_.front().waiters.erase(lanes_.front().waiters.iterator_to(w));
  if (w.deadline_set_hook::is_linked()) others_.erase(others_.iterator_to(w));
}

pool_waiter* deadlines::first() noexcept {
  pool_waiter* first = others_.empty() ? nullptr : &*others_.begin();
  for (lane& l : lanes_) {
    if (!l.waiters.empty() && (!first || l.waiters.front() < *first)) first = &l.waiters.front();
  }
  return first;
}

time_point deadlines::earliest() noexcept {
  const pool_waiter* const w = first();
  return w ? w->deadline() : time_point::max();
}

}  // namespace cocp::detail
