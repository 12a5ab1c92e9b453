// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "client.hpp"
#include "live_view.hpp"
#include "measured.hpp"
#include "options.hpp"
#include "outage_book.hpp"
#include "recorder.hpp"
#include "schedule.hpp"
#include "server.hpp"
#include "tally.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace bench {

/// One mode for a while: the coroutines that ask, on threads of their own, and, on this one, who conducts them, looks
/// at the clock, and has the faults happen.
class slice {
 public:
  slice(const load_options& options, mode how, const target& to, server& at, live_view& view);
  slice(const slice&) = delete;
  slice& operator=(const slice&) = delete;
  ~slice();

  /// \throws std::exception if it could not begin
  measured run();

 private:
  using clock = std::chrono::steady_clock;

  /// A context with what runs on it. It goes last, and takes the coroutine frames along that are left, should the run
  /// be given up.
  struct lane {
    explicit lane(int threads) : io(threads) {}
    boost::asio::io_context io;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> open{io.get_executor()};
    std::unique_ptr<client> way;
  };

  boost::asio::awaitable<void> conduct();
  void begin_to_get_ready();
  boost::asio::awaitable<bool> all_ready();
  void spawn_workers();
  boost::asio::awaitable<void> follow_plan();
  boost::asio::awaitable<void> apply(const fault& f);
  void kill();
  boost::asio::awaitable<void> restart();
  boost::asio::awaitable<void> watch();
  boost::asio::awaitable<void> stop();
  std::chrono::nanoseconds interval() const;
  void look();
  void end_block();
  void tell(std::string what, bool over = false);
  client::gauges now() const;
  std::optional<cocp::stats> pool_stats() const;
  std::chrono::nanoseconds elapsed() const { return clock::now() - started_; }

  const load_options& options_;
  const std::size_t threads_;
  server& server_;
  live_view& view_;
  measured result_;

  /// What the coroutines refer to.
  tally failures_;
  recorders answers_;
  outage_book book_;
  std::optional<schedule> due_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::size_t> working_ = 0;    ///< Coroutines that have not ended.
  std::atomic<std::size_t> not_ready_ = 0;  ///< Lanes whose connections are not up, as far as anybody waits for that.
  std::atomic<clock::time_point> ready_at_{};  ///< When the last of them was.

  /// All below is touched by `conduct` and what it awaits alone.
  clock::time_point started_;
  std::chrono::nanoseconds last_look_{};
  std::uint64_t last_errors_ = 0;
  latency block_;
  std::chrono::nanoseconds block_began_{};
  clock::time_point killed_;
  std::optional<clock::time_point> stalled_until_;
  clock::time_point back_;
  bool recovers_ = false;  ///< The server is back, and not all connections are.

  std::deque<lane> lanes_;
  std::vector<std::jthread> running_;
  boost::asio::io_context& front_;
};

}  // namespace bench
