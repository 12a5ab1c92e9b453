// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/headcount.hpp"

#include "pool/growth.hpp"

namespace cocp::detail {

std::size_t headcount::missing(std::size_t waiting, std::size_t asked) const noexcept {
  return connections_to_open({size_, least(asked), wanted_, opening(), waiting});
}

void headcount::want(entry& e, time_point now) noexcept {
  leave(e);
  enter(e, stage::waiting, waiting_);
  e.opened_ = false;
  e.needed_at_ = now;
  ++wanted_;
}

void headcount::begin_planned(entry& e) noexcept {
  --planned_;
  --wanted_;
  want(e, planned_at_);
}

void headcount::unwant(entry& e) noexcept {
  leave(e);
  enter(e, stage::vacant, vacant_);
  --wanted_;
}

void headcount::attempt_begun(entry& e) noexcept {
  // In a lease, which wants another stream, it stays open.
  if (e.stage_ != stage::waiting) return;
  leave(e);
  enter(e, stage::dialling, dialling_);
}

void headcount::attempt_ended(entry& e) noexcept {
  if (e.stage_ != stage::dialling) return;
  leave(e);
  enter(e, stage::waiting, waiting_);
}

time_point headcount::connected(entry& e, time_point now) noexcept {
  if (!std::exchange(e.opened_, true)) e.needed_at_ = now;
  if (e.stage_ == stage::waiting || e.stage_ == stage::dialling) {
    leave(e);
    e.stage_ = stage::arrived;
    ++arrived_;
  }
  return e.needed_at_;
}

void headcount::placed(entry& e) noexcept {
  leave(e);
  e.stage_ = stage::open;
}

void headcount::detached(entry& e) noexcept {
  e.stage_ = stage::detached;
  --wanted_;
}

void headcount::gone(entry& e, bool dialling, time_point used_at) noexcept {
  if (e.stage_ == stage::detached) {
    enter(e, stage::vacant, vacant_);
    return;
  }
  e.needed_at_ = used_at;
  enter(e, dialling ? stage::dialling : stage::waiting, dialling ? dialling_ : waiting_);
}

void headcount::lost_on_arrival(entry& e) noexcept {
  if (e.stage_ != stage::arrived) return;
  leave(e);
  enter(e, stage::waiting, waiting_);
}

headcount::leaver headcount::find_unopened() noexcept {
  if (planned_ != 0) return {true, nullptr};
  if (!waiting_.empty()) return {true, &waiting_.front()};
  if (!dialling_.empty()) return {true, &dialling_.back()};
  return {};
}

headcount::leaver headcount::find_unneeded(time_point now, time_point& next) noexcept {
  if (planned_ != 0 && is_unneeded(planned_at_, limits_.idle, now, next)) return {true, nullptr};
  for (entry& e : waiting_) {
    if (is_unneeded(e.needed_at_, limits_.idle, now, next)) return {true, &e};
  }
  for (entry& e : dialling_) {
    // However soon it would be given up, an attempt that has begun has its time: or else nobody who asks now and then
    // would ever have a connection.
    if (!is_unneeded(e.needed_at_, limits_.attempt, now, next)) continue;
    if (planned_ != 0) {
      e.needed_at_ = planned_at_;
      return {true, nullptr};
    }
    if (waiting_.empty()) return {true, &e};
    entry& goes = waiting_.front();
    std::swap(e.needed_at_, goes.needed_at_);
    return {true, &goes};
  }
  return {};
}

bool headcount::is_unneeded(time_point& needed_at, duration limit, time_point now, time_point& next) const noexcept {
  needed_at = std::max(needed_at, wished_at_);
  return is_due(later(needed_at, limit), now, next);
}

void headcount::enter(entry& e, stage next, list& of_stage) noexcept {
  e.stage_ = next;
  of_stage.push_back(e);
}

void headcount::leave(entry& e) noexcept {
  switch (e.stage_) {
    case stage::vacant:
      vacant_.erase(vacant_.iterator_to(e));
      break;
    case stage::waiting:
      waiting_.erase(waiting_.iterator_to(e));
      break;
    case stage::dialling:
      dialling_.erase(dialling_.iterator_to(e));
      break;
    case stage::arrived:
      --arrived_;
      break;
    case stage::open:
    case stage::detached:
      break;
  }
}

}  // namespace cocp::detail
