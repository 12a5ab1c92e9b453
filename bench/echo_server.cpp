// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "echo_server.hpp"

#include "echo_session.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

void rethrow(std::exception_ptr e) {
  if (e) std::rethrow_exception(e);
}

asio::awaitable<void> serve_one(tcp::socket socket, const session& each) {
  try {
    socket.set_option(tcp::no_delay(true));
    co_await each(std::move(socket));
  } catch (const boost::system::system_error&) {
    // The client has gone; that is how every session ends.
  }
}

asio::awaitable<void> accept(tcp::acceptor acceptor, const session& each) {
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    asio::co_spawn(acceptor.get_executor(), serve_one(std::move(socket), each), rethrow);
  }
}

[[noreturn]] void serve_all(unsigned short port, const session& each) {
  asio::io_context io{1};
  // Opened with SO_REUSEADDR: the connections of the server that was killed linger in TIME_WAIT on this port.
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), port));
  const std::chrono::nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
  std::cout << "listening since " << now.count() << std::endl;
  asio::co_spawn(io, accept(std::move(acceptor), each), rethrow);
  io.run();
  throw std::logic_error("the server has nothing left to do");
}

asio::awaitable<void> echo(tcp::socket socket, std::chrono::microseconds delay) {
  co_await echo_session(socket, delay);
}

template <class Number>
Number number(std::string_view text) {
  Number n{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw std::invalid_argument("not a number in range: " + std::string(text));
  }
  return n;
}

}  // namespace

void serve(std::string_view port, const std::function<session()>& make_session) {
  try {
    serve_all(number<unsigned short>(port), make_session());
  } catch (const std::exception& e) {
    // Standard output is what the parent reads.
    std::cout << "echo server: " << e.what() << std::endl;
    std::exit(1);
  }
}

void serve_if_asked(int argc, char** argv) {
  if (argc < 3 || argc > 4 || std::strcmp(argv[1], "--serve") != 0) return;
  serve(argv[2], [&]() -> session {
    const std::chrono::microseconds delay(argc == 4 ? number<unsigned>(argv[3]) : 0);
    return [delay](tcp::socket socket) { return echo(std::move(socket), delay); };
  });
}

}  // namespace bench
