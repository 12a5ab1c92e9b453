// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What pool::run calls again, on which connection, and how it ends.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::retry;
using cocp::run_options;

namespace {

/// What a try was on.
struct trace {
  std::vector<std::uint64_t> streams;
  std::vector<bool> reused;
};

asio::awaitable<void> ask(cocp::lease& l) {
  std::array<char, 2> reply{};
  co_await l->write(asio::buffer("ping", 4));
  co_await l->read(asio::buffer(reply));
}

/// An exchange, and what it was on.
auto traced(trace& t) {
  return [&t](cocp::lease& l) -> asio::awaitable<void> {
    t.streams.push_back(l->id());
    t.reused.push_back(l.reused());
    co_await ask(l);
  };
}

/// A pool whose server answers.
struct answering_world : pool_world {
  explicit answering_world(cocp::pool_options options = {.size = 1}) : pool_world(std::move(options)) {
    net().on_receive = [](fake_peer& p) { p.send("ok"); };
  }
  void exchange() {
    const auto done = watch(pool->run(ask));
    settle();
    BOOST_REQUIRE(bool(done->value));
  }
  /// From now on connections end instead of answering, so many.
  void close_next(int n) {
    net().on_receive = [left = n](fake_peer& p) mutable {
      if (left-- > 0) {
        p.fin();
      } else {
        p.send("ok");
      }
    };
  }
};

/// Takes its own limit away when `pause` has ended, and then waits for what does not come.
asio::awaitable<void> read_without_own_limit(cocp::lease& l, asio::steady_timer& pause) {
  cocp::error_code ended_early;
  auto token = asio::redirect_error(asio::use_awaitable, ended_early);
  co_await pause.async_wait(token);
  l->expires_never();
  char answer = 0;
  const auto in = asio::buffer(&answer, 1);
  co_await l->read_some(in);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(run)

BOOST_AUTO_TEST_CASE(returns_what_the_function_returns) {
  answering_world w;
  auto number = w.watch(w.pool->run([](cocp::lease& l) -> asio::awaitable<std::string> {
    co_await ask(l);
    co_return "done";
  }));
  w.settle();
  BOOST_TEST(number->value.value_or("") == "done");
  BOOST_TEST(w.pool->stats().idle == 1u);
  // What cannot be copied, nor made by default.
  auto pointer = w.watch(
      w.pool->run([](cocp::lease&) -> asio::awaitable<std::unique_ptr<int>> { co_return std::make_unique<int>(7); }));
  w.settle();
  BOOST_TEST(**pointer->value == 7);
}

BOOST_AUTO_TEST_CASE(passes_on_what_the_function_throws_of_its_own) {
  answering_world w;
  int calls = 0;
  auto failed = w.watch(w.pool->run(
      [&calls](cocp::lease& l) -> asio::awaitable<void> {
        ++calls;
        co_await ask(l);
        throw boost::system::system_error(asio::error::no_data);
      },
      {.again = retry::unanswered}));
  w.settle();
  BOOST_TEST((failed->error == asio::error::no_data));
  BOOST_TEST(calls == 1);
  BOOST_TEST(w.pool->stats().replaced_dirty == 1u);
}

/// What became of a request that was sent, and of which nothing was read.
struct row {
  const char* name;
  retry again;
  bool reused;
  bool repeated;
  friend std::ostream& operator<<(std::ostream& out, const row& r) { return out << r.name; }
};

const row rows[] = {
    {"sent on a stale one, unanswered", retry::unanswered, true, true},
    {"sent on a new one, unanswered", retry::unanswered, false, false},
    {"sent on a stale one, unsent", retry::unsent, true, false},
    {"sent on a stale one, never", retry::never, true, false},
};

BOOST_DATA_TEST_CASE(a_request_that_was_sent_is_repeated_as_it_may_be, data::make(rows), r) {
  answering_world w;
  if (r.reused) w.exchange();
  w.advance(1s);
  w.close_next(1);
  trace t;
  auto done = w.watch(w.pool->run(traced(t), {.again = r.again}));
  w.advance(1s);
  BOOST_TEST(done->done);
  BOOST_TEST(bool(done->value) == r.repeated);
  if (!r.repeated) BOOST_TEST((done->error == asio::error::eof));
  BOOST_TEST(t.streams.size() == (r.repeated ? 2u : 1u));
  if (r.repeated) BOOST_TEST(t.streams[0] != t.streams[1]);
}

BOOST_AUTO_TEST_CASE(what_was_not_sent_is_repeated_unless_never) {
  for (const retry again : {retry::never, retry::unsent, retry::unanswered}) {
    answering_world w;
    w.advance(1s);
    trace t;
    w.peer().fail_write(asio::error::broken_pipe);
    auto done = w.watch(w.pool->run(traced(t), {.again = again}));
    w.advance(1s);
    BOOST_TEST(bool(done->value) == (again != retry::never));
    BOOST_TEST(t.streams.size() == (again == retry::never ? 1u : 2u));
  }
}

BOOST_AUTO_TEST_CASE(what_was_answered_in_part_is_not_repeated) {
  answering_world w;
  w.exchange();
  w.net().on_receive = [](fake_peer& p) {
    p.send("o");
    p.fin();
  };
  trace t;
  auto done = w.watch(w.pool->run(traced(t), {.again = retry::unanswered}));
  w.advance(1s);
  BOOST_TEST((done->error == asio::error::eof));
  BOOST_TEST(t.streams.size() == 1u);
}

BOOST_AUTO_TEST_CASE(the_last_repeat_is_on_a_connection_that_is_new) {
  answering_world w({.size = 4});
  w.settle();
  // All of them have served, and the server is about to end all.
  {
    std::vector<std::shared_ptr<world::outcome<bool>>> all;
    for (int i = 0; i < 4; ++i) all.push_back(w.watch(w.pool->run(ask)));
    w.settle();
  }
  w.advance(1s);
  w.close_next(2);
  trace t;
  auto done = w.watch(w.pool->run(traced(t), {.again = retry::unanswered}));
  w.advance(1s);
  BOOST_TEST(bool(done->value));
  BOOST_REQUIRE(t.streams.size() == 3u);
  BOOST_TEST(t.reused[0]);
  BOOST_TEST(t.reused[1]);
  BOOST_TEST(!t.reused[2]);
  BOOST_TEST(t.streams[2] > 4u);
}

BOOST_AUTO_TEST_CASE(when_no_try_is_left_the_last_exception_leaves_it) {
  answering_world w;
  w.exchange();
  w.net().on_accept = [](fake_peer& p) { p.fail_write(asio::error::connection_reset); };
  w.advance(1s);
  w.peer().fail_write(asio::error::connection_reset);
  trace t;
  auto done = w.watch(w.pool->run(traced(t), {.tries = 3}));
  w.advance(10s);
  BOOST_TEST((done->error == asio::error::connection_reset));
  BOOST_TEST(t.streams.size() == 3u);
}

BOOST_AUTO_TEST_CASE(when_the_wait_of_a_repeat_fails_its_error_does) {
  answering_world w;
  w.exchange();
  w.advance(1s);
  w.close_next(1);
  w.net().default_result = fake_network::connect_result::refused;
  trace t;
  auto done = w.watch(w.pool->run(traced(t), {.timeout = 5s, .again = retry::unanswered}));
  w.advance(4s);
  BOOST_TEST(!done->done);
  w.advance(1s);
  BOOST_TEST((done->error == errc::timed_out));
  BOOST_TEST(t.streams.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_time_out_bounds_all_that_the_function_does) {
  answering_world w;
  w.settle();
  w.net().on_receive = nullptr;
  auto done = w.watch(w.pool->run(
      [](cocp::lease& l) -> asio::awaitable<void> {
        // Neither of these lengthens it.
        l->expires_after(1h);
        l->expires_never();
        l->expires_after(1h);
        co_await ask(l);
      },
      {.timeout = 5s, .again = retry::unanswered}));
  w.advance(5s - 1ns);
  BOOST_TEST(!done->done);
  w.advance(1ns);
  BOOST_TEST((done->error == errc::timed_out));
}

BOOST_AUTO_TEST_CASE(what_the_function_sets_may_be_shorter) {
  answering_world w;
  w.settle();
  w.net().on_receive = nullptr;
  int calls = 0;
  auto done = w.watch(w.pool->run(
      [&calls](cocp::lease& l) -> asio::awaitable<void> {
        ++calls;
        l->expires_after(1s);
        co_await ask(l);
      },
      {.timeout = 5s, .again = retry::unanswered}));
  w.advance(1s);
  // That is no stale connection.
  BOOST_TEST((done->error == errc::timed_out));
  BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(what_is_begun_behind_the_time_out_has_timed_out) {
  answering_world w;
  w.settle();
  auto done = w.watch(w.pool->run(
      [&w](cocp::lease& l) -> asio::awaitable<void> {
        w.net().move(6s);
        l->expires_after(1h);
        co_await ask(l);
      },
      {.timeout = 5s}));
  w.settle();
  BOOST_TEST((done->error == errc::timed_out));
}

BOOST_AUTO_TEST_CASE(a_lease_that_outlives_it_has_no_bound) {
  answering_world w;
  auto moved = w.watch(
      w.pool->run([](cocp::lease& l) -> asio::awaitable<cocp::lease> { co_return std::move(l); }, {.timeout = 5s}));
  w.settle();
  BOOST_REQUIRE(bool(moved->value));
  w.advance(10s);
  const auto done = w.watch(ask(*moved->value));
  w.settle();
  BOOST_TEST(bool(done->value));
  moved->value.reset();
  w.exchange();
}

BOOST_AUTO_TEST_CASE(a_lease_that_outlives_it_has_no_bound_though_that_had_passed) {
  answering_world w;
  auto late = [&w](cocp::lease& l) -> asio::awaitable<cocp::lease> {
    asio::steady_timer gate(w.io(), asio::steady_timer::time_point::max());
    w.net().after(6s, [&gate] { gate.cancel(); });
    co_await gate.async_wait(asio::as_tuple(asio::use_awaitable));
    co_return std::move(l);
  };
  auto moved = w.watch(w.pool->run(late, {.timeout = 5s}));
  w.advance(10s);
  BOOST_REQUIRE(bool(moved->value));
  const auto done = w.watch(ask(*moved->value));
  w.settle();
  BOOST_TEST(bool(done->value));
}

BOOST_AUTO_TEST_CASE(a_bound_ends_with_its_lease) {
  answering_world w;
  auto done = w.watch(w.pool->run(ask, {.timeout = 5s}));
  w.settle();
  BOOST_TEST(bool(done->value));
  w.net().on_receive = nullptr;
  for (const bool limited : {false, true}) {
    auto l = w.take();
    if (limited) l->expires_after(1h);
    const auto later = w.watch(ask(l));
    w.advance(10s);
    BOOST_TEST(!later->done);
    w.peer().send("ok");
    w.settle();
    BOOST_TEST(bool(later->value));
  }
}

BOOST_AUTO_TEST_CASE(who_gives_his_lease_away_is_not_called_again) {
  for (const bool discards : {false, true}) {
    answering_world w;
    w.exchange();
    w.advance(1s);
    w.close_next(1);
    int calls = 0;
    auto done = w.watch(w.pool->run(
        [&](cocp::lease& l) -> asio::awaitable<void> {
          ++calls;
          cocp::lease mine = std::move(l);
          if (discards) mine.discard();
          if (mine) co_await ask(mine);
          throw boost::system::system_error(asio::error::eof);
        },
        {.again = retry::unanswered}));
    w.advance(1s);
    BOOST_TEST((done->error == asio::error::eof));
    BOOST_TEST(calls == 1);
  }
}

BOOST_AUTO_TEST_CASE(who_is_cancelled_is_not_called_again) {
  answering_world w;
  w.net().on_receive = nullptr;
  w.settle();
  int calls = 0;
  asio::cancellation_signal cancel;
  cocp::error_code ec;
  asio::co_spawn(w.io(),
                 w.pool->run(
                     [&calls](cocp::lease& l) -> asio::awaitable<void> {
                       ++calls;
                       co_await ask(l);
                     },
                     {.again = retry::unanswered}),
                 asio::bind_cancellation_slot(cancel.slot(), [&ec](std::exception_ptr e) {
                   try {
                     if (e) std::rethrow_exception(e);
                   } catch (const boost::system::system_error& s) {
                     ec = s.code();
                   }
                 }));
  w.settle();
  cancel.emit(asio::cancellation_type::terminal);
  w.settle();
  BOOST_TEST((ec == asio::error::operation_aborted));
  BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(after_close_it_ends_with_closed) {
  answering_world w;
  w.pool->close();
  auto done = w.watch(w.pool->run(ask));
  w.settle();
  BOOST_TEST((done->error == errc::closed));
}

BOOST_AUTO_TEST_CASE(bad_options_are_refused) {
  answering_world w;
  const auto why = [&w](run_options o) {
    std::string what;
    asio::co_spawn(w.io(), w.pool->run(ask, o), [&what](std::exception_ptr e) {
      try {
        if (e) std::rethrow_exception(e);
      } catch (const std::invalid_argument& bad) {
        what = bad.what();
      }
    });
    w.settle();
    return what;
  };
  BOOST_TEST(why({.tries = 0}) == "tries: 0: must be at least 1");
  BOOST_TEST(why({.timeout = -1s}) == "timeout: -1 s: must not be negative");
}

BOOST_AUTO_TEST_CASE(who_takes_his_own_limit_away_is_still_bounded_though_that_time_has_passed) {
  answering_world w;
  asio::steady_timer pause(w.io(), asio::steady_timer::time_point::max());
  auto f = [&pause](cocp::lease& l) { return read_without_own_limit(l, pause); };
  const auto ended = w.watch(w.pool->run(f, {.timeout = 1s}));
  w.advance(2s);
  pause.cancel();
  w.settle();
  BOOST_TEST(ended->error == errc::timed_out);
}

BOOST_AUTO_TEST_CASE(who_takes_away_his_own_limit_that_has_struck_is_still_bounded) {
  answering_world w;
  asio::steady_timer pause(w.io(), asio::steady_timer::time_point::max());
  auto f = [&pause](cocp::lease& l) -> asio::awaitable<void> {
    l->expires_after(1s);
    co_await read_without_own_limit(l, pause);
  };
  const auto ended = w.watch(w.pool->run(f, {.timeout = 5s}));
  w.advance(2s);
  pause.cancel();
  w.advance(2s);
  BOOST_TEST(!ended->done);
  w.advance(2s);
  BOOST_TEST(ended->error == errc::timed_out);
}

BOOST_AUTO_TEST_CASE(a_repeat_waits_for_what_is_left_of_the_time) {
  pool_world w;
  auto f = [](cocp::lease& l) -> asio::awaitable<void> {
    char answer = 0;
    const auto in = asio::buffer(&answer, 1);
    co_await l->read_some(in);
  };
  const auto ended = w.watch(w.pool->run(f, {.timeout = 10s}));
  w.advance(6s);
  w.net().default_result = fake_network::connect_result::hangs;
  w.peer().reset();
  w.advance(3s);
  BOOST_TEST(!ended->done);
  w.advance(1s);
  BOOST_TEST(ended->error == errc::timed_out);
}

// The one on which the last repeat is has to be redialled first, since it was opened before.
BOOST_DATA_TEST_CASE(get_timeout_bounds_the_redial_before_the_last_repeat_and_nothing_behind_it,
                     data::make({true, false}), is_down) {
  pool_world w({.size = 2, .get_timeout = 3s});
  w.settle();
  std::vector<std::uint64_t> ids;
  auto f = [&ids](cocp::lease& l) -> asio::awaitable<void> {
    ids.push_back(l->id());
    char answer = 0;
    const auto in = asio::buffer(&answer, 1);
    co_await l->read_some(in);
  };
  std::uint64_t first = 0;
  {
    const auto a = w.take();
    const auto b = w.take();
    first = std::min(a->id(), b->id());
  }
  const auto ended = w.watch(w.pool->run(f, {.tries = 2}));
  w.settle();
  BOOST_REQUIRE(ids.size() == 1u);
  if (is_down) w.net().default_result = fake_network::connect_result::hangs;
  w.net().peers[ids[0] == first ? 0 : 1]->reset();
  w.advance(2s);
  BOOST_TEST(!ended->done);
  w.advance(8s);
  BOOST_TEST(ended->done == is_down);
  if (is_down) {
    BOOST_TEST(ended->error == errc::timed_out);
    return;
  }
  BOOST_TEST(ids.size() == 2u);
  for (const auto& p : w.net().peers) {
    if (!p->gone) p->send("x");
  }
  w.settle();
  BOOST_TEST(ended->value.has_value());
}

BOOST_AUTO_TEST_SUITE_END()
