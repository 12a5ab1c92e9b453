// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/alarm.hpp"
#include "base/environment.hpp"
#include "connection/outage_gate.hpp"
#include "net/context_service.hpp"
#include "net/destination.hpp"
#include "pool/deadlines.hpp"
#include "pool/downtime.hpp"
#include "pool/slot.hpp"

#include <cocp/impl/lease_waiter.hpp>
#include <cocp/options.hpp>
#include <cocp/stats.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/intrusive/list.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

namespace cocp::detail {

/// For who tells of it later; null if there is nothing to tell, or no memory for it.
std::shared_ptr<const std::string> keep_words(std::string_view words) noexcept;
/// The end of a wait for more connections to be up than there may be.
inline error_code too_many() noexcept { return make_error_code(boost::system::errc::invalid_argument); }

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

  /// Who takes what is idle.
  enum class taker {
    waits,         ///< If there is none, and through the scheduler in any case: `settle` follows.
    goes_on,       ///< At once, without letting others run: for him there is none after so many in a row.
    does_not_wait  ///< If there is none that is a wish for one.
  };
  /// An idle connection that passed its check, or an empty lease.
  template <taker Who>
  lease take_idle(std::source_location where) noexcept;
  void wait_for_lease(lease_waiter& w, std::optional<duration> timeout, std::source_location where);
  void wait_until_up(event_waiter& w, std::size_t wanted);
  /// Throws as `wait_for_lease`, and `std::bad_alloc`.
  void wait_until_drained(event_waiter& w);
  void cancel(waiter& w) noexcept override;

  /// The end of a lease.
  static void give_back(slot& s, lease::way how) noexcept;
  /// The handler of a waiter that was given a lease is about to be called: counts it, or takes it back from one that
  /// was cancelled meanwhile.
  static void settle(pool_waiter& w) noexcept;

  void resize(std::size_t n);
  void readdress(std::string address);
  void renew() noexcept;
  void retry_now() noexcept;
  void close() noexcept;
  cocp::stats stats() const;
  std::size_t size() const noexcept;
  std::shared_ptr<const destination> current_address() const noexcept;
  std::vector<lease_info> leases() const;
  /// As in "get: no connection to localhost:7 within 30 s (size 10: 1 up, 0 leased, 1 in hooks, 3 waiting; last error:
  /// Connection refused, 3.2 s ago)".
  std::string explain(const char* what, error_code ec, std::optional<duration> waited) const;

  /// \name For slots
  /// @{
  time_point slot_may_dial(slot& s, time_point now) noexcept;
  bool slot_wanted(slot& s) noexcept;
  duration slot_failed(slot& s, error_code ec, const std::string& reason) noexcept;
  unsigned failures() noexcept;
  std::shared_ptr<const destination> slot_target(slot& s) noexcept;
  bool slot_is_moot(slot& s) noexcept;
  void slot_dropped(slot& s) noexcept;
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
  /// One `get` of so many goes through the scheduler, and lets others run.
  static constexpr unsigned most_in_a_row = 64;

  /// \name How a slot goes on (pool_core.cpp)
  /// @{

  /// The rest of `give_back` of a lease whose stream is down. Not inline: that would cost the others registers.
  [[gnu::noinline]] void end_lost_lease(std::unique_lock<std::mutex> lock, slot& s) noexcept;
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
  /// Looks at a slot that is the caller's alone: `dead` if it is not fit for use, dead or dirty, and then `why` is set;
  /// `unread` if there are bytes that may be there.
  peek_result look(slot& s, loss& why) const noexcept;
  bool passes(slot& s, loss& why) const noexcept { return look(s, why) != peek_result::dead; }
  /// Gives a slot that failed its check to its supervisor; `held` is the gauge that counts it.
  void reject(slot& s, std::size_t& held, const loss& why) noexcept;
  /// `why`: it is still up, and goes down for this. This may be gone afterwards if the caller does not hold it.
  void give_to_supervisor(std::unique_lock<std::mutex> lock, slot& s, const loss* why) noexcept;
  /// @}

  /// The counting part of `slot_down`.
  duration count_down(slot& s, const loss& why, bool early, wait_list& ended) noexcept;

  /// \name What the gauges count. Under `mutex_`.
  /// @{

  /// Its stream has come up; what it waited for may have been reached.
  void count_up(slot& s) noexcept;
  /// Its stream has gone, or is about to: whoever knows first counts it, and why.
  void count_loss(slot& s, const loss& why) noexcept;
  /// The same of a stream that nobody asks about: the pool is closed.
  void count_end(slot& s) noexcept;
  /// How many are up.
  std::size_t connected() const noexcept;
  /// After any change of its owner, or of what it is wanted for and does.
  void recount(slot& s) noexcept;
  std::size_t count_of(slot_pursuit p) const noexcept { return pursuits_[static_cast<std::size_t>(p)]; }
  /// @}

  /// \name How many there are (pool_size.cpp). Under `mutex_`, but for `add_slots`.
  /// @{

  /// How many to keep open when nobody asks.
  std::size_t least() const noexcept;
  /// Connections that are wanted and not up yet, or about to be closed and dialled again.
  std::size_t opening() const noexcept { return wanted_ - (idle_.size() + leased_ + moving_ + hooks_); }
  /// True if there are too many: the next that comes back is closed rather than used again.
  bool is_surplus() const noexcept { return wanted_ > size_; }
  /// True if it, or the attempt under way, is to a former address, or was to be renewed since.
  bool is_outdated(const slot& s) const noexcept { return s.edition != edition_; }
  /// True if it is to be redialled now for its age.
  bool retires(const slot& s) const noexcept;
  /// True if it is not to be given out any more.
  bool must_go(const slot& s) const noexcept { return is_surplus() || is_outdated(s) || retires(s); }
  /// Has as many slots as `n` connections need.
  void add_slots(std::size_t n);
  /// Opens as many as are missing.
  void grow() noexcept { grow_for(0, 0); }
  /// The same as if so many more waited, and so many were to be kept open.
  void grow_for(std::size_t more_waiting, std::size_t at_least) noexcept;
  /// Somebody asks for a connection, or for so many to be open, and does not wait.
  void wish(std::size_t at_least = 0) noexcept;
  void want(slot& s) noexcept;
  void update_plain_put() noexcept;
  /// `s` belongs to its supervisor.
  void unwant(slot& s) noexcept;
  /// One that is there and that nobody uses, if there are too many; not up, or else idle for the longest time.
  slot* find_surplus() noexcept;
  /// Of those that are not up: one that has not begun to dial, or else the one that began last; null if there is none.
  slot* find_unopened() noexcept;
  /// Redials what is idle and has grown old, as many as may be at a time.
  void retire_idle() noexcept;
  /// `s` is up again, or not wanted any more.
  void end_retirement(slot& s) noexcept;
  /// @}

  /// \name Who may dial (pool_dialling.cpp). Under `mutex_`.
  /// @{

  /// Lets those who wait dial, as far as the gate allows it.
  void release_dials(time_point now) noexcept;
  /// The gate has changed: lets dial who may now, and others when they may.
  void gate_changed(time_point now) noexcept;
  /// It waits no more, or does not use its leave.
  void leave_dial_queue(slot& s) noexcept;
  /// True if no connection is up, and attempts have failed for as long as `fail_fast`.
  bool is_given_up(time_point now) const noexcept { return up_ == 0 && downtime_.at() <= now; }
  /// An attempt has failed, in truth or in effect. `words`, for the texts of errors, may be null.
  void note_failure(error_code ec, std::shared_ptr<const std::string> words, time_point now, wait_list& ended) noexcept;
  /// Ends the waits that are not to outlast `fail_fast`.
  void fail_fast(wait_list& ended) noexcept;
  /// Ends `lock`: all that is there is of an older edition from now on.
  void begin_edition(std::unique_lock<std::mutex> lock) noexcept;
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
  /// Under `mutex_`: one who waited for a connection goes, the last one.
  void note_last_waiter() noexcept;
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
  /// A connection, and an attempt, that nobody has needed for so long goes.
  const duration idle_limit_;
  const duration attempt_limit_;
  const duration keepalive_after_;
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
  /// What `readdress` and `renew` count.
  std::uint64_t edition_ = 1;
  outage_gate gate_;
  downtime downtime_;
  /// Those that wait for leave to dial, in order.
  slot_list dial_queue_;
  /// Connections that are up, as far as the pool knows (see `slot::counted_up`).
  std::size_t up_ = 0;
  /// How many slots have each `slot::counted_as`, but for the first, which is not kept.
  std::array<std::size_t, 3> pursuits_{};
  /// Those that are `retiring`.
  std::size_t retiring_ = 0;
  /// Of takers who go on: how many more before others run.
  unsigned in_a_row_ = most_in_a_row;
  /// Somebody has asked for a connection in vain since the housekeeper last looked; and when it last found that.
  bool wished_ = false;
  time_point wished_at_;
  /// Those who wait. For a lease: until one comes back (`place`). For connections to be up: until they are
  /// (`slot_connected`), or can never be (`resize`). For the end: until it has come (`finish_drain`). All, but the
  /// last, until their deadline (`turn`), `fail_fast` or `close`; and each until it is cancelled.
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
  /// Why the last attempt failed, what more there is to say of it (or null), and when.
  error_code last_connect_error_;
  std::shared_ptr<const std::string> last_connect_reason_;
  time_point last_connect_at_;
  /// When the housekeeper wakes at the latest.
  time_point next_turn_ = time_point::max();
  /// When the gate is to be looked at.
  time_point next_gate_ = time_point::max();
  /// When the housekeeper must look at the idle slots again; `max` if there is no need.
  time_point next_look_ = time_point::max();
  /// When the next connection is old enough to be replaced, or may not be held up any more.
  time_point next_age_ = time_point::max();
  /// When the next lease is overdue.
  time_point next_report_ = time_point::max();
  /// Leases whose return is to be told.
  std::size_t returned_ = 0;
  /// The housekeeper's clock: a time that has passed.
  time_point tick_;

  /// What belongs to `counters_.gets` and became certain where nobody holds `mutex_`: after a check, and just before a
  /// handler. To count it earlier would be to take it back at times, and a scraper takes a counter that goes backwards
  /// for a new one; a second round of the mutex for it would be the dearest part of `get`.
  std::atomic<std::uint64_t> settled_gets_{0};
};

}  // namespace cocp::detail
