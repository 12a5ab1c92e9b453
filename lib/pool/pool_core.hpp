// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/adaptive_mutex.hpp"
#include "base/alarm.hpp"
#include "base/environment.hpp"
#include "base/outbox.hpp"
#include "net/context_service.hpp"
#include "net/destination.hpp"
#include "pool/agenda.hpp"
#include "pool/shared_budget.hpp"
#include "pool/slot.hpp"
#include "pool/waiting_room.hpp"

#include <cocp/options.hpp>
#include <cocp/stats.hpp>

#include <boost/asio/awaitable.hpp>

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

/// Why one goes that is too many.
inline constexpr std::string_view too_many_words = "there are more connections than the pool's size";
inline constexpr std::string_view room_words = "a pool of another address needs its place";
/// Behind the limit of a drain: what has been told to end may have handlers to run, and leases to give back.
inline constexpr duration drain_grace = std::chrono::seconds(1);
/// The end of a wait for more connections to be up than there may be.
inline error_code too_many() noexcept { return make_error_code(boost::system::errc::invalid_argument); }

/// The hall of a pool: it has the mutex, the slots, and the sequence of what happens at each event; what is decided,
/// and the state that it is decided by, is in the rooms (see lib/README.md). It is shared by the pool, its leases, its
/// supervisors and its housekeeper; slots in use hold it too (see `slot::core_`).
///
/// A slot is handed on, never looked for: whoever gives one back gives it to the first waiter, in the same critical
/// section in which it found that there is one.
///
/// Nobody is called under the mutex. What waits, runs a handler or closes a stream is carried out of it in a list.
///
/// Once a wait is completed its handler may run on another thread, and end the pool and all that the caller knows of.
/// So whoever completes a wait has this by a `shared_ptr` of its own (the supervisors, the housekeeper, what stands in
/// a cancellation slot, the members of `pool`), or touches nothing of it afterwards; until then a lease that is handed
/// on keeps this by its slot.
class pool_core final : public wait_owner,
                        public shutdown_target,
                        private alarm::sleeper,
                        public std::enable_shared_from_this<pool_core> {
 public:
  /// `budget`: what it shares with other pools; null if it stands alone.
  pool_core(asio::any_io_executor ex, connection_options connection, pool_options options,
            std::shared_ptr<shared_budget> budget = nullptr);

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
  /// Throws as `wait_for_lease`, and `std::bad_alloc`. No `limit`: however long that takes.
  void wait_until_drained(event_waiter& w, std::optional<duration> limit);
  /// Ends what is outstanding on all that is still out, and what is begun there: how many that are. Of a closed pool.
  std::size_t end_uses() noexcept;
  void cancel(waiter& w) noexcept override;

  /// A lease keeps its connection, which leaves its place to another.
  static void detach(slot& s) noexcept;
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
  /// \name For `pools`
  /// @{

  /// Somebody is about to ask it.
  void asked() noexcept { share_->asked(); }
  /// Places or dials that it stands in line for may be free.
  void ask_again() noexcept;
  /// Closes something idle that it need not keep, or is pressed from now on.
  void make_room() noexcept;
  /// When somebody last had or wanted a connection, as far as it is known; `now` while anybody does.
  time_point used_at(time_point now) noexcept;
  /// If nobody has a connection of it or waits for one, it is closed from now on, and the rest of `close` is to follow.
  bool begin_close_if_unused() noexcept;
  void end_close() noexcept;
  bool has_ended() const noexcept;
  bool is_in_use() const noexcept;
  /// @}

  cocp::stats stats() const;
  std::size_t size() const noexcept;
  std::shared_ptr<const destination> current_address() const noexcept;
  std::vector<lease_info> leases() const;
  /// Why somebody got no connection, in words: see `detail::explain`.
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

  time_point now() const noexcept { return env_->now(); }
  const asio::any_io_executor& get_executor() const noexcept { return ex_; }
  const connection_options& dial_options() const noexcept { return dial_options_; }
  const pool_options& options() const noexcept { return options_; }

 private:
  using line = waiting_room::line;
  using locked = std::unique_lock<adaptive_mutex>;

  /// One `get` of so many goes through the scheduler, and lets others run.
  static constexpr unsigned most_in_a_row = 64;

  /// \name What `take_idle` consists of
  /// @{

  /// Takes one from the shelf. Under `mutex_`.
  template <taker Who>
  slot* take_one(std::source_location where) noexcept;
  /// Looks at `first`, and at others until one passes. Not inline: that would cost the others registers.
  template <taker Who>
  [[gnu::noinline]] lease take_verified(slot& first, std::source_location where) noexcept;
  /// @}

  /// \name How a slot goes on
  ///
  /// Each ends `lock`, which is on `mutex_`. This may be gone afterwards if the caller does not hold it.
  /// @{

  /// The rest of `give_back`, of a lease that needs thought; `id`: its stream's, for the ledger. Not inline: that would
  /// cost the others registers.
  [[gnu::noinline]] void end_lease(locked lock, slot& s, leftover left, std::uint64_t id) noexcept;
  /// Gives a slot that is `moving` to whoever is next.
  void place(locked lock, slot& s) noexcept;
  /// Gives a slot that is `moving` to its supervisor, to run the hook.
  void begin_hook(locked lock, slot& s, const handshake& hook) noexcept;
  /// `s` is `moving`, up, and is not to be given out any more.
  void send_away(locked lock, slot& s) noexcept;
  /// `why`: it is still up, and goes down for this.
  void give_to_supervisor(locked lock, slot& s, const loss* why) noexcept;
  /// Has the loop of its supervisor run once more, to say its last words. False if it could not be started.
  bool start_again(slot& s) noexcept;
  /// Looks at a slot that is the caller's alone, without a lock; if it fails, the supervisor has it. `lock` is on
  /// `mutex_` before and afterwards, but not if it failed.
  bool passes(locked& lock, slot& s) noexcept;
  /// @}

  /// `dead` if it is not fit for use, dead or dirty, and then `why` is set; `unread` if there are bytes that may be
  /// there.
  peek_result look(slot& s, loss& why) const noexcept;
  /// Gives a slot that failed its check to its supervisor.
  void reject(slot& s, const loss& why) noexcept;

  /// \name Under `mutex_`
  /// @{

  /// The one place where a slot changes its owner, but for those from the shelf to a lease and back.
  void move(slot& s, slot_event e) noexcept;
  /// It is on the shelf, and may have to be looked at.
  void note_idle(const slot& s) noexcept;
  void end_hook(slot& s) noexcept;
  /// Has the housekeeper look at what is idle, not later than it has to.
  void ask_for_look() noexcept;
  void note_given(slot& s, std::source_location where) noexcept;
  /// Its stream has gone, or is about to: whoever knows first counts it, and why.
  void count_loss(slot& s, const loss& why) noexcept;
  /// One that is planned may dial, and no slot is made for that yet.
  bool may_build(time_point now) const noexcept;
  /// How many are up.
  std::size_t connected() const noexcept;
  /// A lease has it.
  static bool is_out(const slot& s) noexcept {
    return s.owner() == slot_owner::leased || s.owner() == slot_owner::detached;
  }

  /// Opens as many as are missing.
  void grow() noexcept { grow_for(0, 0); }
  /// The same as if so many more waited, and so many were to be kept open.
  void grow_for(std::size_t more_waiting, std::size_t at_least) noexcept;
  /// Somebody asks for a connection, or for so many to be open, and does not wait.
  void wish(std::size_t at_least = 0) noexcept;
  void want(slot& s) noexcept;
  /// It, which is vacant, is one of the planned.
  void begin_planned(slot& s) noexcept;
  /// After `want` and `plan`: they may not come up before they are too old to be of use.
  void look_at_unopened(time_point now) noexcept;
  void unwant(slot& s) noexcept;
  /// One that a room has chosen.
  void unwant(headcount::leaver l) noexcept;
  /// After fewer are wanted.
  void note_fewer() noexcept;
  /// True if it, or the attempt under way, is to a former address, or was to be renewed since.
  bool is_outdated(const slot& s) const noexcept { return s.edition_ != edition_; }
  bool retires(const slot& s) const noexcept;
  /// True if it is not to be given out any more.
  bool must_go(const slot& s) const noexcept { return headcount_.is_surplus() || is_outdated(s) || retires(s); }
  void update_plain_put() noexcept;

  /// After what has changed who may dial: lets them, has those made that are planned and may, and looks again when
  /// others may.
  void let_dial(time_point now) noexcept;
  /// One that may dial as far as this pool goes has what pools share. If not, this stands in line for it.
  bool has_share(slot& s, time_point now) noexcept;
  /// What it would do with more places.
  budget::need need() const noexcept;
  /// After that has changed: of one that stands in line for them.
  void note_need() noexcept;
  /// The descriptor of a slot is closed, or detached: its place is for whoever of this pool dials next.
  void free_place(slot& s) noexcept;
  /// Nobody of this pool is to dial in those: they are given up.
  void give_up_places() noexcept;
  /// It is up and idle, and need not be kept. What nobody waits for is given up for that.
  bool may_leave_room(const slot& s) noexcept;
  /// Another pool needs its place, so that it is to be closed. If none does this one is pressed no more.
  bool is_claimed(slot& s) noexcept;
  bool is_used() const noexcept;
  /// After an attempt has failed, in truth or in effect, and in time: ends the waits that are not to outlast
  /// `fail_fast`.
  void give_up_if_due(time_point now, wait_list& ended) noexcept;
  /// Why a wait may not begin, if it may not; `at_once`: it has no time.
  error_code refusal(bool at_once) const noexcept;
  /// After waits have ended: what was kept for them may not be needed any more.
  void note_departures() noexcept;
  /// Nothing is out, and no supervisor runs.
  bool is_drained() const noexcept;

  /// Sees to it that the housekeeper does it at that time, or earlier; or at that time, whatever was before.
  void due_by(duty d, time_point t) noexcept {
    if (agenda_.by(d, t)) alarm_.ring();
  }
  void due_at(duty d, time_point t) noexcept {
    if (agenda_.set(d, t)) alarm_.ring();
  }
  /// @}

  /// What is idle goes. Under `mutex_`.
  void begin_close(wait_list& ended) noexcept;
  void end_close(wait_list& ended) noexcept;
  /// Ends `lock`: all that there is is of an older edition from now on.
  void begin_edition(locked lock) noexcept;
  /// A slot for one that is planned and may dial, new if none is vacant. False if there is none to be made now. Throws
  /// `std::bad_alloc`. Only one at a time is built.
  bool build_slot();

  /// \name The housekeeper
  /// @{
  void on_alarm(std::shared_ptr<void> keep) noexcept override;
  /// Starts the housekeeper unless there is one.
  void call_housekeeper();
  /// Does what is due; the time of the next turn.
  time_point turn() noexcept;
  void build_slots() noexcept;
  void look_at_idle() noexcept;
  void retire_idle() noexcept;
  void report_leases() noexcept;
  void watch(slot& s);
  void on_readable(slot& s, std::uint64_t generation, error_code ec) noexcept;
  /// @}

  /// Schedules the handler. If its executor refuses, the housekeeper tries again.
  void complete(waiter& w) noexcept;
  void complete_all(wait_list& list) noexcept;
  /// Ends the waits for the end, if it has come.
  void finish_drain() noexcept;

  const connection_options dial_options_;
  const pool_options options_;
  const std::shared_ptr<environment> env_;
  asio::any_io_executor ex_;
  alarm alarm_;

  /// Grows only. A slot is made when it may dial for the first time. Guarded by `mutex_`; they outlive the rooms,
  /// which have them in lists.
  std::vector<std::unique_ptr<slot>> slots_;

  /// \name What get and put of an idle connection use
  ///
  /// What they write is in one line of the caches, and the mutex in another: who waits for it looks at it, and is not
  /// to take away the line that its owner writes.
  /// @{
  alignas(64) mutable adaptive_mutex mutex_;
  /// All below is guarded by `mutex_`.
  bool closed_ = false;
  /// What is put back needs no thought: the pool is open, has no `on_return`, has not too many connections, knows its
  /// endpoint, nobody keeps a ledger, and no other pool needs what is idle.
  bool plain_put_;
  /// Of takers who go on: how many more before others run.
  alignas(64) unsigned in_a_row_ = most_in_a_row;
  slot_census census_;
  /// The housekeeper's clock: a time that has passed.
  time_point tick_;
  std::uint64_t gets_ = 0;
  shelf shelf_;
  /// @}

  waiting_room waiting_room_;
  headcount headcount_;
  dial_desk dial_desk_;
  ledger ledger_;
  agenda agenda_;

  /// Null if it stands alone.
  std::unique_ptr<shared_budget::share> share_;
  /// Places without a slot, between two dials of this pool.
  std::size_t free_places_ = 0;
  /// Another pool needs what becomes idle: it is asked first.
  bool pressed_ = false;
  /// When somebody last had or wanted what is not idle now.
  time_point used_until_{};

  std::shared_ptr<const destination> to_;
  /// What `readdress` and `renew` count.
  std::uint64_t edition_ = 1;
  /// The one that was made and could not be started, for lack of memory: it is the next.
  slot* unstarted_ = nullptr;
  /// Slots that have not asked for leave to dial, which there is for them.
  std::size_t new_ = 0;
  /// Supervisors whose loop has not ended.
  std::size_t running_ = 0;
  /// There is a housekeeper. It stays until the pool is closed, all supervisors have ended and nobody drains or is
  /// undelivered.
  bool housekept_ = false;
  /// What no room counts: see `cocp::stats`.
  struct {
    std::uint64_t connects = 0;
    std::uint64_t connect_failures = 0;
    std::uint64_t disconnects = 0;
    std::uint64_t replaced_dead = 0;
    std::uint64_t replaced_dirty = 0;
    std::uint64_t replaced_expired = 0;
    std::uint64_t tls_resumed = 0;
  } counters_;
  /// Likewise; made with the first slot.
  std::unique_ptr<histogram> create_time_;

  /// What belongs to `gets_` and became certain where nobody holds `mutex_`: after a check, and just before a
  /// handler. To count it earlier would be to take it back at times, and a scraper takes a counter that goes backwards
  /// for a new one; a second round of the mutex for it would be the dearest part of `get`.
  std::atomic<std::uint64_t> settled_gets_{0};
  /// What an executor refused; tried again on the housekeeper's next turn. The last, and so the first to go: what is in
  /// it may hold slots.
  outbox outbox_;
};

/// Until a pool that is closed has ended, or for so long: false if that was not enough. Throws if it is cancelled.
asio::awaitable<bool> await_end(std::shared_ptr<pool_core> core, std::optional<duration> limit);

}  // namespace cocp::detail
