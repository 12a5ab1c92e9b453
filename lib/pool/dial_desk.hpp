// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"
#include "connection/loss.hpp"
#include "connection/outage_gate.hpp"
#include "pool/downtime.hpp"

#include <cocp/error.hpp>
#include <cocp/options.hpp>
#include <cocp/stats.hpp>

#include <boost/intrusive/list.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace cocp::detail {

/// Who may dial, and when; what is known of the endpoint; and what has become of the connections to it.
///
/// An attempt: `ask` (it stands in line until the gate lets it), `begin` (once it was let), and one of `connected`,
/// `failed` and `dropped`. What these and the others below change may let others dial: `next` says whom, and is asked
/// after each of them, and at `next_time`.
///
/// Pure: it knows neither threads nor clocks. Its owner guards it, and passes times that never go back; `random` is 64
/// random bits.
class dial_desk {
  using hook = boost::intrusive::list_base_hook<boost::intrusive::tag<struct by_turn>>;

 public:
  /// What it keeps of each connection.
  class entry : public hook {
    friend dial_desk;
    enum class stage : unsigned char {
      none,
      queued,   ///< Stands in line.
      granted,  ///< May dial, and has not begun: its supervisor was woken.
      dialling  ///< An attempt is under way. It says itself how that ends.
    };
    stage stage_ = stage::none;
    /// It belongs to its supervisor and is wanted: the gauges count what it does.
    bool counted_ = false;
    /// Its connection is up: until the pool knows of the end of that stream.
    bool up_ = false;
    /// Why it dials next.
    dial_cause cause_ = dial_cause::demand;
    /// What its attempt, or its connection, is to the gate.
    outage_gate::ticket ticket_;

   public:
    bool is_dialling() const noexcept { return stage_ == stage::dialling; }
    /// It was let, and has not begun.
    bool may_begin() const noexcept { return stage_ == stage::granted; }
  };
  using list =
      boost::intrusive::list<entry, boost::intrusive::base_hook<hook>, boost::intrusive::constant_time_size<false>>;

  /// Why the last attempt failed, what more there is to say of it (or null), and when.
  struct failure {
    error_code error;
    std::shared_ptr<const std::string> words;
    time_point at;
  };

  dial_desk(const connection_options& c, const pool_options& p) noexcept
      : gate_(c.retry_min, c.retry_max, p.max_dialling), downtime_(p.fail_fast) {}

  /// \name Attempts
  /// @{

  /// Somebody needs it: it is not for a loss that it dials next.
  void need(entry& e) noexcept { e.cause_ = dial_cause::demand; }
  /// Stands in line, unless it does or may dial. True if it did not.
  bool ask(entry& e) noexcept;
  /// True if it was let: then its attempt has begun.
  bool begin(entry& e) noexcept;
  /// It does not dial after all: it stands in line no more, or does not use its leave. True if it had leave, which
  /// another may have now.
  bool withdraw(entry& e) noexcept;
  /// `outdated`: to another endpoint than is dialled now, of which it says nothing.
  void connected(entry& e, bool outdated, time_point now) noexcept;
  void failed(entry& e, error_code ec, std::shared_ptr<const std::string> words, bool outdated, bool wanted,
              time_point now, std::uint64_t random) noexcept;
  void dropped(entry& e) noexcept;
  /// Its supervisor has ended: what it was about to do, or did, is not done.
  void stopped(entry& e) noexcept;
  /// The first in line of those that may dial now; null if none may.
  entry* next(time_point now) noexcept;
  /// What `next` has said may dial from now on, and stands in line no more.
  void let(entry& e, time_point now) noexcept;
  /// How many would ask for leave if others could give it, of those in line and so many more: all, or the probe alone.
  std::size_t eager(std::size_t more) const noexcept { return gate_.is_open() ? queue_.size() + more : 1; }
  std::size_t in_line() const noexcept { return queue_.size(); }
  /// How many may dial now, besides those that were let.
  std::size_t leaves(time_point now) const noexcept { return gate_.leaves(up_ != 0, now); }
  /// Those that were let and have not ended.
  std::size_t dialling() const noexcept { return gate_.dialling(); }
  /// @}

  /// \name Connections
  /// @{

  /// Its stream has come up.
  void up(entry& e) noexcept {
    e.up_ = true;
    ++up_;
  }
  /// Its stream has gone, or is about to. True if it was up until now: whoever knows first tells it, and why.
  bool down(entry& e) noexcept {
    if (!std::exchange(e.up_, false)) return false;
    --up_;
    return true;
  }
  /// What the end of the stream says of the endpoint; `early`: so soon that its attempt failed after all.
  void ended(entry& e, const loss& why, bool early, std::shared_ptr<const std::string> words, bool outdated,
             bool wanted, time_point now, std::uint64_t random) noexcept;
  /// It goes its own way, and what becomes of it says nothing of the endpoint; `answered`: it has served an exchange.
  /// What it was about to dial with is another's; an attempt under way ends as such. True if it was up until now.
  bool detached(entry& e, bool answered, time_point now) noexcept {
    withdraw(e);
    e.cause_ = dial_cause::demand;
    if (!down(e)) return false;
    gate_.given_up(std::exchange(e.ticket_, {}), answered, now);
    return true;
  }
  /// It has served a clean exchange.
  void served(const entry& e) noexcept { gate_.served(e.ticket_); }
  /// An exchange may tell that the endpoint is well.
  bool is_on_trial() const noexcept { return gate_.is_on_trial(); }
  /// True if it dials next because the endpoint has lost it.
  bool was_lost(const entry& e) const noexcept { return e.cause_ == dial_cause::loss; }
  /// How many are up.
  std::size_t connections() const noexcept { return up_; }
  /// @}

  /// \name The endpoint
  /// @{

  /// It may be back.
  void retry_now(time_point now) noexcept { gate_.retry_now(now); }
  /// It is another one. Leave to dial the former is none to dial this one: `revoke` is for each that may have it.
  void readdress() noexcept { gate_.reset(); }
  bool revoke(entry& e) noexcept;
  /// Nobody wants a connection, or it is well: the time that it was down for is over.
  void end_downtime() noexcept { downtime_.over(); }
  /// True if no connection is up, and attempts have failed for as long as `fail_fast`.
  bool is_given_up(time_point now) const noexcept { return up_ == 0 && downtime_.at() <= now; }
  /// When that may begin for no other reason than the time; `max` if never.
  time_point gives_up_at(time_point now) const noexcept;
  /// When `next` may name somebody for no other reason than the time; `max` if never.
  time_point next_time(time_point now) const noexcept;
  /// The time until the next attempt.
  duration delay(time_point now) const noexcept { return gate_.delay(now); }
  /// Attempts that failed since the last one that did not.
  unsigned failures() const noexcept { return gate_.failures(); }
  const failure& last_failure() const noexcept { return last_failure_; }
  /// @}

  /// It belongs to its supervisor and is wanted, or no more: what is counted as connecting and queued.
  void count(entry& e, bool belongs) noexcept;
  void report(cocp::stats& s) const noexcept;

 private:
  using stage = entry::stage;

  void set_stage(entry& e, stage next) noexcept;
  void note_failure(failure f, bool wanted) noexcept;
  std::size_t& gauge(stage g) noexcept { return gauges_[static_cast<std::size_t>(g)]; }

  outage_gate gate_;
  downtime downtime_;
  list queue_;
  std::size_t up_ = 0;
  /// How many are in each stage of those that are counted.
  std::array<std::size_t, 4> gauges_{};
  failure last_failure_;
};

}  // namespace cocp::detail
