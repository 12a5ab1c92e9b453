// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <stdexcept>
#include <vector>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::connection;
using cocp::errc;
using cocp::error_code;
using cocp::event_kind;

namespace {

constexpr cocp::duration interval = 10s;
/// The housekeeper looks at what became idle not later than this.
constexpr cocp::duration late = 100ms;
char byte = 0;

/// Asks, and waits for an answer of one byte.
asio::awaitable<void> ping(connection& c) {
  auto question = asio::buffer("PING", 4);
  co_await c.write(question);
  auto answer = asio::buffer(&byte, 1);
  co_await c.read(answer);
}

/// Does not wait for the answer.
asio::awaitable<void> tell(connection& c) {
  auto what = asio::buffer("PING", 4);
  co_await c.write(what);
}

cocp::pool_options keeping(cocp::handshake hook, std::size_t size = 1) {
  return {.size = size, .keepalive = std::move(hook), .keepalive_interval = interval};
}

/// How many keepalives a peer was sent.
std::size_t pings(const fake_peer& p) { return p.received.size() / 4; }

std::size_t pings(pool_world& w) {
  std::size_t n = 0;
  for (const auto& p : w.net().peers) n += pings(*p);
  return n;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(keepalive)

BOOST_AUTO_TEST_CASE(runs_after_each_interval_in_which_nobody_used_the_connection) {
  pool_world w(keeping(tell));
  w.advance(interval - 1ns);
  BOOST_TEST(pings(w) == 0u);
  for (std::size_t n = 1; n <= 10; ++n) {
    w.advance(late);
    BOOST_TEST(pings(w) == n);
    w.advance(interval - late);
  }
  BOOST_TEST(counters(*w.pool) == "connects 1");
  BOOST_TEST(gauges(*w.pool) == "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(a_lease_begins_a_new_interval) {
  pool_world w(keeping(tell));
  for (int i = 0; i < 5; ++i) {
    w.advance(interval - 1s);
    w.take().put();
  }
  BOOST_TEST(pings(w) == 0u);
  w.advance(interval - 1ns);
  BOOST_TEST(pings(w) == 0u);
  w.advance(late);
  BOOST_TEST(pings(w) == 1u);
  // So does one that lasted.
  auto lease = w.take();
  w.advance(10 * interval);
  BOOST_TEST(pings(w) == 1u);
  lease.put();
  w.advance(interval - 1ns);
  BOOST_TEST(pings(w) == 1u);
  w.advance(late);
  BOOST_TEST(pings(w) == 2u);
}

BOOST_AUTO_TEST_CASE(the_interval_counts_from_the_end_of_the_last_one) {
  pool_world w(keeping(ping));
  w.advance(interval + late);
  w.advance(2s);
  w.peer().send("+");
  w.advance(interval - 1ns);
  BOOST_TEST(pings(w) == 1u);
  w.advance(late);
  BOOST_TEST(pings(w) == 2u);
}

BOOST_DATA_TEST_CASE(runs_on_at_most_half_of_the_connections_at_a_time_and_at_least_on_one,
                     data::make<std::size_t>({1, 2, 3, 4, 5, 9}), size) {
  std::size_t now = 0;
  std::size_t most = 0;
  pool_world w(keeping(
      [&](connection& c) -> asio::awaitable<void> {
        most = std::max(most, ++now);
        co_await ping(c);
        --now;
      },
      size));
  w.advance(interval + late);
  const std::size_t half = std::max<std::size_t>(1, size / 2);
  BOOST_TEST(now == half);
  BOOST_TEST(w.pool->stats().idle == size - half);
  // The rest take their turns.
  for (int i = 0; i < 20; ++i) {
    for (const auto& p : w.net().peers) {
      if (!p->received.empty()) p->received.clear(), p->send("+");
    }
    w.advance(late);
  }
  BOOST_TEST(now == 0u);
  BOOST_TEST(most == half);
  BOOST_TEST(w.pool->stats().idle == size);
  BOOST_TEST(w.pool->stats().connects == size);
}

BOOST_AUTO_TEST_CASE(an_on_return_under_way_on_one_connection_does_not_keep_others_from_theirs) {
  auto options = keeping(tell, 2);
  options.on_return = ping;
  pool_world w(options, {.connect_timeout = 1h});
  w.take().put();
  w.advance(interval + late);
  BOOST_TEST(pings(w) == 2u);
}

BOOST_AUTO_TEST_CASE(a_get_waits_for_the_only_connection) {
  pool_world w(keeping(ping));
  w.advance(interval + late);
  BOOST_TEST(!w.pool->try_get());
  auto cancelled = w.get();
  auto got = w.get();
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "1 connected, 0 idle, 0 leased, 0 connecting, 2 waiting");
  cancelled->cancel.emit(asio::cancellation_type::total);
  w.peer().send("+");
  w.settle();
  BOOST_TEST(cancelled->error == asio::error::operation_aborted);
  BOOST_REQUIRE(bool(got->lease));
  BOOST_TEST(got->lease->generation() == 1u);
  BOOST_TEST(w.net().attempts.size() == 1u);
}

BOOST_AUTO_TEST_CASE(another_connection_is_leased_meanwhile) {
  pool_world w(keeping(ping, 2));
  w.advance(interval + late);
  BOOST_TEST(pings(w) == 1u);
  auto lease = w.take();
  BOOST_TEST(!w.pool->try_get());
}

/// How a keepalive fails, and how long that takes.
struct failure {
  const char* name;
  cocp::handshake hook;
  cocp::duration takes;
  const char* text;

  friend std::ostream& operator<<(std::ostream& out, const failure& f) { return out << f.name; }
};

const std::vector<failure> failures{
    {"throws system_error",
     [](connection&) -> asio::awaitable<void> {
       throw boost::system::system_error(asio::error::access_denied);
       co_return;
     },
     0s, "Permission denied"},
    {"throws std::exception",
     [](connection&) -> asio::awaitable<void> {
       throw std::runtime_error("wrong answer");
       co_return;
     },
     0s, "wrong answer"},
    {"throws something else", [](connection&) -> asio::awaitable<void> { throw 42; }, 0s, "10.0.0.1:7: "},
    {"gets no answer", ping, 5s, "timed out"},
};

BOOST_DATA_TEST_CASE(replaces_the_connection_as_dead_if_it, data::make(failures) * data::make({false, true}), f,
                     waits) {
  pool_world w(keeping(f.hook), {.connect_timeout = 5s});
  w.advance(interval - 1ns);
  BOOST_TEST(w.pool->stats().idle == 1u);
  if (f.takes != 0s) {
    w.advance(f.takes);
    BOOST_TEST(gauges(*w.pool) == "1 connected, 0 idle, 0 leased, 0 connecting, 0 waiting");
  }
  auto waiter = waits && f.takes != 0s ? w.get() : nullptr;
  w.advance(late);
  if (waiter) {
    BOOST_REQUIRE(bool(waiter->lease));
    BOOST_TEST(waiter->lease->generation() == 2u);
  }
  BOOST_TEST(w.pool->stats().replaced_dead == 1u);
  BOOST_TEST(w.pool->stats().replaced_dirty == 0u);
  BOOST_TEST(w.pool->stats().disconnects == 0u);
  const auto told = w.log.entries();
  BOOST_REQUIRE(told.size() == 3u);
  BOOST_TEST(w.log.count(event_kind::replaced) == 1u);
  BOOST_TEST(told[1].line.find(f.text) != std::string::npos, told[1].line);
  BOOST_TEST(w.net().open() == 1u);
}

BOOST_AUTO_TEST_CASE(the_peer_closes_during_it_and_is_redialled) {
  pool_world w(keeping(ping));
  w.advance(interval + late);
  BOOST_TEST(pings(w) == 1u);
  w.peer().fin();
  w.settle();
  BOOST_TEST(counters(*w.pool) == "connects 2, disconnects 1");
  BOOST_TEST(w.log.count(event_kind::disconnected) == 1u);
  BOOST_TEST(w.log.count(event_kind::replaced) == 0u);
  BOOST_TEST(w.take()->generation() == 2u);
}

BOOST_AUTO_TEST_CASE(never_reads_what_came_unasked) {
  for (const cocp::duration check_after : {cocp::duration(0s), cocp::duration(1h)}) {
    unsigned runs = 0;
    auto options = keeping([&](connection& c) {
      ++runs;
      return ping(c);
    });
    options.check_after = check_after;
    pool_world w(options);
    w.advance(1s);
    w.take().put();
    w.advance(interval - 1s);
    // When it is due the housekeeper comes before the watch.
    w.net().move(1s + late);
    w.peer().send("!");
    w.settle();
    BOOST_TEST(runs == 0u);
    BOOST_TEST(w.pool->stats().replaced_dirty == 1u);
    BOOST_TEST(w.log.entries()[1].error == errc::unsolicited_data);
  }
}

BOOST_AUTO_TEST_CASE(does_not_keep_a_connection_that_nobody_needs) {
  for (const cocp::duration every : {100ms, 900ms, 1000ms, 3000ms}) {
    pool_world w({.size = 2, .min_size = 0, .idle_timeout = 10s, .keepalive = tell, .keepalive_interval = every});
    auto got = w.get();
    w.settle();
    got->lease.put();
    w.advance(9900ms);
    BOOST_TEST(w.pool->stats().connected == 1u);
    BOOST_TEST(pings(w) >= 3u);
    w.advance(300ms);
    BOOST_TEST(w.pool->stats().connected == 0u);
    BOOST_TEST(w.net().attempts.size() == 1u);
  }
}

BOOST_AUTO_TEST_CASE(one_under_way_when_idle_timeout_is_over_ends_first) {
  pool_world w({.size = 1, .min_size = 0, .idle_timeout = 12s, .keepalive = ping, .keepalive_interval = interval});
  auto got = w.get();
  w.settle();
  got->lease.put();
  w.advance(14s);
  BOOST_TEST(w.pool->stats().connected == 1u);
  w.peer().send("+");
  w.advance(late);
  BOOST_TEST(gauges(*w.pool) == "0 connected, 0 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(counters(*w.pool) == "gets 1, waits 1, connects 1");
}

BOOST_AUTO_TEST_CASE(a_connection_that_was_kept_alive_is_leased_after_those_used_later) {
  pool_world w(keeping(ping, 2));
  w.advance(interval - 1s);
  w.take().put();
  const auto used = w.net().peers[0]->received.empty();
  BOOST_TEST(used);
  w.advance(1s + late);
  BOOST_TEST(pings(w) == 1u);
  auto& kept = *w.net().peers[pings(*w.net().peers[0]) == 1 ? 0 : 1];
  kept.send("+");
  w.settle();
  auto lease = w.take();
  auto sent = w.watch(lease->write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(kept.received == "PING");
  lease->no_answer();
  lease.put();
  // Once leased it is as any other: the last one back comes first.
  auto other = w.take();
  auto again = w.take();
  sent = w.watch(again->write(asio::buffer("y", 1)));
  w.settle();
  BOOST_TEST(kept.received == "PINGy");
  again->no_answer();
  other.put();
  again.put();
  auto last = w.take();
  sent = w.watch(last->write(asio::buffer("z", 1)));
  w.settle();
  BOOST_TEST(kept.received == "PINGyz");
}

BOOST_AUTO_TEST_CASE(waiting_for_its_turn_costs_nothing) {
  // Whatever check_after says.
  auto options = keeping(ping, 3);
  options.check_after = 1us;
  pool_world w(options, {.connect_timeout = 1h});
  w.advance(interval + late);
  unsigned handlers = 0;
  const auto end = w.net().elapsed() + 1s;
  while (handlers < 10'000 && w.net().elapsed() < end && w.step()) ++handlers;
  BOOST_TEST(handlers < 1000u);
}

BOOST_AUTO_TEST_SUITE_END()
