// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// How many connections there are, and of which edition: growth, resize, another address, or the same anew.

#include "pool/pool_core.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace cocp::detail {

void pool_core::grow_for(std::size_t more_waiting, std::size_t at_least) noexcept {
  if (closed_) return;
  const std::size_t asked = std::max(waiting_room_.most_wanted_up(), at_least);
  std::size_t n = headcount_.missing(waiting_room_.waiting() + more_waiting, asked);
  for (headcount::entry* e = nullptr; n != 0 && (e = headcount_.find_vacant()); --n) want(slot_of(*e));
  if (n != 0) {
    // For the others there are no slots yet, and none can be made here.
    const time_point now = env_->now();
    headcount_.plan(n, now);
    look_at_unopened(now);
    if (may_build(now)) due_by(duty::build, tick_);
  }
  note_need();
}

void pool_core::wish(std::size_t at_least) noexcept {
  headcount_.wish();
  grow_for(at_least == 0 ? 1 : 0, at_least);
}

void pool_core::want(slot& s) noexcept {
  const time_point now = env_->now();
  headcount_.want(s, now);
  dial_desk_.need(s);
  dial_desk_.count(s, true);
  update_plain_put();
  s.keeper->wake();
  look_at_unopened(now);
}

void pool_core::begin_planned(slot& s) noexcept {
  headcount_.begin_planned(s);
  dial_desk_.need(s);
  dial_desk_.count(s, true);
  s.keeper->wake();
}

bool pool_core::may_build(time_point now) const noexcept {
  // Who stands in line for what pools share has his leave of this one.
  const std::size_t taken = new_ + (share_ && share_->stands_in_line() ? dial_desk_.in_line() : 0);
  return headcount_.planned() != 0 && taken < dial_desk_.leaves(now);
}

void pool_core::look_at_unopened(time_point now) noexcept {
  if (shelf_.is_timed() && agenda_.at(duty::look) == time_point::max()) {
    due_by(duty::look, later(now, shelf_.look_after()));
  }
}

void pool_core::unwant(headcount::leaver l) noexcept {
  if (l.made) {
    unwant(slot_of(*l.made));
  } else {
    headcount_.unplan();
    note_fewer();
    note_need();
  }
}

void pool_core::note_fewer() noexcept {
  if (headcount_.wanted() == 0) dial_desk_.end_downtime();
  update_plain_put();
}

void pool_core::unwant(slot& s) noexcept {
  headcount_.unwant(s);
  note_fewer();
  if (dial_desk_.withdraw(s) || share_) let_dial(env_->now());
  dial_desk_.count(s, false);
  if (s.is_dialling()) s.keeper->drop_attempt();
  if (shelf_.end_retirement(s)) due_by(duty::age, tick_);
}

void pool_core::update_plain_put() noexcept {
  plain_put_ = !closed_ && !options_.on_return && !headcount_.is_surplus() && !dial_desk_.is_on_trial() &&
               !ledger_.is_kept() && !pressed_;
}

bool pool_core::retires(const slot& s) const noexcept {
  return shelf_.retires(s, !waiting_room_.is_empty(line::lease), headcount_.size(), tick_);
}

bool pool_core::build_slot() {
  slot* s = nullptr;
  asio::any_io_executor ex;
  bool is_first = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || !may_build(env_->now())) return false;
    if (headcount::entry* const vacant = headcount_.find_vacant()) {
      begin_planned(slot_of(*vacant));
      return true;
    }
    ex = ex_;
    s = unstarted_;
    is_first = !create_time_;
  }
  if (!ex) return false;
  std::unique_ptr<slot> fresh = s ? nullptr : std::make_unique<slot>(*this, ex);
  std::unique_ptr<histogram> create_time = is_first ? std::make_unique<histogram>() : nullptr;
  {
    const std::lock_guard lock(mutex_);
    // Whoever closes stops all that he finds: none may come behind him.
    if (closed_) return false;
    if (create_time) create_time_ = std::move(create_time);
    if (fresh) {
      s = fresh.get();
      slots_.push_back(std::move(fresh));
      census_.add(*s);
      unstarted_ = s;
    }
    // It may have ended before `start` returns.
    ++running_;
  }
  try {
    s->keeper->start(shared_from_this());
  } catch (...) {
    {
      const std::lock_guard lock(mutex_);
      --running_;
    }
    finish_drain();
    throw;
  }
  const std::lock_guard lock(mutex_);
  unstarted_ = nullptr;
  headcount_.add(*s);
  if (headcount_.planned() == 0) return true;
  begin_planned(*s);
  // Behind this it asks in any case, be it wanted or not.
  s->is_new_ = true;
  ++new_;
  return true;
}

void pool_core::resize(std::size_t n) {
  if (n == 0) throw std::invalid_argument("resize: 0: must be at least 1");
  const loss why{{}, too_many_words, ending::surplus};
  wait_list in_vain;
  locked lock(mutex_);
  headcount_.resize(n);
  waiting_room_.end_unreachable(n, too_many(), env_->now(), in_vain);
  note_departures();
  grow();
  update_plain_put();
  while (!closed_ && headcount_.is_surplus()) {
    if (const headcount::leaver unopened = headcount_.find_unopened()) {
      unwant(unopened);
      continue;
    }
    shelf::entry* const idle = shelf_.find_oldest();
    if (!idle) break;
    shelf_.remove(*idle);
    give_to_supervisor(std::move(lock), slot_of(*idle), &why);
    lock = locked(mutex_);
  }
  lock.unlock();
  complete_all(in_vain);
}

void pool_core::retry_now() noexcept {
  const std::lock_guard lock(mutex_);
  const time_point now = env_->now();
  dial_desk_.retry_now(now);
  let_dial(now);
}

void pool_core::readdress(std::string text) {
  auto to = make_destination(text, dial_options_);
  locked lock(mutex_);
  if (closed_ || to->text == to_->text) return;
  to_ = std::move(to);
  for (const auto& s : slots_) dial_desk_.revoke(*s);
  dial_desk_.readdress();
  let_dial(env_->now());
  begin_edition(std::move(lock));
}

void pool_core::renew() noexcept {
  locked lock(mutex_);
  if (closed_) return;
  begin_edition(std::move(lock));
}

void pool_core::begin_edition(locked lock) noexcept {
  ++edition_;
  shelf::list idle;
  for (const auto& s : slots_) {
    shelf_.end_age(*s);
    // It may hang for long, and another may not be dialled before it ends.
    if (s->is_dialling()) s->keeper->drop_attempt();
    if (s->owner() != slot_owner::idle) continue;
    shelf_.remove(*s);
    move(*s, slot_event::picked_up);
    idle.push_back(*s);
  }
  while (!idle.empty()) {
    place(std::move(lock), take_first(idle));
    lock = locked(mutex_);
  }
}

}  // namespace cocp::detail
