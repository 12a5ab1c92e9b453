// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/shelf.hpp"

#include "pool/retirement.hpp"

namespace cocp::detail {
namespace {

/// Somebody looks at what is idle so long after it became so: a watch costs a busy connection nothing, and a dead one
/// is found within 100 ms.
constexpr duration watch_after = std::chrono::milliseconds(50);
/// Who wants a look so soon gets one always: it costs less than to know how long a connection was idle.
constexpr duration least_check_after = std::chrono::milliseconds(1);
/// Connections that live for less would be redialled as fast as the endpoint takes it.
constexpr duration least_age = std::chrono::milliseconds(1);

bool verifies_always(const pool_options& o) noexcept { return o.check_after < least_check_after; }

}  // namespace

shelf::shelf(const pool_options& o) noexcept
    : always_verify_(verifies_always(o)),
      timed_(o.keepalive || (o.min_size && o.idle_timeout)),
      look_after_(always_verify_ ? watch_after : std::min(watch_after, o.check_after)),
      check_after_(o.check_after),
      idle_limit_(idle_limit(o)),
      keepalive_after_(o.keepalive ? std::max(o.keepalive_interval, watch_after) : duration::max()),
      max_lifetime_(o.max_lifetime) {}

duration shelf::idle_limit(const pool_options& o) noexcept {
  // Not less than the time between two looks: whoever looks would turn as fast as he can.
  return std::max(o.idle_timeout.value_or(duration::max()), watch_after);
}

void shelf::connected(entry& e, time_point now) noexcept {
  e.verify_ = true;
  e.rested_ = false;
  e.watched_ = false;
  e.watch_at_ = {};
  e.idle_since_ = now;
  e.active_at_ = now;
}

void shelf::begin_keepalive(entry& e) noexcept {
  e.kept_alive_ = true;
  ++kept_alive_;
}

void shelf::hook_ended(entry& e, time_point now) noexcept {
  e.rested_ = std::exchange(e.kept_alive_, false);
  if (e.rested_) --kept_alive_;
  e.active_at_ = now;
}

void shelf::look(std::size_t spare, std::size_t wanted, time_point now, duties& found) noexcept {
  // Not all at once: somebody may want one.
  std::size_t may_keep = std::max<std::size_t>(1, wanted / 2);
  may_keep -= std::min(may_keep, kept_alive_);
  for (auto i = idle_.end(); i != idle_.begin();) {
    entry& e = *--i;
    const task due = look_at(e, spare != 0, may_keep != 0, now, found.next);
    if (due == task::none) continue;
    i = idle_.erase(i);
    if (due == task::watch) {
      // Before it begins: once it has, it may end on another thread.
      e.watched_ = true;
      found.watch.push_back(e);
    } else if (due == task::keep_alive) {
      // What came unasked is no answer for it, whatever check_after says.
      e.verify_ = true;
      found.keep_alive.push_back(e);
      --may_keep;
    } else {
      found.close.push_back(e);
      --spare;
    }
  }
}

shelf::task shelf::look_at(entry& e, bool may_close, bool may_keep, time_point now, time_point& next) noexcept {
  const time_point used_at = note_use(e, now);
  if (may_close && is_due(later(used_at, idle_limit_), now, next)) return task::close;
  if (is_due(later(e.active_at_, keepalive_after_), now, next)) {
    if (may_keep) return task::keep_alive;
    is_due(later(now, watch_after), now, next);
  }
  if (!e.verify_ && is_due(later(e.idle_since_, check_after_), now, next)) e.verify_ = true;
  return !e.watched_ && is_due(e.watch_at_, now, next) ? task::watch : task::none;
}

time_point shelf::begin_age(entry& e, time_point now, std::uint64_t random) noexcept {
  e.retire_at_ = max_lifetime_ ? later(now, std::max(retirement_age(*max_lifetime_, random), least_age))  //
                               : time_point::max();
  return e.retire_at_;
}

time_point shelf::next_age(const entry& e, time_point now) const noexcept {
  return max_lifetime_ ? next_retirement(e.retire_at_, *max_lifetime_, now) : time_point::max();
}

bool shelf::retires(const entry& e, bool waited_for, std::size_t size, time_point now) const noexcept {
  if (e.retire_at_ > now || !max_lifetime_ || may_retire(size) == 0) return false;
  return detail::retires(e.retire_at_, *max_lifetime_, waited_for, now);
}

void shelf::take_retiring(bool waited_for, std::size_t size, time_point now, list& old) noexcept {
  std::size_t places = may_retire(size);
  for (auto i = idle_.end(); i != idle_.begin() && places != 0;) {
    entry& e = *--i;
    if (!retires(e, waited_for, size, now)) continue;
    i = idle_.erase(i);
    old.push_back(e);
    --places;
  }
}

void shelf::retired(entry& e) noexcept {
  e.retiring_ = true;
  ++retiring_;
}

bool shelf::end_retirement(entry& e) noexcept {
  if (!std::exchange(e.retiring_, false)) return false;
  --retiring_;
  return true;
}

std::size_t shelf::may_retire(std::size_t size) const noexcept {
  const std::size_t most = most_retiring(size);
  return most - std::min(most, retiring_);
}

}  // namespace cocp::detail
