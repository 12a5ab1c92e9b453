// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/assert.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace cocp::detail {

/// Who may touch a slot's stream; and who hands it on.
enum class slot_owner : unsigned char {
  /// Down, dialling, or being replaced. Its supervisor hands it on when it is up, if it is wanted; if not, whoever
  /// wants one wakes it.
  supervisor,
  /// On the shelf: left by whoever takes it, its watch, or the housekeeper.
  idle,
  /// A lease, whose end hands it on, whatever has become of the stream.
  leased,
  /// A lease that keeps it for good, and whose end closes it.
  detached,
  /// A thread that is about to place it, without waiting for anything.
  moving,
  /// `on_return` or `keepalive`, which its supervisor runs, and hands it on when that has ended: after
  /// `connect_timeout` at the latest, or with the pool.
  hook
};

/// What moves a slot from one owner to the next.
enum class slot_event : unsigned char {
  arrived,     ///< Its stream has come up.
  shelved,     ///< Nobody waits for it.
  taken,       ///< Somebody asked while it was idle.
  handed_on,   ///< Somebody waits for it.
  came_back,   ///< Its lease has ended.
  let_go,      ///< Its lease keeps it, and leaves its place to another.
  picked_up,   ///< It is to be looked at, kept alive or redialled.
  hook_begun,  ///< A hook is to run on it.
  hook_ended,  ///< And has.
  gone         ///< Its stream is down, or about to be closed.
};

/// Where an event takes a slot that belongs to `from`; `from` itself if it may not happen to one.
constexpr slot_owner next_owner(slot_owner from, slot_event e) noexcept {
  using enum slot_owner;
  switch (e) {
    case slot_event::arrived:
      return from == supervisor ? moving : from;
    case slot_event::shelved:
      return from == moving || from == leased ? idle : from;
    case slot_event::taken:
      return from == idle ? leased : from;
    case slot_event::handed_on:
      return from == moving ? leased : from;
    case slot_event::came_back:
      return from == leased ? moving : from;
    case slot_event::let_go:
      return from == leased ? detached : from;
    case slot_event::picked_up:
      return from == idle ? moving : from;
    case slot_event::hook_begun:
      return from == moving ? hook : from;
    case slot_event::hook_ended:
      return from == hook ? moving : from;
    case slot_event::gone:
      return supervisor;
  }
  return from;
}

/// How many slots each owner has. It alone changes the owner of one.
class slot_census {
 public:
  /// What it keeps of each slot.
  class entry {
   public:
    slot_owner owner() const noexcept { return owner_; }

   private:
    friend slot_census;
    slot_owner owner_ = slot_owner::supervisor;
  };

  /// A slot that is new.
  void add(const entry& e) noexcept { ++of(e.owner_); }
  /// The same as `move`, for who knows whose it is.
  template <slot_owner From, slot_event Event>
  void move_known(entry& e) noexcept {
    constexpr slot_owner next = next_owner(From, Event);
    static_assert(next != From, "a slot's owner may not change like this");
    BOOST_ASSERT(e.owner_ == From);
    change(e, From, next);
  }
  void move(entry& e, slot_event event) noexcept {
    const slot_owner next = next_owner(e.owner_, event);
    BOOST_ASSERT_MSG(next != e.owner_, "a slot's owner may not change like this");
    change(e, e.owner_, next);
  }
  std::size_t count(slot_owner o) const noexcept { return counts_[static_cast<std::size_t>(o)]; }

 private:
  void change(entry& e, slot_owner from, slot_owner next) noexcept {
    --of(from);
    ++of(next);
    e.owner_ = next;
  }
  std::uint32_t& of(slot_owner o) noexcept { return counts_[static_cast<std::size_t>(o)]; }

  /// Small, for the sake of the caches: a slot takes more than a byte of memory.
  std::array<std::uint32_t, 6> counts_{};
};

}  // namespace cocp::detail
