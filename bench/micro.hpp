// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/options.hpp>
#include <cocp/pool.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// A benchmark whose name ends in `/floor` does the same work with as little as can be: it is what those are compared
// with whose names begin as its does (see `ratio_reporter`).

namespace bench {

/// Host and port, as the library wants it.
std::string address_text(const boost::asio::ip::tcp::endpoint& server);

/// Runs coroutines until all have ended, whatever else there is to do. What one of them throws leaves it; the others
/// are then still there.
void run_all(boost::asio::io_context& io, std::vector<boost::asio::awaitable<void>> bodies);
void run_one(boost::asio::io_context& io, boost::asio::awaitable<void> body);

/// A pool all of whose connections are up, for more than one benchmark.
struct open_pool {
  open_pool(const cocp::connection_options& to, const cocp::pool_options& options) : pool(io, to, options) {
    run_one(io, pool.ready(options.size));
  }

  boost::asio::io_context io{1};
  cocp::pool pool;
};

/// `run_all` for coroutines that contain the measured loop. False if one has thrown, which becomes the benchmark's
/// error.
bool run_benchmark(benchmark::State& state, boost::asio::io_context& io,
                   std::vector<boost::asio::awaitable<void>> bodies);
bool run_benchmark(benchmark::State& state, boost::asio::io_context& io, boost::asio::awaitable<void> body);

/// The iterations of a benchmark, for several coroutines of one thread: each asks whether there is another.
class turns {
 public:
  explicit turns(benchmark::State& state) noexcept : state_(state) {}

  bool next() {
    if (!over_) over_ = !state_.KeepRunning();
    return !over_;
  }

 private:
  benchmark::State& state_;
  bool over_ = false;  ///< `KeepRunning` must not be asked again.
};

/// Counts the allocations from its construction on, per iteration.
class allocation_counter {
 public:
  allocation_counter() noexcept;
  /// To a hundredth: the first iteration's, of memory that is kept, are none of one's own.
  void report(benchmark::State& state) const;

 private:
  std::uint64_t before_;
};

/// Get and put of an idle connection, pool of 10, against `floor_pool`. With a second thread the process has one, if an
/// idle one. The server need only accept.
void register_get_put(const boost::asio::ip::tcp::endpoint& server, bool second_thread);

/// More coroutines than connections, so that each put is a hand-off, against a queue that posts.
void register_hand_off(const boost::asio::ip::tcp::endpoint& server, std::size_t threads);

/// Get and put by the pool's size.
void register_pool_size(const boost::asio::ip::tcp::endpoint& server);

/// `pool::run` against a get by hand.
void register_run(const boost::asio::ip::tcp::endpoint& server);

/// Messages there and back through leases, against plain sockets. With `options.tls` of a TLS server, against plain
/// streams of Asio in the same context.
void register_echo(const boost::asio::ip::tcp::endpoint& server, const cocp::connection_options& options);

}  // namespace bench
