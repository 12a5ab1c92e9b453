// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "plan.hpp"

#include "dice.hpp"

#include <chrono>
#include <iterator>

namespace cocp::test::sim {

using namespace std::chrono_literals;

std::ostream& operator<<(std::ostream& out, deed d) {
  static const char* const names[] = {"session", "callback_get", "cancel", "drop",      "die",     "alone",
                                      "ready",   "lose",         "push",   "weather",   "manners", "names",
                                      "renew",   "readdress",    "resize", "retry_now", "look"};
  static_assert(std::size(names) == static_cast<std::size_t>(deed::count));
  return out << names[static_cast<std::size_t>(d)];
}

plan::plan(std::uint64_t s) : seed(s), is_of_many(dice(s ^ 0x6d616e79).one_in(6)) {
  dice d(s);
  // Some worlds are quiet, so that what needs many things to go right is reached too.
  const bool quiet = d.one_in(3);
  acts.resize(d.of<std::size_t>({5, 20, 60, 150}));
  bool at_once = false;
  for (act& a : acts) {
    a.wait = d.of<duration>({0ms, 0ms, 0ms, 1ms, 5ms, 30ms, 200ms, 2s, 1min});
    if (d.one_in(20)) a.wait = d.of<duration>({20min, 2h});
    if (at_once && d.one_in(2)) a.wait = {};
    a.what = d.one_in(2) ? deed::session : static_cast<deed>(d.below(static_cast<std::size_t>(deed::count)));
    if (quiet && d.percent(80)) a.what = d.of({deed::session, deed::session, deed::callback_get, deed::drop});
    a.seed = d.any();
    if (d.one_in(3)) a.handlers = d.of({0u, 0u, 0u, 1u, 2u, 3u, 5u});
    // What was handed on a moment ago is not wanted any more.
    if (at_once && d.one_in(3)) a.what = deed::cancel;
    at_once = a.handlers.has_value();
  }
  if (!d.one_in(4)) return;
  end = d.of({ending_way::in_between, ending_way::in_between, ending_way::pool_first, ending_way::context_first,
              ending_way::users_first});
}

}  // namespace cocp::test::sim
