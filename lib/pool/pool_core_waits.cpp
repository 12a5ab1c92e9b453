// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Somebody waits: for a connection, until some are up, or for the end.

#include "pool/pool_core.hpp"

#include <utility>

namespace cocp::detail {
namespace {

/// True if somebody does not wait at all.
bool is_nothing(std::optional<duration> timeout) noexcept { return timeout && *timeout <= duration::zero(); }

}  // namespace

std::shared_ptr<wait_owner> queue_of(const std::shared_ptr<pool_core>& core) noexcept { return core; }

void wait_for_lease(pool_core& core, lease_waiter& w, std::optional<duration> timeout, std::source_location where) {
  core.wait_for_lease(w, timeout, where);
}

void pool_waiter::settle() noexcept {
  if (result) pool_core::settle(*this);
}

error_code pool_core::refusal(bool at_once) const noexcept {
  if (closed_) return errc::closed;
  if (at_once) return errc::timed_out;
  if (options_.fail_fast && dial_desk_.is_given_up(env_->now())) return dial_desk_.last_failure().error;
  return {};
}

void pool_core::wait_for_lease(lease_waiter& w, std::optional<duration> timeout, std::source_location where) {
  w.where = where;
  if (!timeout) timeout = options_.get_timeout;
  for (;;) {
    w.result = take_idle<taker::waits>(where);
    if (w.result) break;
    locked lock(mutex_);
    // One came back since the look: nobody may queue behind an idle connection.
    if (!shelf_.is_empty() && waiting_room_.is_empty(line::lease)) continue;
    w.error = refusal(is_nothing(timeout));
    if (!closed_ && is_nothing(timeout)) {
      waiting_room_.refused_for_time();
    } else if (w.error) {
      waiting_room_.refused_for_else();
    } else if (waiting_room_.waiting() >= options_.max_waiting) {
      w.error = errc::overloaded;
      waiting_room_.refused_for_length();
    }
    if (w.error) {
      if (!closed_) wish();
      break;
    }
    if (waiting_room_.is_furnished()) {
      due_by(duty::deadline, waiting_room_.enter(w, line::lease, timeout, env_->now()));
      grow();
      return;
    }
    lock.unlock();
    std::unique_ptr<histogram> wait_time;
    try {
      wait_time = std::make_unique<histogram>();
    } catch (...) {
      w.destroy();
      throw;
    }
    lock.lock();
    waiting_room_.furnish(wait_time);
  }
  w.complete_at_once();
}

void pool_core::wait_until_up(event_waiter& w, std::size_t wanted) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || dial_desk_.connections() < wanted) {
      w.error = refusal(is_nothing(options_.get_timeout));
      if (!w.error && wanted > headcount_.size()) w.error = too_many();
      if (!w.error) {
        w.wanted = wanted;
        due_by(duty::deadline, waiting_room_.enter(w, line::up, options_.get_timeout, env_->now()));
        grow();
        return;
      }
      if (!closed_) wish(wanted);
    }
  }
  w.complete_at_once();
}

void pool_core::wait_until_drained(event_waiter& w, std::optional<duration> limit) {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      // The supervisors have gone with the context.
      if (!ex_) w.error = errc::closed;
      if (!ex_ || is_drained()) break;
      // If its completion is refused in the end, there may be no memory for a housekeeper either.
      if (housekept_) {
        due_by(duty::deadline, waiting_room_.enter(w, line::end, limit, env_->now()));
        return;
      }
    }
    try {
      call_housekeeper();
    } catch (...) {
      w.destroy();
      throw;
    }
  }
  w.complete_at_once();
}

void pool_core::cancel(waiter& target) noexcept {
  auto& w = static_cast<pool_waiter&>(target);
  {
    const std::lock_guard lock(mutex_);
    if (!waiting_room_.cancel(w, env_->now())) {
      w.cancelled_late = true;
      return;
    }
    note_departures();
    // The housekeeper may have stayed for this one.
    if (closed_) alarm_.ring();
  }
  complete(w);
}

void pool_core::settle(pool_waiter& w) noexcept {
  slot& s = static_cast<slot&>(*w.result);
  pool_core& self = *s.core_;
  if (!w.cancelled_late && !w.has_waited()) {
    self.settled_gets_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  // It goes back without the lock.
  lease withdrawn;
  const std::lock_guard lock(self.mutex_);
  if (w.cancelled_late) {
    withdrawn = std::move(w.result);
    w.error = asio::error::operation_aborted;
    if (self.ledger_.is_kept()) self.ledger_.withdrawn(s);
    self.waiting_room_.withdrew(w);
  } else {
    ++self.gets_;
    self.waiting_room_.had(w);
  }
}

void pool_core::note_departures() noexcept {
  const time_point next_look = later(tick_, shelf_.look_after());
  if (waiting_room_.has_emptied()) {
    headcount_.wish();
    if (share_) used_until_ = env_->now();
    if (shelf_.is_timed() && headcount_.opening() != 0) due_by(duty::look, next_look);
  }
  note_need();
  // Connections may have been kept for it.
  if (waiting_room_.has_let_go() && shelf_.is_timed()) due_by(duty::look, next_look);
}

void pool_core::complete(waiter& w) noexcept {
  wait_list one;
  one.push_back(w);
  complete_all(one);
}

void pool_core::complete_all(wait_list& list) noexcept {
  if (outbox::send(list)) return;
  // What was refused keeps this; once others can see it, it may be completed, and what it holds be gone.
  const auto self = shared_from_this();
  {
    const std::lock_guard lock(mutex_);
    outbox_.keep(list, env_->now());
    due_by(duty::redelivery, outbox_.due());
  }
  try {
    call_housekeeper();
  } catch (...) {
    // The next that is put back, or asks for the end, tries again.
  }
}

}  // namespace cocp::detail
