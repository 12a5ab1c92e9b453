// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"
#include "pool/deadlines.hpp"

#include <cocp/impl/lease_waiter.hpp>
#include <cocp/stats.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace cocp::detail {

/// Those who wait on a pool, in line; and until when.
///
/// A wait ends when it is decided how: its waiter leaves here with its error, and whoever took it out completes it. Of
/// a waiter that is given a connection it is known later whether it has it (see `had`, `withdrew`).
///
/// Pure: it knows neither threads nor clocks. Its owner guards it, and passes times that never go back.
class waiting_room {
 public:
  /// What they wait for: a connection, first come, first served; that so many are up; that the pool has ended.
  enum class line : unsigned char { lease, up, end };

  /// False until somebody is about to wait for a connection the first time, who then brings the memory for what is
  /// counted of waits.
  bool is_furnished() const noexcept { return wait_time_ != nullptr; }
  void furnish(std::unique_ptr<histogram>& with) noexcept {
    if (!wait_time_) wait_time_ = std::move(with);
  }

  /// For a connection only if it is furnished. When its wait ends for its time; `max` if it does not.
  time_point enter(pool_waiter& w, line l, std::optional<duration> timeout, time_point now) noexcept;

  bool is_empty(line l) const noexcept { return l == line::lease ? waiting_ == 0 : in(l).empty(); }
  /// How many wait for a connection.
  std::size_t waiting() const noexcept { return waiting_; }
  /// Since when the first who waits for a connection waits; `max` if nobody does.
  time_point first_since() const noexcept;
  /// The most connections that anybody wants to be up.
  std::size_t most_wanted_up() const noexcept;

  /// \name Ends of waits
  /// @{

  /// The one that a connection is for: not if nobody waits for one.
  pool_waiter& serve_first(time_point now) noexcept;
  /// False if its wait has ended: it is told later (`waiter::cancelled_late`).
  bool cancel(pool_waiter& w, time_point now) noexcept;
  /// All who are in that line.
  void end_all(line l, error_code ec, time_point now, wait_list& ended) noexcept;
  /// Those whose time is up, `most` of them.
  void end_expired(std::size_t most, time_point now, wait_list& ended) noexcept;
  /// Those who waited for `up` connections to be up, or less.
  void end_reached(std::size_t up, time_point now, wait_list& ended) noexcept;
  /// Those who wait for more connections to be up than there may be.
  void end_unreachable(std::size_t size, error_code ec, time_point now, wait_list& ended) noexcept;
  /// @}

  /// \name Waits for a connection that end before they begin, and after they have ended
  /// @{
  void refused_for_time() noexcept { refused(timeouts_); }
  void refused_for_length() noexcept { refused(rejected_); }
  void refused_for_else() noexcept { ++at_once_; }
  /// The user has his connection.
  void had(const pool_waiter& w) noexcept;
  /// He was cancelled on the way to it.
  void withdrew(const pool_waiter& w) noexcept;
  /// @}

  /// When the next wait ends for its time; `max` if none does.
  time_point next_deadline() noexcept { return deadlines_.earliest(); }
  /// True, once, after the last who waited for a connection has gone.
  bool has_emptied() noexcept { return std::exchange(emptied_, false); }
  /// True, once, after somebody who waited for connections to be up has gone.
  bool has_let_go() noexcept { return std::exchange(let_go_, false); }

  void report(cocp::stats& s) const;

 private:
  wait_list& in(line l) noexcept { return lines_[static_cast<std::size_t>(l)]; }
  const wait_list& in(line l) const noexcept { return lines_[static_cast<std::size_t>(l)]; }
  void leave(pool_waiter& w, error_code ec, time_point now) noexcept;
  /// Of those who wait for so many to be up: whose number fulfils the condition.
  template <class Condition>
  void end_up_if(Condition ends, error_code ec, time_point now, wait_list& ended) noexcept;
  void refused(std::uint64_t& counter) noexcept {
    ++counter;
    ++at_once_;
  }

  std::array<wait_list, 3> lines_;
  /// Of all lines, those whose wait is bounded.
  deadlines deadlines_;
  std::size_t waiting_ = 0;
  bool emptied_ = false;
  bool let_go_ = false;
  std::uint64_t waits_ = 0;
  std::uint64_t timeouts_ = 0;
  std::uint64_t cancelled_ = 0;
  std::uint64_t rejected_ = 0;
  /// Waits that took no time, and ended without a connection.
  std::uint64_t at_once_ = 0;
  /// Of the others.
  std::unique_ptr<histogram> wait_time_;
};

}  // namespace cocp::detail
