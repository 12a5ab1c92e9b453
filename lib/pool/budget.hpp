// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"

#include <boost/intrusive/set.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace cocp::detail {

/// What several pools have together: so many places for connections, and so many dials at once. An attempt takes a
/// dial, and a place that it keeps until its descriptor is closed.
///
/// Who is refused stands in line, for a place or else for a dial, and has the next that is given up when it is his turn
/// (`next`): it counts since its first waiter waits, or since it stands there, whichever is longer. So those have their
/// turn too whose users do not wait long enough, or not at all; but who has a place, and nobody who waits for another,
/// comes last. Who needs no more says so (`settle`). While places are wanted and none is free, `next_to_make_room` says
/// which pool is to close something idle: the one that was asked longest ago. It `leaves` a place, or is `pressed`:
/// then it has nothing to close, and offers what becomes idle (`claims`) before it keeps it.
///
/// Who ends what: a line, by a grant or by `settle`, and its pool's end. Pressed, by an offer that nobody claims.
///
/// Pure: it knows neither threads nor clocks, nor what a pool is. Its owner guards it.
class budget {
  using line_hook = boost::intrusive::set_base_hook<boost::intrusive::tag<struct by_turn_in_line>>;
  using holder_hook = boost::intrusive::set_base_hook<boost::intrusive::tag<struct by_last_asked>>;

 public:
  /// What a pool needs.
  struct need {
    /// Since when its first waiter waits; `max` if nobody does.
    time_point since = time_point::max();
    /// How many places it could use now.
    std::size_t places = 1;
  };

  /// What it keeps of each pool.
  class entry : public line_hook, public holder_hook {
    friend budget;
    enum class line : unsigned char { none, places, dials };
    line line_ = line::none;
    bool pressed_ = false;
    need need_;
    /// When it came to the line, and behind how many.
    time_point came_{};
    std::uint64_t turn_ = 0;
    /// When it was asked last.
    std::uint64_t asked_ = 0;
    std::size_t places_ = 0;
    std::size_t dials_ = 0;
    /// Of its places: those that it closes for others.
    std::size_t leaving_ = 0;

   public:
    /// It has what it needs but a dial.
    bool waits_for_dial() const noexcept { return line_ == line::dials; }
    bool stands_in_line() const noexcept { return line_ != line::none; }

   private:
    time_point since() const noexcept {
      const bool spares = places_ != 0 && need_.since == time_point::max();
      return spares ? need_.since : std::min(need_.since, came_);
    }
  };

  budget(std::size_t max_connections, std::size_t max_dialling) noexcept
      : max_connections_(max_connections), max_dialling_(max_dialling) {}

  /// \name Attempts
  /// @{

  /// It wants to dial; `has_place`: in a place that it has. If it may it has both, and stands in line no more.
  bool ask(entry& e, bool has_place, need n, time_point now) noexcept;
  /// It needs what it has said, but its waiters are others.
  void waits(entry& e, need n) noexcept;
  /// It needs nothing more for now.
  void settle(entry& e) noexcept;
  /// So many attempts of it are under way.
  void dialling(entry& e, std::size_t n) noexcept;
  /// A descriptor of it is closed, and the place not used again at once; `left`: what `leaves` and `claims` told of.
  void give_up(entry& e, bool left) noexcept;
  /// All that it has is given up.
  void remove(entry& e) noexcept;
  /// Whose turn it is to ask again, as long as something is free that it may have; null if nobody's.
  entry* next() noexcept;
  /// @}

  /// \name Making room
  /// @{

  /// Somebody asked it for a connection.
  void asked(entry& e) noexcept;
  /// Who is to close something idle; null while nobody needs that, or nobody can. It answers with one of the two below.
  entry* next_to_make_room() noexcept;
  /// It closes one.
  void leaves(entry& e) noexcept;
  void press(entry& e) noexcept;
  /// Of one that is pressed: whether what became idle is to be closed. If not, it is pressed no more.
  bool claims(entry& e) noexcept;
  /// @}

  std::size_t places() const noexcept { return places_; }
  std::size_t dials() const noexcept { return dials_; }

 private:
  using line = entry::line;

  struct earlier {
    bool operator()(const entry& a, const entry& b) const noexcept {
      return a.since() != b.since() ? a.since() < b.since() : a.turn_ < b.turn_;
    }
  };
  struct asked_earlier {
    bool operator()(const entry& a, const entry& b) const noexcept { return a.asked_ < b.asked_; }
  };
  using waiting =
      boost::intrusive::multiset<entry, boost::intrusive::base_hook<line_hook>, boost::intrusive::compare<earlier>,
                                 boost::intrusive::constant_time_size<false>>;
  using holding =
      boost::intrusive::multiset<entry, boost::intrusive::base_hook<holder_hook>,
                                 boost::intrusive::compare<asked_earlier>, boost::intrusive::constant_time_size<false>>;

  waiting& members(line l) noexcept { return l == line::places ? for_place_ : for_dial_; }
  /// True if one is free and nobody in that line comes before it; otherwise it stands there.
  bool has_turn(entry& e, line l, bool is_free) noexcept;
  void enter(entry& e, line l) noexcept;
  void leave(entry& e) noexcept;
  /// In the order in which they were asked, while it may be its turn to make room.
  void note_holding(entry& e) noexcept;
  bool has_place() const noexcept { return places_ < max_connections_; }
  bool has_dial() const noexcept { return dials_ < max_dialling_; }
  /// More places are wanted than are about to be free.
  bool lacks_room() const noexcept;

  const std::size_t max_connections_;
  const std::size_t max_dialling_;
  std::size_t places_ = 0;
  std::size_t dials_ = 0;
  std::size_t leaving_ = 0;
  /// Of those in line for one.
  std::size_t wanted_ = 0;
  waiting for_place_;
  waiting for_dial_;
  holding holding_;
  std::uint64_t turns_ = 0;
  std::uint64_t asks_ = 0;
};

}  // namespace cocp::detail
