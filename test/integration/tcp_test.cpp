// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Connections and leases on real loopback TCP.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp.hpp>

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <atomic>
#include <optional>
#include <string>

#include "net/socket_stream.hpp"
#include "support/reserved_port.hpp"
#include "support/scripted_server.hpp"
#include "support/socket_fixture.hpp"
#include "support/steps.hpp"

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;

namespace {

/// Whether what was sent came back; for any thread.
asio::awaitable<bool> echoes(cocp::connection& c, std::string_view text) {
  auto out = asio::buffer(text);
  const std::size_t sent = co_await c.write(out);
  std::string answer(text.size(), '\0');
  auto in = asio::buffer(answer);
  co_await c.read(in);
  co_return sent == text.size() && answer == text;
}

struct fixture : socket_fixture {
  /// For an `address`, with delays that suit a test.
  static cocp::connection_options at(std::string address) {
    return {.address = std::move(address), .retry_min = 1ms, .retry_max = 20ms};
  }
};

/// Accepts on `at` and keeps what it accepted; not listening if the address is not to be had.
struct listener {
  listener(asio::io_context& io, const tcp::endpoint& at) : acceptor(io) {
    error_code ec;
    acceptor.open(at.protocol(), ec);
    if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec && at.address().is_v6()) acceptor.set_option(asio::ip::v6_only(true), ec);
    if (!ec) acceptor.bind(at, ec);
    if (!ec) acceptor.listen(10, ec);
    listening = !ec;
    if (listening) accept();
  }
  void accept() {
    acceptor.async_accept([this](error_code ec, tcp::socket s) {
      if (ec) return;
      sessions.push_back(std::move(s));
      accept();
    });
  }
  std::string port() const { return std::to_string(acceptor.local_endpoint().port()); }

  tcp::acceptor acceptor;
  std::vector<tcp::socket> sessions;
  bool listening = false;
};

int option_of(cocp::detail::plain_socket& s, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  BOOST_TEST(::getsockopt(s.native_handle(), level, name, &value, &length) == 0);
  return value;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(tcp_, fixture)

BOOST_AUTO_TEST_CASE(a_lease_echoes_and_is_given_back_clean) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    cocp::pool pool(io, at(server.address()), {.size = 2});
    for (int i = 0; i < 20; ++i) {
      auto lease = co_await pool.get();
      BOOST_TEST(lease->remote_endpoint().port() == server.endpoint().port());
      const std::string text = "hello " + std::to_string(i);
      co_await echo(*lease, text);
    }
    const auto lease = co_await pool.get();
    const std::string large(100'000, 'x');
    co_await echo(*lease, large);
    BOOST_TEST(server.accepted() <= 2u);
    BOOST_TEST(pool.stats().gets == 21u);
    BOOST_TEST(pool.stats().leased == 1u);
  });
}

BOOST_AUTO_TEST_CASE(composed_operations_work_on_a_connection) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    cocp::connection c(io, at(server.address()));
    auto out = asio::buffer("one\r\ntwo\r\nthree", 15);
    co_await asio::async_write(c, out, asio::use_awaitable);
    std::string text;
    auto buffer = asio::dynamic_buffer(text);
    std::size_t n = co_await asio::async_read_until(c, buffer, "\r\n", asio::use_awaitable);
    BOOST_TEST(text.substr(0, n) == "one\r\n");
    buffer.consume(n);
    n = co_await c.read_until(buffer, "\r\n");
    BOOST_TEST(text.substr(0, n) == "two\r\n");
    buffer.consume(n);
    if (text.size() < 5)
      co_await asio::async_read(c, buffer, asio::transfer_exactly(5 - text.size()), asio::use_awaitable);
    BOOST_TEST(text == "three");
  });
}

BOOST_AUTO_TEST_CASE(a_write_larger_than_the_sockets_buffers_is_sent_whole) {
  run([&]() -> asio::awaitable<void> {
    constexpr std::size_t much = 16 << 20;
    scripted_server server(io.get_executor(), {step::receive{much}, step::send{"ok"}, step::hold{}});
    cocp::connection c(io, at(server.address()));
    const std::string half(much / 2, 'x');
    const std::array<asio::const_buffer, 3> parts{asio::buffer(half), asio::const_buffer(), asio::buffer(half)};
    const std::size_t sent = co_await c.write(parts);
    BOOST_TEST(sent == much);
    std::array<char, 2> answer;
    auto in = asio::buffer(answer);
    co_await c.read(in);
    BOOST_TEST(server.received() == much);
    server.release();
  });
}

BOOST_AUTO_TEST_CASE(a_reset_in_the_middle_of_a_transfer_says_how_much_came) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::send{"abc"}, step::hold{}, step::reset{}});
    cocp::connection c(io, at(server.address()));
    std::string answer(10, '\0');
    std::size_t came = 0;
    std::optional<error_code> ended;
    auto condition = [&](error_code ec, std::size_t n) -> std::size_t {
      came = n;
      return ec ? 0 : answer.size() - n;
    };
    asio::async_read(c, asio::buffer(answer), condition, [&](error_code ec, std::size_t n) {
      ended = ec;
      BOOST_TEST(n == 3u);
    });
    auto half_way = [&] { return came == 3; };
    co_await until(half_way);
    server.behave({step::echo{}});
    server.release();
    auto over = [&] { return ended.has_value(); };
    co_await until(over);
    BOOST_TEST((*ended == asio::error::connection_reset));
    BOOST_TEST((c.last_error() == asio::error::connection_reset));
    co_await echo(c, "on the new stream");
    BOOST_TEST(c.generation() == 2u);
  });
}

BOOST_DATA_TEST_CASE(an_idle_connection_that_dies_is_redialled_before_anybody_asks,
                     boost::unit_test::data::make({"FIN", "RST"}), how) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    cocp::pool pool(io, at(server.address()), {.size = 3});
    auto up = [&] { return server.open() == 3u && pool.stats().connected == 3u; };
    co_await until(up);
    how == std::string("FIN") ? server.close_all() : server.reset_all();
    auto back = [&] { return server.accepted() == 6u && pool.stats().connected == 3u && pool.stats().idle == 3u; };
    co_await until(back);
    const auto lease = co_await pool.get();
    co_await echo(*lease, "alive");
    BOOST_TEST(pool.stats().replaced_dead == 3u);
    BOOST_TEST(pool.stats().disconnects == 3u);
  });
}

BOOST_AUTO_TEST_CASE(what_waits_while_the_endpoint_refuses_goes_on_when_it_is_back) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    server.stop_listening();
    cocp::pool pool(io, at(server.address()), {.size = 2});
    cocp::connection alone(io, at(server.address()));
    std::vector<cocp::lease> got;
    for (int i = 0; i < 2; ++i) {
      pool.async_get([&](error_code ec, cocp::lease l) {
        BOOST_TEST(!ec);
        got.push_back(std::move(l));
      });
    }
    std::size_t sent = 0;
    alone.async_write_some(asio::buffer("waits", 5), [&](error_code ec, std::size_t n) {
      BOOST_TEST(!ec);
      sent = n;
    });
    auto failed_often = [&] { return pool.stats().connect_failures >= 3u; };
    co_await until(failed_often);
    BOOST_TEST(got.empty());
    BOOST_TEST((alone.last_error() == asio::error::connection_refused));
    server.listen_again();
    auto all_done = [&] { return got.size() == 2 && sent == 5; };
    co_await until(all_done);
    co_await echo(*got[0], "served");
    co_await echo(*got[1], "served, too");
  });
}

// A clock that does not stand still shows it.
BOOST_AUTO_TEST_CASE(a_run_that_is_given_no_connection_names_the_limit_that_was_set) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    server.stop_listening();
    cocp::pool pool(io, at(server.address()), {.size = 1});
    const auto nothing = [](cocp::lease&) -> asio::awaitable<void> { co_return; };
    std::string why;
    try {
      co_await pool.run(nothing, {.timeout = 20ms});
    } catch (const boost::system::system_error& e) {
      BOOST_TEST((e.code() == errc::timed_out));
      why = e.what();
    }
    BOOST_TEST(why.find(" within 20 ms") != std::string::npos, why);
  });
}

BOOST_AUTO_TEST_CASE(a_name_is_looked_up_and_every_address_found_is_tried) {
  // Where localhost is ::1 first, nobody listens there.
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    cocp::connection c(io, at("localhost:" + std::to_string(server.endpoint().port())));
    co_await echo(c, "hello");
    BOOST_TEST((c.remote_endpoint().address() == asio::ip::address_v4::loopback()));
  });
}

BOOST_AUTO_TEST_CASE(an_ipv6_address_stands_in_brackets) {
  listener six(io, {asio::ip::address_v6::loopback(), 0});
  if (!six.listening) {
    BOOST_TEST_MESSAGE("no IPv6 here");
    return;
  }
  run([&]() -> asio::awaitable<void> {
    cocp::connection c(io, at("[::1]:" + six.port()));
    co_await c.ready();
    BOOST_TEST((c.remote_endpoint().address() == asio::ip::address_v6::loopback()));
    six.acceptor.close();
  });
}

BOOST_AUTO_TEST_CASE(a_port_may_be_the_name_of_a_service) {
  for (const char* name : {"svn", "git", "mysql", "amqp", "postgresql"}) {
    const servent* entry = ::getservbyname(name, "tcp");
    if (!entry) continue;
    const auto port = ntohs(static_cast<std::uint16_t>(entry->s_port));
    listener server(io, {asio::ip::address_v4::loopback(), port});
    if (!server.listening) continue;
    run([&]() -> asio::awaitable<void> {
      cocp::connection c(io, at(std::string("127.0.0.1:") + name));
      co_await c.ready();
      BOOST_TEST(c.remote_endpoint().port() == port);
      server.acceptor.close();
    });
    return;
  }
  BOOST_TEST_MESSAGE("no service whose port is free");
}

BOOST_AUTO_TEST_CASE(a_dial_to_a_dead_port_of_the_ephemeral_range_does_not_connect_to_itself) {
  // Each attempt has a chance of one in some ten thousand.
  run([&]() -> asio::awaitable<void> {
    std::string dead;
    {
      const reserved_port port;
      dead = port.address();
    }
    auto options = at(dead);
    options.retry_min = options.retry_max = 1us;
    cocp::pool pool(io, options, {.size = 8});
    auto tried = [&] { return pool.stats().connect_failures >= 5000u; };
    co_await until(tried);
    BOOST_TEST(pool.stats().connects == 0u);
  });
}

BOOST_AUTO_TEST_CASE(the_options_of_the_socket_are_set) {
  scripted_server server(io.get_executor());
  cocp::connection_options on;
  on.tcp_keepalive = 12s;
  on.tcp_user_timeout = 3456ms;
  const cocp::connection_options off{
      .address = {}, .no_delay = false, .tcp_keepalive = std::nullopt, .tcp_user_timeout = std::nullopt};
  cocp::detail::socket_stream with(io.get_executor(), on);
  cocp::detail::socket_stream without(io.get_executor(), off);
  int connected = 0;
  for (auto* s : {&with, &without}) {
    s->async_connect(cocp::endpoint(server.endpoint()), [&](error_code ec) {
      BOOST_TEST(!ec);
      if (++connected == 2) server.stop_listening();
    });
  }
  while (connected != 2) io.run_one();
  BOOST_TEST(option_of(*with.plain(), IPPROTO_TCP, TCP_NODELAY) != 0);
  BOOST_TEST(option_of(*with.plain(), SOL_SOCKET, SO_KEEPALIVE) != 0);
  BOOST_TEST(option_of(*with.plain(), IPPROTO_TCP, TCP_KEEPIDLE) == 12);
  BOOST_TEST(option_of(*with.plain(), IPPROTO_TCP, TCP_USER_TIMEOUT) == 3456);
  BOOST_TEST(option_of(*without.plain(), IPPROTO_TCP, TCP_NODELAY) == 0);
  BOOST_TEST(option_of(*without.plain(), SOL_SOCKET, SO_KEEPALIVE) == 0);
  BOOST_TEST(option_of(*without.plain(), IPPROTO_TCP, TCP_USER_TIMEOUT) == 0);
}

BOOST_AUTO_TEST_CASE(an_operation_outstanding_when_its_lease_ends_is_aborted_and_its_handler_called) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    cocp::pool pool(io, at(server.address()), {.size = 1});
    cocp::lease lease = co_await pool.get();
    std::optional<error_code> ended;
    std::array<char, 8> bytes;
    lease->async_read_some(asio::buffer(bytes), [&](error_code ec, std::size_t n) {
      ended = ec;
      BOOST_TEST(n == 0u);
    });
    lease.put();
    BOOST_TEST(!ended.has_value(), "never inside the function that ends it");
    lease = co_await pool.get();
    auto over = [&] { return ended.has_value(); };
    co_await until(over);
    BOOST_TEST((*ended == asio::error::operation_aborted));
    BOOST_TEST(lease->generation() == 2u);
    co_await echo(*lease, "clean");
  });
}

BOOST_AUTO_TEST_CASE(a_pool_on_a_thread_pool_serves_threads) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    asio::thread_pool threads(2);
    cocp::pool pool(threads, at(server.address()), {.size = 2});
    std::atomic<unsigned> right{0};
    auto use = [&]() -> asio::awaitable<void> {
      for (int i = 0; i < 20; ++i) {
        auto lease = co_await pool.get();
        const std::string text = std::to_string(i);
        if (co_await echoes(*lease, text)) ++right;
      }
    };
    std::atomic<unsigned> ended{0};
    for (int i = 0; i < 4; ++i) asio::co_spawn(threads, use(), [&](std::exception_ptr) { ++ended; });
    auto all_ended = [&] { return ended == 4u; };
    co_await until(all_ended);
    BOOST_TEST(right == 80u);
    BOOST_TEST(pool.stats().gets == 80u);
    pool.close();
    threads.join();
  });
}

BOOST_AUTO_TEST_SUITE_END()
