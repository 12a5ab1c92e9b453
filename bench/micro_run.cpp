// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "message.hpp"
#include "micro.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <string>

namespace bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::size_t run_pool_size = 10;
constexpr std::size_t message_bytes = 64;

asio::awaitable<void> use(cocp::lease& conn, message* m) {
  benchmark::DoNotOptimize(*conn);
  if (!m) co_return;
  co_await conn->write(m->asked());
  co_await conn->read(m->answer());
  m->check();
}

asio::awaitable<void> loop(benchmark::State& state, cocp::pool& pool, message* m, bool by_hand) {
  co_await pool.ready(run_pool_size);
  turns left(state);
  const allocation_counter allocs;
  if (by_hand) {
    while (left.next()) {
      cocp::lease conn = co_await pool.get();
      co_await use(conn, m);
    }
  } else {
    const auto f = [m](cocp::lease& conn) { return use(conn, m); };
    while (left.next()) co_await pool.run(f);
  }
  allocs.report(state);
}

void measure(benchmark::State& state, const tcp::endpoint& server, bool echo, bool by_hand) {
  asio::io_context io{1};
  // Without the look at the socket, which would hide what is compared.
  cocp::pool pool(io, {.address = address_text(server)}, {.size = run_pool_size, .check_after = std::chrono::hours(1)});
  message m(message_bytes);
  run_benchmark(state, io, loop(state, pool, echo ? &m : nullptr, by_hand));
}

}  // namespace

void register_run(const tcp::endpoint& server) {
  for (const bool echo : {false, true}) {
    const std::string name = echo ? "run/echo/" : "run/nothing/";
    for (const bool by_hand : {true, false}) {
      const std::string full_name = name + (by_hand ? "floor" : "run");
      const auto body = [=](benchmark::State& state) { measure(state, server, echo, by_hand); };
      auto* const b = benchmark::RegisterBenchmark(full_name.c_str(), body);
      if (echo) b->UseRealTime();
    }
  }
}

}  // namespace bench
