// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Asks many services that come and go, over ten connections at most: mesh_client ADDRESS...

#include <cocp/pools.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <string>

namespace asio = boost::asio;
using namespace std::chrono_literals;

asio::awaitable<std::string> ping(cocp::lease& conn) {
  const std::string question = "ping";
  const auto out = asio::buffer(question);
  co_await conn->write(out);
  std::string answer(question.size(), ' ');
  const auto in = asio::buffer(answer);
  co_await conn->read(in);
  co_return answer;
}

asio::awaitable<void> ask(cocp::pools& services, std::string address) {
  try {
    // A service that was restarted has closed the connection that we have: ask again on another one.
    const cocp::run_options options{.timeout = 5s, .again = cocp::retry::unanswered};
    const std::string answer = co_await services.run(address, ping, options);
    std::cout << address << ": " << answer << '\n';
  } catch (const boost::system::system_error& e) {
    std::cout << address << ": " << e.code().message() << '\n';
  }
}

asio::awaitable<void> ask_all(cocp::pools& services, int argc, char** argv) {
  std::size_t asked = 0;
  for (int round = 0; round < 3; ++round) {
    for (int i = 1; i < argc; ++i, ++asked) co_await ask(services, argv[i]);
  }
  const cocp::pools_stats now = services.stats();
  std::cout << asked << " questions, " << now.size() << " services, " << now.sum.connected << " connections\n";
  co_await services.drain();
}

int main(int argc, char** argv) {
  asio::io_context io;
  // Whoever is down is told of at once, and asked anew the next time.
  const cocp::pool_options each{.size = 2, .fail_fast = 0s};
  cocp::pools services{io, {.connect_timeout = 1s}, each, {.max_connections = 10}};
  asio::co_spawn(io, ask_all(services, argc, argv), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  io.run();
}
