// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/supervisor.hpp"

#include "base/do_or_wait.hpp"
#include "base/error_text.hpp"
#include "base/tell.hpp"
#include "net/dial.hpp"

#include <cocp/connection.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

namespace cocp::detail {
namespace {

/// Why a handshake failed, if it did.
struct failure {
  failure() = default;
  // No aggregate: g++ 12 destroys temporaries of such types twice in a co_await expression.
  failure(error_code e, std::string r) : error(e), reason(std::move(r)) {}

  error_code error;
  std::string reason;
};

/// What `on_close` has.
constexpr duration longest_words = std::chrono::seconds(1);

/// Why a stream that is up cannot be taken from its handshake.
std::string why_kept(const kept_channel& c, const char* handshake) {
  const char* const why = c.has_last_write() ? " shut its sending side down" : " left an operation outstanding";
  return std::string(handshake) + why;
}

asio::awaitable<failure> call(const handshake& h, connection& c) {
  try {
    co_await h(c);
  } catch (const boost::system::system_error& e) {
    co_return failure(e.code() ? e.code() : error_code(errc::handshake_failed), words_beside(e.code(), e.what()));
  } catch (const std::exception& e) {
    co_return failure(errc::handshake_failed, words_beside(errc::handshake_failed, e.what()));
  } catch (...) {
    co_return failure(errc::handshake_failed, "a handshake threw something that is no std::exception");
  }
  co_return failure();
}

}  // namespace

supervisor::supervisor(const asio::any_io_executor& ex, const connection_options& options, client& who,
                       endpoint_label called, channel_use use, bool allow_unread)
    : options_(options),
      client_(who),
      allow_unread_(allow_unread),
      env_(context_service::of(ex).environment()),
      strand_(env_->make_serial(ex)),
      channel_(kept_channel::make(ex, env_, this, use, std::move(called))),
      alarm_(ex, *env_, *this, &strand_) {
  context_service::of(ex).add(*this);
}

/// What a coroutine tells its end to. Under `use_awaitable` an operation that cannot be started for lack of memory
/// takes the coroutine that awaits it along, with all that it is part of: then this is destroyed without having been
/// called.
class supervisor::work_end {
 public:
  /// Not bound to this: a coroutine whose handler is a binder is cancelled by what Asio dispatches, and that takes
  /// memory.
  using cancellation_slot_type = asio::cancellation_slot;
  cancellation_slot_type get_cancellation_slot() const noexcept { return slot_; }

  work_end(std::shared_ptr<supervisor> whose, std::shared_ptr<void> keep) noexcept
      : slot_(whose->work_->cancel.slot()), whose_(std::move(whose)), keep_(std::move(keep)) {}
  work_end(work_end&& other) noexcept = default;
  work_end& operator=(work_end&&) = delete;
  ~work_end() {
    if (!whose_) return;
    if (whose_->shut_down_) {
      // It had its stream until now.
      if (whose_->work_->run.run) whose_->channel_->take_sessions();
      return;
    }
    whose_->settle_interrupted();
    wake();
  }

  /// An exception that leaves the coroutine is a defect: it leaves io_context::run() too.
  void operator()(std::exception_ptr e) {
    wake();
    if (e) std::rethrow_exception(e);
  }

 private:
  /// Not in here: what the coroutine consists of is still to be destroyed.
  void wake() noexcept {
    const auto whose = std::move(whose_);
    whose->alarm_.sleep_until(time_point(), std::move(keep_));
  }

  asio::cancellation_slot slot_;
  std::shared_ptr<supervisor> whose_;
  std::shared_ptr<void> keep_;
};

bool supervisor::make_work() noexcept {
  try {
    work_ = std::make_unique<work>();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void supervisor::begin(asio::awaitable<void> (supervisor::*task)(std::shared_ptr<void>),
                       std::shared_ptr<void> keep) noexcept {
  work_end end(shared_from_this(), keep);
  try {
    asio::co_spawn(strand_, (this->*task)(std::move(keep)), std::move(end));
  } catch (const std::bad_alloc&) {
    // The end knows that it was not called.
  }
}

void supervisor::settle_interrupted() noexcept {
  const error_code no_memory = make_error_code(boost::system::errc::not_enough_memory);
  if (work_->parted || work_->words_end) end_words();
  if (work_->run.run) end_hook(no_memory, {});
  if (dialling_) end_attempt({nullptr, no_memory, {}});
}

void supervisor::on_alarm(std::shared_ptr<void> keep) noexcept {
  work_.reset();
  // Once more, for last words.
  if (phase_ == phase::ended) phase_ = phase::stopped;
  go_on(std::move(keep));
}

void supervisor::go_on(std::shared_ptr<void> keep) noexcept {
  for (;;) {
    // What was lost before it was to end is to be told.
    if (phase_ == phase::up && !channel_->is_up() && (!stopping() || lost_before_ == channel_->generation())) {
      note_lost();
    }
    if (stopping()) phase_ = phase::stopped;
    switch (phase_) {
      case phase::down: {
        if (!make_work()) return rest(later(env_->now(), redelivery_pause), std::move(keep));
        // One look at the clock: who may not dial at that time has no leave to, however late it is by then.
        const time_point now = env_->now();
        const time_point start = client_.may_dial(now);
        if (start > now) return rest(start, std::move(keep));
        dialling_ = true;
        to_ = client_.target();
        begun_ = now;
        return begin(&supervisor::dial_once, std::move(keep));
      }
      case phase::up: {
        if (!channel_->is_up()) break;
        const hook next = client_.next_hook();
        if (!next.run) return rest(time_point::max(), std::move(keep));
        // The client gives it once more.
        if (!make_work()) return rest(later(env_->now(), redelivery_pause), std::move(keep));
        work_->run = next;
        return begin(&supervisor::run_hook, std::move(keep));
      }
      case phase::lost:
        if (!channel_->is_drained()) return rest(time_point::max(), std::move(keep));
        if (has_words(keep)) return;
        channel_->take().reset();
        channel_->take_remains();
        phase_ = phase::down;
        break;
      case phase::stopped:
        if (has_words(keep)) return;
        if (channel_->is_drained()) channel_->take().reset();
        channel_->take_remains();
        if (!channel_->try_again()) {
          alarm_.sleep_until(later(env_->now(), redelivery_pause), std::move(keep));
          return;
        }
        // From now on nobody looks for more.
        if (!channel_->leave()) break;
        channel_->tie_to_context();
        // What was not wanted was closed before.
        if (!std::exchange(told_closed_, true) && client_.is_wanted()) {
          to_ = client_.target();
          tell_event({.kind = event_kind::closed, .level = severity::debug});
        }
        phase_ = phase::ended;
        client_.on_stopped();
        return;
      case phase::ended:
        return;
    }
  }
}

bool supervisor::has_words(std::shared_ptr<void>& keep) noexcept {
  if (!options_.on_close) return false;
  if (!make_work()) {
    rest(later(env_->now(), redelivery_pause), std::move(keep));
    return true;
  }
  work_->parted = channel_->take_parted();
  if (!work_->parted) {
    work_.reset();
    return false;
  }
  begin(&supervisor::say_last_words, std::move(keep));
  return true;
}

void supervisor::rest(time_point t, std::shared_ptr<void> keep) noexcept {
  work_.reset();
  channel_->take_remains();
  const bool delivered = channel_->try_again();
  alarm_.sleep_until(delivered ? t : std::min(t, later(env_->now(), redelivery_pause)), std::move(keep));
}

asio::awaitable<void> supervisor::dial_once(std::shared_ptr<void> keep) {
  // g++ 12 drops a parameter that the body does not use.
  const auto kept = std::move(keep);
  attempt a;
  try {
    start_watchdog(options_.connect_timeout);
    // It became so before there was a watch to end.
    if (client_.is_moot()) drop_attempt();
    a.connected = co_await dial(*env_, channel_->get_executor(), options_, *to_, work_->reached);
    a.id = a.connected->id();
    if (a.connected->needs_handshake()) co_await make_secure(a);
    if (a.connected && !a.error && options_.on_connect) co_await shake_hands(a, options_.on_connect, "on_connect");
    if (a.connected && !a.error) a.error = first_look(*a.connected);
  } catch (const boost::system::system_error& e) {
    a.error = e.code();
  } catch (const std::bad_alloc&) {
    a.error = make_error_code(boost::system::errc::not_enough_memory);
  }
  co_await asio::this_coro::throw_if_cancelled(false);
  end_attempt(std::move(a));
}

void supervisor::end_attempt(attempt a) noexcept {
  dialling_ = false;
  if (auto h = std::exchange(work_->handshake, nullptr)) {
    h->close();
    h->take_sessions();
    h->tie_to_context();
  }
  if (error_code verdict = end_watchdog()) {
    a.error = verdict;
    a.dropped = verdict == asio::error::operation_aborted;
  }
  if (stopping()) return;
  if (a.dropped) {
    client_.on_attempt_dropped();
    return;
  }
  note_address(work_->reached ? &*work_->reached : nullptr, a.error);
  if (a.error) {
    channel_->note(a.error);
    const duration delay = client_.on_attempt_failed(a.error, a.reason);
    const unsigned failures = client_.failures();
    tell_event({.kind = event_kind::connect_failed,
                .level = severity::warning,
                .error = a.error,
                .attempt = failures,
                .retry_in = delay,
                .reason = a.reason,
                .id = a.id});
    return;
  }
  keep_address(work_->reached);
  since_ = env_->now();
  const unsigned attempts = client_.failures() + 1;
  id_ = a.id;
  tell_event({.kind = event_kind::connected, .level = severity::info, .attempt = attempts});
  const bool resumed = a.connected->resumed();
  // False if it was closed meanwhile.
  if (!channel_->open(a.connected, label_of(to_))) return;
  phase_ = phase::up;
  client_.on_connected(since_ - begun_, resumed);
}

void supervisor::note_lost() noexcept {
  phase_ = phase::lost;
  const loss why = channel_->last_loss();
  // An endpoint that accepts and closes is not hammered: such a connect counts as a failed attempt. Nor has a server
  // that speaks first without leave failed less for being a moment late.
  const bool spoke_first = why.cause == errc::unsolicited_data && !why.touched;
  const bool early =
      (why.kind == ending::lost || spoke_first) && !why.answered && env_->now() - since_ < options_.retry_min;
  if (early) note_address(reached_.get(), why.cause);
  tell_loss(why, client_.on_down(why, early));
  // Of this stream all is told: what may be closed from now on is a connection that is down.
  id_ = 0;
}

std::string_view supervisor::keep_failure(std::string reason) noexcept {
  hook_failure_.reset();
  if (reason.empty()) return {};
  try {
    hook_failure_ = std::make_unique<const std::string>(std::move(reason));
    return *hook_failure_;
  } catch (const std::bad_alloc&) {
    // The code alone has to say it.
    return {};
  }
}

void supervisor::tell_event(event e) const noexcept {
  e.address = to_->text;
  e.name = to_->name;
  if (e.id == 0) e.id = id_;
  tell(options_.logger, e);
}

void supervisor::tell_loss(const loss& why, duration delay) const noexcept {
  event e{.error = why.cause, .retry_in = delay, .reason = why.reason};
  switch (why.kind) {
    case ending::lost:
      e.kind = event_kind::disconnected;
      e.level = severity::warning;
      break;
    case ending::dirty:
    case ending::dead:
    case ending::aged:
    case ending::moved:
      e.kind = event_kind::replaced;
      break;
    case ending::surplus:
      e.kind = event_kind::closed;
      e.level = severity::debug;
      e.retry_in = {};
  }
  tell_event(e);
}

void supervisor::note_address(const endpoint* reached, error_code ec) noexcept {
  if (!reached) return;
  if (!ec) {
    to_->memory->succeeded(*reached, env_->now());
  } else if (ec != asio::error::operation_aborted) {
    to_->memory->failed(*reached, address_memory::failure::connected, env_->now());
  }
}

void supervisor::keep_address(const std::optional<endpoint>& reached) noexcept {
  reached_.reset();
  if (!reached || to_->numeric) return;
  try {
    reached_ = std::make_unique<const endpoint>(*reached);
  } catch (const std::bad_alloc&) {
    // Then it is not noted.
  }
}

error_code supervisor::first_look(stream& s) const noexcept {
  error_code ec;
  switch (s.peek(ec)) {
    case peek_result::quiet:
      break;
    case peek_result::unread:
      return allow_unread_ ? ec : error_code(errc::unsolicited_data);
    case peek_result::dead:
      return ec;
  }
  return {};
}

asio::awaitable<void> supervisor::make_secure(attempt& a) {
  if (options_.tls && options_.tls->before) {
    co_await shake_hands(a, options_.tls->before, "tls.before");
    if (a.error) co_return;
    // Not `first_look`: what may be pushed later may not be here.
    const peek_result found = a.connected->peek(a.error);
    if (found == peek_result::unread) {
      a.error = errc::unsolicited_data;
      a.reason = "bytes were left unread before TLS";
    }
    if (a.error) co_return;
  }
  co_await secure(*a.connected);
}

asio::awaitable<void> supervisor::shake_hands(attempt& a, const handshake& h, const char* name) {
  // A channel of its own: it works while the users of the other one still wait. Operations that on_connect leaves
  // behind keep it, so the stream goes only when they have ended.
  work_->handshake = kept_channel::make(channel_->get_executor(), env_, nullptr, channel_use::once_only, label_of(to_));
  work_->handshake->open(a.connected, label_of(to_));
  connection c(work_->handshake);
  failure f = co_await call(h, c);
  if (!f.error) {
    a.connected = work_->handshake->release();
    if (!a.connected) {
      f.error = work_->handshake->last_error();
      if (!f.error) f = {errc::handshake_failed, why_kept(*work_->handshake, name)};
    }
  }
  a.error = f.error;
  a.reason = std::move(f.reason);
}

asio::awaitable<void> supervisor::say_last_words(std::shared_ptr<void> keep) {
  const auto kept = std::move(keep);
  try {
    // Is it still fit for use?
    if (error_code ec = first_look(*work_->parted)) throw boost::system::system_error(ec);
    work_->words_end = later(env_->now(), longest_words);
    work_->handshake =
        kept_channel::make(channel_->get_executor(), env_, nullptr, channel_use::once_only, label_of(to_));
    work_->handshake->open(work_->parted, label_of(to_));
    start_watchdog(longest_words);
    connection c(work_->handshake);
    // Whether they were heard does not matter.
    co_await call(options_.on_close, c);
  } catch (const boost::system::system_error&) {
    // Or its time is up.
  } catch (const std::bad_alloc&) {
    // Then it is closed without.
  }
  co_await asio::this_coro::throw_if_cancelled(false);
  end_words();
}

void supervisor::end_words() noexcept {
  work_->words_end.reset();
  end_watchdog();
  if (work_->parted) {
    channel_->leave_sessions(work_->parted->sessions());
    work_->parted.reset();
  }
  if (auto h = std::exchange(work_->handshake, nullptr)) {
    h->close();
    session_list kept = h->take_sessions();
    h->take();
    h->tie_to_context();
    channel_->leave_sessions(kept);
  }
}

asio::awaitable<void> supervisor::run_hook(std::shared_ptr<void> keep) {
  const auto kept = std::move(keep);
  failure f;
  try {
    work_->late_ending = work_->run.failure;
    work_->handshake = channel_;
    channel_->begin_hook();
    start_watchdog(options_.connect_timeout);
    connection c(channel_);
    f = co_await call(*work_->run.run, c);
  } catch (const std::bad_alloc&) {
    f.error = make_error_code(boost::system::errc::not_enough_memory);
  }
  co_await asio::this_coro::throw_if_cancelled(false);
  end_hook(f.error, std::move(f.reason));
}

void supervisor::end_hook(error_code ec, std::string reason) noexcept {
  const hook ended = std::exchange(work_->run, hook());
  if (std::exchange(work_->handshake, nullptr)) channel_->end_hook();
  if (error_code verdict = end_watchdog()) {
    ec = verdict;
    reason.clear();
  }
  if (ec) channel_->bring_down({ec, keep_failure(std::move(reason)), ended.failure}, {});
  client_.on_hook_done();
}

void supervisor::start_watchdog(std::optional<duration> limit) {
  std::unique_ptr<timer> made = env_->make_timer(channel_->get_executor());
  const std::lock_guard lock(watchdog_mutex_);
  ++epoch_;
  watchdog_ = std::move(made);
  set_watchdog(limit ? later(env_->now(), *limit) : time_point::max());
  // stop() came before there was a wait to end.
  if (stopping()) watchdog_->cancel();
}

void supervisor::set_watchdog(time_point t) {
  watchdog_->expires_at(t);
  // Not bound to the strand: what it cannot take for lack of memory would be lost, and the attempt have no limit.
  watchdog_->async_wait([self = shared_from_this(), where = strand_, epoch = epoch_](error_code ec) {
    do_or_wait([&] { asio::dispatch(where, [self, epoch, ec] { self->on_watchdog(epoch, ec); }); });
  });
}

error_code supervisor::end_watchdog() noexcept {
  std::unique_ptr<timer> ended;
  const std::lock_guard lock(watchdog_mutex_);
  ++epoch_;
  ended = std::move(watchdog_);
  return work_->verdict;
}

void supervisor::on_watchdog(unsigned epoch, error_code ec) {
  {
    const std::lock_guard lock(watchdog_mutex_);
    if (epoch != epoch_) return;
  }
  // They are part of what ends them.
  if (work_->words_end && env_->now() < *work_->words_end) {
    watch_on(epoch, *work_->words_end);
    return;
  }
  error_code& verdict = work_->verdict;
  if (!verdict) verdict = stopping() ? error_code(errc::closed) : ec ? ec : error_code(errc::timed_out);
  std::string_view late;
  if (verdict == errc::timed_out) {
    late = work_->late_ending == ending::dead ? "keepalive took longer than connect_timeout"
                                              : "on_return took longer than connect_timeout";
  }
  if (work_->handshake) work_->handshake->bring_down({verdict, late, work_->late_ending}, verdict);
  try {
    work_->cancel.emit(asio::cancellation_type::terminal);
  } catch (const std::bad_alloc&) {
    // It may not have reached what the attempt waits on.
    watch_on(epoch, later(env_->now(), redelivery_pause));
  }
}

void supervisor::watch_on(unsigned epoch, time_point t) noexcept {
  do_or_wait([&] {
    const std::lock_guard lock(watchdog_mutex_);
    if (epoch == epoch_ && watchdog_) set_watchdog(t);
  });
}

bool supervisor::stop() noexcept {
  note_stop();
  kept_channel::parting words = kept_channel::parting::none;
  if (options_.on_close) words = channel_->part({{}, {}, ending::surplus}, &stopping_);
  retire();
  channel_->close();
  // Nobody uses it: the peer learns of the end now, and not when the executor runs next.
  channel_->take().reset();
  return words == kept_channel::parting::forlorn;
}

void supervisor::dismiss(const loss& why) noexcept {
  const bool on_purpose = why.kind == ending::aged || why.kind == ending::moved || why.kind == ending::surplus;
  if (on_purpose && options_.on_close && channel_->part(why, nullptr) != kept_channel::parting::none) return;
  channel_->bring_down(why, {});
}

void supervisor::note_stop() noexcept {
  // What goes down from now on is closed on purpose; what was lost before is to be told.
  if (!stopping() && !channel_->is_up()) lost_before_ = channel_->generation();
}

void supervisor::retire() noexcept {
  note_stop();
  stopping_.store(true, std::memory_order_release);
  channel_->retire();
  alarm_.ring();
  const std::lock_guard lock(watchdog_mutex_);
  if (watchdog_) watchdog_->cancel();
}

void supervisor::drop_attempt() noexcept {
  const std::lock_guard lock(watchdog_mutex_);
  if (watchdog_) watchdog_->cancel();
}

void supervisor::on_channel_changed() noexcept { alarm_.ring(); }

void supervisor::on_context_shutdown() noexcept {
  stopping_.store(true, std::memory_order_release);
  shut_down_ = true;
  // The last to go.
  const std::shared_ptr<void> kept = alarm_.shutdown();
  channel_->shutdown();
  std::unique_ptr<timer> t;
  {
    const std::lock_guard lock(watchdog_mutex_);
    t = std::move(watchdog_);
  }
  if (work_) {
    if (auto h = std::exchange(work_->handshake, nullptr)) h->shutdown();
    // What co_spawn has put there holds the strand.
    work_->cancel.slot().clear();
  }
  strand_ = asio::any_io_executor();
}

}  // namespace cocp::detail
