// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "exchange.hpp"
#include "load_options.hpp"
#include "report.hpp"
#include "server_process.hpp"
#include "tally.hpp"
#include "watchdog.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace bench {

/// Many coroutines that ask a server through one pool, and the server's death in the middle.
class load_run {
 public:
  /// `server` was started and listens at `address`; null if the server there is not ours.
  load_run(const load_options& options, const std::string& address, server_process* server);

  /// Runs it all, on `threads` threads with this one, and prints what it shows. True if all was as it should be.
  bool run();

 private:
  class holding;

  using clock = std::chrono::steady_clock;

  boost::asio::awaitable<void> work(std::unique_ptr<exchange> what);
  server_state state_at_hand_over() noexcept;
  boost::asio::awaitable<void> conduct();
  boost::asio::awaitable<void> stop();
  boost::asio::awaitable<void> kill_and_restart();
  boost::asio::awaitable<void> follow_plan();
  boost::asio::awaitable<void> show();
  std::chrono::nanoseconds elapsed() const { return clock::now() - started_; }
  void spawn(boost::asio::any_io_executor ex, boost::asio::awaitable<void> body);

  const load_options options_;
  server_process* const server_;
  tally tally_;
  std::atomic<server_state> state_;
  std::atomic<std::uint64_t> leases_ = 0;               ///< That the coroutines got.
  std::atomic<std::uint64_t> held_ = 0;                 ///< Those of them that they have now.
  std::atomic<std::uint64_t> leases_before_death_ = 0;  ///< That the pool had given out when the server was gone.
  std::atomic<bool> stopping_ = false;
  /// All below is touched only by `conduct` and what it awaits, and after the threads have ended.
  course course_;
  live_line live_;
  clock::time_point started_;
  bool drained_ = false;
  /// After all that the coroutines refer to: it destroys the frames that are left, should the run be given up.
  boost::asio::io_context io_;
  cocp::pool pool_;
  std::optional<watchdog> watchdog_;  ///< From the decision to stop on.
};

}  // namespace bench
