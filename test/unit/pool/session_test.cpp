// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::connection;

namespace {

/// How many there are, and the numbers of those that have gone. A test's own: they are made by default.
struct census {
  int alive = 0;
  std::vector<int> gone;
  std::function<void()> on_gone;
};
census* counted = nullptr;

template <int Kind>
struct state {
  state() { ++counted->alive; }
  state(const state&) = delete;
  state& operator=(const state&) = delete;
  ~state() {
    --counted->alive;
    counted->gone.push_back(Kind);
    if (counted->on_gone) counted->on_gone();
  }
  std::string text = "new";
};

struct fixture {
  fixture() { counted = &all; }
  ~fixture() {
    BOOST_TEST(all.alive == 0, "sessions are left");
    counted = nullptr;
  }
  census all;
};

asio::awaitable<void> greet(connection& c) {
  c.session<state<1>>().text = "greeted";
  co_return;
}

char byte = 0;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(session, fixture)

BOOST_AUTO_TEST_CASE(is_the_same_in_on_connect_leases_and_hooks) {
  std::vector<std::string> seen;
  auto look = [&seen](connection& c) -> asio::awaitable<void> {
    seen.push_back(c.session<state<1>>().text);
    co_return;
  };
  pool_world w({.size = 1, .on_return = look, .keepalive = look, .keepalive_interval = 10s}, {.on_connect = greet});
  auto lease = w.take();
  BOOST_TEST(lease->session<state<1>>().text == "greeted");
  lease->session<state<1>>().text = "used";
  lease.put();
  w.advance(11s);
  BOOST_TEST(seen == std::vector<std::string>(2, "used"), boost::test_tools::per_element());
  BOOST_TEST(w.take()->session<state<1>>().text == "used");
  BOOST_TEST(all.alive == 1);
}

BOOST_AUTO_TEST_CASE(is_of_one_stream_only) {
  pool_world w({.size = 2});
  auto one = w.take();
  auto other = w.take();
  one->session<state<1>>().text = "one";
  BOOST_TEST(other->session<state<1>>().text == "new");
  one.discard();
  other.discard();
  w.settle();
  BOOST_TEST(all.alive == 0);
  BOOST_TEST(w.take()->session<state<1>>().text == "new");
}

BOOST_AUTO_TEST_CASE(there_is_one_of_each_type_and_the_youngest_goes_first) {
  pool_world w;
  auto lease = w.take();
  lease->session<state<1>>().text = "one";
  lease->session<state<2>>().text = "two";
  lease->session<int>() = 3;
  BOOST_TEST(lease->session<state<1>>().text == "one");
  BOOST_TEST(lease->session<state<2>>().text == "two");
  BOOST_TEST(lease->session<int>() == 3);
  lease.discard();
  w.settle();
  BOOST_TEST(all.gone == (std::vector<int>{2, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(of_an_attempt_that_fails_goes_with_it) {
  auto refuse = [](connection& c) -> asio::awaitable<void> {
    c.session<state<1>>();
    throw std::runtime_error("no");
    co_return;
  };
  pool_world w({.size = 1}, {.on_connect = refuse});
  w.settle();
  BOOST_TEST(all.alive == 0);
  BOOST_TEST(all.gone.size() == 1u);
}

BOOST_AUTO_TEST_CASE(whose_constructor_throws_is_tried_again) {
  struct moody {
    moody() {
      if (byte++ == 0) throw std::runtime_error("not yet");
    }
    int n = 7;
  };
  byte = 0;
  pool_world w;
  auto lease = w.take();
  BOOST_CHECK_THROW(lease->session<moody>(), std::runtime_error);
  BOOST_TEST(lease->session<moody>().n == 7);
  BOOST_TEST(lease->session<moody>().n == 7);
  BOOST_TEST(byte == 2);
}

BOOST_AUTO_TEST_CASE(goes_under_no_lock_and_never_inside_close) {
  pool_world w;
  cocp::lease lease = w.take();
  lease->session<state<1>>();
  lease.put();
  // They would wait for ever if a lock were held.
  all.on_gone = [&w] {
    static_cast<void>(w.pool->stats());
    w.pool->close();
  };
  w.pool->close();
  BOOST_TEST(all.alive == 1);
  BOOST_TEST(w.net().open() == 0u);
  w.settle();
  BOOST_TEST(all.alive == 0);
}

BOOST_AUTO_TEST_CASE(of_a_lease_that_outlives_its_pool_goes_on_the_executor_too) {
  pool_world w;
  cocp::lease lease = w.take();
  lease->session<state<1>>();
  w.pool->close();
  w.settle();
  BOOST_TEST(w.io().stopped());
  BOOST_TEST(lease->session<state<1>>().text == "new");
  lease.put();
  BOOST_TEST(w.net().open() == 0u);
  BOOST_TEST(all.alive == 1);
  w.settle();
  BOOST_TEST(all.alive == 0);
}

BOOST_AUTO_TEST_CASE(holds_in_a_lease_until_ready_returns) {
  pool_world w({.size = 1}, {.on_connect = greet});
  auto lease = w.take();
  auto& mine = lease->session<state<1>>();
  mine.text = "mine";
  w.net().default_result = fake_network::connect_result::refused;
  w.peer().reset();
  auto failed = w.watch(lease->read_some(asio::buffer(&byte, 1)));
  w.settle();
  BOOST_TEST(failed->done);
  BOOST_TEST(lease->session<state<1>>().text == "mine");
  auto ready = w.watch(lease->ready());
  w.settle();
  BOOST_TEST(w.net().open() == 0u);
  BOOST_TEST(mine.text == "mine");
  BOOST_TEST(lease->session<state<1>>().text == "mine");
  w.net().default_result = fake_network::connect_result::accepted;
  w.advance(1s);
  BOOST_TEST(ready->value.has_value());
  BOOST_TEST(lease->session<state<1>>().text == "greeted");
  BOOST_TEST(all.alive == 1);
}

BOOST_AUTO_TEST_CASE(holds_until_a_lease_ends_that_could_not_go_on) {
  pool_world w;
  auto lease = w.take();
  auto& mine = lease->session<state<1>>();
  w.net().default_result = fake_network::connect_result::refused;
  w.peer().reset();
  auto failed = w.watch(lease->read_some(asio::buffer(&byte, 1)));
  w.settle();
  BOOST_TEST(failed->done);
  lease->expires_after(1s);
  auto ready = w.watch(lease->ready());
  w.advance(2s);
  BOOST_TEST(ready->error == cocp::errc::timed_out);
  // It comes back, and this lease has not agreed to it.
  w.net().default_result = fake_network::connect_result::accepted;
  w.advance(10s);
  BOOST_TEST(w.net().open() == 1u);
  BOOST_TEST(&lease->session<state<1>>() == &mine);
  lease.put();
  w.settle();
  BOOST_TEST(all.alive == 0);
}

BOOST_AUTO_TEST_CASE(holds_in_a_hook_that_the_end_of_the_pool_interrupts) {
  std::string seen;
  auto linger = [&seen](connection& c) -> asio::awaitable<void> {
    auto& mine = c.session<state<1>>();
    mine.text = "in the hook";
    try {
      co_await c.read_some(asio::buffer(&byte, 1));
    } catch (const std::exception&) {
      seen = mine.text;
    }
  };
  pool_world w({.size = 1, .on_return = linger});
  auto lease = w.take();
  lease.put();
  w.settle();
  w.pool->close();
  w.settle();
  BOOST_TEST(seen == "in the hook");
  BOOST_TEST(all.alive == 0);
}

BOOST_AUTO_TEST_CASE(of_a_connection_that_stands_alone_holds_until_it_is_asked_for_behind_a_redial) {
  world w;
  std::optional<connection> c(std::in_place, w.io(), cocp::connection_options{.address = "10.0.0.1:7"});
  // There is no stream yet.
  c->session<state<1>>().text = "early";
  w.settle();
  BOOST_TEST(all.alive == 1);
  auto& first = c->session<state<1>>();
  BOOST_TEST(first.text == "new");
  first.text = "first";
  w.settle();
  BOOST_TEST(all.alive == 1);
  w.net().peers.back()->reset();
  auto failed = w.watch(c->read_some(asio::buffer(&byte, 1)));
  w.advance(1s);
  BOOST_TEST(failed->done);
  BOOST_TEST(c->generation() == 2u);
  BOOST_TEST(first.text == "first");
  BOOST_TEST(c->session<state<1>>().text == "new");
  w.settle();
  BOOST_TEST(all.alive == 1);
  c->close();
  w.settle();
  BOOST_TEST(c->session<state<1>>().text == "new");
  BOOST_TEST(all.alive == 1);
  c.reset();
  w.settle();
  BOOST_TEST(all.alive == 0);
}

BOOST_AUTO_TEST_CASE(of_what_is_idle_goes_with_the_context) {
  pool_world w;
  w.take()->session<state<1>>();
  w.settle();
  BOOST_TEST(all.alive == 1);
  w.destroy_context();
  BOOST_TEST(all.alive == 0);
}

BOOST_AUTO_TEST_CASE(holds_in_a_lease_that_outlives_the_context) {
  pool_world w;
  auto lease = w.take();
  auto& mine = lease->session<state<1>>();
  w.destroy_context();
  BOOST_TEST(mine.text == "new");
  BOOST_TEST(&lease->session<state<1>>() == &mine);
  lease.put();
  BOOST_TEST(all.alive == 0);
}

BOOST_AUTO_TEST_CASE(holds_in_a_hook_whose_frame_goes_with_the_context) {
  std::string seen;
  struct last_look {
    std::string& where;
    state<1>& what;
    ~last_look() { where = what.text; }
  };
  auto linger = [&seen](connection& c) -> asio::awaitable<void> {
    const last_look look{seen, c.session<state<1>>()};
    co_await c.read_some(asio::buffer(&byte, 1));
  };
  for (const bool early : {false, true}) {
    seen.clear();
    cocp::connection_options dial;
    if (early) dial.on_connect = linger;
    pool_world w({.size = 1, .on_return = linger}, std::move(dial));
    if (!early) w.take().put();
    w.settle();
    w.destroy_context();
    BOOST_TEST(seen == "new");
    BOOST_TEST(all.alive == 0);
  }
}

BOOST_AUTO_TEST_SUITE_END()
