// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"

#include <boost/intrusive/list.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

namespace cocp::detail {

/// How many connections a pool has, and which ones: how many are wanted, which are to be opened, and which of those
/// that are not open go when there are too many, or when nobody has needed them for long.
///
/// A connection is to be connected, and counts as one of the pool's, from `want` to `unwant`.
///
/// Pure: it knows neither threads nor clocks. Its owner guards it, and passes times that never go back.
class headcount {
 public:
  /// What it keeps of each connection.
  class entry : public boost::intrusive::list_base_hook<boost::intrusive::tag<struct by_need>> {
   public:
    /// It is one of the pool's.
    bool is_counted() const noexcept { return stage_ != stage::vacant && stage_ != stage::detached; }

   private:
    friend headcount;
    enum class stage : unsigned char {
      vacant,    ///< Not wanted.
      waiting,   ///< Not up, and its attempt has not begun.
      dialling,  ///< Not up, and its attempt has.
      arrived,   ///< Up, and about to be placed.
      open,      ///< Placed: it may be down by now, but is no more to be opened than to be closed here.
      detached   ///< Has left its place to another, and is vacant when it is gone.
    };
    stage stage_ = stage::vacant;
    /// It was up since it was wanted. From then on another dial is no sign that somebody needs it.
    bool opened_ = false;
    /// While it is not up: when somebody last needed it.
    time_point needed_at_;
  };
  using list = boost::intrusive::list<
      entry, boost::intrusive::base_hook<boost::intrusive::list_base_hook<boost::intrusive::tag<struct by_need>>>>;

  /// What nobody needs goes after so long: `idle` if it has not begun to dial, `attempt` if it has.
  struct limits {
    duration idle;
    duration attempt;
  };

  /// `least`: to keep open when nobody asks; nothing: all.
  headcount(std::size_t size, std::optional<std::size_t> least, limits l) noexcept
      : size_(size), least_(least), limits_(l) {}

  /// \name Figures
  /// @{
  std::size_t size() const noexcept { return size_; }
  void resize(std::size_t n) noexcept { size_ = n; }
  std::size_t min_size() const noexcept { return std::min(least_.value_or(size_), size_); }
  std::size_t wanted() const noexcept { return wanted_; }
  /// Those that are wanted and not open.
  std::size_t opening() const noexcept { return waiting_.size() + dialling_.size() + arrived_; }
  /// There are too many: the next that comes back is closed rather than used again.
  bool is_surplus() const noexcept { return wanted_ > size_; }
  /// How many more there may be.
  std::size_t room() const noexcept { return size_ - std::min(size_, wanted_); }
  /// How many may go, of those that nobody needs; `asked`: the most that somebody wants to be up.
  std::size_t spare(std::size_t asked) const noexcept { return wanted_ - std::min(wanted_, least(asked)); }
  /// How many to open now, if `waiting` wait for one and somebody wants `asked` to be up.
  std::size_t missing(std::size_t waiting, std::size_t asked) const noexcept;
  /// @}

  /// \name What becomes of one
  /// @{

  /// There is one more, which is vacant.
  void add(entry& e) noexcept { vacant_.push_back(e); }
  /// One that is vacant; null if there is none.
  entry* find_vacant() noexcept { return vacant_.empty() ? nullptr : &vacant_.front(); }
  void want(entry& e, time_point now) noexcept;
  /// It is not open.
  void unwant(entry& e) noexcept;
  void attempt_begun(entry& e) noexcept;
  void attempt_ended(entry& e) noexcept;
  /// It is up. When somebody last needed it: now, if it is up for the first time since it was wanted.
  time_point connected(entry& e, time_point now) noexcept;
  /// Somebody has it now, or it is idle.
  void placed(entry& e) noexcept;
  /// It is not up any more, or nobody has it any more; `used_at`: when somebody last needed it; `dialling`: it was
  /// wanted anew in a lease, and its attempt has begun.
  void gone(entry& e, bool dialling, time_point used_at) noexcept;
  /// Who has it keeps it, and it is none of the pool's any more.
  void detached(entry& e) noexcept;
  /// It went down before it was placed.
  void lost_on_arrival(entry& e) noexcept;
  /// @}

  /// \name Who goes
  /// @{

  /// Of those that are not up: one that has not begun to dial, or else the one that began last; null if there is none.
  entry* find_unopened() noexcept;
  /// Somebody has asked for a connection.
  void wish() noexcept { wished_ = true; }
  /// The time of the look is the time of the wishes since the one before.
  void note_wishes(time_point now) noexcept {
    if (std::exchange(wished_, false)) wished_at_ = now;
  }
  /// Of those that are not up: one that nobody has needed for long, or one in its stead that has not begun to dial;
  /// null if there is none. When that changes for no other reason than the time is put into `next`, if it is earlier.
  entry* find_unneeded(time_point now, time_point& next) noexcept;
  /// @}

 private:
  using stage = entry::stage;

  /// How many to keep open.
  std::size_t least(std::size_t asked) const noexcept { return std::min(std::max(min_size(), asked), size_); }
  /// True if that time has come.
  bool is_unneeded(entry& e, duration limit, time_point now, time_point& next) const noexcept;
  void enter(entry& e, stage next, list& of_stage) noexcept;
  void leave(entry& e) noexcept;

  std::size_t size_;
  std::optional<std::size_t> least_;
  limits limits_;
  std::size_t wanted_ = 0;
  list vacant_;
  list waiting_;
  /// In the order in which they began.
  list dialling_;
  std::size_t arrived_ = 0;
  bool wished_ = false;
  time_point wished_at_;
};

}  // namespace cocp::detail
