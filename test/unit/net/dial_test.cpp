// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/dial.hpp"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "net/connect_race.hpp"
#include "support/pool_world.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using connect_result = fake_network::connect_result;
using texts = std::vector<std::string>;

namespace {

struct row {
  texts found;
  texts order;

  friend std::ostream& operator<<(std::ostream& out, const row& r) {
    for (const auto& f : r.found) out << f << ' ';
    return out;
  }
};

const row rows[] = {
    {{}, {}},
    {{"1.0.0.1"}, {"1.0.0.1"}},
    {{"1.0.0.1", "1.0.0.2"}, {"1.0.0.1", "1.0.0.2"}},
    {{"::1", "::2", "1.0.0.1"}, {"::1", "1.0.0.1", "::2"}},
    {{"1.0.0.1", "1.0.0.2", "1.0.0.3", "::1"}, {"1.0.0.1", "::1", "1.0.0.2", "1.0.0.3"}},
    {{"::1", "::2", "1.0.0.1", "1.0.0.2"}, {"::1", "1.0.0.1", "::2", "1.0.0.2"}},
};

/// A pool of one to a name with these addresses.
struct named : pool_world {
  explicit named(texts addresses, cocp::connection_options dial = {})
      : pool_world({.size = 1}, with_name(std::move(dial))) {
    net().names["db"] = std::move(addresses);
  }
  static cocp::connection_options with_name(cocp::connection_options dial) {
    dial.address = "db:7";
    return dial;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(dial)

BOOST_DATA_TEST_CASE(address_families_take_turns, rows, r) {
  std::vector<cocp::endpoint> found;
  for (const auto& f : r.found) found.emplace_back(asio::ip::tcp::endpoint(asio::ip::make_address(f), 7));
  texts order;
  for (const auto& e : cocp::detail::interleave_families(found)) order.push_back(e.address().to_string());
  BOOST_TEST(order == r.order, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_first_address_that_answers_is_the_only_one) {
  named w({"10.0.0.1", "10.0.0.2"});
  w.advance(10s);
  BOOST_TEST(w.net().attempted == texts{"10.0.0.1:7"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_black_hole_costs_a_quarter_of_a_second) {
  named w({"10.0.0.1", "10.0.0.2"});
  w.net().results_at["10.0.0.1:7"] = connect_result::hangs;
  w.advance(249ms);
  BOOST_TEST(w.pool->stats().connected == 0u);
  w.advance(1ms);
  BOOST_TEST(w.pool->stats().connected == 1u);
  BOOST_TEST(w.net().attempted == (texts{"10.0.0.1:7", "10.0.0.2:7"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_refusal_costs_nothing) {
  named w({"10.0.0.1", "::1", "10.0.0.2"});
  w.net().results_at["10.0.0.1:7"] = connect_result::refused;
  w.net().results_at["[::1]:7"] = connect_result::refused;
  w.settle();
  BOOST_TEST(w.pool->stats().connected == 1u);
  BOOST_TEST(w.net().attempted.size() == 3u);
  BOOST_TEST(w.pool->stats().connect_failures == 0u);
}

BOOST_AUTO_TEST_CASE(an_address_that_refused_comes_last_the_next_time_however_the_resolver_orders_them) {
  for (const texts& order : {texts{"10.0.0.1", "10.0.0.2"}, texts{"10.0.0.2", "10.0.0.1"}}) {
    named w({"10.0.0.1", "10.0.0.2"});
    w.net().results_at["10.0.0.1:7"] = connect_result::refused;
    w.advance(1s);
    BOOST_TEST(w.net().attempted == (texts{"10.0.0.1:7", "10.0.0.2:7"}), boost::test_tools::per_element());
    w.net().names["db"] = order;
    w.net().attempted.clear();
    w.peer().fin();
    w.advance(1s);
    BOOST_TEST(w.net().attempted == texts{"10.0.0.2:7"}, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(an_attempt_fails_when_all_addresses_have) {
  named w({"10.0.0.1", "10.0.0.2", "10.0.0.3"});
  w.net().default_result = connect_result::refused;
  w.settle();
  BOOST_TEST(w.net().attempted.size() == 3u);
  BOOST_TEST(w.pool->stats().connect_failures == 1u);
  BOOST_TEST(w.log.entries()[0].error == asio::error::connection_refused);
}

BOOST_AUTO_TEST_CASE(one_that_has_not_answered_is_waited_for_when_the_others_have_failed) {
  named w({"10.0.0.1", "10.0.0.2"}, {.connect_timeout = 5s});
  w.net().results_at["10.0.0.1:7"] = connect_result::hangs;
  w.net().results_at["10.0.0.2:7"] = connect_result::refused;
  w.advance(4s);
  BOOST_TEST(w.pool->stats().connecting == 1u);
  BOOST_TEST(w.pool->stats().connect_failures == 0u);
}

BOOST_AUTO_TEST_CASE(a_late_winner_is_taken_and_the_others_are_closed) {
  named w({"10.0.0.1", "10.0.0.2", "10.0.0.3"});
  w.net().results_at["10.0.0.1:7"] = connect_result::hangs;
  w.net().results_at["10.0.0.2:7"] = connect_result::hangs;
  w.advance(1s);
  BOOST_TEST(w.net().attempted.size() == 3u);
  BOOST_TEST(w.net().open() == 1u);
  BOOST_TEST(w.pool->stats().connected == 1u);
}

BOOST_AUTO_TEST_CASE(a_place_has_no_more_than_one_socket_when_its_attempt_is_dropped_for_another) {
  pool_world w({.size = 1}, {.address = "10.0.0.1:7"});
  w.net().default_result = connect_result::hangs;
  w.settle();
  std::size_t most = 0;
  w.net().on_attempt = [&] { most = std::max(most, w.net().sockets); };
  w.pool->renew();
  w.settle();
  BOOST_TEST(w.net().attempts.size() == 2u);
  BOOST_TEST(most == 1u);
}

BOOST_AUTO_TEST_CASE(a_connection_is_told_as_such_when_those_that_have_lost_are_closed) {
  std::size_t open = 0;
  std::shared_ptr<fake_network> net;
  named w({"10.0.0.1", "10.0.0.2"}, {.logger = [&](const cocp::event& e) {
            if (e.kind == cocp::event_kind::connected) open = net->sockets;
          }});
  net = w.net().shared_from_this();
  w.net().results_at["10.0.0.1:7"] = connect_result::hangs;
  w.advance(1s);
  BOOST_TEST(open == 1u);
}

BOOST_AUTO_TEST_CASE(one_deadline_is_over_all_addresses) {
  named w({"10.0.0.1", "10.0.0.2", "10.0.0.3"}, {.connect_timeout = 1s, .retry_min = 1min, .retry_max = 1min});
  w.net().default_result = connect_result::hangs;
  w.advance(999ms);
  BOOST_TEST(w.pool->stats().connect_failures == 0u);
  w.advance(1ms);
  BOOST_TEST(w.pool->stats().connect_failures == 1u);
  BOOST_TEST(w.log.entries()[0].error == errc::timed_out);
}

BOOST_AUTO_TEST_CASE(an_attempt_that_has_ended_begins_with_no_further_address) {
  named w({"10.0.0.1", "10.0.0.2"}, {.connect_timeout = 100ms, .retry_min = 1min, .retry_max = 1min});
  w.net().default_result = connect_result::hangs;
  w.advance(1s);
  BOOST_TEST(w.pool->stats().connect_failures == 1u);
  BOOST_TEST(w.net().attempted.size() == 1u);
}

BOOST_AUTO_TEST_CASE(thirty_dead_addresses_do_not_hide_the_good_one_behind_them) {
  texts addresses;
  for (int i = 1; i <= 30; ++i) addresses.push_back("10.0.1." + std::to_string(i));
  addresses.push_back("10.0.0.1");
  for (const auto timeout : {100ms, 1000ms, 5000ms}) {
    BOOST_TEST_CONTEXT(timeout.count() << " ms for an attempt") {
      named w(addresses, {.connect_timeout = timeout, .retry_min = 10ms, .retry_max = 10ms});
      w.net().default_result = connect_result::hangs;
      w.net().results_at["10.0.0.1:7"] = connect_result::accepted;
      w.advance(31 * (timeout + 10ms));
      BOOST_REQUIRE(w.pool->stats().connected == 1u);
      BOOST_TEST(w.net().attempted.size() >= 31u);
      BOOST_TEST(w.net().attempted.size() <= 40u);
      // Nor is it hidden from the next dial.
      w.net().attempted.clear();
      w.advance(1s);
      w.peer().fin();
      w.advance(100ms);
      BOOST_TEST(w.net().attempted == texts{"10.0.0.1:7"}, boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(an_attempt_that_was_cut_off_is_followed_by_one_that_begins_with_other_addresses) {
  named w({"10.0.0.1", "10.0.0.2"}, {.connect_timeout = 100ms, .retry_min = 1s, .retry_max = 1s});
  w.net().results_at["10.0.0.1:7"] = connect_result::hangs;
  w.advance(2s);
  BOOST_TEST(w.pool->stats().connected == 1u);
  BOOST_TEST(w.net().attempted == (texts{"10.0.0.1:7", "10.0.0.2:7"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_address_without_an_answer_comes_after_the_one_that_had_less_time_and_connected) {
  named w({"10.0.0.1", "10.0.0.2", "10.0.0.3"});
  w.net().results_at["10.0.0.1:7"] = connect_result::hangs;
  w.advance(2s);
  w.net().results_at.clear();
  w.net().attempted.clear();
  w.peer().fin();
  w.advance(100ms);
  BOOST_TEST(w.net().attempted == texts{"10.0.0.2:7"}, boost::test_tools::per_element());
}

// How an address fails behind TCP's connect.
struct bad_server {
  const char* name;
  std::function<void(fake_peer&)> greets;
  std::function<asio::awaitable<void>(cocp::connection&)> logs_in;

  friend std::ostream& operator<<(std::ostream& out, const bad_server& b) { return out << b.name; }
};

const std::vector<bad_server> bad_servers{
    {"refuses on_connect",
     {},
     [](cocp::connection& c) -> asio::awaitable<void> {
       if (c.remote_endpoint().address().to_string() == "10.0.0.1") throw std::runtime_error("no");
       co_return;
     }},
    {"does not answer on_connect",
     {},
     [](cocp::connection& c) -> asio::awaitable<void> {
       char b = 0;
       if (c.remote_endpoint().address().to_string() == "10.0.0.1") co_await c.read_some(asio::buffer(&b, 1));
     }},
    {"closes at once", [](fake_peer& p) { p.fin(); }, {}},
    {"resets at once", [](fake_peer& p) { p.reset(); }, {}},
    {"speaks unasked", [](fake_peer& p) { p.send("hello"); }, {}},
};

BOOST_DATA_TEST_CASE(an_address_that_fails_behind_its_connect_is_tried_after_the_others,
                     boost::unit_test::data::make(bad_servers), bad) {
  named w({"10.0.0.1", "10.0.0.2"},
          {.connect_timeout = 1s, .retry_min = 100ms, .retry_max = 100ms, .on_connect = bad.logs_in});
  w.net().on_accept = [&](fake_peer& p) {
    if (bad.greets && w.net().attempted.back() == "10.0.0.1:7") bad.greets(p);
  };
  w.advance(2s);
  BOOST_TEST(w.pool->stats().connected == 1u);
  BOOST_TEST(w.pool->stats().connect_failures == 1u);
  BOOST_TEST(w.net().attempted == (texts{"10.0.0.1:7", "10.0.0.2:7"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_address_that_is_lost_early_is_tried_after_the_others) {
  named w({"10.0.0.1", "10.0.0.2"}, {.retry_min = 100ms, .retry_max = 100ms});
  w.advance(50ms);
  w.peer().fin();
  w.advance(1s);
  BOOST_TEST(w.pool->stats().connected == 1u);
  BOOST_TEST(w.net().attempted == (texts{"10.0.0.1:7", "10.0.0.2:7"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_address_that_is_lost_after_it_has_served_is_tried_again_in_its_order) {
  named w({"10.0.0.1", "10.0.0.2"}, {.retry_min = 100ms, .retry_max = 100ms});
  w.advance(1s);
  w.peer().fin();
  w.advance(1s);
  BOOST_TEST(w.net().attempted == (texts{"10.0.0.1:7", "10.0.0.1:7"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_quick_address_that_fails_behind_its_connect_wins_no_race_against_a_slow_one) {
  named w({"10.0.0.1", "10.0.0.2"}, {.connect_timeout = 5s, .retry_min = 100ms, .retry_max = 100ms});
  w.net().results_at["10.0.0.1:7"] = connect_result::hangs;
  w.net().on_accept = [&](fake_peer& p) {
    if (w.net().attempted.back() == "10.0.0.2:7") p.fin();
  };
  w.advance(5s);
  BOOST_TEST(w.net().attempted == (texts{"10.0.0.1:7", "10.0.0.2:7", "10.0.0.1:7"}), boost::test_tools::per_element());
  // And what does not answer holds up the other one for one attempt.
  w.net().on_accept = {};
  w.advance(1s);
  BOOST_TEST(w.pool->stats().connected == 1u);
  BOOST_TEST(w.net().attempted.back() == "10.0.0.2:7");
}

// An attempt that would end by itself is what it waits for otherwise.
BOOST_AUTO_TEST_CASE(an_address_that_is_to_be_tried_alone_waits_not_for_ever_for_one_without_an_answer) {
  named w({"10.0.0.1", "10.0.0.2"}, {.connect_timeout = std::nullopt, .retry_min = 100ms, .retry_max = 100ms});
  w.net().results_at["10.0.0.1:7"] = connect_result::hangs;
  w.net().on_accept = [](fake_peer& p) { p.fin(); };
  w.advance(1s);
  w.net().on_accept = {};
  w.advance(cocp::detail::longest_alone - 1s);
  BOOST_TEST(w.net().attempted == (texts{"10.0.0.1:7", "10.0.0.2:7", "10.0.0.1:7"}), boost::test_tools::per_element());
  w.advance(1s);
  BOOST_TEST(w.pool->stats().connected == 1u);
  BOOST_TEST(w.net().attempted.back() == "10.0.0.2:7");
}

BOOST_AUTO_TEST_CASE(a_unix_socket_whose_queue_is_full_is_tried_again_within_the_attempt) {
  pool_world w({.size = 1}, {.address = "unix:/socket"});
  w.net().next_results = {connect_result::busy, connect_result::busy, connect_result::busy};
  w.advance(6ms);
  BOOST_TEST(w.pool->stats().connecting == 1u);
  w.advance(1ms);
  BOOST_TEST(counters(*w.pool) == "connects 1");
  BOOST_TEST((w.net().attempts == std::vector<cocp::duration>{0ms, 1ms, 3ms, 7ms}));
}

BOOST_AUTO_TEST_CASE(a_unix_socket_whose_queue_stays_full_fails_the_attempt_when_its_time_is_up) {
  pool_world w({.size = 1}, {.address = "unix:/socket", .connect_timeout = 1s, .retry_min = 1min, .retry_max = 1min});
  w.net().default_result = connect_result::busy;
  w.advance(999ms);
  BOOST_TEST(w.pool->stats().connect_failures == 0u);
  w.advance(1ms);
  BOOST_TEST(w.pool->stats().connect_failures == 1u);
  BOOST_TEST(w.log.entries()[0].error == errc::timed_out);
  BOOST_TEST(w.net().attempts.size() <= 30u);
  w.advance(10s);
  BOOST_TEST(w.net().attempts.size() <= 30u);
}

BOOST_AUTO_TEST_CASE(the_name_is_looked_up_again_on_every_dial) {
  named w({"10.0.0.1"});
  w.net().results_at["10.0.0.1:7"] = connect_result::refused;
  w.advance(1min);
  BOOST_TEST(w.net().lookups.size() == w.net().attempted.size());
  // A failover by DNS.
  w.net().names["db"] = {"10.0.0.2"};
  w.advance(6s);
  BOOST_TEST(w.pool->stats().connected == 1u);
  BOOST_TEST(w.net().attempted.back() == "10.0.0.2:7");
}

BOOST_AUTO_TEST_CASE(a_numeric_address_is_not_looked_up) {
  pool_world w;
  w.advance(1s);
  BOOST_TEST(w.net().lookups.empty());
}

BOOST_AUTO_TEST_CASE(a_race_is_destroyed_at_every_step) {
  for (const bool first : {false, true}) {
    destroy_at_every_step(
        [](world& w) {
          w.net().names["db"] = {"10.0.0.1", "::1", "10.0.0.2"};
          w.net().results_at["10.0.0.1:7"] = connect_result::hangs;
          w.net().results_at["[::1]:7"] = connect_result::refused;
          auto p = std::make_unique<cocp::pool>(w.io(), cocp::connection_options{.address = "db:7"},
                                                cocp::pool_options{.size = 2});
          w.spawn([](cocp::pool& pool) -> asio::awaitable<void> {
            co_await pool.ready(2);
            co_await pool.drain();
          }(*p));
          return p;
        },
        first);
  }
}

BOOST_AUTO_TEST_CASE(a_pause_before_a_full_queue_is_tried_again_is_destroyed_at_every_step) {
  for (const bool first : {false, true}) {
    destroy_at_every_step(
        [](world& w) {
          w.net().next_results = {connect_result::busy, connect_result::busy};
          auto p = std::make_unique<cocp::pool>(w.io(), cocp::connection_options{.address = "unix:/socket"},
                                                cocp::pool_options{.size = 1});
          w.spawn([](cocp::pool& pool) -> asio::awaitable<void> {
            co_await pool.ready();
            co_await pool.drain();
          }(*p));
          return p;
        },
        first);
  }
}

BOOST_AUTO_TEST_SUITE_END()
