// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Pools with all that they do, destroyed after each handler: rules 4 and 10.

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pools.hpp>
#include <memory>
#include <string>
#include <vector>

#include "support/world.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;

namespace {

std::string at(unsigned n) { return "10.0.0." + std::to_string(n) + ":7"; }

struct scene {
  std::shared_ptr<cocp::pools> pools;
  std::vector<std::shared_ptr<cocp::lease>> leases;
};

asio::awaitable<void> use(std::shared_ptr<cocp::pools> pools, unsigned n) {
  error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  cocp::lease l = co_await pools->async_get(at(n), token);
  if (ec) co_return;
  const auto out = asio::buffer("x", 1);
  co_await asio::async_write(*l, out, token);
  char answer = 0;
  const auto in = asio::buffer(&answer, 1);
  co_await asio::async_read(*l, in, token);
}

asio::awaitable<void> run(std::shared_ptr<cocp::pools> pools, unsigned n) {
  co_await pools->run(at(n), [](cocp::lease& l) -> asio::awaitable<void> {
    l.discard();
    co_return;
  });
}

/// Three places for five addresses, of which one is down, and no more pools than four.
scene everything(world& w) {
  w.net().on_receive = [](fake_peer& p) {
    p.received.clear();
    p.send("y");
  };
  w.net().connect_latency = [] { return cocp::duration(1ms); };
  w.net().results_at[at(5)] = fake_network::connect_result::refused;
  scene s;
  s.pools = std::make_shared<cocp::pools>(
      w.io(), cocp::connection_options{}, cocp::pool_options{.size = 2, .get_timeout = 2s},
      cocp::pools_options{.unused_for = 1s, .max_connections = 3, .max_dialling = 2, .max_pools = 4});
  const auto ignore = [](std::exception_ptr) {};
  for (unsigned n : {1u, 2u, 3u, 1u, 4u, 5u, 2u}) asio::co_spawn(w.io(), use(s.pools, n), ignore);
  asio::co_spawn(w.io(), run(s.pools, 3), ignore);
  auto held = std::make_shared<cocp::lease>();
  s.pools->async_get(at(1), [held](error_code, cocp::lease l) { *held = std::move(l); });
  s.leases.push_back(held);
  // The network is kept by what keeps a lease.
  w.net().after(1500ms, [held = std::weak_ptr(held)] {
    if (auto l = held.lock()) l->put();
  });
  w.net().after(8s, [&io = w.io(), pools = std::weak_ptr(s.pools)] {
    if (auto p = pools.lock()) {
      p->renew();
      asio::co_spawn(io, p->drain(1s), [p](std::exception_ptr, std::size_t) {});
    }
  });
  return s;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pools_lifetime)

BOOST_AUTO_TEST_CASE(the_context_goes_first_after_each_handler) { destroy_at_every_step(everything); }

BOOST_AUTO_TEST_CASE(pools_and_leases_go_first_after_each_handler) { destroy_at_every_step(everything, true); }

BOOST_AUTO_TEST_CASE(pools_may_go_while_their_connections_are_leased_and_waited_for) {
  world w;
  auto pools = std::make_unique<cocp::pools>(w.io(), cocp::connection_options{}, cocp::pool_options{.size = 1});
  cocp::lease held;
  error_code ec;
  pools->async_get(at(1), [&held](error_code, cocp::lease l) { held = std::move(l); });
  pools->async_get(at(1), [&ec](error_code e, const cocp::lease&) { ec = e; });
  w.settle();
  pools.reset();
  w.settle();
  BOOST_TEST(ec == errc::closed);
  BOOST_TEST_REQUIRE(bool(held));
  BOOST_TEST(held->is_connected());
  held.put();
  w.settle();
  BOOST_TEST(w.net().open() == 0u);
}

BOOST_AUTO_TEST_CASE(a_waiter_may_own_the_pools) {
  world w;
  auto pools = std::make_shared<cocp::pools>(w.io(), cocp::connection_options{}, cocp::pool_options{.size = 1},
                                             cocp::pools_options{.max_connections = 1});
  auto held = std::make_shared<cocp::lease>();
  pools->async_get(at(1), [held, pools](error_code, cocp::lease l) { *held = std::move(l); });
  pools->async_get(at(2), [held, pools](error_code, const cocp::lease&) {});
  w.settle();
  pools.reset();
  w.destroy_context();
}

BOOST_AUTO_TEST_SUITE_END()
