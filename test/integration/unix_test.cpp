// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Connections and pools on Unix-domain sockets.

#include <unistd.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp.hpp>

#include <array>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "support/fd_check.hpp"
#include "support/nginx_server.hpp"
#include "support/run.hpp"
#include "support/steps.hpp"
#include "support/temporary_directory.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using asio::local::stream_protocol;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::error_code;

namespace {

/// Sends back what comes. It listens while it lives.
class echo_server {
 public:
  echo_server(asio::io_context& io, const std::string& name, int backlog = 10) : acceptor_(io) {
    acceptor_.open();
    acceptor_.bind(stream_protocol::endpoint(name));
    acceptor_.listen(backlog);
  }
  ~echo_server() {
    for (const auto& s : sessions_) s->close();
  }

  void accept() {
    acceptor_.async_accept([this](error_code ec, stream_protocol::socket s) {
      if (ec) return;
      ++accepted;
      sessions_.push_back(std::make_shared<stream_protocol::socket>(std::move(s)));
      asio::co_spawn(acceptor_.get_executor(), serve(sessions_.back()), asio::detached);
      accept();
    });
  }
  void close_all() {
    for (const auto& s : sessions_) s->shutdown(stream_protocol::socket::shutdown_both);
    sessions_.clear();
  }

  unsigned accepted = 0;

 private:
  static asio::awaitable<void> serve(std::shared_ptr<stream_protocol::socket> s) {
    constexpr auto token = asio::as_tuple(asio::use_awaitable);
    std::array<char, 1000> buffer;
    for (;;) {
      auto [ec, n] = co_await s->async_read_some(asio::buffer(buffer), token);
      if (ec) co_return;
      auto answer = asio::buffer(buffer, n);
      co_await asio::async_write(*s, answer, token);
    }
  }

  stream_protocol::acceptor acceptor_;
  std::vector<std::shared_ptr<stream_protocol::socket>> sessions_;
};

struct fixture {
  fd_check descriptors;
  temporary_directory directory;
  asio::io_context io{1};
  const std::string path = directory.path() / "socket";

  static cocp::connection_options at(std::string address) {
    return {.address = std::move(address), .retry_min = 1ms, .retry_max = 20ms};
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(unix_socket, fixture)

BOOST_DATA_TEST_CASE(a_pool_works_on_a_path_and_on_an_abstract_name, data::make({false, true}), abstract) {
  const std::string name = "cocp-test-" + std::to_string(::getpid());
  std::optional<echo_server> server(std::in_place, io, abstract ? '\0' + name : path);
  server->accept();
  const std::string address = abstract ? "unix:@" + name : "unix:" + path;
  auto body = [&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(address), {.size = 3});
    co_await pool.ready(3);
    {
      cocp::lease conn = co_await pool.get();
      co_await echo(*conn, "hello");
      std::ostringstream peer;
      peer << conn->remote_endpoint();
      BOOST_TEST(peer.str() == address);
      BOOST_TEST(!conn->remote_endpoint().is_ip());
    }
    // The same rules: what dies is redialled before anybody asks, and what is left unread is not given out.
    server->close_all();
    co_await until([&] { return pool.stats().connects == 6 && pool.stats().connected == 3; });
    BOOST_TEST(pool.stats().disconnects == 3u);
    {
      cocp::lease conn = co_await pool.get();
      auto out = asio::buffer("unread", 6);
      co_await conn->write(out);
    }
    co_await until([&] { return pool.stats().replaced_dirty == 1 && pool.stats().connected == 3; });
    co_await pool.drain();
    server.reset();
  };
  run(io, body());
}

BOOST_AUTO_TEST_CASE(a_path_without_a_listener_fails_the_attempt_until_there_is_one) {
  std::optional<echo_server> server;
  auto body = [&]() -> asio::awaitable<void> {
    cocp::connection c(io, at("unix:" + path));
    co_await until([&] { return c.last_error() == std::errc::no_such_file_or_directory; });
    server.emplace(io, path);
    server->accept();
    co_await echo(c, "there you are");
    c.close();
    server.reset();
  };
  run(io, body());
}

BOOST_AUTO_TEST_CASE(a_listener_whose_queue_is_full_is_no_outage) {
  // Linux has room for one more than is asked for (unix(7), listen(2)).
  std::optional<echo_server> server(std::in_place, io, path, 0);
  auto body = [&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at("unix:" + path), {.size = 16});
    co_await until([&] { return pool.stats().connected == 1; });
    server->accept();
    co_await pool.ready(16);
    BOOST_TEST(pool.stats().connect_failures == 0u);
    co_await pool.drain();
    server.reset();
  };
  run(io, body());
}

BOOST_AUTO_TEST_CASE(a_listener_whose_queue_stays_full_fails_the_attempt_when_its_time_is_up) {
  const char* const expected = "last error: timed out";
  auto options = at("unix:" + path);
  options.connect_timeout = 100ms;
  // Linux has room for one more than is asked for (unix(7), listen(2)).
  echo_server server(io, path, 0);
  auto body = [&]() -> asio::awaitable<void> {
    cocp::pool pool(io, options, {.size = 3});
    co_await until([&] { return pool.stats().connect_failures >= 3; });
    BOOST_TEST(pool.stats().connected == 1u);
    std::string said;
    cocp::lease only = co_await pool.get();
    try {
      const cocp::lease none = co_await pool.get(1ms);
    } catch (const boost::system::system_error& e) {
      said = e.what();
    }
    BOOST_TEST_INFO(said);
    BOOST_TEST(said.find(expected) != std::string::npos);
    only.put();
    co_await pool.drain();
  };
  run(io, body());
}

BOOST_AUTO_TEST_CASE(a_pool_may_move_between_tcp_and_a_path) {
  nginx_server server;
  auto body = [&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 2});
    for (const std::string& to : {server.unix_address(), server.address()}) {
      pool.readdress(to);
      cocp::lease conn = co_await pool.get();
      static constexpr std::string_view request = "GET /there HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
      auto out = asio::buffer(request);
      co_await conn->write(out);
      std::string answer;
      auto in = asio::dynamic_buffer(answer);
      co_await conn->read_until(in, "GET /there");
      BOOST_TEST(answer.starts_with("HTTP/1.1 200"));
      BOOST_TEST(conn->remote_endpoint().is_ip() == !to.starts_with("unix:"));
      conn.discard();
    }
    co_await pool.drain();
  };
  run(io, body());
}

BOOST_AUTO_TEST_SUITE_END()
