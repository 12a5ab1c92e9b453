// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A peer that is there and does nothing: what ends a wait for it, and that the next user gets a connection that lives.

#include "support/eventually.hpp"
#include "support/scripted_server.hpp"
#include "support/socket_fixture.hpp"
#include "support/steps.hpp"

#include <cocp.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;

namespace {

using clock_type = std::chrono::steady_clock;

asio::awaitable<void> write(cocp::connection& c, std::string_view text) {
  const auto out = asio::buffer(text);
  co_await c.write(out);
}

/// What a coroutine fails with.
asio::awaitable<error_code> failure_of(asio::awaitable<void> body) {
  auto failing = std::move(body);
  try {
    co_await std::move(failing);
  } catch (const boost::system::system_error& e) {
    co_return e.code();
  }
  co_return error_code();
}

asio::awaitable<void> ask_in_vain(cocp::connection& c) {
  co_await write(c, "hello?");
  char byte = 0;
  const auto in = asio::buffer(&byte, 1);
  co_await c.read_some(in);
}

/// The next user's connection is another one, and lives.
asio::awaitable<void> use_next(cocp::pool& pool) {
  const cocp::lease lease = co_await pool.get();
  BOOST_TEST(lease->generation() == 2u);
  co_await echo(*lease, "alive");
}

struct fixture : socket_fixture {
  /// Its first session does nothing, and all others echo. It is ended when the test has waited in vain.
  struct stalling_server : scripted_server {
    explicit stalling_server(asio::io_context& context) : scripted_server(context.get_executor()), limit(context) {
      behave_once({step::stall{}});
      limit.expires_after(patience);
      limit.async_wait([this](error_code ec) {
        if (!ec) reset_all();
      });
    }

    asio::steady_timer limit;
  };

  static cocp::connection_options at(const scripted_server& server) {
    return {.address = server.address(), .retry_min = 1ms, .retry_max = 20ms};
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(half_open, fixture)

BOOST_AUTO_TEST_CASE(expires_after_ends_a_read_and_has_the_connection_replaced) {
  run([&]() -> asio::awaitable<void> {
    stalling_server server(io);
    cocp::pool pool(io, at(server), {.size = 1});
    cocp::lease lease = co_await pool.get();
    const auto start = clock_type::now();
    lease->expires_after(50ms);
    auto asking = ask_in_vain(*lease);
    const error_code error = co_await failure_of(std::move(asking));
    BOOST_TEST((error == errc::timed_out));
    BOOST_TEST((error == std::errc::timed_out));
    BOOST_TEST((clock_type::now() - start >= 50ms));
    lease.put();
    co_await use_next(pool);
    BOOST_TEST(pool.stats().replaced_dirty == 1u);
    BOOST_TEST(pool.stats().disconnects == 0u);
  });
}

BOOST_AUTO_TEST_CASE(a_keepalive_that_waits_in_vain_is_ended_by_connect_timeout_and_has_the_connection_replaced) {
  run([&]() -> asio::awaitable<void> {
    constexpr auto limit = 100ms;
    std::optional<clock_type::time_point> begun;
    std::optional<clock_type::time_point> replaced;
    error_code why;
    stalling_server server(io);
    cocp::connection_options to = at(server);
    to.connect_timeout = limit;
    to.logger = [&](const cocp::event& e) {
      if (e.kind != cocp::event_kind::replaced) return;
      replaced = clock_type::now();
      why = e.error;
    };
    auto ping = [&begun](cocp::connection& c) -> asio::awaitable<void> {
      // Not on those after the first, which a slow machine might fail.
      if (c.generation() != 1) co_return;
      begun = clock_type::now();
      co_await ask_in_vain(c);
    };
    cocp::pool pool(io, to, {.size = 1, .keepalive = ping, .keepalive_interval = 20ms});
    auto waits_in_vain = [&] { return begun.has_value(); };
    co_await until(waits_in_vain);
    // Who asks meanwhile waits, and is given the one after it.
    co_await use_next(pool);
    BOOST_REQUIRE(replaced.has_value());
    BOOST_TEST((*replaced - *begun >= limit));
    BOOST_TEST((why == errc::timed_out));
    BOOST_TEST(pool.stats().replaced_dead == 1u);
    BOOST_TEST(pool.stats().replaced_dirty == 0u);
    BOOST_TEST(pool.stats().disconnects == 0u);
  });
}

BOOST_AUTO_TEST_CASE(a_connection_whose_keepalive_waits_in_vain_is_replaced_without_anybody_asking) {
  run([&]() -> asio::awaitable<void> {
    stalling_server server(io);
    cocp::connection_options to = at(server);
    to.connect_timeout = 100ms;
    auto ping = [](cocp::connection& c) -> asio::awaitable<void> {
      if (c.generation() == 1) co_await ask_in_vain(c);
    };
    cocp::pool pool(io, to, {.size = 1, .keepalive = ping, .keepalive_interval = 20ms});
    auto replaced = [&] { return pool.stats().replaced_dead == 1 && pool.stats().idle == 1; };
    co_await until(replaced);
    BOOST_TEST(pool.stats().gets == 0u);
    co_await use_next(pool);
  });
}

BOOST_AUTO_TEST_CASE(tcp_user_timeout_ends_a_write_that_the_peer_does_not_take) {
  run([&]() -> asio::awaitable<void> {
    constexpr auto limit = 300ms;
    // More than both sockets take: then the peer's window is zero, and stays so (tcp(7): TCP_USER_TIMEOUT).
    const std::string much(std::size_t{32} << 20, 'x');
    stalling_server server(io);
    cocp::connection_options to = at(server);
    to.tcp_user_timeout = limit;
    cocp::pool pool(io, to, {.size = 1});
    cocp::lease lease = co_await pool.get();
    const auto start = clock_type::now();
    auto writing = write(*lease, much);
    const error_code error = co_await failure_of(std::move(writing));
    BOOST_TEST((error == std::errc::timed_out));
    BOOST_TEST((error.category() == boost::system::system_category()), "it is the kernel's: " << error);
    BOOST_TEST((clock_type::now() - start >= limit));
    BOOST_TEST((lease->last_error() == error));
    lease.put();
    co_await use_next(pool);
    BOOST_TEST(pool.stats().disconnects == 1u);
    BOOST_TEST(pool.stats().replaced_dirty == 0u);
  });
}

BOOST_AUTO_TEST_SUITE_END()
