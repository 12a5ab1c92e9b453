// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "alarm.hpp"
#include "context_service.hpp"
#include "deadlines.hpp"
#include "destination.hpp"
#include "environment.hpp"
#include "outage_gate.hpp"
#include "slot.hpp"

#include <cocp/impl/lease_waiter.hpp>
#include <cocp/options.hpp>
#include <cocp/stats.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/intrusive/list.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

namespace cocp::detail {

/// What a pool consists of. It is shared by the pool, its leases, its supervisors and its housekeeper; slots in use
/// hold it too (see `slot::core`).
///
/// A slot is handed on, never looked for: whoever gives one back gives it to the first waiter, in the same critical
/// section in which it found that there is one.
///
/// Once a wait is completed its handler may run on another thread, and end the pool and all that the caller knows of.
/// So whoever completes a wait has this by a `shared_ptr` of its own (the supervisors, the housekeeper, what stands in
/// a cancellation slot, the members of `pool`), or touches nothing of it afterwards; until then a lease that is handed
/// on keeps this by its slot.
class pool_core final : public wait_owner, public shutdown_target, public std::enable_shared_from_this<pool_core> {
 public:
  pool_core(asio::any_io_executor ex, connection_options connection, pool_options options);
  ~pool_core();

  /// Starts the supervisors and the housekeeper.
  void start();

  /// An idle connection that passed its check, or an empty lease.
  lease take_idle(std::source_location where) noexcept;
  void wait_for_lease(lease_waiter& w, std::optional<duration> timeout, std::source_location where);
  void wait_until_up(event_waiter& w, std::size_t wanted);
  /// Throws as `wait_for_lease`, and `std::bad_alloc`.
  void wait_until_drained(event_waiter& w);
  void cancel(waiter& w) noexcept override;

  /// The end of a lease.
  static void give_back(slot& s, lease::way how) noexcept;
  /// Takes back the lease of a waiter that was cancelled after it had been given one.
  static void withdraw(pool_waiter& w) noexcept;

  void resize(std::size_t n);
  void readdress(std::string address);
  void retry_now() noexcept;
  void close() noexcept;
  cocp::stats stats() const;
  std::shared_ptr<const destination> current_address() const noexcept;
  std::vector<lease_info> leases() const;
  /// As in "get: no connection to localhost:7 within 30 s (size 10: 0 up, 0 leased, 3 waiting; last error: ...)".
  std::string explain(const char* what, error_code ec, std::optional<duration> waited) const;

  /// \name For slots
  /// @{
  time_point slot_may_dial(slot& s, time_point now) noexcept;
  bool slot_wanted(slot& s) noexcept;
  duration slot_failed(slot& s, error_code ec, const std::string& reason) noexcept;
  unsigned failures() noexcept;
  std::shared_ptr<const destination> slot_target(slot& s) noexcept;
  bool slot_is_moot(slot& s) noexcept;
  void slot_connected(slot& s, duration took, bool resumed) noexcept;
  supervisor::hook slot_hook(slot& s) noexcept;
  void slot_served(slot& s) noexcept;
  duration slot_down(slot& s, const loss& why, bool early) noexcept;
  void slot_stopped(slot& s) noexcept;
  /// @}

  void on_context_shutdown() noexcept override;
  std::shared_ptr<void> hold() noexcept override { return weak_from_this().lock(); }

  const asio::any_io_executor& get_executor() const noexcept { return ex_; }
  const connection_options& dial_options() const noexcept { return dial_options_; }
  const pool_options& options() const noexcept { return options_; }

 private:
  using slot_list = boost::intrusive::list<slot>;

  /// \name How a slot goes on (pool_core.cpp)
  /// @{

  /// The rest of `give_back`: `s` is leased, and up.
  void end_lease(std::unique_lock<std::mutex> lock, slot& s) noexcept;
  /// Gives a slot that is `moving` to whoever is next. `lock` is on `mutex_`.
  void place(std::unique_lock<std::mutex> lock, slot& s) noexcept;
  /// Gives a slot that is `moving` to its supervisor, to run the hook.
  void begin_hook(std::unique_lock<std::mutex> lock, slot& s, const handshake& hook) noexcept;
  /// Under `mutex_`.
  void end_hook(slot& s) noexcept;
  void put_idle(slot& s) noexcept;
  /// Under `mutex_`: takes it from the idle set.
  void start_moving(slot& s) noexcept;
  /// Looks at a slot that is the caller's alone; `why` is set if it is dead or dirty.
  bool passes(slot& s, loss& why) const noexcept;
  /// Gives a slot that failed its check to its supervisor; `held` is the gauge that counts it.
  void reject(slot& s, std::size_t& held, const loss& why) noexcept;
  /// `why`: it is still up, and goes down for this. This may be gone afterwards if the caller does not hold it.
  void give_to_supervisor(std::unique_lock<std::mutex> lock, slot& s, const loss* why) noexcept;
  /// @}

  /// The counting part of `slot_down`.
  duration count_down(slot& s, const loss& why, bool early, wait_list& ended) noexcept;

  /// \name How many there are (pool_size.cpp). Under `mutex_`, but for `add_slots`.
  /// @{

  /// The most connections now: one more than the size while one is replaced for its age.
  std::size_t limit() const noexcept { return size_ + (aged_ ? 1 : 0); }
  /// How many to keep open when nobody asks.
  std::size_t least() const noexcept;
  /// True if it is to be closed rather than used again.
  bool is_surplus(const slot& s) const noexcept { return s.fate == slot_fate::outlived || wanted_ > limit(); }
  /// True if it is not to be given out any more.
  bool must_go(const slot& s) const noexcept { return is_surplus(s) || s.fate == slot_fate::moved; }
  /// Has as many slots as `n` connections need.
  void add_slots(std::size_t n);
  /// Opens as many as are missing.
  void grow() noexcept;
  void want(slot& s) noexcept;
  void update_plain_put() noexcept;
  /// `s` belongs to its supervisor.
  void unwant(slot& s) noexcept;
  /// One that is there and that nobody uses, if there are too many; not up, or else idle for the longest time.
  slot* find_surplus() noexcept;
  /// Starts to replace the oldest connection that is due and is not leased; those that are leased, when they come back.
  void replace_aged() noexcept;
  /// Under `mutex_`: opens an heir for it, if there is room.
  void begin_succession(slot& aged) noexcept;
  /// @}

  /// \name Who may dial (pool_dialling.cpp). Under `mutex_`.
  /// @{

  /// Lets those who wait dial, as far as the gate allows it.
  void release_dials(time_point now) noexcept;
  /// The gate has changed: lets dial who may now, and others when they may.
  void gate_changed(time_point now) noexcept;
  /// It waits no more, or does not use its leave.
  void leave_dial_queue(slot& s) noexcept;
  /// True if attempts fail and no connection is up.
  bool is_down() const noexcept { return up_ == 0 && gate_.failures() != 0; }
  /// An attempt has failed: ends the waits that are not to outlast that.
  void fail_fast(error_code ec, wait_list& ended) noexcept;
  /// @}

  /// \name Housekeeping (pool_housekeeping.cpp)
  /// @{

  asio::awaitable<void> keep_house(std::shared_ptr<pool_core> self);
  /// Starts the housekeeper unless there is one.
  void call_housekeeper();
  /// Does what is due; the time of the next turn.
  time_point turn() noexcept;
  void look_at_idle() noexcept;
  /// Under `mutex_`: what is due for an idle slot, and when to look again.
  enum class duty { none, watch, keepalive, close };
  duty look_at(slot& s, bool may_close, bool may_keep) noexcept;
  /// Under `mutex_`: sees to it that the next look at what is idle is not later.
  void look_by(time_point t) noexcept;
  /// Under `mutex_`: true if `t` has come; if not, there is a look at that time.
  bool is_due(time_point t) noexcept;
  /// Under `mutex_`: gives up dials that nobody has needed for long, `spare` at most; how many.
  std::size_t close_unopened(std::size_t spare) noexcept;
  void watch(slot& s);
  void on_readable(slot& s, std::uint64_t generation, error_code ec) noexcept;
  /// Under `mutex_`: sees to it that the housekeeper's next turn is not later.
  void wake_by(time_point t) noexcept;
  /// @}

  /// \name The lease report (pool_leases.cpp)
  /// @{

  /// Under `mutex_`.
  void note_lease(slot& s, std::source_location where) noexcept;
  void note_return(slot& s) noexcept;
  void report_leases() noexcept;
  /// @}

  /// Under `mutex_`.
  void enqueue(pool_waiter& w, wait_list& queue, std::optional<duration> timeout) noexcept;
  void dequeue(pool_waiter& w, error_code ec) noexcept;
  void take_all(wait_list& queue, wait_list& into, error_code ec) noexcept;
  std::size_t count_up() const noexcept;
  bool may_wait(pool_waiter& w, std::optional<duration> timeout) noexcept;

  /// Under `mutex_`: nothing is out, and no supervisor runs.
  bool is_drained() const noexcept { return closed_ && leased_ == 0 && moving_ == 0 && running_ == 0; }
  /// Schedules the handler. If its executor refuses, the housekeeper tries again.
  void complete(waiter& w) noexcept;
  /// Ends the waits for the end, if it has come.
  void finish_drain() noexcept;
  void complete_all(wait_list& list) noexcept;

  const connection_options dial_options_;
  const pool_options options_;
  const bool always_verify_;
  /// Idle slots have more to expect than their end: a keepalive, or to be closed.
  const bool timed_idle_;
  /// The housekeeper looks at what became idle not later than this.
  const duration look_after_;
  const std::shared_ptr<environment> env_;
  asio::any_io_executor ex_;
  alarm alarm_;

  mutable std::mutex mutex_;
  /// All below is guarded by `mutex_`.
  bool closed_ = false;
  /// What is put back needs no thought: the pool is open, has no `on_return`, and has not too many connections.
  bool plain_put_;
  std::shared_ptr<const destination> to_;
  /// Grows only.
  std::vector<std::unique_ptr<slot>> slots_;
  std::size_t size_;
  /// The last one back comes first: the others may rest.
  slot_list idle_;
  /// Those that are not wanted.
  slot_list vacant_;
  std::size_t wanted_ = 0;
  outage_gate gate_;
  /// Those that wait for leave to dial, in order.
  slot_list dial_queue_;
  /// Connections that are up, as far as their supervisors know.
  std::size_t up_ = 0;
  /// One connection that is being replaced for its age, and the slot that takes its place; both or none.
  slot* aged_ = nullptr;
  slot* heir_ = nullptr;
  wait_list lease_waiters_;
  wait_list up_waiters_;
  wait_list drain_waiters_;
  /// Of all three queues, those whose wait is bounded.
  deadlines deadlines_;
  /// Ended, but their executor refused the completion; tried again on the housekeeper's next turn.
  wait_list undelivered_;
  /// There is a housekeeper. It stays until the pool is closed, all supervisors have ended and nobody drains or is
  /// undelivered.
  bool housekept_ = false;
  std::size_t waiting_ = 0;
  std::size_t leased_ = 0;
  std::size_t moving_ = 0;
  std::size_t hooks_ = 0;
  std::size_t keepalives_ = 0;
  /// Supervisors whose loop has not ended.
  std::size_t running_ = 0;
  cocp::stats counters_;
  /// Why the last attempt failed, and what more there is to say of it.
  error_code last_connect_error_;
  std::string last_connect_reason_;
  /// When the housekeeper wakes at the latest.
  time_point next_turn_ = time_point::max();
  /// When the gate is to be looked at.
  time_point next_gate_ = time_point::max();
  /// When the housekeeper must look at the idle slots again; `max` if there is no need.
  time_point next_look_ = time_point::max();
  /// When the next connection is old enough to be replaced.
  time_point next_age_ = time_point::max();
  /// When the next lease is overdue.
  time_point next_report_ = time_point::max();
  /// Leases whose return is to be told.
  std::size_t returned_ = 0;
  /// The housekeeper's clock: a time that has passed.
  time_point tick_;
};

}  // namespace cocp::detail
