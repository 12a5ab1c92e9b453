// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool_core.hpp"

#include "check_options.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <exception>
#include <sstream>
#include <utility>

namespace cocp::detail {
namespace {

/// The housekeeper looks at what is idle so long after it became so: a watch costs a busy connection nothing, and a
/// dead one is found within 100 ms.
constexpr duration watch_after = std::chrono::milliseconds(50);

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

void wait_for_lease(pool_core& core, lease_waiter& w, std::optional<duration> timeout) {
  core.wait_for_lease(w, timeout);
}

void pool_waiter::settle() noexcept {
  if (cancelled_late && result) pool_core::withdraw(*this);
}

pool_core::pool_core(asio::any_io_executor ex, connection_options connection, pool_options options)
    : dial_options_(checked(std::move(connection))),
      options_(checked(std::move(options))),
      to_(parse_address(dial_options_.address)),
      always_verify_(options_.check_after == duration::zero()),
      env_(context_service::of(ex).environment()),
      ex_(std::move(ex)),
      alarm_(ex_, *env_) {
  slots_.reserve(options_.size);
  for (std::size_t i = 0; i < options_.size; ++i) slots_.push_back(std::make_unique<slot>(*this, ex_));
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
  auto self = shared_from_this();
  for (const auto& s : slots_) s->keeper->start(self);
  asio::co_spawn(ex_, keep_house(self), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
}

lease pool_core::take_idle() noexcept {
  for (;;) {
    slot* s = nullptr;
    {
      const std::lock_guard lock(mutex_);
      // Nobody overtakes those who wait.
      if (idle_.empty() || !lease_waiters_.empty()) return lease();
      s = &idle_.front();
      idle_.pop_front();
      s->owner = slot_owner::leased;
      ++leased_;
      ++counters_.gets;
      if (!std::exchange(s->verify, false)) return lease(*s);
    }
    loss why;
    if (passes(*s, why)) return lease(*s);
    {
      const std::lock_guard lock(mutex_);
      --counters_.gets;
    }
    reject(*s, leased_, why);
  }
}

bool pool_core::passes(slot& s, loss& why) const noexcept {
  error_code ec;
  switch (s.users().idle_stream()->peek(ec)) {
    case peek_result::quiet:
      return true;
    case peek_result::unread:
      if (options_.allow_unread) return true;
      why = {errc::unsolicited_data, "bytes were left unread, or came unasked", true, false};
      return false;
    case peek_result::dead:
      break;
  }
  why = {ec, {}, false, false};
  return false;
}

void pool_core::reject(slot& s, std::size_t& held, const loss& why) noexcept {
  std::unique_lock lock(mutex_);
  --held;
  if (!why.on_purpose) ++counters_.replaced_dead;
  // Before it goes down: from then on its supervisor may bring it back.
  give_to_supervisor(std::move(lock), s, &why);
}

void pool_core::give_to_supervisor(std::unique_lock<std::mutex> lock, slot& s, const loss* why) noexcept {
  s.owner = slot_owner::supervisor;
  const auto self = std::move(s.core);
  const bool stop = closed_;
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
  const leftover left = s.users().end_use(spoiled, how == lease::way::discarded);
  std::unique_lock lock(self.mutex_);
  --self.leased_;
  if (left == leftover::dirty || left == leftover::down) [[unlikely]] {
    // Its supervisor may have brought it back by now, and then it has left it to the lease.
    if (!s.users().is_up()) {
      self.give_to_supervisor(std::move(lock), s, nullptr);
      return;
    }
  }
  s.verify = self.always_verify_ || left != leftover::unused;
  s.idle_since = self.tick_;
  if (!self.lease_waiters_.empty() || self.closed_) {
    s.owner = slot_owner::moving;
    ++self.moving_;
    self.place(std::move(lock), s);
    return;
  }
  self.put_idle(s);
}

void pool_core::place(std::unique_lock<std::mutex> lock, slot& s) noexcept {
  while (!closed_ && !lease_waiters_.empty()) {
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
    --moving_;
    ++leased_;
    ++counters_.gets;
    ++counters_.waits;
    next.result = lease(s);
    lock.unlock();
    complete(next);
    return;
  }
  --moving_;
  if (closed_) {
    give_to_supervisor(std::move(lock), s, nullptr);
  } else {
    s.verify = s.verify || always_verify_;
    put_idle(s);
  }
}

void pool_core::put_idle(slot& s) noexcept {
  s.owner = slot_owner::idle;
  idle_.push_front(s);
  // Only the first one that needs a look asks for it.
  if (!s.watched && next_watch_ == time_point::max()) {
    tick_ = env_->now();
    next_watch_ = later(tick_, watch_after);
    wake_by(next_watch_);
  }
  if (!s.verify && next_verify_ == time_point::max()) {
    next_verify_ = later(s.idle_since, options_.check_after);
    wake_by(next_verify_);
  }
}

void pool_core::wake_by(time_point t) noexcept {
  if (t >= next_turn_) return;
  next_turn_ = t;
  alarm_.ring();
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

void pool_core::wait_for_lease(lease_waiter& w, std::optional<duration> timeout) {
  if (!timeout) timeout = options_.get_timeout;
  for (;;) {
    w.result = take_idle();
    if (w.result) break;
    std::unique_lock lock(mutex_);
    if (!ex_) {
      lock.unlock();
      w.destroy();
      return;
    }
    // One came back since the look: nobody may queue behind an idle connection.
    if (!idle_.empty() && lease_waiters_.empty()) continue;
    if (!may_wait(w, timeout)) {
      if (w.error == errc::timed_out) ++counters_.timeouts;
      break;
    }
    if (waiting_ >= options_.max_waiting) {
      w.error = errc::overloaded;
      ++counters_.rejected;
      break;
    }
    enqueue(w, lease_waiters_, timeout);
    return;
  }
  complete_now(w);
}

void pool_core::wait_until_up(event_waiter& w, std::size_t wanted) {
  {
    std::unique_lock lock(mutex_);
    if (!ex_) {
      lock.unlock();
      w.destroy();
      return;
    }
    const bool enough = !closed_ && count_up() >= wanted;
    if (!enough && may_wait(w, options_.get_timeout)) {
      w.wanted = wanted;
      enqueue(w, up_waiters_, options_.get_timeout);
      return;
    }
  }
  complete_now(w);
}

void pool_core::wait_until_drained(event_waiter& w) noexcept {
  {
    std::unique_lock lock(mutex_);
    if (!ex_) {
      lock.unlock();
      w.destroy();
      return;
    }
    enqueue(w, drain_waiters_, std::nullopt);
  }
  finish_drain();
}

void pool_core::enqueue(pool_waiter& w, wait_list& queue, std::optional<duration> timeout) noexcept {
  w.waiting = true;
  w.queue = &queue;
  queue.push_back(w);
  if (&queue == &lease_waiters_) ++waiting_;
  if (!timeout) return;
  w.deadline = later(env_->now(), *timeout);
  if (w.deadline == time_point::max()) return;
  // Waiters with the same timeout come in the order of their deadlines: then this is the place, and costs O(1).
  deadlines_.insert(deadlines_.end(), w);
  wake_by(w.deadline);
}

void pool_core::dequeue(pool_waiter& w, error_code ec) noexcept {
  if (w.queue == &lease_waiters_) --waiting_;
  w.waiting = false;
  w.error = ec;
  w.queue->erase(w.queue->iterator_to(w));
  if (w.boost::intrusive::set_base_hook<>::is_linked()) deadlines_.erase(deadlines_.iterator_to(w));
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
  }
  complete(w);
}

void pool_core::withdraw(pool_waiter& w) noexcept {
  const lease taken = std::move(w.result);
  w.error = asio::error::operation_aborted;
  pool_core& self = *static_cast<slot&>(*taken).core;
  const std::lock_guard lock(self.mutex_);
  --self.counters_.gets;
  if (w.queue) --self.counters_.waits;
  ++self.counters_.cancelled;
}

bool pool_core::deliver(waiter& w) noexcept {
  try {
    w.complete();
    return true;
  } catch (...) {
    // Its executor refuses it, for lack of memory say: it keeps its result until the housekeeper tries again.
    const std::lock_guard lock(mutex_);
    undelivered_.push_back(w);
    return false;
  }
}

void pool_core::complete(waiter& w) noexcept {
  if (!deliver(w)) alarm_.ring();
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
    take_all(lease_waiters_, ended, errc::closed);
    take_all(up_waiters_, ended, errc::closed);
    while (!idle_.empty()) {
      slot& s = idle_.front();
      idle_.pop_front();
      s.owner = slot_owner::supervisor;
      // Not the last one: the caller has one.
      s.core.reset();
    }
  }
  complete_all(ended);
  for (const auto& s : slots_) {
    bool in_use = false;
    {
      const std::lock_guard lock(mutex_);
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
    if (!closed_ || leased_ != 0 || moving_ != 0 || stopped_ != slots_.size()) return;
    take_all(drain_waiters_, ended, {});
  }
  complete_all(ended);
  // The housekeeper had stayed for them.
  alarm_.ring();
}

std::size_t pool_core::count_up() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [](const auto& s) { return s->users().is_up(); }));
}

cocp::stats pool_core::stats() const {
  const std::lock_guard lock(mutex_);
  cocp::stats s = counters_;
  s.size = slots_.size();
  s.connected = count_up();
  s.idle = idle_.size();
  s.leased = leased_;
  s.connecting = static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [](const auto& each) { return each->connecting; }));
  s.waiting = waiting_;
  return s;
}

std::string pool_core::explain(const char* what, error_code ec, std::optional<duration> waited) const {
  const cocp::stats s = stats();
  error_code last;
  {
    const std::lock_guard lock(mutex_);
    last = last_connect_error_;
  }
  std::ostringstream out;
  out << what << ": no connection to " << to_.text;
  if (ec == errc::timed_out && waited) {
    out << " within " << to_text(*waited);
  } else {
    out << ": " << ec.message();
  }
  out << " (size " << s.size << ": " << s.connected << " up, " << s.leased << " leased, " << s.waiting << " waiting";
  if (last) out << "; last error: " << last.message();
  out << ')';
  return out.str();
}

void pool_core::slot_dialling(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  s.connecting = true;
}

void pool_core::slot_failed(slot& s, error_code ec) noexcept {
  const std::lock_guard lock(mutex_);
  s.connecting = false;
  ++counters_.connect_failures;
  last_connect_error_ = ec;
}

void pool_core::slot_connected(slot& s) noexcept {
  wait_list reached;
  {
    const std::lock_guard lock(mutex_);
    s.connecting = false;
    ++counters_.connects;
    s.watched = false;
    s.verify = true;
    const std::size_t up = up_waiters_.empty() ? 0 : count_up();
    for (auto i = up_waiters_.begin(); i != up_waiters_.end();) {
      auto& w = static_cast<pool_waiter&>(*i++);
      if (w.wanted > up) continue;
      dequeue(w, {});
      reached.push_back(w);
    }
  }
  complete_all(reached);
  std::unique_lock lock(mutex_);
  // A stream that is redialled during a lease stays with the lease.
  if (s.owner != slot_owner::supervisor || !s.users().is_up()) return;
  s.owner = slot_owner::moving;
  ++moving_;
  s.core = shared_from_this();
  s.idle_since = tick_;
  place(std::move(lock), s);
}

void pool_core::slot_down(slot&, const loss& why) noexcept {
  const std::lock_guard lock(mutex_);
  ++(why.on_purpose ? counters_.replaced_dirty : counters_.disconnects);
}

void pool_core::slot_stopped(slot& s) noexcept {
  {
    const std::lock_guard lock(mutex_);
    s.connecting = false;
    ++stopped_;
  }
  finish_drain();
}

asio::awaitable<void> pool_core::keep_house(std::shared_ptr<pool_core> self) {
  // g++ 12 drops a parameter that the body does not use.
  const auto kept = std::move(self);
  co_await asio::post(ex_, asio::use_awaitable);
  for (;;) {
    const time_point next = turn();
    {
      const std::lock_guard lock(mutex_);
      if (closed_ && undelivered_.empty() && drain_waiters_.empty()) co_return;
    }
    co_await alarm_.wait_until(next);
  }
}

time_point pool_core::turn() noexcept {
  const time_point now = env_->now();
  wait_list ended;
  bool look_now = false;
  {
    const std::lock_guard lock(mutex_);
    while (!deadlines_.empty() && deadlines_.begin()->deadline <= now) {
      pool_waiter& w = *deadlines_.begin();
      if (w.queue == &lease_waiters_) ++counters_.timeouts;
      dequeue(w, errc::timed_out);
      ended.push_back(w);
    }
    ended.splice(ended.end(), undelivered_);
    tick_ = now;
    look_now = next_watch_ <= now || next_verify_ <= now;
  }
  while (!ended.empty()) {
    waiter& w = ended.front();
    ended.pop_front();
    deliver(w);
  }
  if (look_now) look_at_idle();
  const std::lock_guard lock(mutex_);
  next_turn_ = std::min(next_watch_, next_verify_);
  if (!deadlines_.empty()) next_turn_ = std::min(next_turn_, deadlines_.begin()->deadline);
  if (!undelivered_.empty()) next_turn_ = std::min(next_turn_, later(now, redelivery_pause));
  return next_turn_;
}

void pool_core::look_at_idle() noexcept {
  boost::intrusive::list<slot> batch;
  {
    const std::lock_guard lock(mutex_);
    next_watch_ = time_point::max();
    next_verify_ = time_point::max();
    for (auto i = idle_.begin(); i != idle_.end();) {
      slot& s = *i++;
      const time_point due = later(s.idle_since, options_.check_after);
      if (due <= tick_) s.verify = true;
      if (!s.verify) next_verify_ = std::min(next_verify_, due);
      if (s.watched) continue;
      idle_.erase(idle_.iterator_to(s));
      s.owner = slot_owner::moving;
      ++moving_;
      batch.push_back(s);
    }
  }
  while (!batch.empty()) {
    slot& s = batch.front();
    batch.pop_front();
    bool watched = true;
    try {
      watch(s);
    } catch (const std::bad_alloc&) {
      // Next time.
      watched = false;
    }
    std::unique_lock lock(mutex_);
    s.watched = watched;
    place(std::move(lock), s);
  }
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
    idle_.erase(idle_.iterator_to(s));
    s.owner = slot_owner::moving;
    ++moving_;
  }
  loss why;
  if (passes(s, why)) {
    place(std::unique_lock(mutex_), s);
  } else {
    reject(s, moving_, why);
  }
}

void pool_core::on_context_shutdown() noexcept {
  wait_list dropped;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    take_all(lease_waiters_, dropped, errc::closed);
    take_all(up_waiters_, dropped, errc::closed);
    take_all(drain_waiters_, dropped, errc::closed);
    dropped.splice(dropped.end(), undelivered_);
    while (!idle_.empty()) {
      slot& s = idle_.front();
      idle_.pop_front();
      s.owner = slot_owner::supervisor;
      s.core.reset();
    }
    ex_ = asio::any_io_executor();
  }
  alarm_.shutdown();
  while (!dropped.empty()) {
    waiter& w = dropped.front();
    dropped.pop_front();
    w.destroy();
  }
}

}  // namespace cocp::detail
