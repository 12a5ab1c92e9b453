// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What a pool has together with others: see `shared_budget`.

#include "pool/pool_core.hpp"

#include <algorithm>
#include <utility>

namespace cocp::detail {

bool pool_core::has_share(slot& s, time_point now) noexcept {
  const bool at_hand = free_places_ != 0;
  if (!share_->ask(at_hand, need(), now)) return false;
  if (at_hand) --free_places_;
  s.has_place_ = true;
  return true;
}

budget::need pool_core::need() const noexcept {
  budget::need n;
  n.since = waiting_room_.first_since();
  // While attempts fail it has its turn behind those that have waited since then: who waits on an endpoint that is down
  // would otherwise be the first for ever.
  if (n.since != time_point::max() && dial_desk_.failures() != 0) {
    n.since = std::max(n.since, dial_desk_.last_failure().at);
  }
  n.places = std::max<std::size_t>(1, std::min(dial_desk_.eager(headcount_.planned()), waiting_room_.waiting()));
  return n;
}

void pool_core::note_need() noexcept {
  if (share_ && share_->stands_in_line()) share_->waits(need());
}

void pool_core::free_place(slot& s) noexcept {
  if (!std::exchange(s.has_place_, false)) return;
  if (std::exchange(s.makes_room_, false)) {
    share_->give_up(true);
  } else {
    ++free_places_;
  }
}

void pool_core::give_up_places() noexcept {
  // Its own come first, and wait for no more than a dial.
  if (share_->waits_for_dial()) return;
  for (; free_places_ != 0; --free_places_) share_->give_up(false);
}

void pool_core::ask_again() noexcept {
  const std::lock_guard lock(mutex_);
  let_dial(env_->now());
}

bool pool_core::may_leave_room(const slot& s) noexcept {
  const std::size_t asked = waiting_room_.most_wanted_up();
  // Nobody waits for what it stands in line for, or this one would be his: it is not closed for another of its own.
  while (share_->stands_in_line() && !share_->waits_for_dial() && headcount_.spare(asked) != 0) {
    const headcount::leaver unopened = headcount_.find_unopened();
    // It may be a lease that is to be redialled.
    if (!unopened || (unopened.made && slot_of(*unopened.made).is_dialling())) break;
    unwant(unopened);
  }
  return s.has_place_ && headcount_.spare_open(asked) != 0;
}

bool pool_core::is_claimed(slot& s) noexcept {
  if (share_->claims()) {
    s.makes_room_ = true;
    return true;
  }
  pressed_ = false;
  update_plain_put();
  return false;
}

void pool_core::make_room() noexcept {
  locked lock(mutex_);
  shelf::entry* const oldest = shelf_.find_oldest();
  if (closed_ || !oldest || !may_leave_room(slot_of(*oldest))) {
    share_->press();
    pressed_ = true;
    update_plain_put();
    return;
  }
  slot& s = slot_of(*oldest);
  // It may have been for this pool alone.
  if (!is_claimed(s)) return;
  shelf_.remove(s);
  const loss why{{}, room_words, ending::surplus};
  give_to_supervisor(std::move(lock), s, &why);
}

bool pool_core::is_used() const noexcept {
  return !waiting_room_.is_empty(line::lease) || census_.count(slot_owner::leased) != 0 ||
         census_.count(slot_owner::detached) != 0;
}

time_point pool_core::used_at(time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  if (is_used()) return now;
  time_point last = used_until_;
  for (const auto& s : slots_) {
    // What is in a hook, or about to be placed, was idle, or was a lease's a moment ago. A keepalive is nobody's use.
    if (s->owner() != slot_owner::supervisor) last = std::max(last, shelf_.note_use(*s, now));
  }
  return last;
}

bool pool_core::is_in_use() const noexcept {
  const std::lock_guard lock(mutex_);
  return is_used();
}

bool pool_core::has_ended() const noexcept {
  const std::lock_guard lock(mutex_);
  // Those of a context that is gone say nothing any more.
  return !ex_ || is_drained();
}

}  // namespace cocp::detail
