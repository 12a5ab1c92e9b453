// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::event_kind;
using connect_result = fake_network::connect_result;

namespace {

std::string to_string(const cocp::endpoint& e) {
  std::ostringstream out;
  out << e;
  return out.str();
}

/// Where the pool's connections lead that are up, as far as a lease shows it.
std::vector<std::string> hosts(pool_world& w) {
  std::vector<std::string> result;
  std::vector<cocp::lease> all;
  while (cocp::lease l = w.pool->try_get()) all.push_back(std::move(l));
  for (auto& l : all) result.push_back(to_string(l->remote_endpoint()));
  return result;
}

const std::vector<std::string> three_new(3, "10.0.0.2:7");

}  // namespace

BOOST_AUTO_TEST_SUITE(readdress)

BOOST_AUTO_TEST_CASE(idle_connections_move_at_once) {
  pool_world w({.size = 3});
  w.advance(1s);
  w.pool->readdress("10.0.0.2:7");
  w.settle();
  BOOST_TEST(hosts(w) == three_new, boost::test_tools::per_element());
  BOOST_TEST(w.net().open() == 3u);
  BOOST_TEST(w.log.count(event_kind::replaced) == 3u);
  BOOST_TEST(w.log.entries().back().address == "10.0.0.2:7");
  BOOST_TEST(counters(*w.pool) == "gets 3, connects 6");
}

BOOST_AUTO_TEST_CASE(leased_ones_move_when_they_come_back) {
  pool_world w({.size = 3});
  auto held = w.take();
  w.pool->readdress("10.0.0.2:7");
  w.settle();
  auto sent = w.watch(held->write(asio::buffer("x", 1)));
  w.settle();
  BOOST_TEST(sent->value.has_value());
  BOOST_TEST(to_string(held->remote_endpoint()) == "10.0.0.1:7");
  held.put();
  w.settle();
  BOOST_TEST(hosts(w) == three_new, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_leased_one_that_is_lost_is_redialled_to_the_new_address) {
  pool_world w;
  auto held = w.take();
  w.advance(1s);
  w.pool->readdress("10.0.0.2:7");
  char byte = 0;
  auto failing = w.watch(held->read_some(asio::buffer(&byte, 1)));
  w.settle();
  w.peer().reset();
  w.settle();
  BOOST_TEST(failing->done);
  auto again = w.watch(held->ready());
  w.settle();
  BOOST_TEST(again->value.has_value());
  BOOST_TEST(to_string(held->remote_endpoint()) == "10.0.0.2:7");
  held.put();
  w.settle();
  BOOST_TEST(w.net().attempts.size() == 2u);
}

BOOST_AUTO_TEST_CASE(no_waiter_fails) {
  pool_world w({.size = 1, .fail_fast = 0s});
  auto held = w.take();
  auto waiter = w.get();
  w.pool->readdress("10.0.0.2:7");
  held.put();
  w.settle();
  BOOST_REQUIRE(bool(waiter->lease));
  BOOST_TEST(to_string(waiter->lease->remote_endpoint()) == "10.0.0.2:7");
}

BOOST_AUTO_TEST_CASE(the_new_endpoint_is_probed_at_once_whatever_the_old_one_did) {
  pool_world w({.size = 10});
  w.net().default_result = connect_result::refused;
  w.advance(30s);
  w.net().default_result = connect_result::accepted;
  w.pool->readdress("10.0.0.2:7");
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 10u);
}

BOOST_AUTO_TEST_CASE(an_attempt_under_way_to_the_old_address_is_of_no_use) {
  pool_world w({.size = 1}, {.connect_timeout = 2s, .on_connect = [](cocp::connection& c) -> asio::awaitable<void> {
                               char b = 0;
                               const auto buffer = asio::buffer(&b, 1);
                               if (to_string(c.remote_endpoint()) == "10.0.0.1:7") co_await c.read(buffer);
                             }});
  w.settle();
  w.pool->readdress("10.0.0.2:7");
  w.peer().send("!");
  w.settle();
  BOOST_TEST(hosts(w) == std::vector<std::string>{"10.0.0.2:7"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_attempt_that_is_given_up_is_no_failure) {
  pool_world w({.size = 1, .fail_fast = 0s}, {.connect_timeout = std::nullopt});
  w.net().default_result = connect_result::hangs;
  auto waiter = w.get();
  w.advance(1s);
  w.net().default_result = connect_result::accepted;
  w.pool->readdress("10.0.0.2:7");
  w.settle();
  BOOST_TEST(bool(waiter->lease));
  BOOST_TEST(w.log.count(event_kind::connect_failed) == 0u);
  BOOST_TEST(w.pool->stats().connect_failures == 0u);
}

BOOST_AUTO_TEST_CASE(an_attempt_that_hangs_at_the_old_address_is_given_up) {
  for (const char* old : {"10.0.0.1:7", "unanswered:7"}) {
    BOOST_TEST_CONTEXT(old) {
      pool_world w({.size = 2}, {.address = old, .connect_timeout = std::nullopt});
      w.net().results_at["10.0.0.1:7"] = connect_result::hangs;
      w.advance(1s);
      BOOST_TEST(w.pool->stats().connecting == 1u);
      w.pool->readdress("10.0.0.2:7");
      w.settle();
      BOOST_TEST(w.pool->stats().connected == 2u);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_handshake_that_hangs_at_the_old_address_is_given_up) {
  pool_world w({.size = 1},
               {.connect_timeout = std::nullopt, .on_connect = [](cocp::connection& c) -> asio::awaitable<void> {
                  char b = 0;
                  const auto buffer = asio::buffer(&b, 1);
                  if (to_string(c.remote_endpoint()) == "10.0.0.1:7") co_await c.read(buffer);
                }});
  w.settle();
  w.pool->readdress("10.0.0.2:7");
  w.settle();
  BOOST_TEST(hosts(w) == std::vector<std::string>{"10.0.0.2:7"}, boost::test_tools::per_element());
  BOOST_TEST(w.net().open() == 1u);
}

BOOST_AUTO_TEST_CASE(a_new_endpoint_that_is_down_costs_one_attempt_though_dials_were_due) {
  pool_world w({.size = 10});
  // The first one has let the others go, and none has begun.
  while (w.pool->stats().connected != 1) w.step();
  BOOST_REQUIRE(w.net().attempts.size() == 1u);
  w.net().default_result = connect_result::refused;
  w.pool->readdress("10.0.0.2:7");
  w.settle();
  BOOST_TEST(w.net().attempts.size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_new_endpoint_that_is_down_costs_one_attempt_though_old_connections_are_in_use) {
  pool_world w({.size = 10});
  const auto held = w.take();
  w.net().default_result = connect_result::hangs;
  w.pool->readdress("10.0.0.2:7");
  w.settle();
  BOOST_TEST(w.pool->stats().connecting == 1u);
}

BOOST_AUTO_TEST_CASE(a_malformed_address_changes_nothing) {
  pool_world w;
  w.settle();
  BOOST_CHECK_THROW(w.pool->readdress("10.0.0.2"), std::invalid_argument);
  w.advance(1min);
  BOOST_TEST(w.net().attempts.size() == 1u);
}

BOOST_AUTO_TEST_CASE(the_same_address_changes_nothing) {
  pool_world w;
  w.settle();
  w.pool->readdress("10.0.0.1:7");
  w.advance(1s);
  BOOST_TEST(w.net().attempts.size() == 1u);
}

BOOST_AUTO_TEST_CASE(of_a_closed_pool_does_nothing) {
  pool_world w;
  auto held = w.take();
  w.pool->close();
  w.pool->readdress("10.0.0.2:7");
  held.put();
  w.advance(1min);
  BOOST_TEST(w.net().attempts.size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(renew)

BOOST_AUTO_TEST_CASE(redials_idle_connections_at_once_and_leased_ones_when_they_come_back) {
  pool_world w({.size = 3});
  auto held = w.take();
  w.pool->renew();
  w.settle();
  BOOST_TEST(w.net().attempts.size() == 5u);
  BOOST_TEST(w.net().open() == 3u);
  BOOST_TEST(held->generation() == 1u);
  held.put();
  w.settle();
  BOOST_TEST(w.net().attempts.size() == 6u);
  BOOST_TEST(gauges(*w.pool) == "3 connected, 3 idle, 0 leased, 0 connecting, 0 waiting");
  for (std::size_t i = 0; i < 3; ++i) BOOST_TEST(w.net().peers[i]->gone);
  BOOST_TEST(w.log.count(event_kind::replaced) == 3u);
  BOOST_TEST(w.log.entries().back().address == "10.0.0.1:7");
  w.advance(1h);
  BOOST_TEST(w.net().attempts.size() == 6u);
}

BOOST_AUTO_TEST_CASE(a_name_leads_to_the_other_server_then) {
  pool_world w({.size = 2}, {.address = "db:7"});
  w.net().names["db"] = {"10.0.0.1"};
  w.settle();
  w.net().names["db"] = {"10.0.0.2"};
  w.pool->renew();
  w.settle();
  const std::vector<std::string> two_new(2, "10.0.0.2:7");
  BOOST_TEST(hosts(w) == two_new, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(attempts_under_way_begin_again) {
  pool_world w({.size = 2}, {.connect_timeout = std::nullopt});
  w.net().default_result = connect_result::hangs;
  w.advance(1min);
  BOOST_TEST(w.pool->stats().connecting == 1u);
  w.net().default_result = connect_result::accepted;
  auto waiter = w.get();
  w.pool->renew();
  w.settle();
  BOOST_TEST(bool(waiter->lease));
  BOOST_TEST(w.pool->stats().connected == 2u);
  // The one that was ended says nothing of the endpoint.
  BOOST_TEST(w.pool->stats().connect_failures == 0u);
  BOOST_TEST(w.log.count(event_kind::connect_failed) == 0u);
}

BOOST_AUTO_TEST_CASE(the_delay_between_attempts_goes_on) {
  pool_world w({.size = 10});
  w.net().default_result = connect_result::refused;
  w.advance(1min);
  const auto attempts = w.net().attempts.size();
  for (int i = 0; i < 100; ++i) {
    w.pool->renew();
    w.advance(10ms);
  }
  BOOST_TEST(w.net().attempts.size() <= attempts + 1);
}

BOOST_AUTO_TEST_CASE(no_waiter_fails) {
  pool_world w({.size = 1, .fail_fast = 0s});
  auto held = w.take();
  auto waiter = w.get();
  w.pool->renew();
  held.put();
  w.settle();
  BOOST_REQUIRE(bool(waiter->lease));
  BOOST_TEST(w.net().attempts.size() == 2u);
}

BOOST_AUTO_TEST_CASE(one_that_was_redialled_meanwhile_is_new_already) {
  pool_world w({.size = 2});
  w.advance(1s);
  w.pool->renew();
  w.advance(1s);
  auto held = w.take();
  held.put();
  w.advance(1s);
  BOOST_TEST(w.net().attempts.size() == 4u);
}

BOOST_AUTO_TEST_CASE(of_a_closed_pool_does_nothing) {
  pool_world w;
  auto held = w.take();
  w.pool->close();
  w.pool->renew();
  held.put();
  w.advance(1min);
  BOOST_TEST(w.net().attempts.size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(name)

BOOST_AUTO_TEST_CASE(is_what_events_and_errors_call_the_endpoint_whatever_its_address) {
  pool_world w({.size = 1}, {.name = "the db"});
  w.settle();
  w.pool->readdress("10.0.0.2:7");
  w.settle();
  const auto first = w.log.entries().front();
  const auto last = w.log.entries().back();
  BOOST_TEST(first.line == "info connected the db (attempt 1)");
  BOOST_TEST(first.address == "10.0.0.1:7");
  BOOST_TEST(first.name == "the db");
  BOOST_TEST(last.address == "10.0.0.2:7");
  BOOST_TEST(last.name == "the db");
  auto lease = w.take();
  auto refused = w.watch(w.pool->get(0s));
  char byte = 0;
  auto failed = w.watch(lease->read_some(asio::buffer(&byte, 1)));
  w.settle();
  w.peer().fin();
  w.settle();
  BOOST_TEST(refused->what.starts_with("get: no connection to the db within 0 "), refused->what);
  BOOST_TEST(failed->what == "read_some the db: End of file");
}

BOOST_AUTO_TEST_CASE(is_the_address_unless_there_is_one) {
  pool_world w;
  w.settle();
  w.pool->readdress("10.0.0.2:7");
  w.settle();
  BOOST_TEST(w.log.entries().front().name == "10.0.0.1:7");
  BOOST_TEST(w.log.entries().back().name == "10.0.0.2:7");
}

BOOST_AUTO_TEST_CASE(is_that_of_a_connection_that_stands_alone_too) {
  world w;
  w.net().default_result = connect_result::refused;
  recording_logger log;
  cocp::connection c(w.io(), {.address = "10.0.0.1:7", .name = "the db", .logger = log.log()});
  c.expires_after(1s);
  auto failed = w.watch(c.ready());
  w.advance(2s);
  BOOST_TEST(failed->what.starts_with("ready the db: "), failed->what);
  BOOST_TEST(log.entries().front().line.starts_with("warning connect_failed the db: Connection refused"));
  c.close();
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(retry_now)

BOOST_AUTO_TEST_CASE(ends_the_backoff_delay) {
  pool_world w({.size = 10});
  w.net().default_result = connect_result::refused;
  w.advance(1min);
  w.net().default_result = connect_result::accepted;
  const auto attempts = w.net().attempts.size();
  w.pool->retry_now();
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 10u);
  BOOST_TEST(w.net().attempts.size() == attempts + 10);
}

BOOST_AUTO_TEST_CASE(costs_one_attempt) {
  pool_world w({.size = 10});
  w.net().default_result = connect_result::refused;
  w.advance(1min);
  const auto attempts = w.net().attempts.size();
  w.pool->retry_now();
  w.settle();
  BOOST_TEST(w.net().attempts.size() == attempts + 1);
}

BOOST_AUTO_TEST_CASE(does_nothing_while_all_is_well_or_closed) {
  pool_world w({.size = 2});
  w.settle();
  w.pool->retry_now();
  w.settle();
  w.pool->close();
  w.pool->retry_now();
  w.settle();
  BOOST_TEST(w.net().attempts.size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
