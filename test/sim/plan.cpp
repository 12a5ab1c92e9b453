// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "plan.hpp"

#include "dice.hpp"

#include <algorithm>
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

namespace {

/// Draws what is done, one act after the other.
class act_drawer {
 public:
  explicit act_drawer(dice& d) : dice_(d), quiet_(d.one_in(3)) {}

  act next() {
    act a;
    a.wait = dice_.of<duration>({0ms, 0ms, 0ms, 1ms, 5ms, 30ms, 200ms, 2s, 1min});
    if (dice_.one_in(20)) a.wait = dice_.of<duration>({20min, 2h});
    if (at_once_ && dice_.one_in(2)) a.wait = {};
    a.what = dice_.one_in(2) ? deed::session : static_cast<deed>(dice_.below(static_cast<std::size_t>(deed::count)));
    if (quiet_ && dice_.percent(80)) {
      a.what = dice_.of({deed::session, deed::session, deed::callback_get, deed::drop});
    }
    a.seed = dice_.any();
    if (dice_.one_in(3)) a.handlers = dice_.of({0u, 0u, 0u, 1u, 2u, 3u, 5u});
    // What was handed on a moment ago is not wanted any more.
    if (at_once_ && dice_.one_in(3)) a.what = deed::cancel;
    at_once_ = a.handlers.has_value();
    return a;
  }

 private:
  dice& dice_;
  /// Some worlds are quiet, so that what needs many things to go right is reached too.
  const bool quiet_;
  bool at_once_ = false;
};

}  // namespace

plan::plan(std::uint64_t s) : seed(s), is_of_many(dice(s ^ 0x6d616e79).one_in(6)) {
  dice d(s);
  act_drawer drawer(d);
  acts.resize(d.of<std::size_t>({5, 20, 60, 150}));
  for (act& a : acts) a = drawer.next();
  draw_end(d);
}

plan::plan(std::span<const std::uint8_t> written) {
  dice d(written);
  seed = d.any();
  is_of_many = d.one_in(6);
  draw_end(d);
  act_drawer drawer(d);
  // A fuzzer likes long waits, in which much happens, and has time for few of them.
  duration left = 3h;
  while (d.has_written() && acts.size() < 150) {
    acts.push_back(drawer.next());
    duration& wait = acts.back().wait;
    wait = std::min(wait, left);
    left -= wait;
  }
}

void plan::draw_end(dice& d) {
  if (!d.one_in(4)) return;
  end = d.of({ending_way::in_between, ending_way::in_between, ending_way::pool_first, ending_way::context_first,
              ending_way::users_first});
}

}  // namespace cocp::test::sim
