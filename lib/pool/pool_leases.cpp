// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Who holds which lease, and for how long.

#include "base/tell.hpp"
#include "pool/pool_core.hpp"

#include <array>
#include <cstdio>
#include <optional>
#include <utility>

namespace cocp::detail {
namespace {

/// In memory of its own: nothing here may fail.
void tell_lease(const connection_options& options, const address& to, event_kind kind, std::source_location where,
                duration held) noexcept {
  std::array<char, 1024> text{};
  const int n = std::snprintf(text.data(), text.size(), "taken at %s:%lu (%s), held for %.3f s", where.file_name(),
                              static_cast<unsigned long>(where.line()), where.function_name(),
                              std::chrono::duration<double>(held).count());
  const std::size_t size = n < 0 ? 0 : std::min(static_cast<std::size_t>(n), text.size() - 1);
  const severity level = kind == event_kind::lease_overdue ? severity::warning : severity::info;
  tell(options.logger, {kind, level, to.text, {}, 0, {}, std::string_view(text.data(), size)});
}

}  // namespace

void pool_core::note_lease(slot& s, std::source_location where) noexcept {
  s.taken_where = where;
  s.taken_at = env_->now();
  s.withdrawn = false;
  next_report_ = std::min(next_report_, later(s.taken_at, options_.report_leases->held_longer_than));
  wake_by(next_report_);
}

void pool_core::note_return(slot& s) noexcept {
  const duration held = env_->now() - s.taken_at;
  if (!s.withdrawn) counters_.use_time.record(held);
  if (!std::exchange(s.overdue, false)) return;
  if (!s.returned) ++returned_;
  s.returned = true;
  s.returned_where = s.taken_where;
  s.returned_after = held;
  alarm_.ring();
}

void pool_core::report_leases() noexcept {
  struct report {
    event_kind kind;
    std::source_location where;
    duration held;
  };
  // One at a time: a logger is not called under a lock, and nothing is allocated to remember several.
  for (;;) {
    std::optional<report> next;
    std::shared_ptr<const destination> to;
    {
      const std::lock_guard lock(mutex_);
      if (returned_ == 0 && next_report_ > tick_) return;
      time_point later_report = time_point::max();
      for (const auto& s : slots_) {
        if (s->returned) {
          s->returned = false;
          --returned_;
          next = {event_kind::lease_returned, s->returned_where, s->returned_after};
          break;
        }
        if (s->owner != slot_owner::leased || s->overdue) continue;
        const time_point due = later(s->taken_at, options_.report_leases->held_longer_than);
        if (due <= tick_) {
          s->overdue = true;
          next = {event_kind::lease_overdue, s->taken_where, tick_ - s->taken_at};
          break;
        }
        later_report = std::min(later_report, due);
      }
      if (!next) next_report_ = later_report;
      to = to_;
    }
    if (!next) return;
    tell_lease(dial_options_, *to, next->kind, next->where, next->held);
  }
}

std::vector<lease_info> pool_core::leases() const {
  std::vector<lease_info> result;
  if (!options_.report_leases) return result;
  const std::lock_guard lock(mutex_);
  // Not before: one could be taken in between, later than this.
  const time_point now = env_->now();
  result.reserve(leased_);
  for (const auto& s : slots_) {
    if (s->owner != slot_owner::leased) continue;
    result.push_back({s->taken_where, s->taken_at, now - s->taken_at, s->users().remote_endpoint()});
  }
  return result;
}

}  // namespace cocp::detail
