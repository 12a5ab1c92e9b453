// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

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
#include <mutex>
#include <optional>
#include <string>

namespace cocp::detail {

/// Keeps one channel connected, as long as its client wants it to: dials when its client allows it, and again when an
/// attempt fails or the stream is lost, and runs `on_connect` and the client's hooks. It knows nothing of pools.
///
/// The loop (`run`) is a coroutine on a strand of its own. Other threads reach it only by setting a flag and ending a
/// wait that is pending: `stop`, `retire` and `wake` post nothing and cancel no coroutine.
class supervisor final : public channel_owner, public shutdown_target, public std::enable_shared_from_this<supervisor> {
 public:
  /// What a client wants to have run on its stream.
  struct hook {
    /// Null if nothing.
    const handshake* run = nullptr;
    /// How the stream ends if that fails.
    ending failure = ending::dirty;
  };

  /// Whom the connection is for. All calls come from `run`, under no lock.
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
    /// `run` has ended.
    virtual void on_stopped() noexcept = 0;

   protected:
    ~client() = default;
  };

  /// `options` must outlive this. `use`: who has the stream; `allow_unread`: the server may speak first.
  supervisor(const asio::any_io_executor& ex, const connection_options& options, client& who, channel_use use,
             bool allow_unread);
  ~supervisor() { channel_->disown(); }

  /// Starts the loop, as work on the executor; `keep` keeps `client` and `options` alive while it runs.
  void start(std::shared_ptr<void> keep);

  /// Closes the connection for good, after its last words if it has any. True if the loop had ended before and they are
  /// still to be said: then it has to be started again, or `drop_words` to be called. Any thread.
  bool stop() noexcept;
  void drop_words() noexcept { channel_->drop_parted(); }
  /// Gives up a stream that nobody uses, after its last words if it has any. Any thread.
  void dismiss(const loss& why) noexcept;
  /// Ends the loop and leaves the stream, if it is up, to its user, until `stop`. Any thread.
  void retire() noexcept;
  /// Has the loop look at its client again: the answer to `may_dial` or `next_hook` has changed. Any thread.
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

  /// Where the loop is. It ends only with `ended`, or with its context: what a lack of memory interrupts, and be it the
  /// loop itself, is begun again where it was.
  enum class phase {
    down,     ///< No stream: dials when its client allows it. Left by an attempt that succeeds.
    up,       ///< The users have a stream. Left when it is lost, or given up.
    lost,     ///< That was told, and its user still has it. Left when he gives it up.
    stopped,  ///< `stop` or `retire` was called. Left when all completions were delivered.
    ended
  };

  class loop_end;

  /// Asio has destroyed the loop in the middle: where what it awaited could not be started for lack of memory.
  void begin_again(std::shared_ptr<void> keep) noexcept;
  /// Tells what came of the attempt, or the hook, that ended with the loop.
  void settle_interrupted() noexcept;
  asio::awaitable<void> run(std::shared_ptr<void> keep, unsigned loop);
  /// Does what is due in this phase, until another begins or something has changed.
  asio::awaitable<void> go_on();
  asio::awaitable<void> go_up();
  void end_attempt(attempt a) noexcept;
  void note_lost() noexcept;
  asio::awaitable<attempt> try_once();
  /// The address that was reached serves, or why it has failed behind that.
  void note_address(error_code ec) noexcept;
  /// Why a stream that is connected is not fit for use, if it is not.
  error_code first_look(stream& s) const noexcept;
  /// The handshake of TLS, and what comes before it.
  asio::awaitable<void> make_secure(attempt& a);
  /// `name`: what `h` is in the options.
  asio::awaitable<void> shake_hands(attempt& a, const handshake& h, const char* name);
  asio::awaitable<void> say_last_words();
  void end_words() noexcept;
  asio::awaitable<void> run_hook();
  void end_hook(error_code ec, std::string reason) noexcept;
  /// Until the stream is lost, or the loop to end; runs hooks meanwhile.
  asio::awaitable<void> until_lost();
  /// Until its user has given it up, or the loop is to end.
  asio::awaitable<void> until_drained();
  /// With what is the same in all.
  void tell_event(event e) const noexcept;
  void tell_loss(const loss& why, duration delay) const noexcept;
  /// Sleeps until something changes, or until `t`.
  asio::awaitable<void> rest(time_point t);

  void start_watchdog(std::optional<duration> limit);
  /// Under `watchdog_mutex_`.
  void set_watchdog(time_point t);
  /// Ends the watch; the verdict, if it has struck.
  error_code end_watchdog() noexcept;
  /// `ec` is set if the watch was ended before its time.
  void on_watchdog(unsigned epoch, error_code ec);

  void note_stop() noexcept;
  bool stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }

  const connection_options& options_;
  client& client_;
  const bool allow_unread_;
  const std::shared_ptr<environment> env_;
  asio::any_io_executor ex_;
  asio::any_io_executor strand_;
  /// Only on `strand_`.
  phase phase_ = phase::down;
  /// Counts the loops, so that the end of one that never began, or comes late, is known.
  unsigned loops_ = 0;
  std::atomic<unsigned> loop_{0};
  /// An attempt is under way: the client has allowed it, and was not told of its end. Only on `strand_`.
  bool dialling_ = false;
  /// The hook under way, of whose end the client was not told. Only on `strand_`.
  std::optional<hook> hook_;
  /// The execution context is going away: nothing runs on it any more.
  bool shut_down_ = false;
  /// When the last attempt began, and when the stream was opened. Only on `strand_`.
  time_point begun_;
  time_point since_;
  /// Of the last attempt. Only on `strand_`.
  std::shared_ptr<const destination> to_;
  /// Where the last attempt came to, if anywhere. Only on `strand_`.
  std::optional<endpoint> reached_;
  /// Of the stream that is up; 0 when its end was told. Only on `strand_`.
  std::uint64_t id_ = 0;
  std::shared_ptr<kept_channel> channel_;
  alarm alarm_;
  std::atomic<bool> stopping_{false};
  /// The stream was down before the loop was to end.
  std::atomic<bool> lost_before_{false};

  /// Cancels what the attempt under way waits on. Emitted only on `strand_`.
  asio::cancellation_signal cancel_attempt_;
  /// The channel of the `on_connect` or the hook under way. Only on `strand_`.
  std::shared_ptr<kept_channel> handshake_;
  /// How the stream ends if the handshake under way is late, and why the last hook failed. Only on `strand_`.
  ending late_ending_ = ending::dirty;
  std::string hook_failure_;
  /// Until when the last words under way may last. Only on `strand_`.
  std::optional<time_point> words_end_;
  /// That it is closed was told. Only on `strand_`.
  bool told_closed_ = false;
  /// Set when the watchdog strikes. Only on `strand_`.
  error_code verdict_;

  /// Guards the watchdog, which `stop` ends from any thread.
  std::mutex watchdog_mutex_;
  std::unique_ptr<timer> watchdog_;
  /// Counts attempts, so that a late call knows that it is late.
  unsigned epoch_ = 0;
};

}  // namespace cocp::detail
