// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// An HTTP server in front of redis: each session is a coroutine that leases a connection for as long as one command
// takes, so that a handful of connections serves any number of clients. One io_context, two threads.
//
//   async_server REDIS_ADDRESS PORT
//
// GET /key answers with the value of a key, PUT /key sets it; GET /metrics answers with what the pool has done, for a
// scraper. While redis is down both answer 503, and say why. SIGTERM
// has it accept no more, answer what it was asked, give its connections to redis back, and end.

#include <cocp.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using namespace std::chrono_literals;

using request = http::request<http::string_body>;
using response = http::response<http::string_body>;
constexpr auto as_tuple = asio::as_tuple(asio::use_awaitable);

// One command, and what redis has to say to it; nothing for a key that is not set.
asio::awaitable<std::optional<std::string>> command(cocp::pool& redis, std::vector<std::string> words) {
  std::string asked = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) asked += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";

  cocp::lease connection = co_await redis.get();
  connection->expires_after(5s);
  co_await connection->write(asio::buffer(asked));
  std::string answer;
  const std::size_t line = co_await connection->read_until(asio::dynamic_buffer(answer), "\r\n");
  if (answer[0] == '-') {
    connection.put();  // it is all right, and would be replaced if the exception ended its lease
    throw std::runtime_error("redis: " + answer.substr(1, line - 3));
  }
  if (answer[0] != '$') co_return answer.substr(1, line - 3);
  const long size = std::stol(answer.substr(1));
  if (size < 0) co_return std::nullopt;
  const std::size_t got = answer.size();
  answer.resize(line + static_cast<std::size_t>(size) + 2);
  if (got < answer.size()) co_await connection->read(asio::buffer(answer) + got);
  co_return answer.substr(line, static_cast<std::size_t>(size));
}

asio::awaitable<response> answer(cocp::pool& redis, const request& asked) {
  response result{http::status::ok, asked.version()};
  if (asked.target() == "/metrics") {
    std::ostringstream text;
    cocp::openmetrics(text, redis);
    result.set(http::field::content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    result.body() = std::move(text).str();
    co_return result;
  }
  try {
    const std::string key(asked.target().substr(1));
    if (asked.method() == http::verb::get) {
      std::vector<std::string> words{"GET", key};
      std::optional<std::string> value = co_await command(redis, std::move(words));
      if (!value) result.result(http::status::not_found);
      result.body() = std::move(value).value_or("no such key\n");
    } else if (asked.method() == http::verb::put) {
      std::vector<std::string> words{"SET", key, asked.body()};
      co_await command(redis, std::move(words));
    } else {
      result.result(http::status::method_not_allowed);
      result.set(http::field::allow, "GET, PUT");
    }
  } catch (const std::exception& e) {  // above all what `get` throws while redis is down
    result.result(http::status::service_unavailable);
    result.body() = std::string(e.what()) + "\n";
  }
  co_return result;
}

// A client's connection. It is used on its own strand.
struct session {
  explicit session(asio::io_context& io) : client(asio::make_strand(io)) {}

  // Reads what has come so far, and then the end. A session that waits for a request ends now; one that has a request
  // answers it first.
  void finish() {
    finishing = true;
    boost::system::error_code gone;
    client.socket().shutdown(tcp::socket::shutdown_receive, gone);
  }

  beast::tcp_stream client;
  bool finishing = false;
};

asio::awaitable<void> serve(cocp::pool& redis, std::shared_ptr<session> self) {
  beast::flat_buffer buffer;
  for (bool keep_alive = true; keep_alive;) {
    request asked;
    self->client.expires_after(30s);
    const auto [end, read] = co_await http::async_read(self->client, buffer, asked, as_tuple);
    if (end) co_return;
    response answered = co_await answer(redis, asked);
    keep_alive = asked.keep_alive() && !self->finishing;
    answered.keep_alive(keep_alive);
    answered.prepare_payload();
    self->client.expires_after(30s);
    const auto [gone, written] = co_await http::async_write(self->client, answered, as_tuple);
    if (gone) co_return;
  }
}

// Serves until a signal comes, and then until all is answered. Runs on the acceptor's strand, which guards its
// variables.
asio::awaitable<void> run(asio::io_context& io, tcp::acceptor& acceptor, cocp::pool& redis) {
  asio::signal_set signals(acceptor.get_executor(), SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code, int) { acceptor.close(); });
  std::set<std::shared_ptr<session>> sessions;
  asio::steady_timer one_ended(acceptor.get_executor(), asio::steady_timer::time_point::max());
  asio::steady_timer pause(acceptor.get_executor());
  while (acceptor.is_open()) {
    auto next = std::make_shared<session>(io);
    const auto [failed] = co_await acceptor.async_accept(next->client.socket(), as_tuple);
    if (failed) {  // by the signal; or for want of descriptors, which others may give back
      pause.expires_after(100ms);
      if (acceptor.is_open()) co_await pause.async_wait(as_tuple);
      continue;
    }
    sessions.insert(next);
    asio::co_spawn(next->client.get_executor(), serve(redis, next),
                   asio::bind_executor(acceptor.get_executor(), [&, next](std::exception_ptr) {
                     sessions.erase(next);
                     one_ended.cancel();
                   }));
  }

  for (const auto& each : sessions) asio::post(each->client.get_executor(), [each] { each->finish(); });
  while (!sessions.empty()) co_await one_ended.async_wait(as_tuple);
  co_await redis.drain(5s);  // a command that blocks would keep us for ever
}

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: async_server REDIS_ADDRESS PORT\n";
    return 2;
  }
  asio::io_context io(2);
  cocp::pool redis{io,
                   {.address = argv[1], .retry_max = 1s, .logger = cocp::log_to(std::clog)},
                   {.size = 8, .get_timeout = 5s, .max_waiting = 1000, .fail_fast = 2s}};
  const auto port = static_cast<unsigned short>(std::stoul(argv[2]));
  tcp::acceptor acceptor(asio::make_strand(io), {asio::ip::address_v4::loopback(), port});
  std::cout << "listening on " << acceptor.local_endpoint() << std::endl;
  asio::co_spawn(acceptor.get_executor(), run(io, acceptor, redis), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
  std::jthread second([&] { io.run(); });
  io.run();  // returns when there is nothing left to do: no session, and no connection to redis
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
