// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Whether what is installed compiles, links and works: a question and its answer.

#include <cocp.hpp>
#include <cocp/testing.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <iostream>
#include <string>

namespace asio = boost::asio;

asio::awaitable<void> exchange(asio::io_context& io) {
  using namespace cocp::testing;
  scripted_server server(io.get_executor(), {step::expect{"PING\r\n"}, step::send{"PONG\r\n"}});
  cocp::pool pool(io, {.address = server.address()}, {.size = 1});
  cocp::lease conn = co_await pool.get();
  co_await conn->write(asio::buffer("PING\r\n", 6));
  std::string answer;
  co_await conn->read_until(asio::dynamic_buffer(answer), "\r\n");
  co_await server.until_finished(1);
  std::cout << answer;
}

int main() {
  asio::io_context io;
  asio::co_spawn(io, exchange(io), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
  io.run();
}
