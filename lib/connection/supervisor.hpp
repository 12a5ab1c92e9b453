// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/adaptive_mutex.hpp"
#include "base/alarm.hpp"
#include "base/environment.hpp"
#include "connection/kept_channel.hpp"
#include "net/context_service.hpp"
#include "net/destination.hpp"

#include <cocp/options.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace cocp::detail {

/// Keeps one channel connected, as long as its client wants it to: dials when its client allows it, and again when an
/// attempt fails or the stream is lost, and runs `on_connect` and the client's hooks. It knows nothing of pools.
///
/// What it does, it does on a strand of its own: `go_on` does what is due in its phase, and then sleeps on the alarm;
/// or it starts the coroutine of an attempt, a hook or last words, whose end wakes it. So what is idle costs no
/// coroutine. Other threads reach it only by setting a flag and ending a wait that is pending: `stop`, `retire` and
/// `wake` post nothing and cancel no coroutine.
///
/// What keeps it and its client (see `start`) is handed on from the one to the other: the alarm has it, `go_on`, or the
/// coroutine and its end. Whoever has it goes on; so there is one at a time.
class supervisor final : public channel_owner,
                         public shutdown_target,
                         private alarm::sleeper,
                         public std::enable_shared_from_this<supervisor> {
 public:
  /// What a client wants to have run on its stream.
  struct hook {
    /// Null if nothing.
    const handshake* run = nullptr;
    /// How the stream ends if that fails.
    ending failure = ending::dirty;
  };

  /// Whom the connection is for. All calls come from its strand, under no lock.
  class client {
   public:
    /// When the next attempt may start, by `now`: if that is not later, then it does. `max`: ask again after `wake`, or
    /// not at all.
    virtual time_point may_dial(time_point now) noexcept = 0;
    /// True if the connection is to be kept; if not, it rests until `wake`.
    virtual bool is_wanted() noexcept = 0;
    /// Where to: asked at each attempt.
    virtual std::shared_ptr<const destination> target() noexcept = 0;
    /// True if nobody needs what comes of the attempt under way.
    virtual bool is_moot() noexcept = 0;
    /// The attempt was ended because of that: it says nothing of the endpoint.
    virtual void on_attempt_dropped() noexcept {}
    /// `reason`: in words, where there are any. The delay before the next attempt; `failures` is from then on one more.
    virtual duration on_attempt_failed(error_code ec, const std::string& reason) noexcept = 0;
    /// Attempts that failed since the endpoint was last up.
    virtual unsigned failures() noexcept = 0;
    /// The stream is up, and the client's; the attempt took that long. `resumed`: see `stream::resumed`.
    virtual void on_connected(duration took, bool resumed) noexcept = 0;
    /// What is to be run on the stream now, if anything: the client leaves the stream to it until `on_hook_done`.
    virtual hook next_hook() noexcept = 0;
    /// The stream is down if it failed.
    virtual void on_hook_done() noexcept = 0;
    /// It was lost, or given up; its user may still have it. `early`: so soon that its attempt failed after all. The
    /// delay before the next one.
    virtual duration on_down(const loss& why, bool early) noexcept = 0;
    /// It has ended.
    virtual void on_stopped() noexcept = 0;

   protected:
    ~client() = default;
  };

  /// `options` must outlive this. `called`: the endpoint, until there is a stream; `use`: who has the stream;
  /// `allow_unread`: the server may speak first.
  supervisor(const asio::any_io_executor& ex, const connection_options& options, client& who, endpoint_label called,
             channel_use use, bool allow_unread);
  ~supervisor() { channel_->disown(); }

  /// Starts it, as work on the executor; `keep` keeps this, `client` and `options` alive until it has ended. Throws
  /// `std::bad_alloc`, and then it did not start.
  void start(std::shared_ptr<void> keep) { alarm_.begin(std::move(keep)); }

  /// Closes the connection for good, after its last words if it has any. True if this had ended before and they are
  /// still to be said: then it has to be started again, or `drop_words` to be called. Any thread.
  bool stop() noexcept;
  void drop_words() noexcept { channel_->drop_parted(); }
  /// Gives up a stream that nobody uses, after its last words if it has any. Any thread.
  void dismiss(const loss& why) noexcept;
  /// Ends this and leaves the stream, if it is up, to its user, until `stop`. Any thread.
  void retire() noexcept;
  /// Has it look at its client again: the answer to `may_dial` or `next_hook` has changed. Any thread.
  void wake() noexcept { alarm_.ring(); }
  /// Has the attempt under way end now, because it is moot. Any thread, but only after `may_dial` has allowed it, and
  /// before its end is told.
  void drop_attempt() noexcept;

  const std::shared_ptr<kept_channel>& users() const noexcept { return channel_; }

  void on_channel_changed() noexcept override;
  void on_context_shutdown() noexcept override;
  std::shared_ptr<void> hold() noexcept override { return weak_from_this().lock(); }

 private:
  /// What came of one attempt.
  struct attempt {
    std::unique_ptr<stream> connected;
    error_code error;
    std::string reason;
    /// It was ended by `drop_attempt`.
    bool dropped = false;
    /// Of the stream, as soon as it is connected.
    std::uint64_t id = 0;
  };

  /// Where it is. It ends only with `ended`, or with its context: what a lack of memory interrupts has failed, and is
  /// begun again where it was.
  enum class phase {
    down,     ///< No stream: dials when its client allows it. Left by an attempt that succeeds.
    up,       ///< The users have a stream. Left when it is lost, or given up.
    lost,     ///< That was told, and its user still has it. Left when he gives it up.
    stopped,  ///< `stop` or `retire` was called. Left when all completions were delivered.
    ended
  };

  /// What a coroutine needs, and what others need of it. Made before it, and outlives its frames.
  struct work {
    /// Cancels what it waits on. Emitted only on `strand_`.
    asio::cancellation_signal cancel;
    /// The hook under way, of whose end the client was not told.
    hook run;
    /// Where the attempt came to, if anywhere.
    std::optional<endpoint> reached;
    /// What its last words are for, until they begin.
    std::unique_ptr<stream> parted;
    /// The channel of the `on_connect`, the hook or the last words under way.
    std::shared_ptr<kept_channel> handshake;
    /// How the stream ends if that is late.
    ending late_ending = ending::dirty;
    /// Until when the last words under way may last.
    std::optional<time_point> words_end;
    /// Set when the watchdog strikes.
    error_code verdict;
  };
  class work_end;

  void on_alarm(std::shared_ptr<void> keep) noexcept override;
  void go_on(std::shared_ptr<void> keep) noexcept;
  /// Sleeps until something changes, or until `t`.
  void rest(time_point t, std::shared_ptr<void> keep) noexcept;
  /// True if `keep` was handed on, because a stream has parted, and its last words are to be said.
  bool has_words(std::shared_ptr<void>& keep) noexcept;
  /// False if there is no memory for it now.
  bool make_work() noexcept;
  /// Starts a coroutine, whose end wakes this.
  void begin(asio::awaitable<void> (supervisor::*task)(std::shared_ptr<void>), std::shared_ptr<void> keep) noexcept;
  /// Tells what came of the attempt, or the hook, that a lack of memory has interrupted.
  void settle_interrupted() noexcept;
  asio::awaitable<void> dial_once(std::shared_ptr<void> keep);
  void end_attempt(attempt a) noexcept;
  void note_lost() noexcept;
  /// The address that was reached, if any, serves, or why it has failed behind that.
  void note_address(const endpoint* reached, error_code ec) noexcept;
  /// For the case that the stream is lost early.
  void keep_address(const std::optional<endpoint>& reached) noexcept;
  /// Why a stream that is connected is not fit for use, if it is not.
  error_code first_look(stream& s) const noexcept;
  /// The handshake of TLS, and what comes before it.
  asio::awaitable<void> make_secure(attempt& a);
  /// `name`: what `h` is in the options.
  asio::awaitable<void> shake_hands(attempt& a, const handshake& h, const char* name);
  asio::awaitable<void> say_last_words(std::shared_ptr<void> keep);
  void end_words() noexcept;
  asio::awaitable<void> run_hook(std::shared_ptr<void> keep);
  void end_hook(error_code ec, std::string reason) noexcept;
  /// Until the next one.
  std::string_view keep_failure(std::string reason) noexcept;
  /// With what is the same in all.
  void tell_event(event e) const noexcept;
  void tell_loss(const loss& why, duration delay) const noexcept;
  /// Throws `std::bad_alloc`.
  void start_watchdog(std::optional<duration> limit);
  /// Under `watchdog_mutex_`.
  void set_watchdog(time_point t);
  /// Ends the watch; the verdict, if it has struck.
  error_code end_watchdog() noexcept;
  /// `ec` is set if the watch was ended before its time.
  void on_watchdog(unsigned epoch, error_code ec);
  /// It has struck, and is to strike again, however long it takes to set it.
  void watch_on(unsigned epoch, time_point t) noexcept;

  void note_stop() noexcept;
  bool stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }

  const connection_options& options_;
  client& client_;
  const bool allow_unread_;
  const std::shared_ptr<environment> env_;
  asio::any_io_executor strand_;
  /// Only on `strand_`.
  phase phase_ = phase::down;
  /// An attempt is under way: the client has allowed it, and was not told of its end. Only on `strand_`.
  bool dialling_ = false;
  /// That it is closed was told. Only on `strand_`.
  bool told_closed_ = false;
  /// The execution context is going away: nothing runs on it any more.
  bool shut_down_ = false;
  /// When the last attempt began, and when the stream was opened. Only on `strand_`.
  time_point begun_;
  time_point since_;
  /// Of the last attempt. Only on `strand_`.
  std::shared_ptr<const destination> to_;
  /// Where the stream goes, if that is one address of several. Only on `strand_`.
  std::unique_ptr<const endpoint> reached_;
  /// Of the coroutine under way, or the last one. Only on `strand_`.
  std::unique_ptr<work> work_;
  /// Why the last hook failed, in words, if there are any. Only on `strand_`.
  std::unique_ptr<const std::string> hook_failure_;
  /// Of the stream that is up; 0 when its end was told. Only on `strand_`.
  std::uint64_t id_ = 0;
  std::shared_ptr<kept_channel> channel_;
  alarm alarm_;
  std::atomic<bool> stopping_{false};
  /// The generation of the stream that was down before this was to end.
  std::atomic<std::uint64_t> lost_before_{0};

  /// Guards the watchdog, which `stop` ends from any thread.
  adaptive_mutex watchdog_mutex_;
  /// Null while there is nothing to watch.
  std::unique_ptr<timer> watchdog_;
  /// Counts attempts, so that a late call knows that it is late.
  unsigned epoch_ = 0;
};

}  // namespace cocp::detail
