// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <cstddef>
#include <exception>
#include <iostream>
#include <string>

namespace asio = boost::asio;

asio::awaitable<void> ask(cocp::pool& pool) {
  cocp::lease conn = co_await pool.get();
  co_await conn->write(asio::buffer("hello, world", 12));
  std::array<char, 512> reply;
  std::size_t n = co_await conn->read_some(asio::buffer(reply));
  std::cout.write(reply.data(), static_cast<std::streamsize>(n)) << '\n';
}  // the lease puts the connection back here

int main(int argc, char** argv) {
  const std::string address = argc > 1 ? argv[1] : "localhost:7";  // the echo service, or one of your own
  asio::io_context io;
  cocp::pool pool{io, {.address = address}};  // the address is all it needs
  cocp::pool ten{io, {.address = address, .logger = cocp::log_to(std::clog)}, {.size = 10}};
  asio::co_spawn(io, ask(pool), [&](std::exception_ptr) {
    pool.close();
    ten.close();
  });
  io.run();  // returns once both pools are closed
}
