// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/asio/steady_timer.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <functional>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>

#include "support/pool_world.hpp"
#include "support/reluctant_executor.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::connection;
using cocp::errc;
using cocp::event_kind;

namespace {

char byte = 0;

asio::awaitable<void> quit(connection& c) {
  auto words = asio::buffer("QUIT", 4);
  co_await c.write(words);
}

/// Says QUIT and waits for an answer.
asio::awaitable<void> quit_and_wait(connection& c) {
  co_await quit(c);
  auto answer = asio::buffer(&byte, 1);
  co_await c.read(answer);
}

/// What has a connection closed on purpose, and what is told of it.
struct purpose {
  const char* name;
  cocp::pool_options options;
  void (*close)(pool_world& w);
  event_kind told;
  friend std::ostream& operator<<(std::ostream& out, const purpose& p) { return out << p.name; }
};

const purpose purposes[] = {
    {"close", {.size = 1}, [](pool_world& w) { w.pool->close(); }, event_kind::closed},
    {"the destructor", {.size = 1}, [](pool_world& w) { w.pool.reset(); }, event_kind::closed},
    {"resize", {.size = 2}, [](pool_world& w) { w.pool->resize(1); }, event_kind::closed},
    {"idle_timeout",
     {.size = 1, .min_size = 0, .idle_timeout = 1min},
     [](pool_world& w) { w.advance(61s); },
     event_kind::closed},
    {"age", {.size = 1, .max_lifetime = 1min}, [](pool_world& w) { w.advance(61s); }, event_kind::replaced},
    {"renew", {.size = 1}, [](pool_world& w) { w.pool->renew(); }, event_kind::replaced},
    {"readdress", {.size = 1}, [](pool_world& w) { w.pool->readdress("10.0.0.2:7"); }, event_kind::replaced},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(on_close)

BOOST_DATA_TEST_CASE(is_said_once_when_a_connection_is_closed_on_purpose, purposes, p) {
  pool_world w(p.options, {.on_close = quit});
  w.settle();
  auto warm = w.pool->try_get();
  warm.put();
  w.settle();
  p.close(w);
  w.settle();
  std::size_t said = 0;
  for (const auto& peer : w.net().peers) {
    if (!peer->gone) continue;
    BOOST_TEST(peer->received == "QUIT");
    ++said;
  }
  BOOST_TEST(said == 1u);
  BOOST_TEST(w.log.count(p.told) == 1u);
  BOOST_TEST(w.log.count(event_kind::disconnected) == 0u);
}

BOOST_AUTO_TEST_CASE(users_find_the_connection_down_and_it_is_not_redialled_before_it_has_ended) {
  pool_world w({.size = 1}, {.on_close = quit_and_wait});
  w.settle();
  w.pool->renew();
  w.settle();
  BOOST_TEST(w.net().peers.front()->received == "QUIT");
  BOOST_TEST(!w.net().peers.front()->gone);
  BOOST_TEST(gauges(*w.pool) == "0 connected, 0 idle, 0 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.net().sockets == 1u);
  auto waiting = w.get();
  w.net().peers.front()->send("+");
  w.settle();
  BOOST_TEST(w.net().peers.front()->gone);
  BOOST_REQUIRE(bool(waiting->lease));
  BOOST_TEST(waiting->lease->generation() == 2u);
  waiting->lease.discard();
  w.pool->close();
  w.advance(1s);
}

BOOST_AUTO_TEST_CASE(has_one_second) {
  pool_world w({.size = 1}, {.connect_timeout = std::nullopt, .on_close = quit_and_wait});
  w.settle();
  w.pool->renew();
  w.advance(999ms);
  BOOST_TEST(!w.net().peers.front()->gone);
  w.advance(1ms);
  BOOST_TEST(w.net().peers.front()->gone);
  BOOST_TEST(w.pool->stats().connected == 1u);
  // As it was for this that it went.
  BOOST_TEST(w.log.entries().at(1).line == "info replaced 10.0.0.1:7: the pool was renewed");
  w.pool->close();
  w.advance(1s);
}

BOOST_AUTO_TEST_CASE(keeps_the_context_and_drain_for_so_long_and_close_does_not_cut_it_short) {
  pool_world w({.size = 1}, {.on_close = quit_and_wait});
  w.settle();
  w.pool->renew();
  w.advance(400ms);
  auto drained = w.watch(w.pool->drain());
  w.advance(500ms);
  BOOST_TEST(!drained->done);
  BOOST_TEST(!w.net().peers.front()->gone);
  BOOST_TEST(!w.io().stopped());
  w.advance(100ms);
  BOOST_TEST(drained->value.has_value());
  BOOST_TEST(w.net().sockets == 0u);
}

BOOST_AUTO_TEST_CASE(is_said_on_a_lease_that_comes_back_to_a_closed_pool) {
  pool_world w({.size = 1}, {.on_close = quit_and_wait});
  auto lease = w.take();
  auto drained = w.watch(w.pool->drain());
  w.settle();
  BOOST_TEST(!drained->done);
  lease.put();
  w.settle();
  BOOST_TEST(w.peer().received == "QUIT");
  BOOST_TEST(!drained->done);
  w.peer().send("+");
  w.settle();
  BOOST_TEST(w.peer().gone);
  BOOST_TEST(drained->value.has_value());
  BOOST_TEST(w.log.count(event_kind::closed) == 1u);
}

BOOST_AUTO_TEST_CASE(is_said_also_when_it_comes_back_before_the_supervisor_has_seen_the_close) {
  pool_world w({.size = 1}, {.on_close = quit});
  auto lease = w.take();
  w.pool->close();
  lease.put();
  w.settle();
  BOOST_TEST(w.peer().received == "QUIT");
  BOOST_TEST(w.peer().gone);
  BOOST_TEST(w.log.count(event_kind::closed) == 1u);
}

BOOST_AUTO_TEST_CASE(is_not_said_if_the_executor_refuses_to_begin_and_drain_ends_all_the_same) {
  reluctant_executor::control control{~0u, 1};
  world w;
  cocp::pool pool(asio::any_io_executor(reluctant_executor(w.io().get_executor(), control)),
                  {.address = "10.0.0.1:7", .on_close = quit}, {.size = 1});
  w.settle();
  auto lease = pool.try_get();
  BOOST_REQUIRE(bool(lease));
  const auto drained = w.watch(pool.drain());
  w.settle();
  control.first = control.calls + 1;
  lease.put();
  BOOST_TEST(control.refused == 1u);
  w.settle();
  BOOST_TEST(drained->value.has_value());
  BOOST_TEST(w.net().sockets == 0u);
  BOOST_TEST(w.net().peers[0]->received == "");
}

BOOST_AUTO_TEST_CASE(whose_context_runs_no_more_goes_with_that) {
  pool_world w({.size = 1}, {.on_close = quit});
  auto lease = w.take();
  w.pool->close();
  w.settle();
  lease.put();
  BOOST_TEST(w.net().sockets == 1u);
  w.destroy_context();
  BOOST_TEST(w.net().sockets == 0u);
}

BOOST_AUTO_TEST_CASE(is_not_said_on_what_is_dirty_lost_or_in_use) {
  pool_world w({.size = 4}, {.on_close = quit});
  auto dirty = w.take();
  auto lost = w.take();
  auto unread = w.take();
  auto held = w.take();
  const auto peers = w.net().peers;
  auto asked = w.watch(dirty->write(asio::buffer("ask", 3)));
  w.settle();
  dirty.put();
  lost.discard();
  unread.put();
  // In this very moment: nobody has seen it yet.
  for (const auto& p : peers) p->send("!");
  w.pool->close();
  w.settle();
  held.discard();
  w.settle();
  for (const auto& p : peers) BOOST_TEST(p->received.find("QUIT") == std::string::npos);
  for (const auto& p : peers) BOOST_TEST(p->gone);
}

BOOST_AUTO_TEST_CASE(whatever_it_throws_or_leaves_is_told_to_nobody) {
  auto hasty = [](connection& c) -> asio::awaitable<void> {
    c.async_read_some(asio::buffer(&byte, 1), [](cocp::error_code ec, std::size_t) { BOOST_TEST(ec == errc::closed); });
    throw std::runtime_error("no");
    co_return;
  };
  pool_world w({.size = 1}, {.on_close = hasty});
  w.settle();
  w.pool->renew();
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 1u);
  BOOST_TEST(w.net().peers.front()->gone);
  BOOST_TEST(w.net().destroyed_in_use == 0u);
  w.pool->close();
  w.settle();
  BOOST_TEST(w.net().sockets == 0u);
  BOOST_TEST(w.log.entries().size() == 4u);
}

BOOST_AUTO_TEST_CASE(sees_the_session_and_the_number_of_its_stream) {
  struct notes {
    std::string text;
  };
  std::string seen;
  std::uint64_t id = 0;
  auto look = [&](connection& c) -> asio::awaitable<void> {
    seen = c.session<notes>().text;
    id = c.id();
    co_return;
  };
  pool_world w({.size = 1}, {.on_close = look});
  auto lease = w.take();
  const std::uint64_t mine = lease->id();
  lease->session<notes>().text = "mine";
  lease.put();
  w.pool->close();
  w.settle();
  BOOST_TEST(seen == "mine");
  BOOST_TEST(id == mine);
  BOOST_TEST(w.log.entries().back().id == mine);
}

BOOST_AUTO_TEST_CASE(of_a_connection_that_stands_alone_is_said_by_close) {
  world w;
  connection c(w.io(), {.address = "10.0.0.1:7", .on_close = quit_and_wait});
  w.settle();
  struct notes {
    std::string text;
  };
  auto& mine = c.session<notes>();
  mine.text = "mine";
  c.close();
  auto late = w.watch(c.write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(late->error == errc::closed);
  BOOST_TEST(w.net().peers.back()->received == "QUIT");
  BOOST_TEST(!w.net().peers.back()->gone);
  w.advance(1s);
  BOOST_TEST(w.net().peers.back()->gone);
  BOOST_TEST(mine.text == "mine");
}

BOOST_AUTO_TEST_CASE(of_a_connection_in_use_that_stands_alone_is_not_said) {
  world w;
  std::optional<connection> c(std::in_place, w.io(),
                              cocp::connection_options{.address = "10.0.0.1:7", .on_close = quit});
  w.settle();
  auto read = w.watch(c->read_some(asio::buffer(&byte, 1)));
  w.settle();
  c.reset();
  w.settle();
  BOOST_TEST(read->error == errc::closed);
  BOOST_TEST(w.net().peers.back()->received == "");
}

BOOST_AUTO_TEST_CASE(may_be_destroyed_at_every_step) {
  auto scenario = [](world& w) {
    auto pool = std::make_unique<cocp::pool>(
        w.io(), cocp::connection_options{.address = "a:7", .on_close = quit_and_wait}, cocp::pool_options{.size = 2});
    auto use = [](cocp::pool& p) -> asio::awaitable<void> {
      cocp::lease l = co_await p.get();
      p.renew();
      p.close();
      l.put();
      co_await p.drain();
    };
    w.spawn(use(*pool));
    return pool;
  };
  destroy_at_every_step(scenario);
  destroy_at_every_step(scenario, true);
}

BOOST_AUTO_TEST_SUITE_END()
