// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "tally.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace bench {

/// What is known of the server when a request gets its connection. Thread-safe.
///
/// A lease is handed over before the coroutine that waits for it runs again, and the server may die in between: then
/// its number tells that it is from before.
class outage_book {
 public:
  /// One that begins as `foreign` stays so.
  explicit outage_book(server_state first) : state_(first) {}

  server_state state() const noexcept { return state_; }

  /// A request has its connection. The state that counts for it.
  server_state taken() noexcept {
    const std::uint64_t number = ++taken_;
    ++held_;
    const server_state now = state_;
    const bool later = now == server_state::down || now == server_state::back;
    return later && number <= taken_before_death_ ? server_state::dying : now;
  }
  void released() noexcept { --held_; }

  void dying() noexcept { move_to(server_state::dying); }
  /// `leased`: how many leases are out, those on the way included.
  void down(std::size_t leased) noexcept {
    taken_before_death_ = taken_ + leased - std::min<std::uint64_t>(leased, held_);
    move_to(server_state::down);
  }
  void back() noexcept { move_to(server_state::back); }

 private:
  void move_to(server_state next) noexcept {
    if (state_ != server_state::foreign) state_ = next;
  }

  std::atomic<server_state> state_;
  std::atomic<std::uint64_t> taken_ = 0;               ///< Connections that requests got.
  std::atomic<std::uint64_t> held_ = 0;                ///< Those of them that they have now.
  std::atomic<std::uint64_t> taken_before_death_ = 0;  ///< Those that had been given out when the server was gone.
};

/// One request, from when it is made until it has ended.
class attempt {
 public:
  explicit attempt(outage_book& book) noexcept : book_(book) {}
  ~attempt() {
    if (has_connection_) book_.released();
  }
  attempt(const attempt&) = delete;
  attempt& operator=(const attempt&) = delete;

  /// It has its connection.
  void taken() noexcept {
    at_ = book_.taken();
    has_connection_ = true;
  }

  bool has_connection() const noexcept { return has_connection_; }
  /// The server's state when it got that.
  server_state at() const noexcept { return at_; }

 private:
  outage_book& book_;
  bool has_connection_ = false;
  server_state at_ = server_state::foreign;
};

}  // namespace bench
