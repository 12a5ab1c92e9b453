// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/fault_relay.hpp"

#include "support/eventually.hpp"
#include "support/plain_talk.hpp"
#include "support/scripted_server.hpp"
#include "support/socket_fixture.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using boost::system::error_code;
using clock_type = std::chrono::steady_clock;

namespace {

/// How connecting fails, or the first exchange.
asio::awaitable<error_code> try_once(asio::ip::tcp::endpoint to) {
  plain_connection c(co_await asio::this_coro::executor);
  try {
    co_await c.connect(to);
    char byte = 'x';
    co_await c.write(asio::buffer(&byte, 1));
    co_await c.read(asio::buffer(&byte, 1));
  } catch (const boost::system::system_error& e) {
    co_return e.code();
  }
  co_return error_code();
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fault_relay_, socket_fixture)

BOOST_AUTO_TEST_CASE(without_faults_it_passes_on_bytes_and_ends_both_ways) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    fault_relay relay(io.get_executor(), server.endpoint());
    plain_connection c(io.get_executor());
    co_await c.connect(relay.endpoint());
    co_await ask(c, "hello");
    co_await ask(c, std::string(300'000, 'x'));
    BOOST_TEST(relay.seen().to_server == 300'005u);
    BOOST_TEST(relay.seen().to_client == 300'005u);
    BOOST_TEST(relay.seen().open == 1u);
    c.socket.shutdown(asio::ip::tcp::socket::shutdown_send);
    BOOST_TEST(co_await end_of(c) == asio::error::eof);
    BOOST_TEST(co_await eventually([&] { return relay.seen().open == 0 && server.open() == 0; }));
    BOOST_TEST(relay.seen().accepted == 1u);
    BOOST_TEST(relay.seen().reset == 0u);
  });
}

BOOST_AUTO_TEST_CASE(a_reset_on_one_side_is_one_on_the_other) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    fault_relay relay(io.get_executor(), server.endpoint());
    plain_connection c(io.get_executor());
    co_await c.connect(relay.endpoint());
    co_await ask(c, "hello");
    server.reset_all();
    BOOST_TEST(co_await end_of(c) == asio::error::connection_reset);
  });
}

BOOST_AUTO_TEST_CASE(a_connection_is_reset_where_the_server_refuses) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    fault_relay relay(io.get_executor(), server.endpoint());
    server.stop_listening();
    BOOST_TEST(co_await try_once(relay.endpoint()) == asio::error::connection_reset);
    server.listen_again();
    BOOST_TEST(!co_await try_once(relay.endpoint()));
  });
}

BOOST_AUTO_TEST_CASE(the_server_may_be_at_a_unix_socket) {
  run([&]() -> asio::awaitable<void> {
    const temporary_directory directory;
    asio::local::stream_protocol::acceptor acceptor(io, {directory.path() / "socket"});
    fault_relay relay(io.get_executor(), acceptor.local_endpoint());
    plain_connection c(io.get_executor());
    co_await c.connect(relay.endpoint());
    auto served = co_await acceptor.async_accept(asio::use_awaitable);
    co_await c.write(asio::buffer("ab", 2));
    std::array<char, 2> got;
    co_await asio::async_read(served, asio::buffer(got), asio::use_awaitable);
    co_await asio::async_write(served, asio::buffer(got), asio::use_awaitable);
    co_await expect(c, "ab");
  });
}

BOOST_AUTO_TEST_CASE(latency_is_of_each_way_and_bytes_under_way_do_not_wait_for_each_other) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    fault_relay relay(io.get_executor(), server.endpoint(),
                      {.to_server = {.latency = 20ms}, .to_client = {.latency = 40ms}});
    plain_connection c(io.get_executor());
    co_await c.connect(relay.endpoint());
    const auto start = clock_type::now();
    co_await ask(c, "hello");
    BOOST_TEST((clock_type::now() - start >= 60ms));
    // Those who are under way when it ends are there at once.
    relay.set({.to_server = {.latency = 1h}});
    co_await c.write(asio::buffer("abc", 3));
    auto is_held = [&]() { return relay.seen().to_server == 5; };
    BOOST_TEST(co_await eventually(is_held));
    relay.set({});
    co_await expect(c, "abc");
  });
}

BOOST_AUTO_TEST_CASE(jitter_keeps_the_order) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    fault_relay relay(io.get_executor(), server.endpoint(), relay_faults::both_ways({.jitter = 5ms}), 17);
    plain_connection c(io.get_executor());
    co_await c.connect(relay.endpoint());
    const auto start = clock_type::now();
    for (char letter = 'a'; letter != 'f'; ++letter) co_await ask(c, std::string(1, letter));
    BOOST_TEST((clock_type::now() - start > 5ms));
    co_await c.write(asio::buffer("in", 2));
    co_await c.write(asio::buffer("order", 5));
    co_await expect(c, "inorder");
  });
}

BOOST_AUTO_TEST_CASE(no_more_comes_through_in_a_time_than_its_bandwidth) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    fault_relay relay(io.get_executor(), server.endpoint(), {.to_client = {.bandwidth = 100'000}});
    plain_connection c(io.get_executor());
    co_await c.connect(relay.endpoint());
    const auto start = clock_type::now();
    co_await ask(c, std::string(10'000, 'x'));
    BOOST_TEST((clock_type::now() - start >= 100ms));
    // A byte an hour, until it is lifted.
    relay.set({.to_client = {.bandwidth = 1}});
    co_await c.write(asio::buffer(std::string(5'000, 'y')));
    BOOST_TEST(co_await eventually([&] { return relay.seen().to_server == 15'000; }));
    relay.set({});
    co_await expect(c, std::string(5'000, 'y'));
  });
}

BOOST_AUTO_TEST_CASE(it_resets_after_n_bytes_and_these_can_be_read) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    fault_relay relay(io.get_executor(), server.endpoint(), {.reset_after = 8});
    plain_connection c(io.get_executor());
    co_await c.connect(relay.endpoint());
    co_await c.write(asio::buffer("hello", 5));
    co_await expect(c, "hel");
    BOOST_TEST(co_await end_of(c) == asio::error::connection_reset);
    BOOST_TEST(relay.seen().reset == 1u);
    BOOST_TEST(co_await eventually([&] { return server.open() == 0; }));
  });
}

BOOST_AUTO_TEST_CASE(shares_of_connections_requests_and_answers_are_reset_as_the_seed_says) {
  run([&]() -> asio::awaitable<void> {
    constexpr int tries = 40;
    scripted_server server(io.get_executor());
    const std::array<relay_faults, 3> all{
        {{.resets = 0.5}, {.to_server = {.resets = 0.5}}, {.to_client = {.resets = 0.5}}}};
    for (const relay_faults& f : all) {
      const std::uint64_t before = server.received();
      std::vector<std::vector<bool>> seen(2);
      for (auto& failed : seen) {
        fault_relay relay(io.get_executor(), server.endpoint(), f, 3);
        for (int n = 0; n < tries; ++n) failed.push_back(bool(co_await try_once(relay.endpoint())));
        const auto resets = static_cast<std::size_t>(std::ranges::count(failed, true));
        BOOST_TEST(relay.seen().reset == resets);
        BOOST_TEST(resets > tries / 5);
        BOOST_TEST(resets < tries - tries / 5);
      }
      BOOST_TEST((seen[0] == seen[1]));
      const bool requests_come = f.to_client.resets != 0;
      BOOST_TEST((server.received() - before == 2 * tries) == requests_come);
    }
    // All of them.
    fault_relay relay(io.get_executor(), server.endpoint(), {.resets = 1});
    BOOST_TEST(co_await try_once(relay.endpoint()) == asio::error::connection_reset);
  });
}

BOOST_AUTO_TEST_CASE(a_black_hole_accepts_and_moves_nothing_until_it_ends) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    fault_relay relay(io.get_executor(), server.endpoint());
    plain_connection before(io.get_executor()), during(io.get_executor());
    co_await before.connect(relay.endpoint());
    co_await ask(before, "hello");
    relay.set(relay_faults::black_hole());
    co_await during.connect(relay.endpoint());
    for (auto* c : {&before, &during}) {
      co_await c->write(asio::buffer("anybody?", 8));
      c->socket.shutdown(asio::ip::tcp::socket::shutdown_send);
    }
    BOOST_TEST(co_await eventually([&] { return server.accepted() == 2; }));
    // What has been passed on would be there by now.
    BOOST_TEST(!co_await try_once(server.endpoint()));
    BOOST_TEST(server.received() == 6u);
    relay.set({});
    for (auto* c : {&before, &during}) {
      co_await expect(*c, "anybody?");
      BOOST_TEST(co_await end_of(*c) == asio::error::eof);
    }
  });
}

BOOST_AUTO_TEST_CASE(a_stall_ends_by_itself) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    fault_relay relay(io.get_executor(), server.endpoint());
    plain_connection c(io.get_executor());
    co_await c.connect(relay.endpoint());
    co_await ask(c, "hello");
    const auto start = clock_type::now();
    relay.stall_for(50ms);
    co_await ask(c, "there");
    BOOST_TEST((clock_type::now() - start >= 50ms));
  });
}

BOOST_AUTO_TEST_CASE(an_end_of_file_can_come_late) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::echo{5}, step::close{}});
    fault_relay relay(io.get_executor(), server.endpoint(), {.to_client = {.late_close = 50ms}});
    plain_connection c(io.get_executor());
    co_await c.connect(relay.endpoint());
    const auto start = clock_type::now();
    co_await ask(c, "hello");
    BOOST_TEST(co_await end_of(c) == asio::error::eof);
    BOOST_TEST((clock_type::now() - start >= 50ms));
  });
}

BOOST_AUTO_TEST_CASE(connects_are_refused_or_hang_or_are_served_as_it_is_told) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    fault_relay relay(io.get_executor(), server.endpoint());
    plain_connection before(io.get_executor());
    co_await before.connect(relay.endpoint());
    for (int round = 0; round < 3; ++round) {
      relay.set({.connects = arrival::refused});
      BOOST_TEST(co_await try_once(relay.endpoint()) == asio::error::connection_refused);
      relay.set({.connects = arrival::ignored});
      plain_connection hanging(io.get_executor());
      error_code end = asio::error::would_block;
      hanging.socket.async_connect(relay.endpoint(), [&](error_code ec) { end = ec; });
      co_await ask(before, "connections go on");
      auto ended = [&] { return end != asio::error::would_block; };
      BOOST_TEST(!co_await eventually(ended, 20ms));
      hanging.socket.close();
      BOOST_TEST(co_await eventually(ended));
      relay.set({});
      BOOST_TEST(!co_await try_once(relay.endpoint()));
    }
    BOOST_TEST(relay.seen().accepted == 4u);
  });
}

BOOST_AUTO_TEST_CASE(others_may_take_the_last_place_of_a_backlog_that_is_being_filled) {
  scripted_server server(io.get_executor());
  fault_relay relay(io.get_executor(), server.endpoint());
  std::vector<std::jthread> others;
  for (int n = 0; n < 2; ++n) {
    others.emplace_back([to = relay.endpoint()](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        asio::io_context own;
        asio::ip::tcp::socket socket(own);
        socket.async_connect(to, [](error_code) {});
        own.poll();
      }
    });
  }
  for (int n = 0; n < 300; ++n) {
    relay.set({.connects = arrival::refused});
    relay.set({.connects = arrival::ignored});
  }
}

BOOST_AUTO_TEST_CASE(all_connections_are_closed_or_reset) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    fault_relay relay(io.get_executor(), server.endpoint());
    for (const bool by_reset : {false, true}) {
      plain_connection a(io.get_executor()), b(io.get_executor());
      for (auto* c : {&a, &b}) {
        co_await c->connect(relay.endpoint());
        co_await ask(*c, "hello");
      }
      by_reset ? relay.reset_all() : relay.close_all();
      for (auto* c : {&a, &b}) {
        const error_code end = co_await end_of(*c);
        BOOST_TEST(end == (by_reset ? error_code(asio::error::connection_reset) : error_code(asio::error::eof)));
      }
      BOOST_TEST(co_await eventually([&] { return relay.seen().open == 0 && server.open() == 0; }));
    }
  });
}

BOOST_AUTO_TEST_CASE(its_destructor_resets_what_is_open_and_leaves_no_work) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    std::optional<fault_relay> relay(std::in_place, io.get_executor(), server.endpoint());
    relay->set(relay_faults::black_hole());
    plain_connection c(io.get_executor());
    co_await c.connect(relay->endpoint());
    co_await c.write(asio::buffer("hello", 5));
    BOOST_TEST(co_await eventually([&] { return server.open() == 1; }));
    relay.reset();
    BOOST_TEST(co_await end_of(c) == asio::error::connection_reset);
  });
}

BOOST_AUTO_TEST_CASE(the_context_may_be_destroyed_in_the_middle_of_a_connection) {
  std::optional<asio::io_context> other(std::in_place, 1);
  std::optional<scripted_server> server(std::in_place, other->get_executor());
  std::optional<fault_relay> relay(std::in_place, other->get_executor(), server->endpoint());
  plain_connection c(other->get_executor());
  asio::co_spawn(*other, c.connect(relay->endpoint()), asio::detached);
  while (server->open() == 0) other->run_one();
  relay.reset();
  server.reset();
  c.socket = asio::ip::tcp::socket(io);
  other.reset();
}

BOOST_AUTO_TEST_CASE(it_may_be_used_from_any_thread) {
  constexpr std::size_t clients = 8, requests = 30;
  scripted_server server(io.get_executor());
  fault_relay relay(io.get_executor(), server.endpoint());
  auto guard = asio::make_work_guard(io);
  std::vector<std::thread> threads;
  for (int n = 0; n < 2; ++n) threads.emplace_back([&] { io.run(); });
  auto client = [&]() -> asio::awaitable<void> {
    for (std::size_t answered = 0; answered < requests;) {
      if (!co_await try_once(relay.endpoint())) ++answered;
    }
  };
  std::vector<std::future<void>> done;
  for (std::size_t n = 0; n < clients; ++n) done.push_back(asio::co_spawn(io, client(), asio::use_future));
  for (int n = 0; n < 20; ++n) {
    relay.set({.resets = 0.2, .to_server = {.jitter = 1ms}, .to_client = {.resets = 0.1}});
    n % 2 == 0 ? relay.close_all() : relay.reset_all();
    relay.stall_for(1ms);
    relay.set({.connects = arrival::refused});
    relay.set(relay_faults::black_hole());
    relay.set({});
    BOOST_TEST(relay.seen().accepted >= relay.seen().reset);
    std::this_thread::yield();
  }
  for (auto& d : done) d.get();
  relay.set({.connects = arrival::refused});
  BOOST_TEST(eventually_blocking([&] { return relay.seen().open == 0; }));
  server.stop_listening();
  guard.reset();
  for (auto& t : threads) t.join();
}

BOOST_AUTO_TEST_SUITE_END()
