// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/eventually.hpp"
#include "support/nginx_server.hpp"
#include "support/program.hpp"
#include "support/run.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <exception>
#include <list>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::ip::tcp;
using namespace cocp::test;

namespace {

constexpr auto as_tuple = asio::as_tuple(asio::use_awaitable);
using request = http::request<http::string_body>;
using response = http::response<http::string_body>;

// The example, which listens when this is constructed.
class running_proxy {
 public:
  explicit running_proxy(const std::string& upstream, const std::string& connections = "16")
      : program_({path(), upstream, "0", connections}) {
    const std::string heading = "listening on 127.0.0.1:";
    const bool listens = eventually_blocking([&] {
      const std::string said = program_.said();
      const std::size_t at = said.find(heading);
      if (at == std::string::npos || said.find('\n', at) == std::string::npos) return false;
      at_.port(static_cast<unsigned short>(std::stoul(said.substr(at + heading.size()))));
      return true;
    });
    BOOST_TEST_REQUIRE(listens, program_.said());
  }

  const tcp::endpoint& endpoint() const { return at_; }
  void terminate() { program_.signal(SIGTERM); }
  // Its exit status is zero.
  void ends_well() {
    const auto status = program_.wait();
    BOOST_TEST((status == 0), "exit status " << status.value_or(-1) << ", having said: " << program_.said());
  }

 private:
  static std::string path() {
    const auto& arguments = boost::unit_test::framework::master_test_suite();
    BOOST_TEST_REQUIRE(arguments.argc == 2, "the path of the program is wanted after `--`");
    return arguments.argv[1];
  }

  program program_;
  tcp::endpoint at_{asio::ip::address_v4::loopback(), 0};
};

// A connection that is kept alive.
class client {
 public:
  client(asio::io_context& io, const running_proxy& to) : socket_(io) { socket_.connect(to.endpoint()); }

  asio::awaitable<void> send(std::string text) {
    const auto bytes = asio::buffer(text);
    co_await asio::async_write(socket_, bytes, asio::use_awaitable);
  }

  asio::awaitable<response> receive(http::verb method = http::verb::get) {
    http::response_parser<http::string_body> parser;
    parser.body_limit(boost::none);
    parser.skip(method == http::verb::head);
    co_await http::async_read(socket_, buffer_, parser, asio::use_awaitable);
    co_return parser.release();
  }

  asio::awaitable<response> ask(http::verb method, std::string target, std::string body = {}, bool chunked = false) {
    request asked{method, target, 11, std::move(body)};
    asked.set(http::field::host, "x");
    asked.prepare_payload();
    if (chunked) asked.chunked(true);
    co_await http::async_write(socket_, asked, asio::use_awaitable);
    response answer = co_await receive(method);
    co_return answer;
  }

  asio::awaitable<bool> is_closed_by_peer() {
    const auto space = buffer_.prepare(1);
    const auto [ec, n] = co_await socket_.async_read_some(space, as_tuple);
    co_return ec == asio::error::eof;
  }

 private:
  tcp::socket socket_;
  beast::flat_buffer buffer_;
};

// nginx with files that can be put, got and deleted.
struct file_server {
  temporary_directory root;
  nginx_server server{{.directives = "client_max_body_size 0; root " + root.path().string() +
                                     "; location /files/ { dav_methods PUT DELETE; create_full_put_path on; } "
                                     "location /included/ { alias " +
                                     root.path().string() +
                                     "/files/; ssi on; ssi_types *; } "
                                     "location /small/ { client_max_body_size 10; } "
                                     "location /head { return 200 \"$http_named|$http_te|$http_kept|$http_connection|"
                                     "$http_x_forwarded_for|$http_via|$host\"; }"}};
};

// Clients that ask without a pause, for what may be asked again; each answer is 200 or 502.
class load {
 public:
  load(asio::io_context& io, const running_proxy& proxy) {
    for (int n = 0; n < 8; ++n) {
      one& self = all_.emplace_back(one{client(io, proxy)});
      asio::co_spawn(io, ask_on(self), [&self](std::exception_ptr error) {
        self.has_ended = true;
        if (error) std::rethrow_exception(error);
      });
    }
  }

  // The process that answered last.
  const std::string& worker() const { return worker_; }
  std::size_t refused() const {
    std::size_t sum = 0;
    for (const one& each : all_) sum += each.refused;
    return sum;
  }
  // Until each client has so many more answers, or refusals.
  asio::awaitable<bool> answers(std::size_t n) { return more(&one::answered, n); }
  asio::awaitable<bool> refusals(std::size_t n) { return more(&one::refused, n); }
  asio::awaitable<bool> stop() {
    stops_ = true;
    return eventually([this] { return count([](const one& each) { return each.has_ended; }) == all_.size(); });
  }

 private:
  struct one {
    client connection;
    std::size_t answered = 0;
    std::size_t refused = 0;
    bool has_ended = false;
  };

  asio::awaitable<void> ask_on(one& self) {
    while (!stops_) {
      for (const http::verb method : methods) {
        const response answer = co_await self.connection.ask(method, "/worker", method == http::verb::put ? "new" : "");
        if (answer.result() == http::status::bad_gateway) {
          ++self.refused;
          continue;
        }
        if (answer.result() != http::status::ok)
          throw std::runtime_error("status " + std::to_string(answer.result_int()));
        if (method == http::verb::get) worker_ = answer.body();
        ++self.answered;
      }
    }
  }

  template <class Condition>
  std::size_t count(Condition condition) const {
    return static_cast<std::size_t>(std::count_if(all_.begin(), all_.end(), condition));
  }

  asio::awaitable<bool> more(std::size_t one::*what, std::size_t n) {
    std::vector<std::size_t> goals;
    for (const one& each : all_) goals.push_back(each.*what + n);
    co_return co_await eventually([&] {
      auto goal = goals.begin();
      return count([&](const one& each) { return each.*what >= *goal++; }) == all_.size();
    });
  }

  static constexpr std::array methods{http::verb::get, http::verb::head, http::verb::put};
  std::list<one> all_;
  std::string worker_;
  bool stops_ = false;
};

const std::string tells_worker = "location /worker { return 200 $pid; }";

asio::awaitable<void> echo(tcp::socket socket) {
  websocket::stream<tcp::socket> stream(std::move(socket));
  co_await stream.async_accept(asio::use_awaitable);
  for (;;) {
    beast::flat_buffer message;
    const auto [ended, n] = co_await stream.async_read(message, as_tuple);
    if (ended) co_return;
    const auto bytes = message.data();
    co_await stream.async_write(bytes, asio::use_awaitable);
  }
}

asio::awaitable<void> echo_to_all(tcp::acceptor& acceptor) {
  while (acceptor.is_open()) {
    auto [closed, socket] = co_await acceptor.async_accept(as_tuple);
    if (!closed) asio::co_spawn(acceptor.get_executor(), echo(std::move(socket)), asio::detached);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reverse_proxy)

BOOST_AUTO_TEST_CASE(messages_of_all_sizes_are_passed_on_in_both_directions) {
  const file_server upstream;
  running_proxy proxy(upstream.server.address());
  asio::io_context io;
  const auto exchange = [&]() -> asio::awaitable<void> {
    client one(io, proxy);
    for (const std::size_t size : {0U, 1U, 1000U, 65'536U, 200'000U, 3'000'000U}) {
      std::string text(size, 'x');
      for (std::size_t i = 0; i < size; i += 100) text[i] = static_cast<char>('a' + i / 100 % 26);
      for (const bool chunked : {false, true}) {
        if (chunked && size == 0) continue;  // Beast would send its end twice
        BOOST_TEST_CONTEXT(size << " bytes, chunked: " << chunked) {
          const std::string name = std::to_string(size) + (chunked ? "c" : "l");
          const response put = co_await one.ask(http::verb::put, "/files/" + name, text, chunked);
          BOOST_TEST(put.result_int() == 201U);
          const response got = co_await one.ask(http::verb::get, (chunked ? "/included/" : "/files/") + name);
          BOOST_TEST(got.result_int() == 200U);
          BOOST_TEST(got.chunked() == chunked);
          BOOST_TEST((got.body() == text));
          const response head = co_await one.ask(http::verb::head, "/files/" + name);
          BOOST_TEST(head[http::field::content_length] == std::to_string(size));
          const response deleted = co_await one.ask(http::verb::delete_, "/files/" + name);
          BOOST_TEST(deleted.result_int() == 204U);
          const response gone = co_await one.ask(http::verb::get, "/files/" + name);
          BOOST_TEST(gone.result_int() == 404U);
          const response posted = co_await one.ask(http::verb::post, "/page");
          BOOST_TEST(posted.body() == "POST /page");
        }
      }
    }
  };
  run(io, exchange());
  proxy.terminate();
  proxy.ends_well();
}

BOOST_AUTO_TEST_CASE(what_is_for_one_hop_is_not_passed_on) {
  const file_server upstream;
  const running_proxy proxy(upstream.server.address());
  asio::io_context io;
  const auto exchange = [&]() -> asio::awaitable<void> {
    client one(io, proxy);
    co_await one.send(
        "GET /head HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Named\r\nNamed: 1\r\nTE: trailers\r\nKept: 1\r\n"
        "X-Forwarded-For: 10.0.0.1\r\n\r\n");
    const response answer = co_await one.receive();
    BOOST_TEST(answer.body() == "||1||10.0.0.1, 127.0.0.1|1.1 cocp|x");
    BOOST_TEST(answer.count(http::field::connection) == 0U);
    BOOST_TEST(answer.count(http::field::server) == 1U);
  };
  run(io, exchange());
}

BOOST_AUTO_TEST_CASE(a_client_of_an_older_version_has_no_chunks) {
  const file_server upstream;
  const running_proxy proxy(upstream.server.address());
  asio::io_context io;
  const auto exchange = [&]() -> asio::awaitable<void> {
    client one(io, proxy);
    const std::string text(100'000, 'x');
    co_await one.ask(http::verb::put, "/files/page", text);
    co_await one.send("GET /included/page HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
    const response answer = co_await one.receive();
    BOOST_TEST(answer.chunked() == false);
    BOOST_TEST(answer[http::field::connection] == "close");
    BOOST_TEST((answer.body() == text));
  };
  run(io, exchange());
}

BOOST_AUTO_TEST_CASE(a_client_that_waits_to_be_told_to_go_on_is_told) {
  const file_server upstream;
  const running_proxy proxy(upstream.server.address());
  asio::io_context io;
  const auto exchange = [&]() -> asio::awaitable<void> {
    client one(io, proxy);
    co_await one.send("PUT /files/page HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    const response go_on = co_await one.receive();
    BOOST_TEST(go_on.result_int() == 100U);
    co_await one.send("text");
    const response put = co_await one.receive();
    BOOST_TEST(put.result_int() == 201U);
  };
  run(io, exchange());
}

BOOST_AUTO_TEST_CASE(an_answer_that_does_not_wait_for_the_request_is_passed_on) {
  const file_server upstream;
  const running_proxy proxy(upstream.server.address());
  asio::io_context io;
  const auto exchange = [&]() -> asio::awaitable<void> {
    client one(io, proxy);
    co_await one.send("PUT /small/page HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\nthat is all");
    const response refused = co_await one.receive();
    BOOST_TEST(refused.result_int() == 413U);
    BOOST_TEST(refused[http::field::connection] == "close");
    BOOST_TEST(co_await one.is_closed_by_peer());
  };
  run(io, exchange());
}

BOOST_AUTO_TEST_CASE(what_is_no_request_is_told_so) {
  const nginx_server upstream;
  const running_proxy proxy(upstream.address());
  asio::io_context io;
  const auto exchange = [&]() -> asio::awaitable<void> {
    client one(io, proxy);
    co_await one.send("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    const response answer = co_await one.receive();
    BOOST_TEST(answer.result_int() == 400U);
    BOOST_TEST(co_await one.is_closed_by_peer());
  };
  run(io, exchange());
}

BOOST_AUTO_TEST_CASE(what_a_stale_connection_broke_is_repeated_if_it_may_be) {
  asio::io_context io;
  tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  // Answers the first request on each connection, and closes it at the second.
  const auto upstream = [&]() -> asio::awaitable<void> {
    for (int n = 0; n < 3; ++n) {
      tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
      std::string asked;
      co_await asio::async_read_until(socket, asio::dynamic_buffer(asked), "\r\n\r\n", asio::use_awaitable);
      const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(n);
      const auto out = asio::buffer(answer);
      co_await asio::async_write(socket, out, asio::use_awaitable);
      asked.clear();
      co_await asio::async_read_until(socket, asio::dynamic_buffer(asked), "\r\n\r\n", as_tuple);
    }
  };
  asio::co_spawn(io, upstream(), asio::detached);
  running_proxy proxy("127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()), "1");
  const auto exchange = [&]() -> asio::awaitable<void> {
    client one(io, proxy);
    const response first = co_await one.ask(http::verb::get, "/");
    BOOST_TEST(first.body() == "0");
    const response repeated = co_await one.ask(http::verb::get, "/");
    BOOST_TEST(repeated.body() == "1");
    const response not_repeated = co_await one.ask(http::verb::post, "/");
    BOOST_TEST(not_repeated.result_int() == 502U);
    const response last = co_await one.ask(http::verb::get, "/");
    BOOST_TEST(last.body() == "2");
    proxy.terminate();
  };
  run(io, exchange());
  proxy.ends_well();
}

BOOST_AUTO_TEST_CASE(a_reload_of_the_upstream_reaches_no_client) {
  nginx_server upstream({.directives = tells_worker + " keepalive_requests 10;", .worker = true});
  running_proxy proxy(upstream.address());
  asio::io_context io;
  load clients(io, proxy);
  const auto reload = [&]() -> asio::awaitable<void> {
    for (int n = 0; n < 3; ++n) {
      BOOST_TEST(co_await clients.answers(20));
      const std::string before = clients.worker();
      upstream.reload();
      BOOST_TEST(co_await eventually([&] { return clients.worker() != before; }));
    }
    BOOST_TEST(co_await clients.answers(20));
    BOOST_TEST(co_await clients.stop());
    BOOST_TEST(clients.refused() == 0U);
  };
  run(io, reload());
}

BOOST_AUTO_TEST_CASE(while_the_upstream_is_down_clients_are_told_so_and_then_it_is_well_again) {
  nginx_server upstream({.directives = tells_worker});
  running_proxy proxy(upstream.address());
  asio::io_context io;
  load clients(io, proxy);
  const auto restart = [&]() -> asio::awaitable<void> {
    BOOST_TEST(co_await clients.answers(20));
    BOOST_TEST(clients.refused() == 0U);
    for (int n = 0; n < 2; ++n) {
      upstream.kill();
      BOOST_TEST(co_await clients.refusals(1));
      upstream.start();
      BOOST_TEST(co_await clients.answers(1));
      const std::size_t before = clients.refused();
      BOOST_TEST(co_await clients.answers(20));
      BOOST_TEST(clients.refused() == before);
    }
    BOOST_TEST(co_await clients.stop());
  };
  run(io, restart());
  proxy.terminate();
  proxy.ends_well();
}

BOOST_AUTO_TEST_CASE(websockets_take_no_place_in_the_pool) {
  asio::io_context io;
  tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  asio::co_spawn(io, echo_to_all(acceptor), asio::detached);
  const nginx_server upstream({.directives = "location /echo { proxy_pass http://127.0.0.1:" +
                                             std::to_string(acceptor.local_endpoint().port()) +
                                             "; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
                                             "proxy_set_header Connection upgrade; }"});
  running_proxy proxy(upstream.address(), "2");
  std::list<websocket::stream<tcp::socket>> tunnels;
  const auto exchange = [&]() -> asio::awaitable<void> {
    for (int n = 0; n < 4; ++n) {
      auto& tunnel = tunnels.emplace_back(io);
      tunnel.next_layer().connect(proxy.endpoint());
      co_await tunnel.async_handshake("x", "/echo", asio::use_awaitable);
    }
    client one(io, proxy);
    const response page = co_await one.ask(http::verb::get, "/page");
    BOOST_TEST(page.body() == "GET /page");
    const std::string text(100'000, 'x');
    for (auto& tunnel : tunnels) {
      for (int n = 0; n < 3; ++n) {
        const auto bytes = asio::buffer(text);
        co_await tunnel.async_write(bytes, asio::use_awaitable);
        beast::flat_buffer message;
        co_await tunnel.async_read(message, asio::use_awaitable);
        BOOST_TEST((beast::buffers_to_string(message.data()) == text));
      }
      if (&tunnel == &tunnels.back()) break;  // is ended by the limit of `drain`
      co_await tunnel.async_close(websocket::close_code::normal, asio::use_awaitable);
    }
    acceptor.close();
    proxy.terminate();
    beast::flat_buffer message;
    const auto [ended, n] = co_await tunnels.back().async_read(message, as_tuple);
    BOOST_TEST((ended == asio::error::eof), ended.message());
  };
  run(io, exchange());
  proxy.ends_well();
}

BOOST_AUTO_TEST_CASE(each_end_of_a_tunnel_is_passed_on_by_itself) {
  asio::io_context io;
  tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  const auto upstream = [&]() -> asio::awaitable<void> {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    std::string asked;
    co_await asio::async_read_until(socket, asio::dynamic_buffer(asked), "\r\n\r\n", asio::use_awaitable);
    const std::string switching =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello";
    const auto out = asio::buffer(switching);
    co_await asio::async_write(socket, out, asio::use_awaitable);
    std::string said;
    const auto [end, n] = co_await asio::async_read(socket, asio::dynamic_buffer(said), as_tuple);
    BOOST_TEST((end == asio::error::eof));
    said += ", bye";
    const auto last = asio::buffer(said);
    co_await asio::async_write(socket, last, asio::use_awaitable);
  };
  asio::co_spawn(io, upstream(), asio::detached);
  running_proxy proxy("127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()), "1");
  const auto exchange = [&]() -> asio::awaitable<void> {
    tcp::socket socket(io);
    socket.connect(proxy.endpoint());
    const std::string asked = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nat once";
    const auto out = asio::buffer(asked);
    co_await asio::async_write(socket, out, asio::use_awaitable);
    socket.shutdown(tcp::socket::shutdown_send);
    std::string answer;
    const auto [end, n] = co_await asio::async_read(socket, asio::dynamic_buffer(answer), as_tuple);
    BOOST_TEST((end == asio::error::eof));
    BOOST_TEST(answer.starts_with("HTTP/1.1 101 "));
    BOOST_TEST(answer.ends_with("\r\n\r\nhelloat once, bye"));
  };
  run(io, exchange());
  proxy.terminate();
  proxy.ends_well();
}

BOOST_AUTO_TEST_CASE(terminated_it_answers_what_it_was_asked) {
  const file_server upstream;
  running_proxy proxy(upstream.server.address());
  asio::io_context io;
  const auto exchange = [&]() -> asio::awaitable<void> {
    client idle(io, proxy);
    client busy(io, proxy);
    const response page = co_await idle.ask(http::verb::get, "/page");
    BOOST_TEST(page.result_int() == 200U);
    co_await busy.send("PUT /files/page HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n");
    const response go_on = co_await busy.receive();
    BOOST_TEST(go_on.result_int() == 100U);
    co_await busy.send("half");
    proxy.terminate();
    BOOST_TEST(co_await idle.is_closed_by_peer());
    co_await busy.send("half");
    const response put = co_await busy.receive();
    BOOST_TEST(put.result_int() == 201U);
    BOOST_TEST(put[http::field::connection] == "close");
    BOOST_TEST(co_await busy.is_closed_by_peer());
  };
  run(io, exchange());
  proxy.ends_well();
}

BOOST_AUTO_TEST_SUITE_END()
