// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "address.hpp"
#include "alarm.hpp"
#include "context_service.hpp"
#include "environment.hpp"
#include "slot.hpp"

#include <cocp/impl/lease_waiter.hpp>
#include <cocp/options.hpp>
#include <cocp/stats.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace cocp::detail {

/// What a pool consists of. It is shared by the pool, its leases, its supervisors and its housekeeper; slots in use
/// hold it too (see `slot::core`).
///
/// A slot is handed on, never looked for: whoever gives one back gives it to the first waiter, in the same critical
/// section in which it found that there is one.
class pool_core final : public wait_owner, public shutdown_target, public std::enable_shared_from_this<pool_core> {
 public:
  pool_core(asio::any_io_executor ex, connection_options connection, pool_options options);
  ~pool_core();

  /// Starts the supervisors and the housekeeper.
  void start();

  /// An idle connection that passed its check, or an empty lease.
  lease take_idle() noexcept;
  void wait_for_lease(lease_waiter& w, std::optional<duration> timeout);
  void wait_until_up(event_waiter& w, std::size_t wanted);
  void wait_until_drained(event_waiter& w) noexcept;
  void cancel(waiter& w) noexcept override;

  /// The end of a lease.
  static void give_back(slot& s, lease::way how) noexcept;
  /// Takes back the lease of a waiter that was cancelled after it had been given one.
  static void withdraw(pool_waiter& w) noexcept;

  void close() noexcept;
  cocp::stats stats() const;
  /// As in "get: no connection to localhost:7 within 30 s (size 10: 0 up, 0 leased, 3 waiting; last error: ...)".
  std::string explain(const char* what, error_code ec, std::optional<duration> waited) const;

  /// \name For slots
  /// @{
  void slot_dialling(slot& s) noexcept;
  void slot_failed(slot& s, error_code ec) noexcept;
  void slot_connected(slot& s) noexcept;
  void slot_down(slot& s, const loss& why) noexcept;
  void slot_stopped(slot& s) noexcept;
  /// @}

  void on_context_shutdown() noexcept override;
  std::shared_ptr<void> hold() noexcept override { return weak_from_this().lock(); }

  const asio::any_io_executor& get_executor() const noexcept { return ex_; }
  const connection_options& dial_options() const noexcept { return dial_options_; }
  const pool_options& options() const noexcept { return options_; }
  const address& to() const noexcept { return to_; }

 private:
  using deadline_set = boost::intrusive::multiset<pool_waiter, boost::intrusive::constant_time_size<false>>;

  /// Gives a slot that is `moving` to whoever is next. `lock` is on `mutex_`.
  void place(std::unique_lock<std::mutex> lock, slot& s) noexcept;
  /// Under `mutex_`.
  void put_idle(slot& s) noexcept;
  /// Looks at a slot that is the caller's alone; `why` is set if it is dead or dirty.
  bool passes(slot& s, loss& why) const noexcept;
  /// Gives a slot that failed its check to its supervisor; `held` is the gauge that counts it.
  void reject(slot& s, std::size_t& held, const loss& why) noexcept;
  /// `why`: it is still up, and goes down for this. This may be gone afterwards if the caller does not hold it.
  void give_to_supervisor(std::unique_lock<std::mutex> lock, slot& s, const loss* why) noexcept;

  asio::awaitable<void> keep_house(std::shared_ptr<pool_core> self);
  /// Does what is due; the time of the next turn.
  time_point turn() noexcept;
  void look_at_idle() noexcept;
  void watch(slot& s);
  void on_readable(slot& s, std::uint64_t generation, error_code ec) noexcept;

  /// Under `mutex_`.
  void enqueue(pool_waiter& w, wait_list& queue, std::optional<duration> timeout) noexcept;
  /// Sees to it that the housekeeper's next turn is not later.
  void wake_by(time_point t) noexcept;
  void dequeue(pool_waiter& w, error_code ec) noexcept;
  void take_all(wait_list& queue, wait_list& into, error_code ec) noexcept;
  std::size_t count_up() const noexcept;
  bool may_wait(pool_waiter& w, std::optional<duration> timeout) noexcept;

  /// Schedules the handler; false if its executor refused, and it is in `undelivered_`.
  bool deliver(waiter& w) noexcept;
  void complete(waiter& w) noexcept;
  /// Ends the waits for the end, if it has come.
  void finish_drain() noexcept;
  void complete_all(wait_list& list) noexcept;

  const connection_options dial_options_;
  const pool_options options_;
  const address to_;
  const bool always_verify_;
  const std::shared_ptr<environment> env_;
  asio::any_io_executor ex_;
  alarm alarm_;
  std::vector<std::unique_ptr<slot>> slots_;

  mutable std::mutex mutex_;
  /// All below is guarded by `mutex_`.
  bool closed_ = false;
  /// The last one back comes first: the others may rest.
  boost::intrusive::list<slot> idle_;
  wait_list lease_waiters_;
  wait_list up_waiters_;
  wait_list drain_waiters_;
  /// Of all three queues, those whose wait is bounded.
  deadline_set deadlines_;
  /// Ended, but their executor refused the completion; tried again on the next turn.
  wait_list undelivered_;
  std::size_t waiting_ = 0;
  std::size_t leased_ = 0;
  std::size_t moving_ = 0;
  std::size_t stopped_ = 0;
  cocp::stats counters_;
  error_code last_connect_error_;
  /// When the housekeeper wakes at the latest.
  time_point next_turn_ = time_point::max();
  /// When the housekeeper must look at the idle slots again: to watch one that is not watched, and to mark one that has
  /// been idle for `check_after`. `max` if there is none.
  time_point next_watch_ = time_point::max();
  time_point next_verify_ = time_point::max();
  /// The time of the housekeeper's last turn.
  time_point tick_;
};

}  // namespace cocp::detail
