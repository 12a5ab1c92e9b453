// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/impl/channel.hpp>

#include "environment.hpp"

#include <utility>

namespace cocp::detail {

std::shared_ptr<channel> channel::make(asio::any_io_executor ex, std::shared_ptr<environment> env, channel_owner* owner,
                                       bool single_use) {
  return {new channel(std::move(ex), std::move(env), owner, single_use), [](channel* c) { c->orphan(); }};
}

channel::channel(asio::any_io_executor ex, std::shared_ptr<environment> env, channel_owner* owner, bool single_use)
    : ex_(std::move(ex)), env_(std::move(env)), owner_(owner), single_use_(single_use), retired_(single_use) {}

void channel_waiter::settle() noexcept {
  if (!cancelled_late || error) return;
  error = asio::error::operation_aborted;
  if (begun) channel_.end(operation_, error);
}

void channel_waiter::dropped() noexcept {
  error_code ec = asio::error::operation_aborted;
  if (begun) channel_.end(operation_, ec);
}

channel::~channel() {
  while (!undelivered_.empty()) {
    waiter& w = undelivered_.front();
    undelivered_.pop_front();
    w.destroy();
  }
}

void channel::orphan() noexcept {
  bool unused = false;
  {
    const std::lock_guard lock(mutex_);
    owner_ = nullptr;
    set(orphaned);
    if (is_up()) lose({errc::closed, {}, ending::surplus}, asio::error::operation_aborted);
    unused = is_drained();
  }
  // Otherwise the last outstanding operation deletes it (see end_slowly).
  if (unused) delete this;
}

void channel::end_slowly(unsigned operation, error_code& ec) noexcept {
  wait_list ready;
  std::unique_ptr<stream> finished;
  std::shared_ptr<channel> self;
  {
    const std::lock_guard lock(mutex_);
    if (operation == reading && !ec) set(answered);
    // Until its bit is cleared the operation keeps the channel alive, so that comes last, and under the lock.
    const unsigned before = word_.load(std::memory_order_acquire);
    const bool was_up = before & up;
    if (ec && !was_up && verdict_) ec = verdict_;
    if (ec && was_up) {
      if (ec == asio::error::operation_aborted) {
        set(dirty);
      } else {
        lose({ec, {}, ending::lost}, {});
      }
    }
    const unsigned now = clear(operation) & ~operation;
    if (now & up) {
      if (now & queued) {
        self = weak_from_this().lock();
        release_waiters(ready);
      }
    } else if (!(now & (reading | writing))) {
      if (owner_) owner_->on_channel_drained();
      // Closed for good: its supervisor may have gone.
      if (gone_) finished = take_under_lock();
    }
    if (!(now & orphaned) || (now & (reading | writing))) operation = 0;
  }
  if (operation != 0) {
    delete this;
  } else if (self) {
    complete_all(ready);
  }
}

leftover channel::end_use_slowly(bool spoiled, bool unwanted) noexcept {
  wait_list aborted;
  leftover result = leftover::down;
  {
    const std::lock_guard lock(mutex_);
    deadline_ = time_point::max();
    take_waiters(aborted, asio::error::operation_aborted);
    const unsigned now = word_.load(std::memory_order_acquire);
    if (!(now & up)) {
      if (!verdict_) verdict_ = asio::error::operation_aborted;
    } else if (unwanted) {
      lose({{}, "the lease was discarded", ending::dirty}, asio::error::operation_aborted);
      result = leftover::dirty;
    } else if (now & (reading | writing)) {
      lose({{}, "an operation was left outstanding", ending::dirty}, asio::error::operation_aborted);
      result = leftover::dirty;
    } else if (now & dirty) {
      lose({{}, "an operation was cancelled", ending::dirty}, {});
      result = leftover::dirty;
    } else if (spoiled && (now & used)) {
      lose({{}, "the lease was ended by an exception", ending::dirty}, {});
      result = leftover::dirty;
    } else {
      result = now & used ? leftover::used : leftover::unused;
      if (now & used) set(touched);
    }
    clear(used | dirty | expired | timed | (gone_ ? 0u : unsigned{closed}));
  }
  complete_all(aborted);
  return result;
}

void channel::lose(loss why, error_code verdict) noexcept {
  const unsigned before = clear(up);
  why.answered = before & answered;
  why.touched = before & (used | touched);
  last_loss_ = why;
  if (why.cause) last_error_ = why.cause;
  verdict_ = verdict;
  if (before & (reading | writing)) {
    // They end soon; then the channel is drained.
    stream_->shutdown();
  } else if (owner_) {
    owner_->on_channel_drained();
  }
}

bool channel::open(std::unique_ptr<stream>& s) {
  wait_list ready;
  {
    const std::lock_guard lock(mutex_);
    if (gone_) return false;
    stream_ = std::move(s);
    socket_ = stream_->plain();
    verdict_ = {};
    generation_.fetch_add(1, std::memory_order_relaxed);
    clear(used | answered | dirty | touched);
    set(up);
    release_waiters(ready);
  }
  complete_all(ready);
  return true;
}

void channel::bring_down(const loss& why, error_code verdict) noexcept {
  const std::lock_guard lock(mutex_);
  if (is_up()) {
    lose(why, verdict);
  } else if (verdict) {
    verdict_ = verdict;
  }
}

void channel::disown() noexcept {
  const std::lock_guard lock(mutex_);
  owner_ = nullptr;
}

void channel::note(error_code ec) noexcept {
  const std::lock_guard lock(mutex_);
  last_error_ = ec;
}

void channel::retire() noexcept {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    retired_ = true;
    // A watch from before the lease would keep the context for as long as that lasts.
    if (stream_) stream_->cancel_wait_readable();
    if (!is_up()) take_waiters(ended, errc::closed);
  }
  complete_all(ended);
}

void channel::close() noexcept {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    retired_ = true;
    set(closed);
    if (is_up()) {
      lose({{}, {}, ending::surplus}, errc::closed);
    } else {
      verdict_ = errc::closed;
    }
    take_waiters(ended, errc::closed);
    deadline_ = time_point::max();
    if (timer_) timer_->cancel();
  }
  complete_all(ended);
}

void channel::close_use() noexcept {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    set(closed);
    if (is_up()) {
      lose({errc::closed, "its user closed it", ending::dirty}, errc::closed);
    } else {
      verdict_ = errc::closed;
    }
    take_waiters(ended, errc::closed);
  }
  complete_all(ended);
}

std::unique_ptr<stream> channel::take() noexcept {
  const std::lock_guard lock(mutex_);
  return take_under_lock();
}

std::unique_ptr<stream> channel::take_under_lock() noexcept {
  if (!is_drained()) return nullptr;
  socket_ = nullptr;
  return std::move(stream_);
}

std::unique_ptr<stream> channel::release() noexcept {
  const std::lock_guard lock(mutex_);
  if ((word_.load(std::memory_order_acquire) & (up | reading | writing)) != up) return nullptr;
  clear(up);
  socket_ = nullptr;
  return std::move(stream_);
}

loss channel::last_loss() const {
  const std::lock_guard lock(mutex_);
  return last_loss_;
}

error_code channel::last_error() const {
  const std::lock_guard lock(mutex_);
  return last_error_;
}

endpoint channel::remote_endpoint() const {
  const std::lock_guard lock(mutex_);
  return is_up() ? stream_->remote_endpoint() : endpoint();
}

void channel::wait(channel_waiter& w) {
  wait_list now;
  bool refused = false;
  bool dropped = false;
  {
    const std::lock_guard lock(mutex_);
    dropped = !ex_;
    if (!dropped) {
      w.error = refusal(w.operation());
      refused = w.error.failed();
      if (!refused) {
        w.waiting = true;
        waiters_.push_back(w);
        // The operation in front has no reason to take the lock before it sees this mark; so look again after it.
        set(queued);
        release_waiters(now);
      }
    }
  }
  if (refused) {
    complete_now(w);
  } else if (dropped) {
    w.destroy();
  } else {
    complete_all(now);
  }
}

error_code channel::refusal(unsigned operation) noexcept {
  const unsigned word = word_.load(std::memory_order_acquire);
  if (word & closed) return errc::closed;
  if (word & expired) {
    if (operation != 0) set(dirty);
    return errc::timed_out;
  }
  if ((word & up) || !retired_) return {};
  if (!single_use_) return errc::closed;
  if (verdict_) return verdict_;
  return last_error_ ? last_error_ : error_code(errc::closed);
}

void channel::cancel(waiter& w) noexcept {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    // Once taken out of the queue it has its result, and is on its way.
    if (!w.waiting) {
      w.cancelled_late = true;
      return;
    }
    w.waiting = false;
    w.error = asio::error::operation_aborted;
    waiters_.erase(waiters_.iterator_to(w));
    ended.push_back(w);
  }
  complete_all(ended);
}

void channel::take_waiters(wait_list& into, error_code ec) noexcept {
  for (waiter& w : waiters_) {
    w.waiting = false;
    w.error = ec;
  }
  into.splice(into.end(), waiters_);
  clear(queued);
}

void channel::release_waiters(wait_list& into) noexcept {
  for (auto i = waiters_.begin(); i != waiters_.end();) {
    auto& w = static_cast<channel_waiter&>(*i++);
    if (w.operation() == 0 ? !is_up() : !begin(w.operation())) continue;
    w.begun = w.operation() != 0;
    w.waiting = false;
    w.error = {};
    waiters_.erase(waiters_.iterator_to(w));
    into.push_back(w);
  }
  if (waiters_.empty()) clear(queued);
}

void channel::complete_all(wait_list& list) noexcept {
  while (!list.empty()) {
    waiter& w = list.front();
    list.pop_front();
    if (deliver(w)) continue;
    const std::lock_guard lock(mutex_);
    if (owner_) owner_->on_channel_drained();
  }
}

bool channel::deliver(waiter& w) noexcept {
  try {
    w.complete();
    return true;
  } catch (...) {
    // Its executor refuses it, for lack of memory say: it keeps its result until the owner tries again.
    const std::lock_guard lock(mutex_);
    undelivered_.push_back(w);
    return false;
  }
}

bool channel::retry_completions() noexcept {
  wait_list again;
  {
    const std::lock_guard lock(mutex_);
    again.swap(undelivered_);
  }
  bool all = true;
  while (!again.empty()) {
    waiter& w = again.front();
    again.pop_front();
    all = deliver(w) && all;
  }
  return all;
}

void channel::expires_after(duration d) {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    deadline_ = later(env_->now(), d);
    set(timed);
    clear(expired);
    if (d <= duration::zero()) {
      expire();
      take_waiters(ended, errc::timed_out);
    } else if (deadline_ < armed_) {
      arm(deadline_);
    }
  }
  complete_all(ended);
}

void channel::expires_never() noexcept {
  const std::lock_guard lock(mutex_);
  deadline_ = time_point::max();
  clear(expired);
}

void channel::arm(time_point t) {
  if (!ex_) return;
  if (!timer_) timer_ = env_->make_timer(ex_);
  timer_->expires_at(t);
  armed_ = t;
  auto strike = [self = shared_from_this()](error_code ec) {
    if (!ec) self->on_timer();
  };
  timer_->async_wait(std::move(strike));
}

void channel::on_timer() {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    armed_ = time_point::max();
    if (deadline_ == time_point::max()) return;
    if (env_->now() < deadline_) {
      arm(deadline_);
      return;
    }
    expire();
    take_waiters(ended, errc::timed_out);
  }
  complete_all(ended);
}

void channel::expire() noexcept {
  set(expired);
  const unsigned now = word_.load(std::memory_order_acquire);
  if ((now & up) && (now & (reading | writing))) {
    lose({errc::timed_out, "an operation expired", ending::dirty}, errc::timed_out);
  }
}

void channel::shutdown() noexcept {
  wait_list dropped;
  std::unique_ptr<stream> s;
  std::unique_ptr<timer> t;
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    retired_ = true;
    set(closed);
    clear(up);
    socket_ = nullptr;
    s = std::move(stream_);
    t = std::move(timer_);
    ex_ = asio::any_io_executor();
    take_waiters(dropped, {});
    dropped.splice(dropped.end(), undelivered_);
  }
  while (!dropped.empty()) {
    waiter& w = dropped.front();
    dropped.pop_front();
    w.destroy();
  }
}

}  // namespace cocp::detail
