// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace cocp::detail {

/// Why somebody wants to dial.
enum class dial_cause {
  demand,  ///< Growth, or a connection that was given up on purpose.
  loss     ///< A connection that was lost, or an attempt that failed.
};

/// Decides who may dial an endpoint, and when, so that an outage costs it one attempt per backoff step however many
/// connections there are.
///
/// Open: all may, `max_dialling` at a time. Shut: one, the probe, and the others when it has succeeded. A loss shuts
/// the gate until one has redialled, except for demand while other connections are up. One lost early shuts it for
/// demand too, until one has redialled and lasted. A failed attempt shuts it for the backoff delay. It begins shut: at
/// the start too the first one tells whether the endpoint is there.
///
/// Who ends what: open, by a loss or a failure. Shut with nobody probing, by the first who asks at `next_time` or
/// later; that there is one is for the pool to see to (whoever wants a connection wants a dial). A probe, by the end of
/// its attempt, whichever of the four. A trial, by `served`, by `pass` at `next_time`, or by the end of its connection.
///
/// Pure: it knows neither threads nor clocks.
class outage_gate {
 public:
  /// What an attempt, and then its connection, is to the gate.
  struct ticket {
    std::uint64_t epoch = 0;
    bool probe = false;
  };

  outage_gate(duration retry_min, duration retry_max, std::size_t max_dialling) noexcept
      : retry_min_(retry_min), retry_max_(retry_max), max_dialling_(max_dialling) {}

  /// `any_up`: other connections are up.
  bool may_dial(dial_cause cause, bool any_up, time_point now) const noexcept;

  /// How many that somebody needs may start now.
  std::size_t leaves(bool any_up, time_point now) const noexcept;
  /// An attempt that may start does. One of the four below ends it.
  ticket begin(time_point now) noexcept;
  /// The ticket of the connection.
  ticket succeeded(ticket t, time_point now) noexcept;
  /// `random` is 64 random bits.
  void failed(ticket t, time_point now, std::uint64_t random) noexcept;
  /// Nobody needs it any more: it says nothing of the endpoint.
  void abandoned(ticket t) noexcept;

  /// A connection was lost. `early`: so soon that its attempt failed after all.
  void lost(ticket t, bool early, time_point now, std::uint64_t random) noexcept;
  /// A connection was given up on purpose, which says nothing of the endpoint; `served`: after a clean exchange. If it
  /// was on trial, the next probe is due.
  void given_up(ticket t, bool served, time_point now) noexcept;
  /// A connection has served a clean exchange: if it was on trial, that is over.
  void served(ticket t) noexcept;
  /// A probe is up, and yet to last or to serve.
  bool is_on_trial() const noexcept { return trial_end_ != time_point::max(); }
  /// Opens the gate if the probe was up for long enough; true if it did.
  bool pass(time_point now) noexcept;
  /// The endpoint may be back: the next probe is due.
  void retry_now(time_point now) noexcept { next_probe_ = std::min(next_probe_, now); }
  /// As at the start: it is another endpoint.
  void reset() noexcept;

  bool is_open() const noexcept { return open_; }
  /// Attempts that are under way.
  std::size_t dialling() const noexcept { return dialling_; }
  /// Attempts that failed since the last one that did not.
  unsigned failures() const noexcept { return failures_; }
  /// When the next probe may start, or the gate is to be looked at; `max` if it is open, or that depends on a probe.
  time_point next_time() const noexcept;
  /// How long that is from now; zero if the gate is open.
  duration delay(time_point now) const noexcept;

 private:
  /// Though it is shut: who needs one.
  bool may_dial_more(bool any_up) const noexcept;
  void end_attempt() noexcept;
  void open() noexcept;
  void shut_for_failure(time_point now, std::uint64_t random) noexcept;

  duration retry_min_;
  duration retry_max_;
  std::size_t max_dialling_;

  bool open_ = false;
  /// It was open since the start.
  bool known_ = false;
  /// A probe is on its way, or on trial.
  bool probing_ = false;
  /// A connection was lost early: the next probe must stay up for `retry_min` before it opens the gate.
  bool wary_ = false;
  unsigned failures_ = 0;
  std::size_t dialling_ = 0;
  /// Counts openings and shuttings, so that what began before one is not taken for news.
  std::uint64_t epoch_ = 1;
  time_point next_probe_ = time_point::min();
  /// When the trial of a probe that is up ends; `max` if there is none.
  time_point trial_end_ = time_point::max();
};

}  // namespace cocp::detail
