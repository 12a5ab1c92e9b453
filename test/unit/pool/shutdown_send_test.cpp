// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <optional>
#include <string>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::connection;
using cocp::errc;
using cocp::event_kind;

namespace {

std::string in(9, '\0');

}  // namespace

BOOST_AUTO_TEST_SUITE(shutdown_send)

BOOST_AUTO_TEST_CASE(ends_our_side_behind_what_was_written_and_reads_go_on) {
  pool_world w;
  auto lease = w.take();
  w.peer().stall(2);
  auto sent = w.watch(lease->write(asio::buffer("hello", 5)));
  auto end = w.watch(lease->shutdown_send());
  auto got = w.watch(lease->read(asio::buffer(in)));
  w.settle();
  BOOST_TEST(w.peer().received == "he");
  BOOST_TEST(!w.peer().halved);
  BOOST_TEST(!end->done);
  w.peer().take(100);
  w.settle();
  BOOST_TEST(sent->value.has_value());
  BOOST_TEST(w.peer().received == "hello");
  BOOST_TEST(w.peer().halved);
  BOOST_TEST(end->value.has_value());
  w.peer().send("an answer");
  w.settle();
  BOOST_TEST(got->value.has_value());
  BOOST_TEST(in == "an answer");
  BOOST_TEST(lease->is_connected());
}

BOOST_AUTO_TEST_CASE(makes_later_writes_fail_with_broken_pipe_and_nothing_else) {
  pool_world w;
  auto lease = w.take();
  w.peer().stall(0);
  auto first = w.watch(lease->write(asio::buffer("a", 1)));
  auto end = w.watch(lease->shutdown_send());
  // It waits behind both.
  auto queued = w.watch(lease->write(asio::buffer("b", 1)));
  w.settle();
  w.peer().take(100);
  w.settle();
  BOOST_TEST(end->value.has_value());
  BOOST_TEST(queued->error == asio::error::broken_pipe);
  auto late = w.watch(lease->write(asio::buffer("c", 1)));
  auto again = w.watch(lease->shutdown_send());
  w.settle();
  BOOST_TEST(late->error == asio::error::broken_pipe);
  BOOST_TEST(late->what == "write 10.0.0.1:7: Broken pipe");
  BOOST_TEST(again->error == asio::error::broken_pipe);
  BOOST_TEST(w.peer().received == "a");
  w.peer().send("an answer");
  auto got = w.watch(lease->read(asio::buffer(in)));
  w.settle();
  BOOST_TEST(got->value.has_value());
}

BOOST_AUTO_TEST_CASE(has_the_connection_replaced) {
  pool_world w;
  auto lease = w.take();
  auto end = w.watch(lease->shutdown_send());
  w.settle();
  BOOST_TEST(end->value.has_value());
  lease.put();
  w.settle();
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 2, replaced_dirty 1");
  const auto events = w.log.entries();
  BOOST_TEST(events.at(1).line == "info replaced 10.0.0.1:7: its sending side was shut down");
  BOOST_TEST(w.net().peers.front()->gone);
}

BOOST_AUTO_TEST_CASE(and_then_the_peer_s_end_is_no_loss) {
  // It would shut the gate: it comes early, and nothing was answered.
  pool_world w({.size = 2});
  auto lease = w.take();
  auto end = w.watch(lease->shutdown_send());
  auto got = w.watch(lease->read(asio::buffer(in)));
  w.settle();
  BOOST_TEST(end->done);
  for (const auto& p : w.net().peers) {
    if (p->halved) p->fin();
  }
  w.settle();
  BOOST_TEST(got->error == asio::error::eof);
  lease.put();
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 2u);
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 3, replaced_dirty 1");
  BOOST_TEST(w.log.count(event_kind::disconnected) == 0u);
  BOOST_TEST(w.log.count(event_kind::replaced) == 1u);
}

BOOST_AUTO_TEST_CASE(in_on_connect_fails_the_attempt) {
  auto end = [](connection& c) -> asio::awaitable<void> { co_await c.shutdown_send(); };
  pool_world w({.size = 1}, {.on_connect = end});
  w.settle();
  const auto e = w.log.entries().at(0);
  BOOST_TEST((e.kind == event_kind::connect_failed));
  BOOST_TEST(e.error == errc::handshake_failed);
  BOOST_TEST(e.reason == "on_connect shut its sending side down");
}

BOOST_AUTO_TEST_CASE(of_a_connection_that_stands_alone_lasts_until_the_peer_ends_too) {
  world w;
  connection c(w.io(), {.address = "10.0.0.1:7"});
  w.settle();
  auto end = w.watch(c.shutdown_send());
  w.settle();
  BOOST_TEST(end->value.has_value());
  auto late = w.watch(c.write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(late->error == asio::error::broken_pipe);
  BOOST_TEST(c.generation() == 1u);
  w.net().peers.back()->send("an answer");
  w.net().peers.back()->fin();
  auto got = w.watch(c.read(asio::buffer(in)));
  w.settle();
  BOOST_TEST(got->value.has_value());
  auto nothing = w.watch(c.read(asio::buffer(in)));
  w.settle();
  BOOST_TEST(nothing->error == asio::error::eof);
  BOOST_TEST(c.generation() == 2u);
  auto next = w.watch(c.write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(next->value.has_value());
  c.close();
}

BOOST_AUTO_TEST_CASE(waits_for_the_stream_and_ends_with_close_as_a_write_does) {
  world w;
  w.net().default_result = fake_network::connect_result::hangs;
  connection c(w.io(), {.address = "10.0.0.1:7"});
  auto end = w.watch(c.shutdown_send());
  w.settle();
  BOOST_TEST(!end->done);
  c.close();
  w.settle();
  BOOST_TEST(end->error == errc::closed);
}

BOOST_AUTO_TEST_SUITE_END()
