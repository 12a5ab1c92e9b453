// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "address.hpp"
#include "alarm.hpp"
#include "context_service.hpp"
#include "environment.hpp"

#include <cocp/impl/channel.hpp>
#include <cocp/options.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

namespace cocp::detail {

/// Keeps one channel connected, as long as its client wants it to: dials, redials with backoff when an attempt fails or
/// the stream is lost, and runs `on_connect` and the client's hooks. It knows nothing of pools.
///
/// The loop (`run`) is a coroutine on a strand of its own. Other threads reach it only by setting a flag and ending a
/// wait that is pending: `stop`, `retire` and `wake` post nothing and cancel no coroutine.
class supervisor final : public channel_owner, public shutdown_target, public std::enable_shared_from_this<supervisor> {
 public:
  /// Whom the connection is for. All calls come from `run`, under no lock.
  class client {
   public:
    /// May an attempt start now? Then it does. If not, the question comes again after `wake`.
    virtual bool on_dialling() noexcept = 0;
    virtual void on_attempt_failed(error_code ec) noexcept = 0;
    /// The stream is up, and the client's.
    virtual void on_connected() noexcept = 0;
    /// What is to be run on the stream now, if anything: the client leaves the stream to it until `on_hook_done`.
    virtual const handshake* next_hook() noexcept = 0;
    /// `error` and `reason` say why it failed; `reason` is valid until the next one is run.
    virtual void on_hook_done(error_code error, std::string_view reason) noexcept = 0;
    /// It is down again, and closed.
    virtual void on_down(const loss& why) noexcept = 0;
    /// `run` has ended.
    virtual void on_stopped() noexcept = 0;

   protected:
    ~client() = default;
  };

  /// `options` and `to` must outlive this. `allow_unread`: the server may speak first.
  supervisor(const asio::any_io_executor& ex, const connection_options& options, const address& to, client& who,
             bool allow_unread);
  ~supervisor() { channel_->disown(); }

  /// Starts the loop, as work on the executor; `keep` keeps `client` and `options` alive while it runs.
  void start(std::shared_ptr<void> keep);

  /// Closes the connection for good. Any thread.
  void stop() noexcept;
  /// Ends the loop and leaves the stream, if it is up, to its user, until `stop`. Any thread.
  void retire() noexcept;
  /// Has the loop look at its client again: the answer to `on_dialling` or `next_hook` has changed. Any thread.
  void wake() noexcept { alarm_.ring(); }

  const std::shared_ptr<channel>& users() const noexcept { return channel_; }

  void on_channel_drained() noexcept override;
  void on_context_shutdown() noexcept override;
  std::shared_ptr<void> hold() noexcept override { return weak_from_this().lock(); }

 private:
  /// What came of one attempt.
  struct attempt {
    std::unique_ptr<stream> connected;
    error_code error;
    std::string reason;
  };

  asio::awaitable<void> run(std::shared_ptr<void> keep);
  asio::awaitable<attempt> try_once();
  asio::awaitable<void> shake_hands(attempt& a);
  asio::awaitable<void> run_hook(const handshake& hook);
  /// Sleeps out a backoff delay, unless stopped.
  asio::awaitable<void> back_off(duration delay);
  /// Until the stream is to be closed, or the loop to end.
  asio::awaitable<void> until_drained();
  /// Sleeps until something changes.
  asio::awaitable<void> rest();

  void start_watchdog();
  /// Ends the watch; the verdict, if it has struck.
  error_code end_watchdog() noexcept;
  void on_watchdog(unsigned epoch);

  duration next_delay(unsigned failures) noexcept;
  bool stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }

  const connection_options& options_;
  const address& to_;
  client& client_;
  const bool allow_unread_;
  const std::shared_ptr<environment> env_;
  asio::any_io_executor ex_;
  asio::any_io_executor strand_;
  std::shared_ptr<channel> channel_;
  alarm alarm_;
  std::atomic<bool> stopping_{false};

  /// Cancels what the attempt under way waits on. Emitted only on `strand_`.
  asio::cancellation_signal cancel_attempt_;
  /// The channel of the `on_connect` or the hook under way. Only on `strand_`.
  std::shared_ptr<channel> handshake_;
  /// Why the last hook failed. Only on `strand_`.
  std::string hook_failure_;
  /// Set when the watchdog strikes. Only on `strand_`.
  error_code verdict_;

  /// Guards the watchdog, which `stop` ends from any thread.
  std::mutex watchdog_mutex_;
  std::unique_ptr<timer> watchdog_;
  /// Counts attempts, so that a late call knows that it is late.
  unsigned epoch_ = 0;
};

}  // namespace cocp::detail
