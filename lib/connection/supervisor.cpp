// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/supervisor.hpp"

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
#include <thread>
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

/// Does it as soon as there is memory for it. Where nobody is left who could try again later, nothing is left but to
/// hold up this thread.
template <class F>
void do_or_wait(F f) {
  for (bool again = false;; again = true) {
    try {
      f();
      return;
    } catch (const std::bad_alloc&) {
      if (again) std::this_thread::sleep_for(redelivery_pause);
    }
  }
}

/// Kept by what it is a part of.
endpoint_label label_of(const std::shared_ptr<const destination>& to) { return {to, &to->name}; }

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

supervisor::supervisor(const asio::any_io_executor& ex, const connection_options& options, client& who, channel_use use,
                       bool allow_unread)
    : options_(options),
      client_(who),
      allow_unread_(allow_unread),
      env_(context_service::of(ex).environment()),
      ex_(ex),
      strand_(env_->make_serial(ex)),
      channel_(kept_channel::make(
          ex, env_, this, use,
          std::make_shared<const std::string>(options.name.empty() ? options.address : options.name))),
      alarm_(ex, *env_),
      watchdog_(env_->make_timer(ex)) {
  context_service::of(ex).add(*this);
}

/// What the loop tells its end to. Under `use_awaitable` an operation that cannot be started for lack of memory takes
/// the coroutine that awaits it along, with all that it is part of: then this is destroyed without having been called.
class supervisor::loop_end {
 public:
  /// Not bound to this: a loop whose handler is a binder is cancelled by what Asio dispatches, and that takes memory.
  using cancellation_slot_type = asio::cancellation_slot;
  cancellation_slot_type get_cancellation_slot() const noexcept { return slot_; }

  loop_end(std::shared_ptr<supervisor> whose, std::shared_ptr<void> keep, unsigned loop)
      : slot_(whose->cancel_attempt_.slot()), whose_(std::move(whose)), keep_(std::move(keep)), loop_(loop) {}
  loop_end(loop_end&& other) noexcept = default;
  loop_end& operator=(loop_end&&) = delete;
  ~loop_end() {
    if (whose_ && whose_->loop_ == loop_) whose_->begin_again(std::move(keep_));
  }

  /// An exception that leaves the loop is a defect: it leaves io_context::run() too.
  void operator()(std::exception_ptr e) {
    whose_.reset();
    keep_.reset();
    if (e) std::rethrow_exception(e);
  }

 private:
  asio::cancellation_slot slot_;
  std::shared_ptr<supervisor> whose_;
  std::shared_ptr<void> keep_;
  unsigned loop_;
};

void supervisor::start(std::shared_ptr<void> keep) {
  const unsigned loop = ++loops_;
  loop_end end(shared_from_this(), keep, loop);
  asio::co_spawn(strand_, run(std::move(keep), loop), std::move(end));
}

void supervisor::begin_again(std::shared_ptr<void> keep) noexcept {
  if (shut_down_) {
    // It had its stream until now.
    if (hook_) channel_->take_sessions();
    return;
  }
  settle_interrupted();
  do_or_wait([&] {
    strand_ = env_->make_serial(ex_);
    start(keep);
  });
}

void supervisor::settle_interrupted() noexcept {
  const error_code no_memory = make_error_code(boost::system::errc::not_enough_memory);
  if (words_end_) end_words();
  if (hook_) end_hook(no_memory, {});
  if (dialling_) end_attempt({nullptr, no_memory, {}});
}

asio::awaitable<void> supervisor::run(std::shared_ptr<void> keep, unsigned loop) {
  // g++ 12 drops a parameter that the body does not use.
  const auto kept = std::move(keep);
  // From here on; before, whoever starts it is told.
  loop_ = loop;
  // Once more, for last words; not if it is only that nobody could be told of the end.
  if (phase_ == phase::ended && !channel_->leave()) phase_ = phase::stopped;
  // What an attempt was cancelled with is no matter of the next.
  co_await asio::this_coro::throw_if_cancelled(false);
  // Nothing of this runs inside whoever starts it, be it the constructor of the pool.
  bool started = false;
  for (bool sleepless = false; phase_ != phase::ended;) {
    bool went_on = true;
    try {
      if (!std::exchange(started, true)) co_await alarm_.wait_until(env_->now());
      co_await go_on();
    } catch (const std::bad_alloc&) {
      // To go on takes coroutine frames, and so does to sleep: then nothing is left but to hold up this thread.
      went_on = false;
    }
    if (!went_on) settle_interrupted();
    if (std::exchange(sleepless, !went_on) && !went_on) std::this_thread::sleep_for(redelivery_pause);
  }
}

asio::awaitable<void> supervisor::go_on() {
  if (stopping()) phase_ = phase::stopped;
  switch (phase_) {
    case phase::down:
      co_await go_up();
      break;
    case phase::up:
      co_await until_lost();
      if (!stopping() || lost_before_) note_lost();
      break;
    case phase::lost:
      co_await until_drained();
      if (stopping()) break;
      co_await say_last_words();
      channel_->take().reset();
      channel_->take_remains();
      phase_ = phase::down;
      break;
    case phase::stopped:
      co_await say_last_words();
      if (channel_->is_drained()) channel_->take().reset();
      channel_->take_remains();
      while (!channel_->try_again()) co_await alarm_.wait_until(later(env_->now(), redelivery_pause));
      // From now on nobody looks for more.
      if (!channel_->leave()) break;
      // What was not wanted was closed before.
      if (!std::exchange(told_closed_, true) && client_.is_wanted()) {
        to_ = client_.target();
        tell_event({.kind = event_kind::closed, .level = severity::debug});
      }
      phase_ = phase::ended;
      client_.on_stopped();
      break;
    case phase::ended:
      break;
  }
}

asio::awaitable<void> supervisor::go_up() {
  const time_point start = client_.may_dial(env_->now());
  if (start > env_->now()) {
    co_await rest(start);
    co_return;
  }
  dialling_ = true;
  to_ = client_.target();
  begun_ = env_->now();
  end_attempt(co_await try_once());
}

void supervisor::end_attempt(attempt a) noexcept {
  dialling_ = false;
  if (auto h = std::exchange(handshake_, nullptr)) {
    h->close();
    h->take_sessions();
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
  note_address(a.error);
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
  if (early) note_address(why.cause);
  tell_loss(why, client_.on_down(why, early));
  // Of this stream all is told: what may be closed from now on is a connection that is down.
  id_ = 0;
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

asio::awaitable<supervisor::attempt> supervisor::try_once() {
  attempt a;
  try {
    co_await asio::this_coro::reset_cancellation_state();
    co_await asio::this_coro::throw_if_cancelled(true);
    start_watchdog(options_.connect_timeout);
    // It became so before there was a watch to end.
    if (client_.is_moot()) drop_attempt();
    a.connected = co_await dial(*env_, ex_, options_, *to_, reached_);
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
  co_return a;
}

void supervisor::note_address(error_code ec) noexcept {
  if (!reached_) return;
  if (!ec) {
    to_->memory->succeeded(*reached_, env_->now());
  } else if (ec != asio::error::operation_aborted) {
    to_->memory->failed(*reached_, address_memory::failure::connected, env_->now());
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
  handshake_ = kept_channel::make(ex_, env_, nullptr, channel_use::once_only, label_of(to_));
  handshake_->open(a.connected, label_of(to_));
  connection c(handshake_);
  failure f = co_await call(h, c);
  if (!f.error) {
    a.connected = handshake_->release();
    if (!a.connected) {
      f.error = handshake_->last_error();
      if (!f.error) f = {errc::handshake_failed, why_kept(*handshake_, name)};
    }
  }
  a.error = f.error;
  a.reason = std::move(f.reason);
}

asio::awaitable<void> supervisor::say_last_words() {
  std::unique_ptr<stream> parted = channel_->take_parted();
  if (!parted) co_return;
  try {
    // Is it still fit for use?
    if (error_code ec = first_look(*parted)) throw boost::system::system_error(ec);
    co_await asio::this_coro::reset_cancellation_state();
    co_await asio::this_coro::throw_if_cancelled(true);
    words_end_ = later(env_->now(), longest_words);
    handshake_ = kept_channel::make(ex_, env_, nullptr, channel_use::once_only, label_of(to_));
    handshake_->open(parted, label_of(to_));
    start_watchdog(longest_words);
    connection c(handshake_);
    // Whether they were heard does not matter.
    co_await call(options_.on_close, c);
  } catch (const boost::system::system_error&) {
    // Or its time is up.
  } catch (const std::bad_alloc&) {
    // Then it is closed without.
  }
  co_await asio::this_coro::throw_if_cancelled(false);
  if (parted) channel_->leave_sessions(parted->sessions());
  end_words();
}

void supervisor::end_words() noexcept {
  words_end_.reset();
  end_watchdog();
  if (auto h = std::exchange(handshake_, nullptr)) {
    h->close();
    session_list kept = h->take_sessions();
    h->take();
    channel_->leave_sessions(kept);
  }
}

asio::awaitable<void> supervisor::run_hook() {
  failure f;
  try {
    co_await asio::this_coro::reset_cancellation_state();
    co_await asio::this_coro::throw_if_cancelled(true);
    late_ending_ = hook_->failure;
    handshake_ = channel_;
    channel_->begin_hook();
    start_watchdog(options_.connect_timeout);
    connection c(channel_);
    f = co_await call(*hook_->run, c);
  } catch (const std::bad_alloc&) {
    f.error = make_error_code(boost::system::errc::not_enough_memory);
  }
  co_await asio::this_coro::throw_if_cancelled(false);
  end_hook(f.error, std::move(f.reason));
}

void supervisor::end_hook(error_code ec, std::string reason) noexcept {
  const hook ended = *std::exchange(hook_, std::nullopt);
  if (std::exchange(handshake_, nullptr)) channel_->end_hook();
  if (error_code verdict = end_watchdog()) {
    ec = verdict;
    reason.clear();
  }
  hook_failure_ = std::move(reason);
  if (ec) channel_->bring_down({ec, hook_failure_, ended.failure}, {});
  client_.on_hook_done();
}

asio::awaitable<void> supervisor::until_lost() {
  while (!stopping() && channel_->is_up()) {
    if (const hook h = client_.next_hook(); h.run) {
      hook_ = h;
      co_await run_hook();
    } else {
      co_await rest(time_point::max());
    }
  }
}

asio::awaitable<void> supervisor::until_drained() {
  while (!stopping() && !channel_->is_drained()) co_await rest(time_point::max());
}

asio::awaitable<void> supervisor::rest(time_point t) {
  channel_->take_remains();
  const bool delivered = channel_->try_again();
  co_await alarm_.wait_until(delivered ? t : std::min(t, later(env_->now(), redelivery_pause)));
}

void supervisor::start_watchdog(std::optional<duration> limit) {
  const std::lock_guard lock(watchdog_mutex_);
  ++epoch_;
  if (!watchdog_) return;
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
  const std::lock_guard lock(watchdog_mutex_);
  ++epoch_;
  if (watchdog_) watchdog_->cancel();
  // It says nothing of an attempt that does not come to have a watch.
  return std::exchange(verdict_, {});
}

void supervisor::on_watchdog(unsigned epoch, error_code ec) {
  {
    const std::lock_guard lock(watchdog_mutex_);
    if (epoch != epoch_) return;
    // They are part of what ends them.
    if (words_end_ && env_->now() < *words_end_ && watchdog_) {
      set_watchdog(*words_end_);
      return;
    }
  }
  if (!verdict_) verdict_ = stopping() ? error_code(errc::closed) : ec ? ec : error_code(errc::timed_out);
  std::string_view late;
  if (verdict_ == errc::timed_out) {
    late = late_ending_ == ending::dead ? "keepalive took longer than connect_timeout"
                                        : "on_return took longer than connect_timeout";
  }
  if (handshake_) handshake_->bring_down({verdict_, late, late_ending_}, verdict_);
  try {
    cancel_attempt_.emit(asio::cancellation_type::terminal);
  } catch (const std::bad_alloc&) {
    // It may not have reached what the attempt waits on.
    do_or_wait([&] {
      const std::lock_guard lock(watchdog_mutex_);
      if (epoch == epoch_ && watchdog_) set_watchdog(later(env_->now(), redelivery_pause));
    });
  }
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
  // What goes down from now on is closed on purpose; what was lost before is to be told, by a loop that has not seen
  // it.
  if (!stopping() && !channel_->is_up()) lost_before_ = true;
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
  alarm_.shutdown();
  channel_->shutdown();
  std::unique_ptr<timer> t;
  {
    const std::lock_guard lock(watchdog_mutex_);
    t = std::move(watchdog_);
  }
  if (auto h = std::exchange(handshake_, nullptr)) h->shutdown();
  // What co_spawn has put there holds the strand.
  cancel_attempt_.slot().clear();
  strand_ = asio::any_io_executor();
  ex_ = asio::any_io_executor();
}

}  // namespace cocp::detail
