// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::connection;
using cocp::event_kind;

namespace {

using numbers = std::vector<std::uint64_t>;

/// Notes the number of what it is run on.
cocp::handshake note(numbers& seen) {
  return [&seen](connection& c) -> asio::awaitable<void> {
    seen.push_back(c.id());
    co_return;
  };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(id)

BOOST_AUTO_TEST_CASE(is_the_same_in_hooks_leases_reports_and_events) {
  numbers seen;
  pool_world w({.size = 1,
                .on_return = note(seen),
                .keepalive = note(seen),
                .keepalive_interval = 10s,
                .report_leases = cocp::lease_report{1min}},
               {.on_connect = note(seen)});
  auto lease = w.take();
  const std::uint64_t id = lease->id();
  BOOST_TEST(id != 0u);
  BOOST_TEST(w.pool->leases().at(0).id == id);
  w.advance(2min);
  lease.put();
  w.advance(15s);
  w.pool->renew();
  w.settle();
  BOOST_TEST(seen.size() == 4u);
  for (std::size_t i = 0; i < 3; ++i) BOOST_TEST(seen.at(i) == id);
  BOOST_TEST(seen.back() != id);
  const std::vector<std::pair<event_kind, std::uint64_t>> told = {{event_kind::connected, id},
                                                                  {event_kind::lease_overdue, id},
                                                                  {event_kind::lease_returned, id},
                                                                  {event_kind::replaced, id},
                                                                  {event_kind::connected, seen.back()}};
  const auto events = w.log.entries();
  BOOST_REQUIRE(events.size() == told.size());
  for (std::size_t i = 0; i < told.size(); ++i) {
    BOOST_TEST((events[i].kind == told[i].first), events[i].line);
    BOOST_TEST(events[i].id == told[i].second, events[i].line);
  }
}

BOOST_AUTO_TEST_CASE(is_another_after_a_redial_and_0_while_down) {
  world w;
  recording_logger log;
  connection c(w.io(), {.address = "10.0.0.1:7", .retry_min = 1s, .logger = log.log()});
  BOOST_TEST(c.id() == 0u);
  w.settle();
  const std::uint64_t first = c.id();
  BOOST_TEST(first != 0u);
  w.advance(2s);
  w.net().default_result = fake_network::connect_result::refused;
  w.net().peers.back()->fin();
  char byte = 0;
  auto failed = w.watch(c.read_some(asio::buffer(&byte, 1)));
  w.settle();
  BOOST_TEST(failed->done);
  BOOST_TEST(c.id() == 0u);
  w.net().default_result = fake_network::connect_result::accepted;
  w.advance(5s);
  BOOST_TEST(c.id() > first);
  c.close();
  w.settle();
  BOOST_TEST(c.id() == 0u);
  const auto events = log.entries();
  BOOST_TEST(events.at(1).id == first);
  BOOST_TEST((events.at(1).kind == event_kind::disconnected));
  // What has not connected has none.
  BOOST_TEST((events.at(2).kind == event_kind::connect_failed));
  BOOST_TEST(events.at(2).id == 0u);
}

BOOST_AUTO_TEST_CASE(of_an_attempt_that_on_connect_has_failed_is_told) {
  numbers seen;
  auto refuse = [&seen](connection& c) -> asio::awaitable<void> {
    seen.push_back(c.id());
    throw std::runtime_error("no");
    co_return;
  };
  pool_world w({.size = 1}, {.on_connect = refuse});
  w.settle();
  BOOST_REQUIRE(seen.size() == 1u);
  BOOST_TEST((w.log.entries().at(0).kind == event_kind::connect_failed));
  BOOST_TEST(w.log.entries().at(0).id == seen[0]);
}

BOOST_AUTO_TEST_CASE(of_one_whose_end_was_told_is_not_told_again) {
  pool_world w;
  auto lease = w.take();
  w.peer().reset();
  char byte = 0;
  auto failed = w.watch(lease->read_some(asio::buffer(&byte, 1)));
  w.settle();
  BOOST_TEST(failed->done);
  w.pool->close();
  w.settle();
  BOOST_TEST((w.log.entries().back().kind == event_kind::closed));
  BOOST_TEST(w.log.entries().back().id == 0u);
}

BOOST_AUTO_TEST_CASE(in_a_lease_is_0_from_the_loss_until_it_goes_on) {
  pool_world w;
  auto lease = w.take();
  const std::uint64_t first = lease->id();
  w.peer().reset();
  char byte = 0;
  auto failed = w.watch(lease->read_some(asio::buffer(&byte, 1)));
  w.settle();
  BOOST_TEST(failed->done);
  BOOST_TEST(lease->id() == 0u);
  auto ready = w.watch(lease->ready());
  w.advance(1s);
  BOOST_TEST(ready->value.has_value());
  BOOST_TEST(lease->id() > first);
}

BOOST_AUTO_TEST_SUITE_END()
