// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/kept_channel.hpp"

#include "base/do_or_wait.hpp"
#include "base/error_text.hpp"
#include "net/context_service.hpp"

#include <boost/asio/post.hpp>

#include <atomic>
#include <mutex>
#include <string>
#include <utility>

namespace cocp::detail {

/// Sends what nobody attends to to the executor, to be destroyed there, when the mutex is let go: so this is made
/// before the lock. The channel may be gone by then.
class kept_channel::burial {
 public:
  burial() = default;
  burial(const burial&) = delete;
  burial& operator=(const burial&) = delete;
  ~burial() { send(); }

  /// While the context cannot go.
  void send() noexcept {
    if (dead_.empty() || !ex_) return;
    try {
      asio::post(ex_, [dead = std::move(dead_)] {});
    } catch (...) {
      // No memory, or its executor refuses: it went with the handler.
    }
  }

  /// Under the mutex.
  void attend(kept_channel& c) noexcept {
    if (c.attended_ || !c.state_.sessions().has_remains()) return;
    dead_ = c.state_.sessions().take_remains();
    ex_ = c.get_executor();
  }

 private:
  asio::any_io_executor ex_;
  session_list dead_;
};

/// By what a context finds a channel that nobody may own: the last operation outstanding deletes it, on any thread.
class kept_channel::tie final : public context_dependant {
 public:
  explicit tie(kept_channel& c) noexcept : channel_(c) {}

  /// Who has it may touch what belongs to the context. Taken before the channel's own; what goes with the context may
  /// be the last operation.
  std::recursive_mutex& mutex() noexcept { return mutex_; }

  /// The same: the channel is to be deleted. False if the context does that.
  bool cut() noexcept {
    ended_ = true;
    return !busy_;
  }

  void on_context_shutdown() noexcept override {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    busy_ = true;
    channel_.shutdown();
    busy_ = false;
    if (ended_) delete &channel_;
  }

  bool has_ended() const noexcept override { return ended_; }

 private:
  kept_channel& channel_;
  /// Guards all below.
  std::recursive_mutex mutex_;
  /// Read without it.
  std::atomic<bool> ended_ = false;
  bool busy_ = false;
};

/// The channel's mutex, and its context, if that may go at any time.
class kept_channel::hold_on {
 public:
  explicit hold_on(kept_channel& c) : own_(c.mutex_), tie_(c.tie_) {
    if (!tie_) return;
    own_.unlock();
    context_ = std::unique_lock(tie_->mutex());
    own_.lock();
  }

  void unlock() noexcept { own_.unlock(); }
  void unlock_context() noexcept {
    if (context_) context_.unlock();
  }
  /// Behind `unlock`: deletes the channel, or leaves that to its context.
  void end_life(kept_channel* c) noexcept {
    if (!tie_ || tie_->cut()) delete c;
  }

 private:
  std::unique_lock<adaptive_mutex> own_;
  const std::shared_ptr<tie> tie_;
  std::unique_lock<std::recursive_mutex> context_;
};

std::shared_ptr<kept_channel> kept_channel::make(asio::any_io_executor ex, std::shared_ptr<environment> env,
                                                 channel_owner* owner, channel_use use, endpoint_label who) {
  return {new kept_channel(std::move(ex), std::move(env), owner, use, std::move(who)),
          [](kept_channel* c) { c->orphan(); }};
}

kept_channel::kept_channel(asio::any_io_executor ex, std::shared_ptr<environment> env, channel_owner* owner,
                           channel_use use, endpoint_label who)
    : channel(std::move(ex)),
      env_(std::move(env)),
      who_(std::move(who)),
      attended_(owner != nullptr),
      state_(word_, raw_, owner, use),
      limit_(*env_, raw_.get_executor(), *this) {}

void kept_channel::orphan() noexcept {
  wait_list nobody;
  hold_on held(*this);
  state_.orphan(nobody);
  // Otherwise the last outstanding operation deletes it (see end_slowly).
  const bool last = is_drained();
  held.unlock();
  if (last) held.end_life(this);
}

void kept_channel::tie_to_context() noexcept {
  do_or_wait([this] {
    // Behind whoever closes the stream just now.
    const std::lock_guard lock(mutex_);
    if (tie_ || is_drained() || !get_executor()) return;
    auto made = std::make_shared<tie>(*this);
    context_service::of(get_executor()).add(made);
    tie_ = std::move(made);
  });
}

template <class F>
void kept_channel::change(F f) noexcept {
  burial remains;
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    f(ended);
    remains.attend(*this);
  }
  complete_all(ended);
}

void kept_channel::complete_all(wait_list& ended) noexcept {
  // If all were taken this may be gone.
  if (outbox::send(ended)) return;
  const std::lock_guard lock(mutex_);
  outbox_.keep(ended, env_->now());
  state_.tell_owner();
}

// ---- For operations.

void kept_channel::wait(channel_waiter& w) {
  wait_list now;
  bool refused = false;
  bool dropped = false;
  {
    const std::lock_guard lock(mutex_);
    dropped = !get_executor();
    if (!dropped) {
      w.error = state_.refusal(w.operation());
      refused = w.error.failed();
      if (!refused) state_.wait(w, now);
    }
  }
  if (refused) {
    w.complete_at_once();
  } else if (dropped) {
    w.destroy();
  } else {
    complete_all(now);
  }
}

void kept_channel::cancel(waiter& w) noexcept {
  change([&](wait_list& ended) {
    // Once taken out of the queue it has its result, and is on its way.
    if (w.waiting) {
      state_.cancel(static_cast<channel_waiter&>(w), ended);
    } else {
      w.cancelled_late = true;
    }
  });
}

void kept_channel::consent(std::uint64_t to) noexcept {
  burial remains;
  const std::lock_guard lock(mutex_);
  state_.consent(to);
  remains.attend(*this);
}

error_code kept_channel::why_not(unsigned operation) const noexcept {
  if (stream_word::serves(word_.load(), operation)) return {};
  const std::lock_guard lock(mutex_);
  return state_.error_of(operation);
}

void kept_channel::end_slowly(unsigned operation, error_code& ec, bool moved, endpoint_label* who) noexcept {
  burial remains;
  wait_list ended;
  std::shared_ptr<channel> self;
  hold_on held(*this);
  const unsigned now = state_.end(operation, ec, moved, ended);
  if (ec && who) *who = who_;
  // Closed for good: its supervisor may have gone. Under the mutex: who leaves with it leaves nothing behind.
  if (stream_word::is_drained(now) && state_.is_closed()) state_.take().reset();
  remains.attend(*this);
  if (!ended.empty()) self = weak_from_this().lock();
  held.unlock();
  remains.send();
  if (stream_word::is_abandoned(now)) {
    held.end_life(this);
    return;
  }
  held.unlock_context();
  if (self) complete_all(ended);
}

error_code kept_channel::last_error() const {
  const std::lock_guard lock(mutex_);
  return state_.losses().last_error();
}

endpoint kept_channel::remote_endpoint() const {
  const std::lock_guard lock(mutex_);
  return is_up() ? raw_.get()->remote_endpoint() : endpoint();
}

std::uint64_t kept_channel::id() const noexcept {
  const std::lock_guard lock(mutex_);
  return is_usable() ? raw_.get()->id() : 0;
}

ssl_st* kept_channel::native_tls() const noexcept {
  const std::lock_guard lock(mutex_);
  return is_usable() ? raw_.get()->native_tls() : nullptr;
}

std::exception_ptr kept_channel::wait_failure(const char* what, error_code ec) const noexcept {
  try {
    const std::lock_guard lock(mutex_);
    std::string text = std::string(what) + ' ' + *who_ + ": " + ec.message();
    if (ec == errc::timed_out && !is_up()) {
      text += "; not connected";
      const error_code last = state_.losses().last_error();
      if (last && last != ec) text += ": " + last.message();
    }
    return make_text_error(ec, std::move(text));
  } catch (...) {
    return std::current_exception();
  }
}

// ---- For leases.

leftover kept_channel::end_use_slowly(bool spoiled, bool unwanted, bool one_way) noexcept {
  leftover left = leftover::down;
  change([&](wait_list& ended) {
    limit_.clear();
    left = state_.end_use({.unwanted = unwanted, .spoiled = spoiled, .one_way = one_way}, ended).left;
  });
  return left;
}

void kept_channel::close_use() noexcept {
  change([this](wait_list& ended) { state_.close_use(ended); });
}

void kept_channel::begin_hook() noexcept {
  const std::lock_guard lock(mutex_);
  state_.set_hooked(true);
}

void kept_channel::detach() noexcept {
  change([this](wait_list& ended) { state_.detach(ended); });
}

void kept_channel::end_hook() noexcept {
  burial remains;
  const std::lock_guard lock(mutex_);
  state_.set_hooked(false);
  remains.attend(*this);
}

void kept_channel::expires_after(duration d) {
  if (d <= duration::zero()) {
    change([this](wait_list& ended) {
      begin_limit();
      expire(ended, true);
    });
    return;
  }
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    begin_limit();
    set_limit([&] { limit_.set(d); });
    if (limit_.is_bound() && limit_.has_passed()) expire(ended);
  }
  complete_all(ended);
}

void kept_channel::expires_never() noexcept {
  change([this](wait_list& ended) {
    word_.clear(stream_word::expired);
    limit_.unset();
    // The timer may be gone with a limit that has struck before the bound.
    apply_limit(ended);
  });
}

void kept_channel::bound_use(time_point t, const void* whose) {
  const std::lock_guard lock(mutex_);
  begin_limit();
  set_limit([&] { limit_.bound(t, whose); });
}

void kept_channel::lift_bound(const void* whose) noexcept {
  const std::lock_guard lock(mutex_);
  // Nobody has a limit any more that has passed.
  if (limit_.lift(whose)) word_.clear(stream_word::expired);
}

void kept_channel::begin_limit() noexcept {
  // What a lease before has left.
  if (!stream_word::is_timed(word_.load())) limit_.clear();
  word_.step([](unsigned w) { return std::optional(stream_word::limit(w)); });
}

template <class F>
void kept_channel::set_limit(F set) {
  try {
    set();
  } catch (...) {
    // The wait for the limit that there was may be gone.
    state_.tell_owner();
    throw;
  }
}

void kept_channel::on_limit_timer() {
  change([this](wait_list& ended) {
    limit_.note_strike();
    apply_limit(ended);
  });
}

void kept_channel::strike_if_due() noexcept {
  change([this](wait_list& ended) {
    if (limit_.has_passed()) expire(ended);
  });
}

void kept_channel::expire(wait_list& ended, bool at_once) noexcept {
  limit_.note_passed(at_once);
  state_.expire(ended);
  rearm_limit();
}

void kept_channel::rearm_limit() noexcept {
  // Its owner tries again. If there is none this is an attempt's, which has another limit of its own.
  if (!limit_.rearm()) state_.tell_owner();
}

void kept_channel::apply_limit(wait_list& ended) noexcept {
  if (limit_.has_passed()) {
    expire(ended);
  } else {
    rearm_limit();
  }
}

void kept_channel::give_up_stream() noexcept {
  bring_down({{}, "a request is repeated on another connection", ending::moved}, {});
}

bool kept_channel::was_lost() const noexcept {
  const std::lock_guard lock(mutex_);
  return !is_usable() && state_.losses().last().kind == ending::lost;
}

// ---- For who provides the stream.

bool kept_channel::open(std::unique_ptr<stream>& s, endpoint_label who) {
  bool opened = false;
  change([&](wait_list& ended) {
    opened = !state_.is_closed();
    if (!opened) return;
    who_ = std::move(who);
    state_.open(s, ended);
  });
  return opened;
}

void kept_channel::bring_down(const loss& why, error_code verdict) noexcept {
  change([&](wait_list& ended) { state_.bring_down(why, verdict, ended); });
}

std::unique_ptr<stream> kept_channel::take() noexcept {
  burial remains;
  const std::lock_guard lock(mutex_);
  auto s = state_.take();
  remains.attend(*this);
  return s;
}

std::unique_ptr<stream> kept_channel::release() noexcept {
  const std::lock_guard lock(mutex_);
  return state_.release();
}

kept_channel::parting kept_channel::part(const loss& why, std::atomic<bool>* stopping) noexcept {
  parting result = parting::none;
  change([&](wait_list& ended) {
    if (stopping) stopping->store(true, std::memory_order_release);
    parted_ = state_.part(why, ended);
    if (!parted_) return;
    result = attended_ ? parting::attended : parting::forlorn;
    attended_ = true;
  });
  return result;
}

std::unique_ptr<stream> kept_channel::take_parted() noexcept {
  const std::lock_guard lock(mutex_);
  return std::move(parted_);
}

void kept_channel::drop_parted() noexcept {
  std::unique_ptr<stream> parted;
  change([&](wait_list&) {
    parted = std::move(parted_);
    attended_ = false;
    if (parted) state_.leave_sessions(parted->sessions());
  });
}

void kept_channel::leave_sessions(session_list& of_it) noexcept {
  change([&](wait_list&) { state_.leave_sessions(of_it); });
}

loss kept_channel::last_loss() const {
  const std::lock_guard lock(mutex_);
  return state_.losses().last();
}

void kept_channel::note(error_code ec) noexcept {
  const std::lock_guard lock(mutex_);
  state_.losses().note_attempt(ec);
}

// ---- What users keep with a stream.

void* kept_channel::find_session(const void* key) noexcept {
  burial remains;
  const std::lock_guard lock(mutex_);
  void* const found = state_.seen_sessions().find(key);
  remains.attend(*this);
  return found;
}

void kept_channel::keep_session(std::unique_ptr<session_node> s) noexcept {
  burial remains;
  const std::lock_guard lock(mutex_);
  state_.seen_sessions().add(std::move(s));
  remains.attend(*this);
}

session_list kept_channel::take_remains() noexcept {
  const std::lock_guard lock(mutex_);
  return state_.sessions().take_remains();
}

bool kept_channel::leave() noexcept {
  const std::lock_guard lock(mutex_);
  attended_ = state_.sessions().has_remains() || parted_;
  return !attended_;
}

session_list kept_channel::take_sessions() noexcept {
  const std::lock_guard lock(mutex_);
  return state_.take_sessions();
}

void kept_channel::end_alone() noexcept {
  change([this](wait_list&) { state_.end_alone(); });
}

// ---- For its owner.

void kept_channel::disown() noexcept {
  burial remains;
  const std::lock_guard lock(mutex_);
  state_.disown();
  attended_ = false;
  remains.attend(*this);
}

void kept_channel::retire() noexcept {
  change([this](wait_list& ended) { state_.retire(ended); });
}

void kept_channel::close() noexcept {
  change([this](wait_list& ended) {
    state_.close(ended);
    limit_.end();
  });
}

bool kept_channel::try_again() noexcept {
  wait_list again;
  bool armed = false;
  {
    const std::lock_guard lock(mutex_);
    outbox_.take(again);
    armed = limit_.rearm();
  }
  if (outbox::send(again)) return armed;
  const std::lock_guard lock(mutex_);
  outbox_.keep(again, env_->now());
  return false;
}

void kept_channel::shutdown() noexcept {
  wait_list dropped;
  std::unique_ptr<stream> s;
  std::unique_ptr<stream> parted;
  std::unique_ptr<timer> t;
  const asio::execution_context* context = nullptr;
  {
    const std::lock_guard lock(mutex_);
    // A hook's channel is its supervisor's too.
    if (!get_executor()) return;
    context = context_of(get_executor());
    parted = std::move(parted_);
    if (parted) state_.leave_sessions(parted->sessions());
    s = state_.shut_down(dropped);
    t = limit_.let_go();
    attended_ = false;
    raw_.forget_executor();
    outbox_.take(dropped);
  }
  outbox::drop(dropped, *context);
}

}  // namespace cocp::detail
