// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/fd_check.hpp"
#include "support/run.hpp"
#include "support/scripted_server.hpp"

#include <cocp/connection.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <random>
#include <string>

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using namespace cocp::test;
using namespace std::chrono_literals;

namespace {

/// More than a socket takes at once.
constexpr std::size_t large = 8 * 1024 * 1024;

std::string random_bytes(std::size_t n) {
  std::mt19937 random(1);
  std::string bytes(n, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(write_)

BOOST_AUTO_TEST_CASE(sends_all_of_the_buffers_however_much_the_socket_takes_at_once) {
  const fd_check descriptors;
  asio::io_context io;
  scripted_server server(io.get_executor());
  cocp::connection conn{io, {.address = server.address()}};
  const std::string sent = random_bytes(large);
  std::string received(large, '\0');
  // Three buffers: the end of what is sent at once falls inside one of them.
  const std::array<asio::const_buffer, 3> buffers{asio::buffer(sent.data(), 1),
                                                  asio::buffer(sent.data() + 1, large / 2),
                                                  asio::buffer(sent.data() + 1 + large / 2, large - 1 - large / 2)};
  auto body = [&]() -> asio::awaitable<void> {
    co_await conn.ready();
    auto writing = conn.write(buffers);
    auto reading = conn.read(asio::buffer(received));
    const auto [written, read] = co_await (std::move(writing) && std::move(reading));
    BOOST_TEST(written == large);
    BOOST_TEST(read == large);
    conn.close();
    server.stop_listening();
    server.close_all();
  };
  run(io, body());
  BOOST_TEST((sent == received));
}

BOOST_AUTO_TEST_CASE(behind_the_last_one_the_peer_finds_an_end_and_what_it_answers_arrives) {
  const fd_check descriptors;
  asio::io_context io;
  scripted_server server(io.get_executor());
  cocp::connection conn{io, {.address = server.address()}};
  std::string received(5, '\0');
  cocp::error_code end;
  auto body = [&]() -> asio::awaitable<void> {
    co_await conn.ready();
    const auto out = asio::buffer("hello", 5);
    co_await conn.write(out);
    co_await conn.shutdown_send();
    const auto in = asio::buffer(received);
    co_await conn.read(in);
    // The server has read to the end, and closes.
    try {
      co_await conn.read_some(in);
    } catch (const boost::system::system_error& e) {
      end = e.code();
    }
    conn.close();
    server.stop_listening();
    server.close_all();
  };
  run(io, body());
  BOOST_TEST(received == "hello");
  BOOST_TEST(end == asio::error::eof);
}

BOOST_AUTO_TEST_CASE(of_nothing_ends_at_once) {
  asio::io_context io;
  scripted_server server(io.get_executor());
  cocp::connection conn{io, {.address = server.address()}};
  auto body = [&]() -> asio::awaitable<void> {
    co_await conn.ready();
    BOOST_TEST(co_await conn.write(asio::const_buffer()) == 0u);
    conn.close();
    server.stop_listening();
    server.close_all();
  };
  run(io, body());
  BOOST_TEST(server.received() == 0u);
}

BOOST_AUTO_TEST_CASE(that_the_peer_does_not_take_expires) {
  asio::io_context io;
  scripted_server server(io.get_executor(), {step::stall{}});
  cocp::connection conn{io, {.address = server.address()}};
  const std::string sent(large, 'x');
  auto body = [&]() -> asio::awaitable<void> {
    co_await conn.ready();
    conn.expires_after(50ms);
    cocp::error_code error;
    try {
      co_await conn.write(asio::buffer(sent));
    } catch (const boost::system::system_error& e) {
      error = e.code();
    }
    BOOST_TEST((error == cocp::errc::timed_out));
    conn.close();
    server.stop_listening();
    server.reset_all();
  };
  run(io, body());
}

BOOST_AUTO_TEST_CASE(to_a_peer_that_has_reset_fails_and_the_next_one_goes_to_the_new_stream) {
  asio::io_context io;
  scripted_server server(io.get_executor());
  cocp::connection conn{io, {.address = server.address()}};
  auto body = [&]() -> asio::awaitable<void> {
    co_await conn.ready();
    server.reset_all();
    bool failed = false;
    try {
      co_await conn.write(asio::buffer("lost", 4));
    } catch (const boost::system::system_error&) {
      failed = true;
    }
    BOOST_TEST(failed);
    co_await conn.write(asio::buffer("kept", 4));
    std::string answer(4, '\0');
    co_await conn.read(asio::buffer(answer));
    BOOST_TEST(answer == "kept");
    BOOST_TEST(conn.generation() == 2u);
    conn.close();
    server.stop_listening();
    server.close_all();
  };
  run(io, body());
}

BOOST_AUTO_TEST_SUITE_END()
