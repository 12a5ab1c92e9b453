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

asio::awaitable<void> echo(tcp::socket socket, std::chrono::microseconds delay) {
  try {
    socket.set_option(tcp::no_delay(true));
    co_await echo_session(socket, delay);
  } catch (const boost::system::system_error&) {
    // The client has gone; that is how every session ends.
  }
}

asio::awaitable<void> accept(tcp::acceptor acceptor, std::chrono::microseconds delay) {
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    asio::co_spawn(acceptor.get_executor(), echo(std::move(socket), delay), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
  }
}

[[noreturn]] void serve(unsigned short port, std::chrono::microseconds delay) {
  asio::io_context io{1};
  // Opened with SO_REUSEADDR: the connections of the server that was killed linger in TIME_WAIT on this port.
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), port));
  const std::chrono::nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
  std::cout << "listening since " << now.count() << std::endl;
  asio::co_spawn(io, accept(std::move(acceptor), delay), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  io.run();
  throw std::logic_error("the server has nothing left to do");
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

void serve_if_asked(int argc, char** argv) {
  if (argc < 3 || argc > 4 || std::strcmp(argv[1], "--serve") != 0) return;
  try {
    serve(number<unsigned short>(argv[2]), std::chrono::microseconds(argc == 4 ? number<unsigned>(argv[3]) : 0));
  } catch (const std::exception& e) {
    // Standard output is what the parent reads.
    std::cout << "echo server: " << e.what() << std::endl;
    std::exit(1);
  }
}

}  // namespace bench
