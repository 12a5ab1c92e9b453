// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>

#include <algorithm>

#include "support/pool_world.hpp"
#include "support/reluctant_executor.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::event_kind;

namespace {

/// How a peer ends a connection.
struct ending {
  const char* name;
  void (fake_peer::*end)();
  cocp::error_code cause;

  friend std::ostream& operator<<(std::ostream& out, const ending& e) { return out << e.name; }
};

const std::vector<ending> endings{{"FIN", &fake_peer::fin, asio::error::eof},
                                  {"RST", &fake_peer::reset, asio::error::connection_reset}};

const std::vector<cocp::error_code> ends_behind{asio::error::eof, asio::error::connection_reset};

}  // namespace

BOOST_AUTO_TEST_SUITE(pool_idle)

// How long the connection was idle when it died: before and while it is watched. It was up for longer than retry_min:
// a shorter life counts as a failed attempt.
BOOST_DATA_TEST_CASE(a_connection_that_dies_is_redialled_within_100_ms, data::make(endings) * data::make({0, 10, 5000}),
                     e, idle_ms) {
  pool_world w;
  w.advance(1s);
  auto lease = w.take();
  char b = 0;
  auto got = w.watch(lease->read_some(asio::buffer(&b, 1)));
  w.peer().send("x");
  w.settle();
  lease.put();
  w.advance(std::chrono::milliseconds(idle_ms));
  const auto died = w.net().elapsed();
  (w.peer().*e.end)();
  w.advance(100ms);
  BOOST_REQUIRE(w.net().attempts.size() >= 2u);
  BOOST_TEST((w.net().attempts[1] - died <= 100ms));
  w.advance(100ms);
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 2, disconnects 1, replaced_dead 1");
  BOOST_TEST(w.log.count(event_kind::disconnected) == 1u);
  BOOST_TEST(w.log.entries()[1].error == e.cause);
}

BOOST_DATA_TEST_CASE(a_dead_connection_is_not_given_out_in_the_turn_in_which_it_dies, data::make(endings), e) {
  pool_world w;
  w.advance(1s);
  (w.peer().*e.end)();
  BOOST_TEST(!w.pool->try_get());
  auto got = w.get();
  w.settle();
  BOOST_TEST((!got->lease || got->lease->generation() == 2u));
  w.advance(1s);
  BOOST_REQUIRE(bool(got->lease));
  BOOST_TEST(got->lease->generation() == 2u);
  BOOST_TEST(w.pool->stats().replaced_dead == 1u);
  BOOST_TEST(w.pool->stats().gets == 1u);
}

BOOST_DATA_TEST_CASE(the_one_behind_a_dead_connection_is_given_out_at_once,
                     data::make(endings) * data::make({std::size_t{0}, std::size_t{1}}), e, dead) {
  pool_world w({.size = 2});
  w.advance(1s);
  (*w.net().peers[dead].*e.end)();
  auto lease = w.pool->try_get();
  BOOST_REQUIRE(bool(lease));
  auto sent = w.watch(lease->write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(sent->value.has_value());
  BOOST_TEST(w.net().peers[1 - dead]->received == "x");
}

BOOST_DATA_TEST_CASE(a_connection_that_died_during_a_clean_lease_is_not_handed_to_a_waiter, data::make(endings), e) {
  pool_world w;
  auto lease = w.take();
  auto waiter = w.get();
  w.settle();
  (w.peer().*e.end)();
  w.settle();
  BOOST_TEST(waiter->ends == 0u);
  lease.put();
  w.advance(100ms);
  BOOST_REQUIRE(bool(waiter->lease));
  BOOST_TEST(waiter->lease->generation() == 2u);
  BOOST_TEST(w.pool->stats().replaced_dead == 1u);
}

BOOST_AUTO_TEST_CASE(a_connection_is_watched_again_after_each_lease) {
  pool_world w;
  for (unsigned round = 1; round <= 3; ++round) {
    {
      auto lease = w.take();
      BOOST_TEST(lease->generation() == round);
      w.advance(1s);
    }
    w.advance(1s);
    w.peer().fin();
    w.advance(200ms);
    BOOST_TEST(w.net().attempts.size() == round + 1);
  }
}

BOOST_DATA_TEST_CASE(a_watch_that_ends_before_it_is_known_to_have_begun_is_begun_again, data::make(endings), e) {
  pool_world w;
  w.net().on_watch = [&w, first = true]() mutable {
    while (first && w.io().poll() != 0) {
    }
    first = false;
  };
  w.settle();
  (w.peer().*e.end)();
  w.advance(200ms);
  BOOST_TEST(w.net().attempts.size() == 2u);
}

BOOST_AUTO_TEST_CASE(the_answer_of_a_lease_does_not_disturb_the_watch) {
  pool_world w;
  w.advance(1s);
  {
    auto lease = w.take();
    char b = 0;
    auto got = w.watch(lease->read_some(asio::buffer(&b, 1)));
    w.settle();
    w.peer().send("x");
    w.settle();
    BOOST_TEST(got->value.has_value());
  }
  w.advance(1s);
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 1");
  w.peer().fin();
  w.advance(100ms);
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 2, disconnects 1, replaced_dead 1");
}

BOOST_AUTO_TEST_CASE(bytes_that_come_unasked_replace_it) {
  pool_world w;
  w.advance(1s);
  w.peer().send("surprise");
  BOOST_TEST(!w.pool->try_get());
  w.advance(1s);
  BOOST_TEST(counters(*w.pool) == "connects 2, replaced_dirty 1");
  BOOST_TEST(w.log.entries()[1].error == errc::unsolicited_data);
}

BOOST_AUTO_TEST_CASE(bytes_that_come_unasked_are_left_to_the_next_lease_with_allow_unread) {
  pool_world w({.size = 1, .allow_unread = true});
  w.advance(1s);
  w.peer().send("push");
  w.advance(1s);
  auto lease = w.take();
  std::string text(4, '\0');
  auto got = w.watch(lease->read(asio::buffer(text)));
  w.settle();
  BOOST_TEST(got->value.has_value());
  BOOST_TEST(text == "push");
  lease.put();
  w.advance(1s);
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 1");
}

BOOST_AUTO_TEST_CASE(unread_bytes_do_not_spin_the_watch) {
  pool_world w({.size = 1, .allow_unread = true});
  w.advance(1s);
  w.peer().send("push");
  unsigned handlers = 0;
  const auto end = w.net().elapsed() + 1s;
  while (handlers < 10'000 && w.net().elapsed() < end && w.step()) ++handlers;
  BOOST_TEST(handlers < 1000u);
}

BOOST_DATA_TEST_CASE(unread_bytes_hide_no_end_behind_them_from_the_look_before_a_lease, data::make(ends_behind), end) {
  for (bool waiter : {false, true}) {
    pool_world w({.size = 1, .allow_unread = true});
    w.advance(1s);
    auto lease = waiter ? w.take() : cocp::lease();
    auto next = waiter ? w.get() : nullptr;
    w.settle();
    w.peer().send("bye");
    w.peer().end_with(end);
    lease.put();
    if (!waiter) BOOST_TEST(!w.pool->try_get());
    w.advance(1s);
    if (waiter) BOOST_TEST(next->lease->generation() == 2u);
    BOOST_TEST(w.pool->stats().replaced_dead == 1u);
    BOOST_TEST(w.log.entries()[1].error == end);
  }
}

BOOST_DATA_TEST_CASE(an_end_behind_unread_bytes_is_noticed_within_a_second, data::make(ends_behind), end) {
  for (auto before : {0ms, 10ms, 2500ms}) {
    pool_world w({.size = 1, .allow_unread = true});
    w.advance(2s);
    w.peer().send("push");
    w.advance(before);
    w.peer().end_with(end);
    w.advance(1100ms);
    BOOST_TEST(counters(*w.pool) == "connects 2, disconnects 1, replaced_dead 1");
  }
}

BOOST_AUTO_TEST_CASE(a_connection_with_unread_bytes_is_looked_at_once_a_second) {
  pool_world w({.size = 1, .allow_unread = true});
  w.advance(1s);
  w.peer().send("push");
  w.advance(1s);
  const unsigned before = w.net().looks;
  unsigned handlers = 0;
  for (const auto end = w.net().elapsed() + 10s; w.net().elapsed() < end && w.step();) ++handlers;
  BOOST_TEST(w.net().looks - before >= 9u);
  BOOST_TEST(w.net().looks - before <= 11u);
  BOOST_TEST(handlers <= 60u);
}

BOOST_AUTO_TEST_CASE(a_connection_whose_unread_bytes_were_read_is_watched_again_at_once) {
  pool_world w({.size = 1, .allow_unread = true});
  w.advance(1s);
  w.peer().send("push");
  w.advance(1s);
  auto lease = w.take();
  std::string text(4, '\0');
  auto got = w.watch(lease->read(asio::buffer(text)));
  w.settle();
  lease.put();
  w.advance(100ms);
  w.peer().fin();
  w.advance(10ms);
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 2, disconnects 1, replaced_dead 1");
}

BOOST_AUTO_TEST_CASE(a_server_that_speaks_and_leaves_at_once_is_a_failed_attempt_with_allow_unread) {
  pool_world w({.size = 1, .allow_unread = true}, {.retry_min = 1s});
  w.net().on_accept = [](fake_peer& p) {
    p.send("too many connections");
    p.fin();
  };
  w.advance(100ms);
  BOOST_TEST(counters(*w.pool) == "connect_failures 1");
  BOOST_TEST(w.log.entries()[0].error == asio::error::eof);
}

BOOST_AUTO_TEST_SUITE(check_after)

BOOST_AUTO_TEST_CASE(a_connection_idle_for_less_is_not_looked_at) {
  pool_world w({.size = 1, .check_after = 1s});
  w.advance(2s);
  w.take().put();
  w.peer().fin();
  BOOST_TEST(bool(w.pool->try_get()));
}

BOOST_AUTO_TEST_CASE(a_connection_idle_at_least_this_long_is_looked_at) {
  // Its watch is not what finds it: nothing runs between the end and the look.
  pool_world w({.size = 1, .check_after = 1s});
  w.take().put();
  w.advance(1s);
  w.peer().fin();
  BOOST_TEST(!w.pool->try_get());
}

BOOST_AUTO_TEST_CASE(a_time_shorter_than_the_watch_needs_to_begin_counts_too) {
  pool_world w({.size = 1, .check_after = 10ms});
  auto lease = w.take();
  w.advance(200ms);
  lease.put();
  w.advance(10ms);
  w.peer().fin();
  BOOST_TEST(!w.pool->try_get());
}

BOOST_AUTO_TEST_CASE(a_new_connection_is_looked_at_once) {
  pool_world w({.size = 1, .check_after = 1h});
  w.settle();
  w.peer().fin();
  BOOST_TEST(!w.pool->try_get());
}

BOOST_AUTO_TEST_CASE(a_connection_on_which_a_lease_did_io_is_looked_at_once) {
  for (bool waiter : {false, true}) {
    pool_world w({.size = 1, .check_after = 1h});
    w.take().put();
    auto lease = w.take();
    auto sent = w.watch(lease->write(asio::buffer("ask", 3)));
    w.settle();
    w.peer().send("answer");
    auto next = waiter ? w.get() : nullptr;
    lease.put();
    if (!waiter) BOOST_TEST(!w.pool->try_get());
    w.advance(1s);
    BOOST_TEST(w.pool->stats().replaced_dirty == 1u);
    if (waiter) BOOST_TEST(next->lease->generation() == 2u);
  }
}

BOOST_AUTO_TEST_CASE(behind_one_that_is_found_dead_another_is_given_out_without_a_look) {
  pool_world w({.size = 2, .check_after = 1h});
  w.settle();
  for (int i = 0; i < 2; ++i) {
    // Both have had their first look.
    auto a = w.take();
    auto b = w.take();
  }
  auto asks = w.take();
  auto sent = w.watch(asks->write(asio::buffer("ask", 3)));
  w.settle();
  const auto asked =
      std::find_if(w.net().peers.begin(), w.net().peers.end(), [](const auto& p) { return p->received == "ask"; });
  BOOST_REQUIRE((asked != w.net().peers.end()));
  (*asked)->send("answer, and more");
  char answer = 0;
  auto got = w.watch(asks->read_some(asio::buffer(&answer, 1)));
  w.settle();
  asks.put();
  const auto gets = w.pool->stats().gets;
  const auto lease = w.pool->try_get();
  BOOST_TEST(bool(lease));
  BOOST_TEST(w.pool->stats().gets == gets + 1);
  BOOST_TEST(w.pool->stats().replaced_dirty == 1u);
}

BOOST_AUTO_TEST_CASE(a_connection_handed_to_a_waiter_after_a_lease_without_io_is_not_looked_at) {
  pool_world w({.size = 1, .check_after = 1h});
  w.take().put();
  auto lease = w.take();
  auto waiter = w.get();
  w.peer().fin();
  lease.put();
  w.settle();
  BOOST_TEST(waiter->lease->generation() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(idle_timeout)

BOOST_AUTO_TEST_CASE(who_waits_keeps_the_attempts_that_he_waits_for) {
  pool_world w({.size = 1, .min_size = 0, .idle_timeout = 1s, .get_timeout = std::nullopt}, {.connect_timeout = 1s});
  w.net().default_result = fake_network::connect_result::refused;
  const auto waits = w.get();
  w.advance(1min);
  BOOST_TEST(waits->ends == 0u);
  w.net().default_result = fake_network::connect_result::accepted;
  w.advance(6s);
  BOOST_TEST(bool(waits->lease));
}

// As on another thread: while the first of two that nobody needs is being closed, the pool is made smaller, and
// somebody begins to wait for whom there is no room any more. With the second there is.
BOOST_AUTO_TEST_CASE(who_begins_to_wait_while_what_nobody_needs_is_closed_is_served) {
  reluctant_executor::control control{~0u, 0};
  world w;
  std::optional<cocp::pool> pool;
  pool.emplace(asio::any_io_executor(reluctant_executor(w.io().get_executor(), control)),
               cocp::connection_options{.address = "10.0.0.1:7"},
               cocp::pool_options{.size = 2, .min_size = 0, .idle_timeout = 1s});
  auto ready = w.watch(pool->ready(2));
  w.settle();
  BOOST_REQUIRE(ready->value.has_value());
  // When the housekeeper has been woken, the next thing that is begun is the end of the first.
  while (w.net().next_timer() && w.net().open() == 2u) {
    w.net().move(*w.net().next_timer() - w.net().now());
    std::shared_ptr<world::call> waits;
    control.before = [&] {
      if (waits || pool->stats().idle != 0) return;
      pool->resize(1);
      waits = w.begin_call([&](auto done) { pool->async_get(std::move(done)); });
    };
    w.settle();
    control.before = {};
    if (!waits) continue;
    w.settle();
    BOOST_TEST(bool(waits->lease));
    break;
  }
  BOOST_TEST(pool->stats().size == 1u);
  pool.reset();
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
