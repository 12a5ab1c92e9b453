// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/pool_core.hpp"

#include "base/error_text.hpp"
#include "net/check_options.hpp"
#include "pool/check_options.hpp"
#include "pool/retirement.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <sstream>
#include <utility>

namespace cocp::detail {
namespace {

/// The housekeeper looks at what is idle so long after it became so: a watch costs a busy connection nothing, and a
/// dead one is found within 100 ms.
constexpr duration watch_after = std::chrono::milliseconds(50);
/// Who wants a look so soon gets one always: it costs less than to know how long a connection was idle.
constexpr duration least_check_after = std::chrono::milliseconds(1);
/// What an attempt without a limit has, before nobody's need of it counts.
constexpr duration attempt_without_limit = std::chrono::seconds(5);
/// Connections that live for less would be redialled as fast as the endpoint takes it.
constexpr duration least_age = std::chrono::milliseconds(1);

connection_options checked(connection_options o) {
  check(o);
  return o;
}

pool_options checked(pool_options o) {
  check(o);
  return o;
}

}  // namespace

std::shared_ptr<wait_owner> queue_of(const std::shared_ptr<pool_core>& core) noexcept { return core; }

void wait_for_lease(pool_core& core, lease_waiter& w, std::optional<duration> timeout, std::source_location where) {
  core.wait_for_lease(w, timeout, where);
}

void pool_waiter::settle() noexcept {
  if (result) pool_core::settle(*this);
}

pool_core::pool_core(asio::any_io_executor ex, connection_options connection, pool_options options)
    : dial_options_(checked(std::move(connection))),
      options_(checked(std::move(options))),
      always_verify_(options_.check_after < least_check_after),
      timed_idle_(options_.keepalive || (options_.min_size && options_.idle_timeout)),
      look_after_(always_verify_ ? watch_after : std::min(watch_after, options_.check_after)),
      // Not less than the time between two looks: the housekeeper would turn as fast as it can.
      idle_limit_(std::max(options_.idle_timeout.value_or(duration::max()), watch_after)),
      attempt_limit_(std::max(idle_limit_, dial_options_.connect_timeout.value_or(attempt_without_limit))),
      keepalive_after_(std::max(options_.keepalive_interval, watch_after)),
      env_(context_service::of(ex).environment()),
      ex_(std::move(ex)),
      alarm_(ex_, *env_),
      plain_put_(!options_.on_return),
      to_(make_destination(dial_options_.address, dial_options_)),
      size_(options_.size),
      gate_(dial_options_.retry_min, dial_options_.retry_max, options_.max_dialling),
      downtime_(options_.fail_fast) {
  context_service::of(ex_).add(*this);
}

pool_core::~pool_core() {
  while (!undelivered_.empty()) {
    waiter& w = undelivered_.front();
    undelivered_.pop_front();
    w.destroy();
  }
}

void pool_core::start() {
  add_slots(size_);
  {
    const std::lock_guard lock(mutex_);
    grow();
  }
  call_housekeeper();
}

template <pool_core::taker Who>
lease pool_core::take_idle(std::source_location where) noexcept {
  for (;;) {
    slot* s = nullptr;
    {
      const std::lock_guard lock(mutex_);
      // Nobody overtakes those who wait.
      if (idle_.empty() || !lease_waiters_.empty()) {
        if constexpr (Who == taker::does_not_wait) {
          if (!closed_) wish();
        }
        return lease();
      }
      if constexpr (Who == taker::goes_on) {
        // The one that goes through the scheduler is the first of the next row.
        if (--in_a_row_ == 0) [[unlikely]] {
          in_a_row_ = most_in_a_row;
          return lease();
        }
      }
      s = &idle_.front();
      idle_.pop_front();
      s->owner = slot_owner::leased;
      ++leased_;
      if (options_.report_leases) note_lease(*s, where);
      if (!std::exchange(s->verify, false)) {
        if constexpr (Who != taker::waits) ++counters_.gets;
        return lease(*s);
      }
    }
    loss why;
    if (passes(*s, why)) {
      if constexpr (Who != taker::waits) settled_gets_.fetch_add(1, std::memory_order_relaxed);
      return lease(*s);
    }
    reject(*s, leased_, why);
  }
}

template lease pool_core::take_idle<pool_core::taker::waits>(std::source_location) noexcept;
template lease pool_core::take_idle<pool_core::taker::goes_on>(std::source_location) noexcept;
template lease pool_core::take_idle<pool_core::taker::does_not_wait>(std::source_location) noexcept;

peek_result pool_core::look(slot& s, loss& why) const noexcept {
  error_code ec;
  const peek_result found = s.users().idle_stream()->peek(ec);
  if (found == peek_result::unread && !options_.allow_unread) {
    why = {errc::unsolicited_data, "bytes were left unread, or came unasked", ending::dirty};
  } else if (ec) {
    why = {ec, {}, ending::lost};
  } else {
    return found;
  }
  return peek_result::dead;
}

void pool_core::reject(slot& s, std::size_t& held, const loss& why) noexcept {
  std::unique_lock lock(mutex_);
  --held;
  if (why.kind == ending::lost) ++counters_.replaced_dead;
  // Before it goes down: from then on its supervisor may bring it back.
  give_to_supervisor(std::move(lock), s, &why);
}

void pool_core::give_to_supervisor(std::unique_lock<std::mutex> lock, slot& s, const loss* why) noexcept {
  s.owner = slot_owner::supervisor;
  const auto self = std::move(s.core);
  const bool stop = closed_;
  if (stop) {
    count_end(s);
  } else if (why) {
    count_loss(s, *why);
  }
  recount(s);
  if (why && why->kind == ending::aged) {
    s.retiring = true;
    ++retiring_;
  }
  if (s.wanted && (is_surplus() || (why && why->kind == ending::surplus))) {
    unwant(s);
    // Somebody may have begun to wait when there seemed to be no room.
    grow();
  }
  lock.unlock();
  if (why) s.users().bring_down(*why, {});
  if (stop) {
    s.keeper->stop();
    finish_drain();
  }
}

void pool_core::give_back(slot& s, lease::way how) noexcept {
  pool_core& self = *s.core;
  const auto spoiled = [&self, how]() noexcept {
    // Only the destructor can be part of an unwinding, and only the thread that unwinds knows of it.
    return how == lease::way::destroyed && !self.options_.keep_on_exception && std::uncaught_exceptions() > 0;
  };
  const leftover left = s.users().end_use(spoiled, how == lease::way::discarded, self.options_.one_way);
  std::unique_lock lock(self.mutex_);
  --self.leased_;
  s.fresh = true;
  if (self.options_.report_leases) [[unlikely]]
    self.note_return(s);
  if (left == leftover::dirty || left == leftover::down) [[unlikely]] {
    // Its supervisor may have brought it back by now, and then it has left it to the lease.
    if (!s.users().is_up()) {
      self.end_lost_lease(std::move(lock), s);
      return;
    }
  }
  s.verify = self.always_verify_ || left != leftover::unused;
  s.idle_since = self.tick_;
  if (self.lease_waiters_.empty() && self.plain_put_ && s.retire_at > self.tick_) [[likely]] {
    self.put_idle(s);
  } else {
    self.end_lease(std::move(lock), s);
  }
}

void pool_core::end_lost_lease(std::unique_lock<std::mutex> lock, slot& s) noexcept {
  // Now, and not when its supervisor comes to it: who gives a lease back can see in the stats what became of it.
  count_loss(s, s.users().last_loss());
  give_to_supervisor(std::move(lock), s, nullptr);
}

void pool_core::end_lease(std::unique_lock<std::mutex> lock, slot& s) noexcept {
  s.owner = slot_owner::moving;
  ++moving_;
  if (options_.on_return) {
    begin_hook(std::move(lock), s, options_.on_return);
  } else {
    place(std::move(lock), s);
  }
}

void pool_core::begin_hook(std::unique_lock<std::mutex> lock, slot& s, const handshake& hook) noexcept {
  while (!closed_ && !must_go(s)) {
    // What a lease left unread is no answer for a hook.
    if (std::exchange(s.verify, false)) {
      lock.unlock();
      loss why;
      if (!passes(s, why)) {
        reject(s, moving_, why);
        return;
      }
      lock.lock();
      continue;
    }
    --moving_;
    ++hooks_;
    if (&hook == &options_.keepalive) ++keepalives_;
    s.owner = slot_owner::hook;
    s.hook = &hook;
    s.keeper->wake();
    return;
  }
  place(std::move(lock), s);
}

void pool_core::place(std::unique_lock<std::mutex> lock, slot& s) noexcept {
  while (!closed_ && !must_go(s) && !lease_waiters_.empty()) {
    if (std::exchange(s.verify, false)) {
      lock.unlock();
      loss why;
      if (!passes(s, why)) {
        reject(s, moving_, why);
        return;
      }
      lock.lock();
      continue;
    }
    auto& next = static_cast<pool_waiter&>(lease_waiters_.front());
    dequeue(next, {});
    s.owner = slot_owner::leased;
    s.rested = false;
    --moving_;
    ++leased_;
    if (options_.report_leases) note_lease(s, next.where);
    next.result = lease(s);
    lock.unlock();
    complete(next);
    return;
  }
  --moving_;
  if (closed_) {
    give_to_supervisor(std::move(lock), s, nullptr);
  } else if (is_surplus()) {
    const loss surplus{{}, "there are more connections than the pool's size", ending::surplus};
    give_to_supervisor(std::move(lock), s, &surplus);
  } else if (is_outdated(s)) {
    const loss moved{{}, "the pool has another address", ending::moved};
    const loss renewed{{}, "the pool was renewed", ending::moved};
    give_to_supervisor(std::move(lock), s, s.to == to_ ? &renewed : &moved);
  } else if (retires(s)) {
    const loss aged{{}, "it has reached its age", ending::aged};
    give_to_supervisor(std::move(lock), s, &aged);
  } else {
    s.verify = s.verify || always_verify_;
    put_idle(s);
  }
}

void pool_core::put_idle(slot& s) noexcept {
  s.owner = slot_owner::idle;
  if (std::exchange(s.rested, false)) {
    idle_.push_back(s);
  } else {
    idle_.push_front(s);
  }
  if (s.watched && s.verify && !timed_idle_) return;
  // Only the first one since the last look asks for the next, and only then somebody looks at the clock.
  if (next_look_ <= tick_ + look_after_) return;
  tick_ = env_->now();
  look_by(tick_ + look_after_);
}

void pool_core::start_moving(slot& s) noexcept {
  idle_.erase(idle_.iterator_to(s));
  s.owner = slot_owner::moving;
  ++moving_;
}

bool pool_core::may_wait(pool_waiter& w, std::optional<duration> timeout) noexcept {
  if (closed_) {
    w.error = errc::closed;
  } else if (timeout && *timeout <= duration::zero()) {
    w.error = errc::timed_out;
  } else {
    return true;
  }
  return false;
}

void pool_core::wait_for_lease(lease_waiter& w, std::optional<duration> timeout, std::source_location where) {
  w.where = where;
  if (!timeout) timeout = options_.get_timeout;
  for (;;) {
    w.result = take_idle<taker::waits>(where);
    if (w.result) break;
    const std::lock_guard lock(mutex_);
    // One came back since the look: nobody may queue behind an idle connection.
    if (!idle_.empty() && lease_waiters_.empty()) continue;
    if (!may_wait(w, timeout)) {
      if (w.error == errc::timed_out) ++counters_.timeouts;
    } else if (options_.fail_fast && is_given_up(env_->now())) {
      w.error = last_connect_error_;
    } else if (waiting_ >= options_.max_waiting) {
      w.error = errc::overloaded;
      ++counters_.rejected;
    }
    if (w.error) {
      if (!closed_) wish();
      counters_.wait_time.record(duration::zero());
      break;
    }
    enqueue(w, lease_waiters_, timeout);
    grow();
    return;
  }
  complete_now(w);
}

void pool_core::wait_until_up(event_waiter& w, std::size_t wanted) {
  {
    const std::lock_guard lock(mutex_);
    const bool enough = !closed_ && up_ >= wanted;
    if (!enough && may_wait(w, options_.get_timeout)) {
      if (options_.fail_fast && is_given_up(env_->now())) {
        w.error = last_connect_error_;
      } else if (wanted > size_) {
        w.error = too_many();
      } else {
        w.wanted = wanted;
        enqueue(w, up_waiters_, options_.get_timeout);
        grow();
        return;
      }
    }
    if (!enough && !closed_) wish(wanted);
  }
  complete_now(w);
}

void pool_core::wait_until_drained(event_waiter& w) {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      // The supervisors have gone with the context.
      if (!ex_) w.error = errc::closed;
      if (!ex_ || is_drained()) break;
      // If its completion is refused in the end, there may be no memory for a housekeeper either.
      if (housekept_) {
        enqueue(w, drain_waiters_, std::nullopt);
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
  complete_now(w);
}

void pool_core::enqueue(pool_waiter& w, wait_list& queue, std::optional<duration> timeout) noexcept {
  w.waiting = true;
  w.queue = &queue;
  queue.push_back(w);
  if (&queue == &lease_waiters_) ++waiting_;
  w.since = env_->now();
  if (!timeout) return;
  w.deadline = later(w.since, *timeout);
  if (w.deadline == time_point::max()) return;
  deadlines_.add(w, *timeout);
  wake_by(w.deadline);
}

void pool_core::dequeue(pool_waiter& w, error_code ec) noexcept {
  if (w.queue == &lease_waiters_) {
    --waiting_;
    w.waited = env_->now() - w.since;
    // Of one that is given a lease it is known later whether it has it (see settle).
    if (ec) counters_.wait_time.record(w.waited);
    if (waiting_ == 0) note_last_waiter();
  }
  // Connections may have been kept for it.
  if (w.queue == &up_waiters_ && timed_idle_) look_by(later(tick_, look_after_));
  w.waiting = false;
  w.error = ec;
  w.queue->erase(w.queue->iterator_to(w));
  deadlines_.remove(w);
}

void pool_core::take_all(wait_list& queue, wait_list& into, error_code ec) noexcept {
  while (!queue.empty()) {
    auto& w = static_cast<pool_waiter&>(queue.front());
    dequeue(w, ec);
    into.push_back(w);
  }
}

void pool_core::cancel(waiter& target) noexcept {
  auto& w = static_cast<pool_waiter&>(target);
  {
    const std::lock_guard lock(mutex_);
    if (!w.waiting) {
      w.cancelled_late = true;
      return;
    }
    if (w.queue == &lease_waiters_) ++counters_.cancelled;
    dequeue(w, asio::error::operation_aborted);
    // The housekeeper may have stayed for this one.
    if (w.queue == &drain_waiters_) alarm_.ring();
  }
  complete(w);
}

void pool_core::settle(pool_waiter& w) noexcept {
  slot& s = static_cast<slot&>(*w.result);
  pool_core& self = *s.core;
  if (!w.cancelled_late && !w.queue) {
    self.settled_gets_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  // It goes back without the lock.
  lease withdrawn;
  const std::lock_guard lock(self.mutex_);
  self.counters_.wait_time.record(w.waited);
  if (w.cancelled_late) {
    withdrawn = std::move(w.result);
    w.error = asio::error::operation_aborted;
    s.withdrawn = true;
    ++self.counters_.cancelled;
  } else {
    ++self.counters_.gets;
    ++self.counters_.waits;
  }
}

void pool_core::complete(waiter& w) noexcept {
  try {
    w.complete();
    return;
  } catch (...) {
    // Its executor refuses it, for lack of memory say: it keeps its result until the housekeeper tries again.
  }
  // Once others can see it, it may be completed, and what it holds be gone.
  const auto self = shared_from_this();
  {
    const std::lock_guard lock(mutex_);
    undelivered_.push_back(w);
    wake_by(later(env_->now(), redelivery_pause));
  }
  try {
    call_housekeeper();
  } catch (...) {
    // The next that is put back, or asks for the end, tries again.
  }
}

void pool_core::complete_all(wait_list& list) noexcept {
  while (!list.empty()) {
    waiter& w = list.front();
    list.pop_front();
    complete(w);
  }
}

void pool_core::close() noexcept {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    plain_put_ = false;
    take_all(lease_waiters_, ended, errc::closed);
    take_all(up_waiters_, ended, errc::closed);
    while (!idle_.empty()) {
      slot& s = idle_.front();
      idle_.pop_front();
      s.owner = slot_owner::supervisor;
      count_end(s);
      // Not the last one: the caller has one.
      s.core.reset();
    }
  }
  complete_all(ended);
  for (std::size_t i = 0;; ++i) {
    slot* s = nullptr;
    bool in_use = false;
    {
      const std::lock_guard lock(mutex_);
      if (i == slots_.size()) break;
      s = slots_[i].get();
      in_use = s->owner == slot_owner::leased || s->owner == slot_owner::moving;
    }
    // What is in use is stopped by whoever gives it back.
    if (in_use) {
      s->keeper->retire();
    } else {
      s->keeper->stop();
    }
  }
  alarm_.ring();
}

void pool_core::finish_drain() noexcept {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    if (is_drained()) take_all(drain_waiters_, ended, {});
    if (!housekept_) ended.splice(ended.end(), undelivered_);
    // The housekeeper may have stayed for them.
    if (closed_) alarm_.ring();
  }
  complete_all(ended);
}

void pool_core::count_up(slot& s) noexcept {
  s.counted_up = true;
  ++up_;
}

void pool_core::count_loss(slot& s, const loss& why) noexcept {
  if (!s.counted_up) return;
  count_end(s);
  if (closed_) return;
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

void pool_core::count_end(slot& s) noexcept {
  if (std::exchange(s.counted_up, false)) --up_;
}

std::size_t pool_core::connected() const noexcept {
  if (!closed_ || leased_ == 0) return up_;
  // The supervisors have ended, and nobody tells of what is lost in a lease.
  return static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [](const auto& s) { return s->users().is_up(); }));
}

void pool_core::recount(slot& s) noexcept {
  slot_pursuit now = slot_pursuit::none;
  if (s.wanted && s.owner == slot_owner::supervisor) {
    if (s.connecting) {
      now = slot_pursuit::dialling;
    } else if (s.queued || s.granted) {
      now = slot_pursuit::queued;
    }
  }
  const slot_pursuit before = std::exchange(s.counted_as, now);
  if (before == now) return;
  if (before != slot_pursuit::none) --pursuits_[static_cast<std::size_t>(before)];
  if (now != slot_pursuit::none) ++pursuits_[static_cast<std::size_t>(now)];
}

cocp::stats pool_core::stats() const {
  const std::lock_guard lock(mutex_);
  cocp::stats s = counters_;
  s.size = size_;
  s.min_size = std::min(options_.min_size.value_or(size_), size_);
  s.waiting = waiting_;
  s.connected = connected();
  s.idle = idle_.size();
  s.leased = leased_;
  s.hooks = hooks_;
  s.connecting = count_of(slot_pursuit::dialling);
  s.queued = count_of(slot_pursuit::queued);
  const std::size_t counted = s.idle + s.leased + s.hooks + s.connecting + s.queued;
  // A closed pool wants none, and has what has not ended yet.
  s.wanted = closed_ ? counted + moving_ : wanted_;
  s.resting = s.wanted - counted;
  s.gets += settled_gets_.load(std::memory_order_relaxed);
  // Nobody looks at the clock when there is nothing to wait for.
  s.wait_time.record(duration::zero(), s.gets - s.waits);
  return s;
}

std::size_t pool_core::size() const noexcept {
  const std::lock_guard lock(mutex_);
  return size_;
}

std::shared_ptr<const destination> pool_core::current_address() const noexcept {
  const std::lock_guard lock(mutex_);
  return to_;
}

std::string pool_core::explain(const char* what, error_code ec, std::optional<duration> waited) const {
  std::shared_ptr<const destination> to;
  std::shared_ptr<const std::string> words;
  error_code last;
  duration age{};
  std::size_t size = 0;
  std::size_t up = 0;
  std::size_t leased = 0;
  std::size_t hooks = 0;
  std::size_t waiting = 0;
  {
    // No more than figures: in a flood of refusals this is the lock that the lucky ones need.
    const std::lock_guard lock(mutex_);
    to = to_;
    size = size_;
    up = connected();
    leased = leased_;
    hooks = hooks_;
    waiting = waiting_;
    // Why an attempt failed is the reason only while attempts fail, and one is wanted that is not up.
    if (!closed_ && gate_.failures() != 0 && up_ < wanted_) {
      last = last_connect_error_;
      words = last_connect_reason_;
      age = env_->now() - last_connect_at_;
    }
  }
  std::ostringstream out;
  out << what << ": no connection to ";
  print_escaped(out, to->text);
  const bool was_limit = ec == errc::timed_out && waited;
  if (was_limit) {
    out << " within " << to_text(*waited);
  } else {
    out << ": ";
    print_escaped(out, ec.message());
  }
  out << " (size " << size << ": " << up << " up, " << leased << " leased, ";
  if (hooks != 0) out << hooks << " in hooks, ";
  out << waiting << " waiting";
  if (last) {
    std::array<char, 32> ago{};
    std::snprintf(ago.data(), ago.size(), "%.1f s ago", std::chrono::duration<double>(age).count());
    const std::string_view reason = words ? std::string_view(*words) : std::string_view();
    if (last == ec && !was_limit) {
      out << "; last attempt " << ago.data() << (reason.empty() ? "" : ": ");
      print_escaped(out, reason);
    } else {
      out << "; last error: ";
      print_error(out, last, reason);
      out << ", " << ago.data();
    }
  }
  out << ')';
  return out.str();
}

void pool_core::slot_connected(slot& s, duration took, bool resumed) noexcept {
  wait_list reached;
  {
    const std::lock_guard lock(mutex_);
    const time_point now = env_->now();
    s.connecting = false;
    recount(s);
    if (is_outdated(s)) {
      gate_.abandoned(std::exchange(s.ticket, {}));
    } else {
      s.ticket = gate_.succeeded(s.ticket, now);
    }
    gate_changed(now);
    count_up(s);
    end_retirement(s);
    if (!std::exchange(s.opened, true)) s.used_at = now;
    ++counters_.connects;
    if (resumed) ++counters_.tls_resumed;
    counters_.create_time.record(took);
    s.watched = false;
    s.watch_at = {};
    s.verify = true;
    s.rested = false;
    // A lease may have ended since the stream was opened.
    if (s.owner == slot_owner::idle) look_by(later(now, look_after_));
    for (auto i = up_waiters_.begin(); i != up_waiters_.end();) {
      auto& w = static_cast<pool_waiter&>(*i++);
      if (w.wanted > up_) continue;
      dequeue(w, {});
      reached.push_back(w);
    }
    s.retire_at = time_point::max();
    if (is_outdated(s)) {
      s.retire_at = time_point::min();
    } else if (options_.max_lifetime) {
      s.retire_at = later(now, std::max(retirement_age(*options_.max_lifetime, env_->random()), least_age));
      next_age_ = std::min(next_age_, s.retire_at);
      wake_by(next_age_);
    }
  }
  complete_all(reached);
  std::unique_lock lock(mutex_);
  // A stream that is redialled during a lease stays with the lease.
  if (s.owner != slot_owner::supervisor || !s.users().is_up()) return;
  if (!s.wanted) {
    lock.unlock();
    s.users().bring_down({{}, "nobody needs it any more", ending::surplus}, {});
    return;
  }
  s.owner = slot_owner::moving;
  ++moving_;
  s.core = shared_from_this();
  s.idle_since = tick_;
  s.active_at = env_->now();
  // Unless a loss is noticed within retry_min, it is not known that the attempt has failed after all.
  if (dial_options_.retry_min / 2 < look_after_) look_by(later(s.active_at, dial_options_.retry_min / 2));
  place(std::move(lock), s);
}

supervisor::hook pool_core::slot_hook(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  if (s.owner != slot_owner::hook) return {};
  return {s.hook, s.hook == &options_.keepalive ? ending::dead : ending::dirty};
}

void pool_core::end_hook(slot& s) noexcept {
  --hooks_;
  s.rested = s.hook == &options_.keepalive;
  if (s.rested) --keepalives_;
  s.hook = nullptr;
}

void pool_core::slot_served(slot& s) noexcept {
  // A ping need not be answered; what on_return has asked must be.
  const bool one_way = options_.one_way || s.hook == &options_.keepalive;
  s.users().end_use([] { return false; }, false, one_way);
  std::unique_lock lock(mutex_);
  end_hook(s);
  if (!s.users().is_up()) {
    count_loss(s, s.users().last_loss());
    give_to_supervisor(std::move(lock), s, nullptr);
    return;
  }
  s.owner = slot_owner::moving;
  ++moving_;
  s.verify = true;
  s.active_at = env_->now();
  place(std::move(lock), s);
}

duration pool_core::slot_down(slot& s, const loss& why, bool early) noexcept {
  wait_list ended;
  const duration delay = count_down(s, why, early, ended);
  complete_all(ended);
  return delay;
}

duration pool_core::count_down(slot& s, const loss& why, bool early, wait_list& ended) noexcept {
  std::shared_ptr<const std::string> words = early ? keep_words(why.reason) : nullptr;
  const std::lock_guard lock(mutex_);
  const time_point now = env_->now();
  count_loss(s, why);
  s.cause = early || why.kind == ending::lost ? dial_cause::loss : dial_cause::demand;
  // What users give up says nothing of the endpoint, nor does a former one.
  if (s.cause == dial_cause::loss && !is_outdated(s)) {
    gate_.lost(s.ticket, early, now, env_->random());
    gate_changed(now);
    if (early) note_failure(why.cause, std::move(words), now, ended);
  } else {
    gate_.given_up(s.ticket, why.answered, now);
    gate_changed(now);
  }
  // What was lost early was never up.
  if (up_ == 0 && !early) downtime_.over();
  return s.cause == dial_cause::loss ? gate_.delay(now) : duration::zero();
}

void pool_core::slot_stopped(slot& s) noexcept {
  std::shared_ptr<pool_core> held;
  {
    const std::lock_guard lock(mutex_);
    s.connecting = false;
    leave_dial_queue(s);
    --running_;
    // The pool was closed before its hook had begun.
    if (s.owner == slot_owner::hook) {
      end_hook(s);
      s.owner = slot_owner::supervisor;
      held = std::move(s.core);
    }
    // What is in use stays up until it comes back.
    if (s.owner == slot_owner::supervisor) count_end(s);
    recount(s);
  }
  finish_drain();
}

void pool_core::on_context_shutdown() noexcept {
  wait_list dropped;
  const asio::execution_context* context = nullptr;
  {
    const std::lock_guard lock(mutex_);
    context = context_of(ex_);
    closed_ = true;
    plain_put_ = false;
    take_all(lease_waiters_, dropped, errc::closed);
    take_all(up_waiters_, dropped, errc::closed);
    take_all(drain_waiters_, dropped, errc::closed);
    dropped.splice(dropped.end(), undelivered_);
    idle_.clear();
    for (const auto& s : slots_) {
      if (s->owner != slot_owner::idle && s->owner != slot_owner::hook) continue;
      s->owner = slot_owner::supervisor;
      // Not the last one: the caller has one.
      s->core.reset();
    }
    hooks_ = 0;
    keepalives_ = 0;
    ex_ = asio::any_io_executor();
  }
  alarm_.shutdown();
  while (!dropped.empty()) {
    waiter& w = dropped.front();
    dropped.pop_front();
    end_with_context(w, *context);
  }
}

}  // namespace cocp::detail
