// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// How many connections a pool has: growth, resize, and the replacement of old ones.

#include "pool/growth.hpp"
#include "pool/pool_core.hpp"
#include "pool/retirement.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace cocp::detail {

std::size_t pool_core::least() const noexcept {
  std::size_t n = options_.min_size.value_or(size_);
  for (const waiter& w : up_waiters_) n = std::max(n, static_cast<const pool_waiter&>(w).wanted);
  return std::min(n, size_);
}

void pool_core::add_slots(std::size_t n) {
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

void pool_core::grow_for(std::size_t more_waiting, std::size_t at_least) noexcept {
  if (closed_ || wanted_ >= size_) return;
  const demand d{size_, std::min(std::max(least(), at_least), size_), wanted_, opening(), waiting_ + more_waiting};
  for (std::size_t n = connections_to_open(d); n != 0 && !vacant_.empty(); --n) want(vacant_.front());
}

void pool_core::wish(std::size_t at_least) noexcept {
  wished_ = true;
  grow_for(at_least == 0 ? 1 : 0, at_least);
}

void pool_core::want(slot& s) noexcept {
  vacant_.erase(vacant_.iterator_to(s));
  s.wanted = true;
  s.cause = dial_cause::demand;
  s.fresh = false;
  s.opened = false;
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
  --wanted_;
  if (wanted_ == 0) downtime_.over();
  leave_dial_queue(s);
  if (s.connecting) s.keeper->drop_attempt();
  vacant_.push_back(s);
  end_retirement(s);
  update_plain_put();
}

void pool_core::update_plain_put() noexcept { plain_put_ = !closed_ && !options_.on_return && !is_surplus(); }

void pool_core::resize(std::size_t n) {
  if (n == 0) throw std::invalid_argument("resize: 0: must be at least 1");
  add_slots(n);
  const loss why{{}, "there are more connections than the pool's size", ending::surplus};
  wait_list in_vain;
  std::unique_lock lock(mutex_);
  size_ = n;
  for (auto i = up_waiters_.begin(); i != up_waiters_.end();) {
    auto& w = static_cast<pool_waiter&>(*i++);
    if (w.wanted <= size_) continue;
    dequeue(w, too_many());
    in_vain.push_back(w);
  }
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
  lock.unlock();
  complete_all(in_vain);
}

slot* pool_core::find_surplus() noexcept {
  if (closed_ || !is_surplus()) return nullptr;
  slot* s = opening() == 0 ? nullptr : find_unopened();
  if (s) return s;
  return idle_.empty() ? nullptr : &idle_.back();
}

slot* pool_core::find_unopened() noexcept {
  slot* last = nullptr;
  for (const auto& s : slots_) {
    // One that is up is about to be placed, or to go down.
    if (!s->wanted || s->owner != slot_owner::supervisor || s->users().is_up()) continue;
    if (!s->connecting) return s.get();
    if (!last || s->dialled_at > last->dialled_at) last = s.get();
  }
  return last;
}

bool pool_core::retires(const slot& s) const noexcept {
  if (s.retire_at > tick_ || !options_.max_lifetime || retiring_ >= most_retiring(size_)) return false;
  return detail::retires(s.retire_at, *options_.max_lifetime, !lease_waiters_.empty(), tick_);
}

void pool_core::retire_idle() noexcept {
  slot_list old;
  {
    const std::lock_guard lock(mutex_);
    if (next_age_ > tick_) return;
    next_age_ = time_point::max();
    // What is closed grows no older, however long a lease keeps the housekeeper.
    if (closed_) return;
    for (const auto& s : slots_) {
      if (!s->wanted || s->owner == slot_owner::supervisor || is_outdated(*s)) continue;
      next_age_ = std::min(next_age_, next_retirement(s->retire_at, *options_.max_lifetime, tick_));
    }
    std::size_t places = most_retiring(size_);
    places -= std::min(places, retiring_);
    // From the one that rests the longest.
    for (auto i = idle_.end(); i != idle_.begin() && old.size() != places;) {
      slot& s = *--i;
      if (!retires(s)) continue;
      ++i;
      start_moving(s);
      old.push_back(s);
    }
  }
  while (!old.empty()) {
    slot& s = old.front();
    old.pop_front();
    place(std::unique_lock(mutex_), s);
  }
}

void pool_core::end_retirement(slot& s) noexcept {
  if (!std::exchange(s.retiring, false)) return;
  --retiring_;
  // It is another's turn, if one is due.
  next_age_ = tick_;
  wake_by(next_age_);
}

}  // namespace cocp::detail
