// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// How many connections a pool has: growth, resize, and the replacement of old ones.

#include "growth.hpp"
#include "pool_core.hpp"

#include <algorithm>
#include <stdexcept>

namespace cocp::detail {

std::size_t pool_core::least() const noexcept {
  std::size_t n = options_.min_size.value_or(size_);
  for (const waiter& w : up_waiters_) n = std::max(n, static_cast<const pool_waiter&>(w).wanted);
  return std::min(n, size_);
}

void pool_core::add_slots(std::size_t n) {
  // One more for the heir of an aged connection.
  if (options_.max_lifetime) ++n;
  for (;;) {
    slot* added = nullptr;
    asio::any_io_executor ex;
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || slots_.size() >= n) return;
      ex = ex_;
    }
    auto fresh = std::make_unique<slot>(*this, ex);
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || slots_.size() >= n) return;
      added = fresh.get();
      slots_.push_back(std::move(fresh));
      ++running_;
    }
    try {
      added->keeper->start(shared_from_this());
    } catch (...) {
      // It stays, and is never used.
      const std::lock_guard lock(mutex_);
      --running_;
      throw;
    }
    const std::lock_guard lock(mutex_);
    vacant_.push_back(*added);
  }
}

void pool_core::grow() noexcept {
  if (closed_ || wanted_ >= limit()) return;
  const std::size_t in_use = idle_.size() + leased_ + moving_ + hooks_;
  const std::size_t spare = limit() - size_;
  const demand d{limit(), least() + spare, wanted_, wanted_ - in_use, waiting_};
  for (std::size_t n = connections_to_open(d); n != 0 && !vacant_.empty(); --n) want(vacant_.front());
}

void pool_core::want(slot& s) noexcept {
  vacant_.erase(vacant_.iterator_to(s));
  s.wanted = true;
  s.cause = dial_cause::demand;
  s.fresh = false;
  s.used_at = env_->now();
  ++wanted_;
  recount(s);
  update_plain_put();
  s.keeper->wake();
  // It may not come up before it is too old to be of use.
  if (timed_idle_ && next_look_ == time_point::max()) look_by(later(s.used_at, look_after_));
}

void pool_core::unwant(slot& s) noexcept {
  s.wanted = false;
  if (s.fate == slot_fate::outlived) s.fate = slot_fate::stays;
  --wanted_;
  leave_dial_queue(s);
  vacant_.push_back(s);
  if (&s == aged_ || (&s == heir_ && aged_->fate != slot_fate::outlived)) {
    aged_ = nullptr;
    heir_ = nullptr;
    next_age_ = tick_;
    wake_by(next_age_);
  }
  update_plain_put();
}

void pool_core::update_plain_put() noexcept { plain_put_ = !closed_ && !options_.on_return && wanted_ <= limit(); }

void pool_core::resize(std::size_t n) {
  if (n == 0) throw std::invalid_argument("resize: 0: must be at least 1");
  add_slots(n);
  const loss why{{}, "there are more connections than the pool's size", ending::surplus};
  std::unique_lock lock(mutex_);
  size_ = n;
  grow();
  update_plain_put();
  for (slot* s = find_surplus(); s; s = find_surplus()) {
    if (s->owner == slot_owner::supervisor) {
      unwant(*s);
      continue;
    }
    start_moving(*s);
    --moving_;
    give_to_supervisor(std::move(lock), *s, &why);
    lock = std::unique_lock(mutex_);
  }
}

slot* pool_core::find_surplus() noexcept {
  if (closed_ || wanted_ <= limit()) return nullptr;
  for (const auto& s : slots_) {
    if (s->wanted && s->owner == slot_owner::supervisor) return s.get();
  }
  return idle_.empty() ? nullptr : &idle_.back();
}

void pool_core::replace_aged() noexcept {
  const std::lock_guard lock(mutex_);
  if (closed_ || aged_ || next_age_ > tick_) return;
  next_age_ = time_point::max();
  slot* oldest = nullptr;
  for (const auto& s : slots_) {
    if (!s->wanted || s->owner == slot_owner::supervisor) continue;
    if (s->retire_at > tick_) {
      next_age_ = std::min(next_age_, s->retire_at);
      continue;
    }
    if (s->fate == slot_fate::stays) s->fate = slot_fate::due;
    if (s->owner == slot_owner::leased || s->fate != slot_fate::due) continue;
    if (!oldest || s->retire_at < oldest->retire_at) oldest = s.get();
  }
  if (oldest) begin_succession(*oldest);
}

void pool_core::begin_succession(slot& aged) noexcept {
  if (vacant_.empty() || wanted_ > size_) {
    // The pool is about to shrink, or grows: then there will be room.
    next_age_ = later(tick_, std::chrono::milliseconds(50));
    wake_by(next_age_);
    return;
  }
  aged_ = &aged;
  heir_ = &vacant_.front();
  want(*heir_);
  // The one's rest is the other's: what nobody uses is closed for that, however often it is replaced.
  heir_->used_at = aged.used_at;
  heir_->fresh = aged.fresh;
}

}  // namespace cocp::detail
