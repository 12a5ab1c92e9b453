// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "measured.hpp"

#include <algorithm>

namespace bench {

block block_of(const latency& l, std::chrono::nanoseconds span) {
  return {span, l.count(), l.quantile(0.5), l.quantile(0.9), l.quantile(0.99), l.quantile(0.999)};
}

std::uint64_t measured::errors_of(cause c) const {
  std::uint64_t sum = 0;
  for (const auto& [what, n] : errors) {
    if (what.first == c) sum += n;
  }
  return sum;
}

std::uint64_t measured::all_errors() const {
  std::uint64_t sum = 0;
  for (const auto& [what, n] : errors) sum += n;
  return sum;
}

std::uint64_t measured::all_errors_so_far() const {
  std::uint64_t sum = 0;
  for (const sample& s : samples) sum += s.errors;
  return sum;
}

void append(measured& before, measured next) {
  if (before.elapsed.count() == 0) {
    before = std::move(next);
    return;
  }
  for (sample& s : next.samples) {
    s.at += before.elapsed;
    before.samples.push_back(s);
  }
  for (happening& h : next.happened) before.happened.push_back({h.at + before.elapsed, std::move(h.what), h.over});
  before.blocks.insert(before.blocks.end(), next.blocks.begin(), next.blocks.end());
  before.elapsed += next.elapsed;
  before.answers.add(next.answers);
  for (const auto& [what, n] : next.errors) before.errors[what] += n;
  before.errors_at_close += next.errors_at_close;
  if (before.wrong == 0) before.first_wrong = next.first_wrong;
  before.wrong += next.wrong;
  before.answered_after_back += next.answered_after_back;
  before.not_begun += next.not_begun;
  before.interrupted |= next.interrupted;
  if (before.trouble.empty()) before.trouble = next.trouble;
  if (next.leased_at_kill) before.leased_at_kill = before.leased_at_kill.value_or(0) + *next.leased_at_kill;
  // The longest: that of all is not known unless each has one.
  if (before.recovery) before.recovery = next.recovery ? std::max(before.recovery, next.recovery) : std::nullopt;
  if (before.pool && next.pool) add(*before.pool, *next.pool);
}

void add(cocp::stats& all, const cocp::stats& next) {
  for (std::size_t cocp::stats::*const gauge :
       {&cocp::stats::size, &cocp::stats::min_size, &cocp::stats::waiting, &cocp::stats::connected,
        &cocp::stats::wanted, &cocp::stats::idle, &cocp::stats::leased, &cocp::stats::hooks, &cocp::stats::connecting,
        &cocp::stats::queued, &cocp::stats::resting, &cocp::stats::detached}) {
    all.*gauge += next.*gauge;
  }
  for (std::uint64_t cocp::stats::*const counter :
       {&cocp::stats::gets, &cocp::stats::waits, &cocp::stats::timeouts, &cocp::stats::cancelled,
        &cocp::stats::rejected, &cocp::stats::connects, &cocp::stats::connect_failures, &cocp::stats::disconnects,
        &cocp::stats::replaced_dead, &cocp::stats::replaced_dirty, &cocp::stats::replaced_expired,
        &cocp::stats::tls_resumed}) {
    all.*counter += next.*counter;
  }
  all.wait_time.add(next.wait_time);
  all.create_time.add(next.create_time);
  all.use_time.add(next.use_time);
}

}  // namespace bench
