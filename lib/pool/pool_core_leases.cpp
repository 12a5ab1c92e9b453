// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A connection is taken, and a lease ends: how a slot goes from one to the next.

#include "pool/pool_core.hpp"

#include <cocp/pool.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace cocp::detail {

// A connection is taken.

peek_result pool_core::look(slot& s, loss& why) const noexcept {
  error_code ec;
  const peek_result found = s.users().idle_stream()->peek(ec);
  if (found == peek_result::quiet) [[likely]]
    return found;
  if (found == peek_result::unread && !options_.allow_unread) {
    why = {errc::unsolicited_data, "bytes were left unread, or came unasked", ending::dirty};
  } else if (ec) {
    why = {ec, {}, ending::lost};
  } else {
    return found;
  }
  return peek_result::dead;
}

template <pool_core::taker Who>
inline slot* pool_core::take_one(std::source_location where) noexcept {
  // Nobody overtakes those who wait.
  if (shelf_.is_empty() || !waiting_room_.is_empty(line::lease)) {
    if constexpr (Who == taker::does_not_wait) {
      if (!closed_) wish();
    }
    return nullptr;
  }
  if constexpr (Who == taker::goes_on) {
    // The one that goes through the scheduler is the first of the next row.
    if (--in_a_row_ == 0) [[unlikely]] {
      in_a_row_ = most_in_a_row;
      return nullptr;
    }
  }
  slot& s = slot_of(shelf_.take());
  census_.move_known<slot_owner::idle, slot_event::taken>(s);
  if (ledger_.is_kept()) [[unlikely]]
    note_given(s, where);
  return &s;
}

template <pool_core::taker Who>
inline lease pool_core::take_idle(std::source_location where) noexcept {
  locked lock(mutex_);
  slot* const s = take_one<Who>(where);
  if (!s) return lease();
  if (shelf_.take_verify(*s)) {
    lock.unlock();
    return take_verified<Who>(*s, where);
  }
  if constexpr (Who != taker::waits) ++gets_;
  return lease(*s);
}

template <pool_core::taker Who>
lease pool_core::take_verified(slot& first, std::source_location where) noexcept {
  slot* s = &first;
  for (;;) {
    loss why;
    if (look(*s, why) != peek_result::dead) {
      if constexpr (Who != taker::waits) settled_gets_.fetch_add(1, std::memory_order_relaxed);
      return lease(*s);
    }
    reject(*s, why);
    const std::lock_guard lock(mutex_);
    s = take_one<Who>(where);
    if (!s) return lease();
    if (!shelf_.take_verify(*s)) {
      if constexpr (Who != taker::waits) ++gets_;
      return lease(*s);
    }
  }
}

template lease pool_core::take_idle<pool_core::taker::waits>(std::source_location) noexcept;
template lease pool_core::take_idle<pool_core::taker::goes_on>(std::source_location) noexcept;
template lease pool_core::take_idle<pool_core::taker::does_not_wait>(std::source_location) noexcept;

bool pool_core::passes(locked& lock, slot& s) noexcept {
  lock.unlock();
  loss why;
  if (look(s, why) == peek_result::dead) {
    reject(s, why);
    return false;
  }
  lock.lock();
  return true;
}

void pool_core::reject(slot& s, const loss& why) noexcept {
  locked lock(mutex_);
  if (why.kind == ending::lost) ++counters_.replaced_dead;
  if (ledger_.is_kept() && s.owner() == slot_owner::leased) ledger_.not_given(s);
  give_to_supervisor(std::move(lock), s, &why);
}

void pool_core::note_given(slot& s, std::source_location where) noexcept {
  ledger_.given(s, where, env_->now());
  due_by(duty::report, ledger_.next_time());
}

// A lease ends.

inline void pool_core::note_idle(const slot& s) noexcept {
  // Only the first one since the last look asks for the next, and only then somebody looks at the clock.
  if (agenda_.at(duty::look) > tick_ + shelf_.look_after() && shelf_.wants_look(s)) [[unlikely]]
    ask_for_look();
}

inline void pool_core::give_back(slot& s, lease::way how) noexcept {
  pool_core& self = *s.core_;
  const auto spoiled = [&self, how]() noexcept {
    // Only the destructor can be part of an unwinding, and only the thread that unwinds knows of it.
    return how == lease::way::destroyed && !self.options_.keep_on_exception && std::uncaught_exceptions() > 0;
  };
  const std::uint64_t id = self.ledger_.is_kept() ? s.users().id() : 0;
  const leftover left = s.users().end_use(spoiled, how == lease::way::discarded, self.options_.one_way);
  locked lock(self.mutex_);
  self.shelf_.came_back(s, left != leftover::unused, self.tick_);
  if (is_clean(left) && self.plain_put_ && self.waiting_room_.is_empty(line::lease) &&
      self.shelf_.is_young(s, self.tick_)) [[likely]] {
    self.census_.move_known<slot_owner::leased, slot_event::shelved>(s);
    self.shelf_.put_first(s);
    self.note_idle(s);
    return;
  }
  self.end_lease(std::move(lock), s, left, id);
}

void pool_core::detach(slot& s) noexcept {
  pool_core& self = *s.core_;
  {
    const std::lock_guard lock(self.mutex_);
    if (s.owner() == slot_owner::detached) return;
    if (self.ledger_.is_kept()) self.ledger_.not_given(s);
    const time_point now = self.env_->now();
    self.move(s, slot_event::let_go);
    self.headcount_.detached(s);
    s.let_go_ = self.dial_desk_.detached(s, s.users().has_answered(), now);
    if (s.is_dialling()) {
      // Unless it is open, and about to be told of: then it is the lease's, as any that it has waited for.
      s.let_go_ = s.users().is_up();
      s.keeper->drop_attempt();
    }
    if (self.shelf_.end_retirement(s)) self.due_by(duty::age, self.tick_);
    if (self.share_) self.free_place(s);
    self.update_plain_put();
    self.let_dial(now);
    self.grow();
  }
  s.users().detach();
}

void pool_core::end_lease(locked lock, slot& s, leftover left, std::uint64_t id) noexcept {
  if (s.owner() == slot_owner::detached) {
    give_to_supervisor(std::move(lock), s, nullptr);
    return;
  }
  if (ledger_.is_kept()) {
    if (ledger_.returned(s, id, env_->now())) due_by(duty::report, ledger_.next_time());
  }
  // If it is down its supervisor may have brought it back by now, and then it has left it to the lease.
  if (!is_clean(left) && !s.users().is_up()) {
    // Now, and not when its supervisor comes to it: who gives a lease back can see in the stats what became of it.
    if (!closed_) count_loss(s, s.users().last_loss());
    give_to_supervisor(std::move(lock), s, nullptr);
    return;
  }
  if (left != leftover::unused && dial_desk_.is_on_trial() && s.users().has_answered()) {
    dial_desk_.served(s);
    let_dial(env_->now());
  }
  move(s, slot_event::came_back);
  if (options_.on_return) {
    begin_hook(std::move(lock), s, options_.on_return);
  } else {
    place(std::move(lock), s);
  }
}

void pool_core::begin_hook(locked lock, slot& s, const handshake& hook) noexcept {
  while (!closed_ && !must_go(s)) {
    // What a lease left unread is no answer for a hook.
    if (shelf_.take_verify(s)) {
      if (!passes(lock, s)) return;
      continue;
    }
    move(s, slot_event::hook_begun);
    if (&hook == &options_.keepalive) shelf_.begin_keepalive(s);
    s.hook_ = &hook;
    s.keeper->wake();
    return;
  }
  place(std::move(lock), s);
}

void pool_core::place(locked lock, slot& s) noexcept {
  while (!closed_ && !must_go(s) && !waiting_room_.is_empty(line::lease)) {
    if (shelf_.take_verify(s)) {
      if (!passes(lock, s)) return;
      continue;
    }
    pool_waiter& next = waiting_room_.serve_first(env_->now());
    note_departures();
    move(s, slot_event::handed_on);
    shelf_.handed_on(s);
    if (ledger_.is_kept()) note_given(s, next.where);
    next.result = lease(s);
    lock.unlock();
    complete(next);
    return;
  }
  if (closed_ || must_go(s) || (pressed_ && may_leave_room(s) && is_claimed(s))) {
    send_away(std::move(lock), s);
    return;
  }
  move(s, slot_event::shelved);
  shelf_.placed(s);
  shelf_.put(s);
  note_idle(s);
}

void pool_core::send_away(locked lock, slot& s) noexcept {
  const loss surplus{{}, too_many_words, ending::surplus};
  const loss room{{}, room_words, ending::surplus};
  const loss renewed{{}, "the pool was renewed", ending::moved};
  const loss moved{{}, "the pool has another address", ending::moved};
  const loss aged{{}, "it has reached its age", ending::aged};
  const loss* why = &aged;
  if (closed_) {
    why = nullptr;
  } else if (headcount_.is_surplus()) {
    why = &surplus;
  } else if (s.makes_room_) {
    why = &room;
  } else if (is_outdated(s)) {
    why = s.to_ == to_ ? &renewed : &moved;
  }
  give_to_supervisor(std::move(lock), s, why);
}

void pool_core::ask_for_look() noexcept {
  tick_ = env_->now();
  due_by(duty::look, later(tick_, shelf_.look_after()));
}

void pool_core::give_to_supervisor(locked lock, slot& s, const loss* why) noexcept {
  const auto self = std::move(s.core_);
  const bool stop = closed_;
  move(s, slot_event::gone);
  // Before it goes down: from then on its supervisor may bring it back.
  if (stop) {
    dial_desk_.down(s);
  } else if (why) {
    count_loss(s, *why);
    if (why->kind == ending::aged) shelf_.retired(s);
  }
  if (s.is_counted() && (headcount_.is_surplus() || (why && why->kind == ending::surplus))) {
    unwant(s);
    // Somebody may have begun to wait when there seemed to be no room.
    grow();
  }
  // Its loop may have ended, and be wanted once more.
  const bool may_run = stop && dial_options_.on_close;
  if (may_run) ++running_;
  lock.unlock();
  if (why) s.keeper->dismiss(*why);
  if (!stop) return;
  const bool runs = s.keeper->stop() && start_again(s);
  if (may_run && !runs) {
    lock.lock();
    --running_;
    lock.unlock();
  }
  finish_drain();
}

bool pool_core::start_again(slot& s) noexcept {
  try {
    s.keeper->start(shared_from_this());
    return true;
  } catch (...) {
    // No memory, or its executor refuses: it is closed without.
    s.keeper->drop_words();
    return false;
  }
}

void pool_core::move(slot& s, slot_event e) noexcept {
  const bool was_supervised = s.owner() == slot_owner::supervisor;
  census_.move(s, e);
  const bool is_supervised = s.owner() == slot_owner::supervisor;
  if (was_supervised == is_supervised) return;
  if (is_supervised) {
    const time_point used_at = shelf_.used_at(s, env_->now());
    used_until_ = std::max(used_until_, used_at);
    // One that was detached is no more than vacant.
    headcount_.gone(s, s.is_dialling(), used_at);
  } else {
    headcount_.placed(s);
  }
  dial_desk_.count(s, is_supervised && s.is_counted());
}

}  // namespace cocp::detail

// What programs call, here, so that it is one function with what it calls.

namespace cocp {

using detail::pool_core;

lease pool::take_idle(std::source_location where) noexcept {
  return core_->take_idle<pool_core::taker::goes_on>(where);
}

lease pool::try_get(std::source_location where) noexcept {
  return core_->take_idle<pool_core::taker::does_not_wait>(where);
}

void lease::detach() noexcept {
  BOOST_ASSERT_MSG(shown_, "the lease is empty: never filled, given back, or moved from");
  pool_core::detach(static_cast<detail::slot&>(*shown_));
}

void lease::give_back(way how) noexcept {
  pool_core::give_back(static_cast<detail::slot&>(*std::exchange(shown_, nullptr)), how);
}

}  // namespace cocp
