// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <string>

namespace asio = boost::asio;

asio::awaitable<void> ask(cocp::pool& pool) {
  cocp::lease conn = co_await pool.get(std::chrono::seconds(3));  // for as long, if none is free
  co_await conn->write(asio::buffer("hello, world", 12));
  std::array<char, 512> reply;
  std::size_t n = co_await conn->read_some(asio::buffer(reply));
  std::cout.write(reply.data(), static_cast<std::streamsize>(n)) << '\n';
}  // the lease puts the connection back here

int main(int argc, char** argv) {
  const std::string address = argc > 1 ? argv[1] : "localhost:7";  // the echo service, or one of your own
  asio::io_context io;
  // The address is all it needs; the log says what the pool does, and why it waits.
  cocp::pool pool{io, {.address = address, .logger = cocp::log_to(std::clog)}};
  asio::co_spawn(io, ask(pool), [&](std::exception_ptr error) {
    pool.close();
    if (error) std::rethrow_exception(error);  // out of run()
  });
  io.run();  // returns once the pool is closed
}
