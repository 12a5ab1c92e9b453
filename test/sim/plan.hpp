// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "dice.hpp"

#include <cocp/event.hpp>

#include <cstdint>
#include <optional>
#include <ostream>
#include <span>
#include <vector>

namespace cocp::test::sim {

/// What is done in a simulation.
enum class deed {
  session,       ///< A user begins: asks, exchanges, pauses, gives back.
  callback_get,  ///< A user asks with a callback.
  cancel,        ///< A user's operations are cancelled.
  drop,          ///< A user who holds a lease lets it go.
  die,           ///< The frames of a user's coroutine are destroyed, and what he waits for is told to nobody.
  alone,         ///< A connection that stands alone is used.
  ready,         ///< Somebody waits for connections to be up.
  lose,          ///< A stream ends, or fails, or goes silent.
  push,          ///< A server speaks unasked.
  weather,       ///< The endpoint's addresses accept, refuse, hang or are slow.
  manners,       ///< How the servers answer from now on.
  names,         ///< What a name means, or that nobody knows.
  renew,
  readdress,
  resize,
  retry_now,
  look,  ///< `stats` and `leases`.
  count
};

struct act {
  /// Since the one before.
  duration wait;
  deed what;
  /// What all that is drawn in it is drawn from.
  std::uint64_t seed;
  /// How many handlers run before the next one, if that is to come at once; none: all.
  std::optional<unsigned> handlers = std::nullopt;
};

std::ostream& operator<<(std::ostream& out, deed d);

/// How a simulation ends.
enum class ending_way {
  in_order,       ///< The endpoint is well again; all are served; close, drain.
  in_between,     ///< Close, drain, while users ask, wait and hold.
  pool_first,     ///< In the middle of it: the pool, the context, what users hold.
  context_first,  ///< The context, the pool, what users hold.
  users_first     ///< What users hold, the context, the pool.
};

/// One simulation, all of which comes from the seed. It can be made smaller.
struct plan {
  explicit plan(std::uint64_t seed);
  /// From bytes, as a fuzzer has them: a few for what there is, and the rest for what is done; a little change of them
  /// is a little change of it.
  explicit plan(std::span<const std::uint8_t> written);

  std::uint64_t seed;
  /// It is of pools of many addresses.
  bool is_of_many;
  std::vector<act> acts;
  ending_way end = ending_way::in_order;
  /// See `drawn_options`.
  std::uint64_t plain_options = 0;
  /// The so-manieth allocation fails; 0: none does.
  std::size_t failing_allocation = 0;

 private:
  void draw_end(dice& d);
};

}  // namespace cocp::test::sim
