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

headcount::entry* headcount::find_unopened() noexcept {
  if (!waiting_.empty()) return &waiting_.front();
  return dialling_.empty() ? nullptr : &dialling_.back();
}

headcount::entry* headcount::find_unneeded(time_point now, time_point& next) noexcept {
  for (entry& e : waiting_) {
    if (is_unneeded(e, limits_.idle, now, next)) return &e;
  }
  for (entry& e : dialling_) {
    // However soon it would be given up, an attempt that has begun has its time: or else nobody who asks now and then
    // would ever have a connection.
    if (!is_unneeded(e, limits_.attempt, now, next)) continue;
    if (waiting_.empty()) return &e;
    entry& goes = waiting_.front();
    std::swap(e.needed_at_, goes.needed_at_);
    return &goes;
  }
  return nullptr;
}

bool headcount::is_unneeded(entry& e, duration limit, time_point now, time_point& next) const noexcept {
  e.needed_at_ = std::max(e.needed_at_, wished_at_);
  return is_due(later(e.needed_at_, limit), now, next);
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
