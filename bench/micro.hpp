// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>

namespace bench {

/// Runs a coroutine that contains the measured loop; what it throws becomes the benchmark's error.
void run_benchmark(benchmark::State& state, boost::asio::io_context& io, boost::asio::awaitable<void> body);

/// Counts the allocations from its construction on, per iteration.
class allocation_counter {
 public:
  allocation_counter() noexcept;
  void report(benchmark::State& state) const;

 private:
  std::uint64_t before_;
};

/// Get and put of an idle connection, pool of 10, against `floor_pool`. The server need only accept.
void register_get_put(const boost::asio::ip::tcp::endpoint& server);

/// One message there and back through a lease, against a plain socket.
void register_echo(const boost::asio::ip::tcp::endpoint& server);

}  // namespace bench
