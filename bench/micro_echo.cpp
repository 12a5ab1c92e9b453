// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "micro.hpp"
#include "round_trip.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/io_context.hpp>

#include <sstream>

namespace bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

template <class RoundTrip>
asio::awaitable<void> loop(benchmark::State& state, RoundTrip& round_trip) {
  // The first round trip fills the caches of the allocators.
  co_await round_trip();
  const allocation_counter allocs;
  for (auto _ : state) co_await round_trip();
  allocs.report(state);
}

void raw(benchmark::State& state, const tcp::endpoint& server) {
  asio::io_context io{1};
  raw_round_trip round_trip(io, server);
  run_benchmark(state, io, loop(state, round_trip));
}

asio::awaitable<void> leased_loop(benchmark::State& state, cocp::pool& pool) {
  co_await pool.ready(10);
  leased_round_trip round_trip(pool);
  co_await loop(state, round_trip);
  co_await pool.drain();
}

void leased(benchmark::State& state, const tcp::endpoint& server) {
  asio::io_context io{1};
  std::ostringstream address;
  address << server;
  cocp::pool pool(io, {.address = address.str()}, {.size = 10});
  run_benchmark(state, io, leased_loop(state, pool));
}

}  // namespace

void register_echo(const tcp::endpoint& server) {
  benchmark::RegisterBenchmark("echo/raw", [=](benchmark::State& s) { raw(s, server); })->UseRealTime();
  benchmark::RegisterBenchmark("echo/lease", [=](benchmark::State& s) { leased(s, server); })->UseRealTime();
}

}  // namespace bench
