// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cocp::test {

/// What can happen to a pool. Of several that it can happen to, the first, if the name does not say otherwise.
enum class pool_event : std::uint8_t {
  get,
  get_now,         ///< That may not wait: `get(0s)` and `try_get` in turns.
  put,             ///< After an exchange and unused in turns.
  put_dirty,       ///< The last; discarded, and with a read outstanding, in turns.
  put_and_cancel,  ///< In one instant: the first waiter is given a lease, and cancelled before it knows.
  cancel_first,
  cancel_last,
  time_out,  ///< The clock moves past the deadline of the first waiter.
  lose_idle,
  lose_leased,  ///< Noticed by nobody, and by its user, in turns.
  connect,      ///< An attempt under way succeeds.
  refuse,       ///< It fails.
  resize,       ///< From 1 to 2 or back.
  close,
  turn,  ///< The clock moves to the next thing that the pool does in its own time.
};
constexpr std::size_t pool_events = 15;
constexpr std::array<std::string_view, pool_events> pool_event_names{
    "get",       "get_now",     "put",     "put_dirty", "put_and_cancel", "cancel_first", "cancel_last", "time_out",
    "lose_idle", "lose_leased", "connect", "refuse",    "resize",         "close",        "turn"};

inline std::string_view to_string(pool_event e) { return pool_event_names[static_cast<std::size_t>(e)]; }

inline std::optional<pool_event> pool_event_of(std::string_view name) {
  const auto found = std::find(pool_event_names.begin(), pool_event_names.end(), name);
  if (found == pool_event_names.end()) return std::nullopt;
  return static_cast<pool_event>(found - pool_event_names.begin());
}

}  // namespace cocp::test
