// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/impl/channel.hpp>

#include "base/environment.hpp"
#include "base/error_text.hpp"

#include <new>
#include <utility>

namespace cocp::detail {

using word = stream_word;

std::exception_ptr make_failure(const char* what, const endpoint_label& who, error_code ec) noexcept {
  try {
    return make_text_error(ec, std::string(what) + ' ' + *who + ": " + ec.message());
  } catch (...) {
    return std::current_exception();
  }
}

std::shared_ptr<channel> channel::make(asio::any_io_executor ex, std::shared_ptr<environment> env, channel_owner* owner,
                                       channel_use use, endpoint_label who) {
  return {new channel(std::move(ex), std::move(env), owner, use, std::move(who)), [](channel* c) { c->orphan(); }};
}

channel::channel(asio::any_io_executor ex, std::shared_ptr<environment> env, channel_owner* owner, channel_use use,
                 endpoint_label who)
    : ex_(std::move(ex)),
      env_(std::move(env)),
      owner_(owner),
      use_(use),
      retired_(use == channel_use::once_only),
      who_(std::move(who)) {}

void channel_waiter::settle() noexcept {
  if (error) return;
  if (!cancelled_late) {
    if (operation_ == 0) channel_.consent(generation);
    return;
  }
  error = asio::error::operation_aborted;
  if (begun) {
    error_code ec = error;
    channel_.end(operation_, ec, false);
  }
}

void channel_waiter::dropped() noexcept {
  error_code ec = asio::error::operation_aborted;
  if (begun) channel_.end(operation_, ec, false);
}

channel::~channel() {
  while (!undelivered_.empty()) {
    waiter& w = undelivered_.front();
    undelivered_.pop_front();
    w.destroy();
  }
}

void channel::orphan() noexcept {
  wait_list nobody;
  bool unused = false;
  {
    const std::lock_guard lock(mutex_);
    owner_ = nullptr;
    word_.set(word::orphaned);
    if (word_.load() & word::up) {
      note_loss({errc::closed, {}, ending::surplus});
      take_down(asio::error::operation_aborted, nobody);
    }
    unused = is_drained();
  }
  // Otherwise the last outstanding operation deletes it (see end_slowly).
  if (unused) delete this;
}

void channel::end_slowly(unsigned operation, error_code& ec, bool moved, endpoint_label* who) noexcept {
  wait_list ended;
  std::unique_ptr<stream> finished;
  std::shared_ptr<channel> self;
  {
    const std::lock_guard lock(mutex_);
    if (!ec && moved) {
      word_.step([operation](unsigned w) { return std::optional(word::move(w, operation, true)); });
    }
    // Until its bit is cleared the operation keeps the channel alive, so that comes last, and under the lock.
    const unsigned before = word_.load();
    if (!(before & word::up)) {
      // What ends well must not look well either: a composed operation would go on with its next part on the next
      // stream.
      if (ec != asio::error::operation_aborted || verdict_) ec = loss_error(operation);
    } else if (ec == asio::error::not_found) {
      // Of async_read_until, whose buffer is full: nothing has happened to the stream.
    } else if (before & word::broken) {
      if (ec && ec != asio::error::operation_aborted) ec = loss_error(operation);
    } else if (ec == asio::error::operation_aborted) {
      word_.set(word::dirty);
    } else if (ec && use_ != channel_use::alone && operation == reading && ec == asio::error::eof) {
      if (!(before & word::ended)) lose({ec, {}, ending::lost}, word::ended, {}, ended);
    } else if (ec) {
      lose({ec, {}, ending::lost}, word::broken, {}, ended);
    }
    if (ec && ec != asio::error::operation_aborted && ec != asio::error::not_found && operation == reading) {
      read_all_ = true;
    }
    if (ec && who) *who = who_;
    const unsigned now = word_.clear(operation) & ~operation;
    if (now & word::up) {
      if (now & word::queued) release_waiters(ended);
    } else if (word::is_drained(now)) {
      if (owner_) owner_->on_channel_changed();
      // Closed for good: its supervisor may have gone.
      if (gone_) finished = take_under_lock();
    }
    if (!ended.empty()) self = weak_from_this().lock();
    if (!(now & word::orphaned) || !word::is_drained(now)) operation = 0;
  }
  if (operation != 0) {
    delete this;
  } else if (self) {
    complete_all(ended);
  }
}

leftover channel::end_use_slowly(bool spoiled, bool unwanted, bool one_way) noexcept {
  wait_list aborted;
  leftover result = leftover::down;
  {
    const std::lock_guard lock(mutex_);
    deadline_ = time_point::max();
    const bool queued = take_waiters(aborted, asio::error::operation_aborted);
    const unsigned now = word_.load();
    const char* spoilt = nullptr;
    if (!(now & word::up) || (now & word::lost)) {
      if (!verdict_) verdict_ = asio::error::operation_aborted;
      if (now & word::up) take_down(verdict_, aborted);
    } else if (unwanted) {
      spoilt = "the lease was discarded";
    } else if (queued || (now & (reading | writing))) {
      spoilt = "an operation was left outstanding";
    } else if (now & word::dirty) {
      spoilt = "an operation was cancelled";
    } else if (spoiled && (now & word::used)) {
      spoilt = "the lease was ended by an exception";
    } else if ((now & word::asked) && !one_way) {
      spoilt = "nothing was read after the last write: an answer may be on its way";
    } else {
      result = now & word::used ? leftover::used : leftover::unused;
      if (now & word::used) word_.set(word::touched);
    }
    if (spoilt) {
      note_loss({{}, spoilt, ending::dirty});
      take_down(asio::error::operation_aborted, aborted);
      result = leftover::dirty;
    }
    word_.clear(word::used | word::asked | word::dirty | word::expired | word::timed | word::apart |
                (gone_ ? 0u : unsigned{word::closed}));
  }
  complete_all(aborted);
  return result;
}

void channel::note_loss(loss why) noexcept {
  const unsigned now = word_.load();
  why.answered = now & word::answered;
  why.touched = now & (word::used | word::touched);
  last_loss_ = why;
  write_error_ = {};
  if (why.cause) last_error_ = why.cause;
}

void channel::lose(loss why, unsigned how, error_code verdict, wait_list& refused) noexcept {
  const bool known = word_.load() & word::lost;
  if (!known) note_loss(why);
  if (use_ == channel_use::alone) {
    take_down(verdict, refused);
    return;
  }
  if (known) write_error_ = why.cause;
  word_.set(how);
  if (how == word::broken) {
    verdict_ = verdict;
    // Nothing can block any more, and what had arrived can still be read (tcp(7); so it is with unix(7)).
    stream_->shutdown();
    refuse_waiters(refused, writing);
  }
  if (owner_) owner_->on_channel_changed();
}

void channel::take_down(error_code verdict, wait_list& refused) noexcept {
  const unsigned before = word_.clear(word::up);
  verdict_ = verdict;
  // Those that are outstanding end soon; then the channel is drained.
  if (before & (reading | writing)) stream_->shutdown();
  // They wait behind those, also where others would wait for the next stream: one may be a later part of a composed
  // operation.
  refuse_waiters(refused, reading | writing);
  if (owner_) owner_->on_channel_changed();
}

bool channel::open(std::unique_ptr<stream>& s, endpoint_label who) {
  wait_list ready;
  {
    const std::lock_guard lock(mutex_);
    if (gone_) return false;
    stream_ = std::move(s);
    socket_ = stream_->plain();
    read_all_ = false;
    who_ = std::move(who);
    verdict_ = {};
    write_error_ = {};
    generation_.fetch_add(1, std::memory_order_relaxed);
    word_.step([](unsigned w) { return std::optional(word::open(w)); });
    release_waiters(ready);
  }
  complete_all(ready);
  return true;
}

void channel::begin_hook() noexcept {
  const std::lock_guard lock(mutex_);
  hooked_ = true;
}

void channel::end_hook() noexcept {
  const std::lock_guard lock(mutex_);
  hooked_ = false;
}

void channel::bring_down(const loss& why, error_code verdict) noexcept {
  wait_list refused;
  {
    const std::lock_guard lock(mutex_);
    const unsigned now = word_.load();
    if (now & word::up) {
      if (!(now & word::lost)) note_loss(why);
      take_down(verdict, refused);
    } else if (verdict) {
      verdict_ = verdict;
    }
  }
  complete_all(refused);
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
    if (!(word_.load() & word::up)) take_waiters(ended, errc::closed);
  }
  complete_all(ended);
}

void channel::close() noexcept {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    retired_ = true;
    const unsigned before = word_.set(word::closed);
    take_waiters(ended, errc::closed);
    if (before & word::up) {
      if (!(before & word::lost)) note_loss({{}, {}, ending::surplus});
      take_down(errc::closed, ended);
    } else {
      verdict_ = errc::closed;
    }
    deadline_ = time_point::max();
    if (timer_) timer_->cancel();
  }
  complete_all(ended);
}

void channel::close_use() noexcept {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    const unsigned before = word_.set(word::closed);
    take_waiters(ended, errc::closed);
    if (before & word::up) {
      lose({errc::closed, "its user closed it", ending::dirty}, word::broken, errc::closed, ended);
    }
    verdict_ = errc::closed;
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
  if (!word_.step(word::release)) return nullptr;
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

std::exception_ptr channel::wait_failure(const char* what, error_code ec) const noexcept {
  try {
    const std::lock_guard lock(mutex_);
    std::string text = std::string(what) + ' ' + *who_ + ": " + ec.message();
    if (ec == errc::timed_out && !is_up()) {
      text += "; not connected";
      if (last_error_ && last_error_ != ec) text += ": " + last_error_.message();
    }
    return make_text_error(ec, std::move(text));
  } catch (...) {
    return std::current_exception();
  }
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
        if (w.operation() == 0 && use_ == channel_use::leased) agree(now);
        w.waiting = true;
        waiters_.push_back(w);
        // The operation in front has no reason to take the lock before it sees this mark; so look again after it.
        word_.set(word::queued);
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

void channel::agree(wait_list& refused) noexcept {
  const unsigned now = word_.load();
  // It may be of a redial that nobody waited for any more; then the lease is apart already.
  if (word::is_up(now)) return;
  // From now on nothing is started until this wait is told of the next stream. So a lease that ends before that finds
  // the bit, and no cancellation can come between.
  word_.set(word::apart);
  if (now & word::up) take_down({}, refused);
}

void channel::consent(std::uint64_t to) noexcept {
  const std::lock_guard lock(mutex_);
  const unsigned now = word_.load();
  // In another lease the bit would be of a later stream.
  if ((now & word::up) && (now & word::apart) && generation() == to) word_.clear(word::apart);
}

error_code channel::refusal(unsigned operation) noexcept {
  const unsigned now = word_.load();
  if (now & word::closed) return errc::closed;
  if (now & word::expired) {
    if (operation != 0) word_.set(word::dirty);
    return errc::timed_out;
  }
  if (use_ == channel_use::alone) return (now & word::up) || !retired_ ? error_code() : error_code(errc::closed);
  if (operation != 0) {
    const bool too_late = !(now & word::up) || (now & word::apart) || (operation == writing && (now & word::broken));
    return too_late ? loss_error(operation) : error_code();
  }
  if (word::is_up(now)) return {};
  // A hook's supervisor waits for its end.
  if (use_ == channel_use::once_only || hooked_) return loss_error(0);
  return retired_ ? error_code(errc::closed) : error_code();
}

error_code channel::loss_error(unsigned operation) const noexcept {
  if (verdict_) return verdict_;
  if (operation == writing && write_error_) return write_error_;
  if (last_loss_.cause) return last_loss_.cause;
  return errc::closed;
}

error_code channel::why_not(unsigned operation) const noexcept {
  const unsigned now = word_.load();
  if ((now & word::up) && !(operation == writing && (now & word::broken))) return {};
  const std::lock_guard lock(mutex_);
  return loss_error(operation);
}

void channel::cancel(waiter& target) noexcept {
  auto& w = static_cast<channel_waiter&>(target);
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
    // It may be a later part of a composed operation, which stops here.
    if (w.operation() != 0) word_.set(word::dirty);
  }
  complete_all(ended);
}

bool channel::take_waiters(wait_list& into, error_code ec) noexcept {
  bool operations = false;
  for (waiter& w : waiters_) {
    w.waiting = false;
    w.error = ec;
    operations = operations || static_cast<channel_waiter&>(w).operation() != 0;
  }
  into.splice(into.end(), waiters_);
  word_.clear(word::queued);
  return operations;
}

void channel::refuse_waiters(wait_list& into, unsigned operations) noexcept {
  for (auto i = waiters_.begin(); i != waiters_.end();) {
    auto& w = static_cast<channel_waiter&>(*i++);
    if (!(w.operation() & operations)) continue;
    w.waiting = false;
    w.error = loss_error(w.operation());
    waiters_.erase(waiters_.iterator_to(w));
    into.push_back(w);
  }
  if (waiters_.empty()) word_.clear(word::queued);
}

void channel::release_waiters(wait_list& into) noexcept {
  for (auto i = waiters_.begin(); i != waiters_.end();) {
    auto& w = static_cast<channel_waiter&>(*i++);
    if (w.operation() == 0 ? !is_up() : !begin(w.operation())) continue;
    w.begun = w.operation() != 0;
    w.generation = generation();
    w.waiting = false;
    w.error = {};
    waiters_.erase(waiters_.iterator_to(w));
    into.push_back(w);
  }
  if (waiters_.empty()) word_.clear(word::queued);
}

void channel::complete_all(wait_list& list) noexcept {
  while (!list.empty()) {
    waiter& w = list.front();
    list.pop_front();
    deliver(w, true);
  }
}

bool channel::deliver(waiter& w, bool is_news) noexcept {
  try {
    w.complete();
    return true;
  } catch (...) {
    // Its executor refuses it, for lack of memory say: it keeps its result until the owner tries again. In one step:
    // once others can see it, it may be completed, and this with it be gone.
    const std::lock_guard lock(mutex_);
    undelivered_.push_back(w);
    if (is_news && owner_) owner_->on_channel_changed();
    return false;
  }
}

bool channel::try_again() noexcept {
  wait_list again;
  bool all = true;
  {
    const std::lock_guard lock(mutex_);
    again.swap(undelivered_);
    if (deadline_ < armed_) {
      try {
        arm(deadline_);
      } catch (const std::bad_alloc&) {
        all = false;
      }
    }
  }
  while (!again.empty()) {
    waiter& w = again.front();
    again.pop_front();
    all = deliver(w, false) && all;
  }
  return all;
}

void channel::expires_after(duration d) {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    const time_point t = later(env_->now(), d);
    if (d > duration::zero() && t < armed_) {
      try {
        arm(t);
      } catch (...) {
        // The wait for the limit that there was may be gone.
        if (owner_) owner_->on_channel_changed();
        throw;
      }
    }
    deadline_ = t;
    word_.set(word::timed);
    word_.clear(word::expired);
    if (d <= duration::zero()) expire(ended);
  }
  complete_all(ended);
}

void channel::expires_never() noexcept {
  const std::lock_guard lock(mutex_);
  deadline_ = time_point::max();
  word_.clear(word::expired);
}

void channel::arm(time_point t) {
  if (!ex_) return;
  if (!timer_) timer_ = env_->make_timer(ex_);
  // A wait that is pending ends with this; until there is another, there is none.
  armed_ = time_point::max();
  timer_->expires_at(t);
  auto strike = [self = shared_from_this()](error_code ec) {
    if (!ec) self->on_timer();
  };
  timer_->async_wait(std::move(strike));
  armed_ = t;
}

void channel::on_timer() {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    armed_ = time_point::max();
    if (deadline_ == time_point::max()) return;
    if (env_->now() < deadline_) {
      try {
        arm(deadline_);
        return;
      } catch (const std::bad_alloc&) {
        // Its owner tries again. If there is none this is an attempt's, which has another limit of its own.
        if (owner_) owner_->on_channel_changed();
        return;
      }
    }
    expire(ended);
  }
  complete_all(ended);
}

void channel::look_at_limit() noexcept {
  if (!(word_.load() & word::timed)) return;
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    if (deadline_ == time_point::max() || env_->now() < deadline_) return;
    expire(ended);
  }
  complete_all(ended);
}

void channel::expire(wait_list& refused) noexcept {
  deadline_ = time_point::max();
  const unsigned now = word_.set(word::expired);
  if ((now & word::up) && (now & (reading | writing))) {
    lose({errc::timed_out, "an operation expired", ending::dirty}, word::broken, errc::timed_out, refused);
  }
  if (take_waiters(refused, errc::timed_out)) word_.set(word::dirty);
}

void channel::shutdown() noexcept {
  wait_list dropped;
  std::unique_ptr<stream> s;
  std::unique_ptr<timer> t;
  const asio::execution_context* context = nullptr;
  {
    const std::lock_guard lock(mutex_);
    // A hook's channel is its supervisor's too.
    if (!ex_) return;
    context = context_of(ex_);
    gone_ = true;
    retired_ = true;
    word_.set(word::closed);
    word_.clear(word::up);
    socket_ = nullptr;
    s = std::move(stream_);
    t = std::move(timer_);
    ex_ = asio::any_io_executor();
    take_waiters(dropped, errc::closed);
    dropped.splice(dropped.end(), undelivered_);
  }
  while (!dropped.empty()) {
    waiter& w = dropped.front();
    dropped.pop_front();
    end_with_context(w, *context);
  }
}

}  // namespace cocp::detail
