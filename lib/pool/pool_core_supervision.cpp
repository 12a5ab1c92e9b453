// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What the supervisors ask and tell: a slot dials, comes up, runs a hook, and goes down.

#include "pool/pool_core.hpp"

#include <new>
#include <utility>

namespace cocp::detail {
namespace {

/// For who tells of it later; null if there is nothing to tell, or no memory for it.
std::shared_ptr<const std::string> keep_words(std::string_view words) noexcept {
  if (words.empty()) return nullptr;
  try {
    return std::make_shared<const std::string>(words);
  } catch (const std::bad_alloc&) {
    // The code alone has to say it.
    return nullptr;
  }
}

}  // namespace

time_point pool_core::slot_may_dial(slot& s, time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  if (std::exchange(s.is_new_, false)) --new_;
  // It is too many, and the first to go: a lease's, if it is one, is when it comes back.
  if (s.is_counted() && headcount_.is_surplus() && s.owner() == slot_owner::supervisor) unwant(s);
  // It has no descriptor any more. What it has been let dial with is another matter.
  if (share_ && !s.may_begin()) free_place(s);
  const bool asks = s.is_counted() && dial_desk_.ask(s);
  if (asks || share_) let_dial(now);
  if (!s.is_counted()) {
    // Another may have its leave.
    if (may_build(now)) due_by(duty::build, now);
    return time_point::max();
  }
  if (!dial_desk_.begin(s)) return time_point::max();
  headcount_.attempt_begun(s);
  s.to_ = to_;
  s.edition_ = edition_;
  // Of the one before it; the next may be given back before its own is known.
  shelf_.forget_age(s);
  return now;
}

void pool_core::let_dial(time_point now) noexcept {
  if (closed_) return;
  if (share_) share_->dialling(dial_desk_.dialling());
  bool is_refused = false;
  for (dial_desk::entry* e = nullptr; !is_refused && (e = dial_desk_.next(now));) {
    slot& s = slot_of(*e);
    is_refused = share_ && !has_share(s, now);
    if (!is_refused) {
      dial_desk_.let(s, now);
      s.keeper->wake();
    }
  }
  if (share_) {
    if (!is_refused) share_->settle();
    give_up_places();
  }
  if (may_build(now)) due_by(duty::build, now);
  due_at(duty::gate, dial_desk_.next_time(now));
  update_plain_put();
}

bool pool_core::slot_wanted(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  return s.is_counted();
}

unsigned pool_core::failures() noexcept {
  const std::lock_guard lock(mutex_);
  return dial_desk_.failures();
}

std::shared_ptr<const destination> pool_core::slot_target(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  return s.to_ ? s.to_ : to_;
}

bool pool_core::slot_is_moot(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  return !s.is_counted() || is_outdated(s);
}

duration pool_core::slot_failed(slot& s, error_code ec, const std::string& reason) noexcept {
  std::shared_ptr<const std::string> words = keep_words(reason);
  wait_list ended;
  duration delay{};
  {
    const std::lock_guard lock(mutex_);
    const time_point now = env_->now();
    const bool outdated = is_outdated(s);
    ++counters_.connect_failures;
    headcount_.attempt_ended(s);
    dial_desk_.failed(s, ec, std::move(words), outdated, headcount_.wanted() != 0, now, env_->random());
    let_dial(now);
    give_up_if_due(now, ended);
    if (!outdated) delay = dial_desk_.delay(now);
  }
  complete_all(ended);
  return delay;
}

void pool_core::slot_dropped(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  headcount_.attempt_ended(s);
  dial_desk_.dropped(s);
  let_dial(env_->now());
}

void pool_core::give_up_if_due(time_point now, wait_list& ended) noexcept {
  if (!dial_desk_.is_given_up(now)) {
    due_by(duty::give_up, dial_desk_.gives_up_at(now));
    return;
  }
  const error_code ec = dial_desk_.last_failure().error;
  waiting_room_.end_all(line::lease, ec, now, ended);
  waiting_room_.end_all(line::up, ec, now, ended);
  note_departures();
}

void pool_core::slot_connected(slot& s, duration took, bool resumed) noexcept {
  wait_list reached;
  time_point now;
  bool stays = false;
  bool is_placeless = false;
  {
    const std::lock_guard lock(mutex_);
    now = env_->now();
    // One that was detached while it was redialled is not wanted any more, unless it was open by then. A stream that is
    // redialled during a lease stays with the lease.
    // Nor is one that was put again: it has left its place, and has to ask for another.
    is_placeless = share_ && !s.has_place_ && s.owner() == slot_owner::supervisor;
    const bool detached = s.owner() == slot_owner::detached || s.let_go_ || is_placeless;
    stays = s.owner() != slot_owner::supervisor && (!detached || s.let_go_);
    const bool outdated = is_outdated(s) || detached;
    dial_desk_.connected(s, outdated, now);
    let_dial(now);
    if (detached) {
      s.let_go_ = true;
    } else {
      dial_desk_.up(s);
    }
    const time_point needed_at = headcount_.connected(s, now);
    shelf_.connected(s, now);
    // One that was redialled in a lease is as old as its use.
    if (s.owner() == slot_owner::supervisor) shelf_.arrived(s, needed_at);
    if (shelf_.end_retirement(s)) due_by(duty::age, tick_);
    if (outdated) {
      shelf_.end_age(s);
    } else if (options_.max_lifetime) {
      due_by(duty::age, shelf_.begin_age(s, now, env_->random()));
    }
    ++counters_.connects;
    if (resumed) ++counters_.tls_resumed;
    create_time_->record(took);
    // A lease may have ended since the stream was opened.
    if (s.owner() == slot_owner::idle) due_by(duty::look, later(now, shelf_.look_after()));
    waiting_room_.end_reached(dial_desk_.connections(), now, reached);
    note_departures();
  }
  complete_all(reached);
  if (stays) return;
  locked lock(mutex_);
  if (!s.users().is_up()) return;
  if (!s.is_counted() || is_placeless) {
    lock.unlock();
    s.keeper->dismiss({{}, "nobody needs it any more", ending::surplus});
    return;
  }
  move(s, slot_event::arrived);
  s.core_ = shared_from_this();
  // Unless a loss is noticed within retry_min, it is not known that the attempt has failed after all.
  const duration soon = dial_options_.retry_min / 2;
  if (soon < shelf_.look_after()) due_by(duty::look, later(now, soon));
  place(std::move(lock), s);
}

supervisor::hook pool_core::slot_hook(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  if (s.owner() != slot_owner::hook) return {};
  return {s.hook_, s.hook_ == &options_.keepalive ? ending::dead : ending::dirty};
}

void pool_core::end_hook(slot& s) noexcept {
  shelf_.hook_ended(s, env_->now());
  s.hook_ = nullptr;
}

void pool_core::slot_served(slot& s) noexcept {
  // A ping need not be answered; what on_return has asked must be.
  const bool one_way = options_.one_way || s.hook_ == &options_.keepalive;
  s.users().end_use([] { return false; }, false, one_way);
  locked lock(mutex_);
  end_hook(s);
  if (!s.users().is_up()) {
    if (!closed_) count_loss(s, s.users().last_loss());
    give_to_supervisor(std::move(lock), s, nullptr);
    return;
  }
  move(s, slot_event::hook_ended);
  shelf_.verify(s);
  place(std::move(lock), s);
}

duration pool_core::slot_down(slot& s, const loss& why, bool early) noexcept {
  std::shared_ptr<const std::string> words = early ? keep_words(why.reason) : nullptr;
  wait_list ended;
  duration delay{};
  {
    const std::lock_guard lock(mutex_);
    const time_point now = env_->now();
    if (std::exchange(s.let_go_, false)) {
      headcount_.lost_on_arrival(s);
      if (why.kind == ending::lost) ++counters_.disconnects;
      return delay;
    }
    count_loss(s, why);
    headcount_.lost_on_arrival(s);
    dial_desk_.ended(s, why, early, std::move(words), is_outdated(s), headcount_.wanted() != 0, now, env_->random());
    let_dial(now);
    give_up_if_due(now, ended);
    if (dial_desk_.was_lost(s)) delay = dial_desk_.delay(now);
  }
  complete_all(ended);
  return delay;
}

void pool_core::count_loss(slot& s, const loss& why) noexcept {
  if (!dial_desk_.down(s)) return;
  switch (why.kind) {
    case ending::lost:
      ++counters_.disconnects;
      break;
    case ending::dirty:
      ++counters_.replaced_dirty;
      break;
    case ending::dead:
      ++counters_.replaced_dead;
      break;
    case ending::aged:
      ++counters_.replaced_expired;
      break;
    case ending::moved:
    case ending::surplus:
      break;
  }
}

void pool_core::slot_stopped(slot& s) noexcept {
  std::shared_ptr<pool_core> held;
  {
    const std::lock_guard lock(mutex_);
    dial_desk_.stopped(s);
    if (share_) {
      share_->dialling(dial_desk_.dialling());
      free_place(s);
      give_up_places();
    }
    headcount_.attempt_ended(s);
    --running_;
    // The pool was closed before its hook had begun.
    if (s.owner() == slot_owner::hook) {
      end_hook(s);
      move(s, slot_event::gone);
      held = std::move(s.core_);
    }
    // What is in use stays up until it comes back.
    if (s.owner() == slot_owner::supervisor) dial_desk_.down(s);
  }
  finish_drain();
}

}  // namespace cocp::detail
