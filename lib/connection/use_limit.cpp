// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/use_limit.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace cocp::detail {

void use_limit::set(duration d) {
  const time_point t = later(env_.now(), d);
  move_to(std::min(t, bound_));
  own_ = t;
  bound_has_struck_ = false;
}

void use_limit::bound(time_point t, const void* whose) {
  move_to(std::min(own_, t));
  bound_ = t;
  bound_by_ = whose;
  bound_has_struck_ = false;
}

bool use_limit::lift(const void* whose) noexcept {
  if (bound_by_ != whose) return false;
  if (deadline_ == bound_) deadline_ = own_;
  bound_ = time_point::max();
  bound_by_ = nullptr;
  return std::exchange(bound_has_struck_, false);
}

void use_limit::note_passed(bool at_once) noexcept {
  const time_point now = env_.now();
  deadline_ = now < bound_ ? bound_ : time_point::max();
  bound_has_struck_ = now >= bound_ && now < own_ && !at_once;
}

void use_limit::unset() noexcept {
  own_ = time_point::max();
  deadline_ = bound_;
  bound_has_struck_ = false;
}

void use_limit::clear() noexcept {
  lift(bound_by_);
  unset();
}

void use_limit::move_to(time_point t) {
  if (t < armed_) arm(t);
  deadline_ = t;
}

void use_limit::end() noexcept {
  clear();
  if (timer_) timer_->cancel();
}

bool use_limit::has_passed() const noexcept { return deadline_ != time_point::max() && env_.now() >= deadline_; }

bool use_limit::rearm() noexcept {
  if (deadline_ >= armed_) return true;
  try {
    arm(deadline_);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void use_limit::arm(time_point t) {
  if (!ex_) return;
  if (!timer_) timer_ = env_.make_timer(ex_);
  // A wait that is pending ends with this; until there is another, there is none.
  armed_ = time_point::max();
  timer_->expires_at(t);
  auto strike = [whose = owner_.hold()](error_code ec) {
    if (!ec) whose->on_limit_timer();
  };
  timer_->async_wait(std::move(strike));
  armed_ = t;
}

}  // namespace cocp::detail
