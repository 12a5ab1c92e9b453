// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What a pool does in its own time: deadlines, the watch on idle connections, keepalives, and what nobody needs.

#include "pool/pool_core.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>

#include <algorithm>
#include <exception>
#include <new>
#include <thread>
#include <utility>

namespace cocp::detail {
namespace {

/// However many waits have timed out, others get at the mutex and the executor in between, and a waiter is still in the
/// processor's cache when its handler runs.
constexpr std::size_t timeouts_per_turn = 256;

/// How often an idle connection with unread bytes is looked at: nothing tells of an end that comes behind them.
constexpr duration unread_look_interval = std::chrono::seconds(1);

}  // namespace

asio::awaitable<void> pool_core::keep_house(std::shared_ptr<pool_core> self) {
  // g++ 12 drops a parameter that the body does not use.
  const auto kept = std::move(self);
  // Nothing of this runs inside whoever called it.
  time_point next = env_->now();
  for (bool sleepless = false;;) {
    bool slept = true;
    try {
      co_await alarm_.wait_until(next);
    } catch (const std::bad_alloc&) {
      // To sleep takes a coroutine frame.
      slept = false;
    }
    if (std::exchange(sleepless, !slept) && !slept) std::this_thread::sleep_for(redelivery_pause);
    next = turn();
    const std::lock_guard lock(mutex_);
    if (closed_ && running_ == 0 && undelivered_.empty() && drain_waiters_.empty()) {
      housekept_ = false;
      co_return;
    }
  }
}

void pool_core::call_housekeeper() {
  asio::any_io_executor ex;
  {
    const std::lock_guard lock(mutex_);
    if (!ex_ || std::exchange(housekept_, true)) return;
    ex = ex_;
  }
  try {
    asio::co_spawn(ex, keep_house(shared_from_this()), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
  } catch (...) {
    const std::lock_guard lock(mutex_);
    housekept_ = false;
    throw;
  }
}

void pool_core::wake_by(time_point t) noexcept {
  if (t >= next_turn_) return;
  next_turn_ = t;
  alarm_.ring();
}

time_point pool_core::turn() noexcept {
  time_point now;
  wait_list ended;
  bool look_now = false;
  {
    const std::lock_guard lock(mutex_);
    // Not before: others set `tick_` too, which must not go back.
    now = env_->now();
    for (std::size_t n = 0; n < timeouts_per_turn; ++n) {
      pool_waiter* const w = deadlines_.first();
      if (!w || w->deadline > now) break;
      if (w->queue == &lease_waiters_) ++counters_.timeouts;
      dequeue(*w, errc::timed_out);
      ended.push_back(*w);
    }
    ended.splice(ended.end(), undelivered_);
    tick_ = now;
    if (next_gate_ <= now) gate_changed(now);
    if (is_given_up(now)) fail_fast(ended);
    look_now = next_look_ <= now;
  }
  while (!ended.empty()) {
    waiter& w = ended.front();
    ended.pop_front();
    complete(w);
  }
  if (look_now) look_at_idle();
  retire_idle();
  report_leases();
  const std::lock_guard lock(mutex_);
  next_turn_ = std::min({next_look_, next_report_, next_gate_, next_age_, deadlines_.earliest()});
  // While one is up, its end asks.
  if (up_ == 0 && !is_given_up(now)) next_turn_ = std::min(next_turn_, downtime_.at());
  if (!undelivered_.empty()) next_turn_ = std::min(next_turn_, later(now, redelivery_pause));
  return next_turn_;
}

void pool_core::look_at_idle() noexcept {
  slot_list to_watch;
  slot_list to_keep;
  slot_list to_close;
  {
    const std::lock_guard lock(mutex_);
    next_look_ = time_point::max();
    if (std::exchange(wished_, false)) wished_at_ = tick_;
    std::size_t spare = wanted_ - std::min(wanted_, least());
    spare -= close_unopened(spare);
    // Not all at once: somebody may want one.
    std::size_t may_keep = std::max<std::size_t>(1, wanted_ / 2);
    may_keep -= std::min(may_keep, keepalives_);
    // From the one that rests the longest.
    for (auto i = idle_.end(); i != idle_.begin();) {
      slot& s = *--i;
      const duty due = look_at(s, spare != 0, may_keep != 0);
      if (due == duty::none) continue;
      ++i;
      start_moving(s);
      if (due == duty::watch) {
        // Before it begins: once it has, it may end on another thread.
        s.watched = true;
        to_watch.push_back(s);
      } else if (due == duty::keepalive) {
        to_keep.push_back(s);
        --may_keep;
      } else {
        to_close.push_back(s);
        --spare;
      }
    }
  }
  while (!to_close.empty()) {
    slot& s = to_close.front();
    to_close.pop_front();
    const loss why{{}, "it was not used for as long as idle_timeout", ending::surplus};
    std::unique_lock lock(mutex_);
    --moving_;
    give_to_supervisor(std::move(lock), s, &why);
  }
  while (!to_keep.empty()) {
    slot& s = to_keep.front();
    to_keep.pop_front();
    // What came unasked is no answer for it, whatever check_after says.
    s.verify = true;
    begin_hook(std::unique_lock(mutex_), s, options_.keepalive);
  }
  while (!to_watch.empty()) {
    slot& s = to_watch.front();
    to_watch.pop_front();
    bool begun = true;
    try {
      watch(s);
    } catch (const std::bad_alloc&) {
      // Next time.
      begun = false;
    }
    std::unique_lock lock(mutex_);
    if (!begun) s.watched = false;
    place(std::move(lock), s);
  }
}

pool_core::duty pool_core::look_at(slot& s, bool may_close, bool may_keep) noexcept {
  if (std::exchange(s.fresh, false)) s.used_at = s.active_at = s.watch_at = tick_;
  if (may_close && options_.idle_timeout && is_due(later(s.used_at, idle_limit_))) return duty::close;
  if (options_.keepalive && is_due(later(s.active_at, keepalive_after_))) {
    if (may_keep) return duty::keepalive;
    next_look_ = std::min(next_look_, later(tick_, std::chrono::milliseconds(50)));
  }
  if (!s.verify && is_due(later(s.idle_since, options_.check_after))) s.verify = true;
  return !s.watched && is_due(s.watch_at) ? duty::watch : duty::none;
}

void pool_core::look_by(time_point t) noexcept {
  next_look_ = std::min(next_look_, t);
  wake_by(next_look_);
}

bool pool_core::is_due(time_point t) noexcept {
  if (t <= tick_) return true;
  next_look_ = std::min(next_look_, t);
  return false;
}

std::size_t pool_core::close_unopened(std::size_t spare) noexcept {
  std::size_t closed = 0;
  // When nobody waits any more there is another look: see note_last_waiter.
  if (!options_.idle_timeout || !lease_waiters_.empty() || opening() == 0) return closed;
  for (const auto& each : slots_) {
    slot& s = *each;
    if (!s.wanted || s.owner != slot_owner::supervisor || s.users().is_up()) continue;
    s.used_at = std::max(s.used_at, wished_at_);
    // However soon it would be given up, an attempt that has begun has its time: or else nobody who asks now and then
    // would ever have a connection.
    while (closed != spare && s.wanted && is_due(later(s.used_at, s.connecting ? attempt_limit_ : idle_limit_))) {
      // One that has not begun goes in its stead.
      slot* goes = s.connecting ? find_unopened() : &s;
      if (goes->connecting) goes = &s;
      std::swap(s.used_at, goes->used_at);
      unwant(*goes);
      ++closed;
    }
  }
  return closed;
}

void pool_core::note_last_waiter() noexcept {
  wished_ = true;
  if (timed_idle_ && opening() != 0) look_by(later(tick_, look_after_));
}

void pool_core::watch(slot& s) {
  auto on_ready = [self = shared_from_this(), &s, generation = s.users().generation()](error_code ec) {
    self->on_readable(s, generation, ec);
  };
  s.users().idle_stream()->async_wait_readable(asio::bind_executor(ex_, std::move(on_ready)));
}

void pool_core::on_readable(slot& s, std::uint64_t generation, error_code ec) noexcept {
  {
    const std::lock_guard lock(mutex_);
    // Of a stream that is gone.
    if (generation != s.users().generation() || ec == asio::error::operation_aborted) return;
    s.watched = false;
    // A lease's own answer, most likely.
    if (s.owner != slot_owner::idle) return;
    start_moving(s);
  }
  loss why;
  const peek_result found = look(s, why);
  if (found == peek_result::dead) {
    reject(s, moving_, why);
    return;
  }
  std::unique_lock lock(mutex_);
  // A wait for what is readable ends at once, and tells nothing of what comes behind the unread bytes.
  if (found == peek_result::unread) s.watch_at = later(env_->now(), unread_look_interval);
  place(std::move(lock), s);
}

}  // namespace cocp::detail
