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
/// A connection is to be connected, and counts as one of the pool's, from `want` to `unwant`. One for which there is
/// nothing yet is planned: it is wanted, and not open, and is made (`begin_planned`) when it may dial.
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

  /// Who is to go: `unwant` it, or `unplan` one.
  struct leaver {
    bool is_any = false;
    /// Null if it is planned.
    entry* made = nullptr;

    explicit operator bool() const noexcept { return is_any; }
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
  std::size_t opening() const noexcept { return planned_ + waiting_.size() + dialling_.size() + arrived_; }
  /// Those of them that are planned.
  std::size_t planned() const noexcept { return planned_; }
  /// There are too many: the next that comes back is closed rather than used again.
  bool is_surplus() const noexcept { return wanted_ > size_; }
  /// How many may go, of those that are not open; `asked`: the most that somebody wants to be up.
  std::size_t spare(std::size_t asked) const noexcept { return wanted_ - std::min(wanted_, least(asked)); }
  /// The same, of those that are: what is to be opened, and may not be for long, is none that is kept open.
  std::size_t spare_open(std::size_t asked) const noexcept {
    const std::size_t open = wanted_ - opening();
    return open - std::min(open, least(asked));
  }
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
  /// So many more are wanted. There is room for them.
  void plan(std::size_t n, time_point now) noexcept {
    planned_ += n;
    wanted_ += n;
    planned_at_ = now;
  }
  /// `e`, which is vacant, is one of the planned.
  void begin_planned(entry& e) noexcept;
  /// One of them is not wanted any more; or none.
  void unplan() noexcept {
    --planned_;
    --wanted_;
  }
  void unplan_all() noexcept { wanted_ -= std::exchange(planned_, 0); }
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

  /// Of those that are not up: one that is planned, or has not begun to dial, or else the one that began last.
  leaver find_unopened() noexcept;
  /// Somebody has asked for a connection.
  void wish() noexcept { wished_ = true; }
  /// The time of the look is the time of the wishes since the one before.
  void note_wishes(time_point now) noexcept {
    if (std::exchange(wished_, false)) wished_at_ = now;
  }
  /// Of those that are not up: one that nobody has needed for long, or one in its stead that is planned, or has not
  /// begun to dial. When that changes for no other reason than the time is put into `next`, if it is earlier.
  leaver find_unneeded(time_point now, time_point& next) noexcept;
  /// @}

 private:
  using stage = entry::stage;

  /// How many to keep open.
  std::size_t least(std::size_t asked) const noexcept { return std::min(std::max(min_size(), asked), size_); }
  /// True if that time has come.
  bool is_unneeded(time_point& needed_at, duration limit, time_point now, time_point& next) const noexcept;
  void enter(entry& e, stage next, list& of_stage) noexcept;
  void leave(entry& e) noexcept;

  std::size_t size_;
  std::optional<std::size_t> least_;
  limits limits_;
  std::size_t wanted_ = 0;
  std::size_t planned_ = 0;
  /// When somebody last needed as many as are planned.
  time_point planned_at_;
  list vacant_;
  list waiting_;
  /// In the order in which they began.
  list dialling_;
  std::size_t arrived_ = 0;
  bool wished_ = false;
  time_point wished_at_;
};

}  // namespace cocp::detail
