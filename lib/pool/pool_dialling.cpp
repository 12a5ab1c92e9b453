// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Which of a pool's supervisors may dial, and when: the outage gate at work.

#include "pool/pool_core.hpp"

#include <new>
#include <utility>

namespace cocp::detail {

std::shared_ptr<const std::string> keep_words(std::string_view words) noexcept {
  if (words.empty()) return nullptr;
  try {
    return std::make_shared<const std::string>(words);
  } catch (const std::bad_alloc&) {
    // The code alone has to say it.
    return nullptr;
  }
}

time_point pool_core::slot_may_dial(slot& s, time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  // It is too many, and the first to go: a lease's, if it is one, is when it comes back.
  if (s.wanted && is_surplus() && s.owner == slot_owner::supervisor) unwant(s);
  if (!s.wanted) return time_point::max();
  if (!s.granted && !s.queued) {
    s.queued = true;
    dial_queue_.push_back(s);
    recount(s);
    gate_changed(now);
  }
  if (!std::exchange(s.granted, false)) return time_point::max();
  s.connecting = true;
  recount(s);
  s.dialled_at = now;
  s.to = to_;
  s.edition = edition_;
  // Of the one before it; the next may be given back before its own is known.
  s.retire_at = time_point::max();
  return now;
}

bool pool_core::slot_wanted(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  return s.wanted;
}

void pool_core::release_dials(time_point now) noexcept {
  if (closed_) return;
  for (auto i = dial_queue_.begin(); i != dial_queue_.end();) {
    slot& s = *i;
    if (gate_.may_dial(s.cause, up_ != 0, now)) {
      i = dial_queue_.erase(i);
      s.queued = false;
      s.granted = true;
      s.ticket = gate_.begin(now);
      s.keeper->wake();
    } else if (gate_.may_dial(dial_cause::demand, up_ != 0, now)) {
      ++i;
    } else {
      break;
    }
  }
}

void pool_core::gate_changed(time_point now) noexcept {
  gate_.pass(now);
  // The endpoint is well.
  if (gate_.failures() == 0) downtime_.over();
  release_dials(now);
  const time_point t = gate_.next_time();
  // Due, and nobody has taken it: whoever comes asks anew.
  next_gate_ = t > now ? t : time_point::max();
  wake_by(next_gate_);
}

void pool_core::leave_dial_queue(slot& s) noexcept {
  if (std::exchange(s.queued, false)) dial_queue_.erase(dial_queue_.iterator_to(s));
  if (std::exchange(s.granted, false)) {
    gate_.abandoned(s.ticket);
    gate_changed(env_->now());
  }
  recount(s);
}

duration pool_core::slot_failed(slot& s, error_code ec, const std::string& reason) noexcept {
  std::shared_ptr<const std::string> words = keep_words(reason);
  wait_list ended;
  duration delay{};
  {
    const std::lock_guard lock(mutex_);
    const time_point now = env_->now();
    s.connecting = false;
    recount(s);
    ++counters_.connect_failures;
    if (is_outdated(s)) {
      gate_.abandoned(s.ticket);
      gate_changed(now);
    } else {
      s.cause = dial_cause::loss;
      gate_.failed(s.ticket, now, env_->random());
      gate_changed(now);
      note_failure(ec, std::move(words), now, ended);
      delay = gate_.delay(now);
    }
  }
  complete_all(ended);
  return delay;
}

void pool_core::slot_dropped(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  s.connecting = false;
  recount(s);
  gate_.abandoned(s.ticket);
  gate_changed(env_->now());
}

void pool_core::note_failure(error_code ec, std::shared_ptr<const std::string> words, time_point now,
                             wait_list& ended) noexcept {
  last_connect_error_ = ec;
  last_connect_reason_ = std::move(words);
  last_connect_at_ = now;
  // One that is not wanted any more, or began before the endpoint was last well, says nothing.
  if (up_ != 0 || wanted_ == 0 || gate_.failures() == 0) return;
  downtime_.attempt_failed(now);
  if (is_given_up(now)) {
    fail_fast(ended);
  } else {
    wake_by(downtime_.at());
  }
}

void pool_core::fail_fast(wait_list& ended) noexcept {
  take_all(lease_waiters_, ended, last_connect_error_);
  take_all(up_waiters_, ended, last_connect_error_);
}

unsigned pool_core::failures() noexcept {
  const std::lock_guard lock(mutex_);
  return gate_.failures();
}

std::shared_ptr<const destination> pool_core::slot_target(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  return s.to ? s.to : to_;
}

bool pool_core::slot_is_moot(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  return !s.wanted || is_outdated(s);
}

void pool_core::retry_now() noexcept {
  const std::lock_guard lock(mutex_);
  const time_point now = env_->now();
  gate_.retry_now(now);
  gate_changed(now);
}

void pool_core::readdress(std::string text) {
  auto to = make_destination(text, dial_options_);
  std::unique_lock lock(mutex_);
  if (closed_ || to->text == to_->text) return;
  to_ = std::move(to);
  // Leave to dial the former endpoint is none to dial this one.
  for (const auto& s : slots_) {
    if (std::exchange(s->granted, false)) gate_.abandoned(s->ticket);
    recount(*s);
  }
  gate_.reset();
  gate_changed(env_->now());
  begin_edition(std::move(lock));
}

void pool_core::renew() noexcept {
  std::unique_lock lock(mutex_);
  if (closed_) return;
  begin_edition(std::move(lock));
}

void pool_core::begin_edition(std::unique_lock<std::mutex> lock) noexcept {
  ++edition_;
  slot_list idle;
  for (const auto& s : slots_) {
    s->retire_at = time_point::min();
    // It may hang for long, and another may not be dialled before it ends.
    if (s->connecting) s->keeper->drop_attempt();
    if (s->owner != slot_owner::idle) continue;
    start_moving(*s);
    idle.push_back(*s);
  }
  while (!idle.empty()) {
    slot& s = idle.front();
    idle.pop_front();
    place(std::move(lock), s);
    lock = std::unique_lock(mutex_);
  }
}

}  // namespace cocp::detail
