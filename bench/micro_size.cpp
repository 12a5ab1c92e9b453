// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "floor_pool.hpp"
#include "micro.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/io_context.hpp>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include <sys/resource.h>

namespace bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::array<std::size_t, 5> pool_sizes{1, 10, 100, 1'000, 10'000};
/// For all that is open besides, in this process or the server's.
constexpr std::size_t other_descriptors = 300;

/// One get and put after another: the connection is always that which was used last.
template <class Pool>
asio::awaitable<void> one_loop(benchmark::State& state, Pool& pool) {
  turns left(state);
  while (left.next()) {
    auto item = co_await pool.get();
    benchmark::DoNotOptimize(*item);
  }
}

/// All are taken, then all put back: a get and a put of each is an iteration.
template <class Pool>
void take_all(benchmark::State& state, Pool& pool, std::size_t n) {
  std::vector<decltype(pool.try_get())> held;
  held.reserve(n);
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(n))) {
    for (std::size_t i = 0; i < n; ++i) {
      held.push_back(pool.try_get());
      if (!held.back()) state.SkipWithError("nothing is free");
    }
    held.clear();
  }
}

bool may_open(benchmark::State& state, std::size_t n) {
  ::rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur >= n + other_descriptors) return true;
  const std::string error = "RLIMIT_NOFILE is " + std::to_string(files.rlim_cur) + ", too low";
  state.SkipWithError(error.c_str());
  return false;
}

void register_size(const tcp::endpoint& server, std::size_t n) {
  // Opened once for all runs: at 10,000 connections that takes seconds.
  const auto opened = std::make_shared<std::optional<open_pool>>();
  const auto with_pool = [=](benchmark::State& state) -> open_pool* {
    if (!*opened && !may_open(state, n)) return nullptr;
    if (!*opened) {
      opened->emplace(cocp::connection_options{.address = address_text(server)},
                      cocp::pool_options{.size = n, .check_after = std::chrono::hours(1), .max_dialling = 256});
    }
    return &**opened;
  };
  const std::string name = "pool_size/" + std::to_string(n);
  benchmark::RegisterBenchmark((name + "/one/floor").c_str(), [=](benchmark::State& state) {
    asio::io_context io{1};
    floor_pool<int> pool(n);
    run_benchmark(state, io, one_loop(state, pool));
  });
  benchmark::RegisterBenchmark((name + "/one/pool").c_str(), [=](benchmark::State& state) {
    if (open_pool* const p = with_pool(state)) run_benchmark(state, p->io, one_loop(state, p->pool));
  });
  benchmark::RegisterBenchmark((name + "/all/floor").c_str(), [=](benchmark::State& state) {
    floor_pool<int> pool(n);
    take_all(state, pool, n);
  });
  benchmark::RegisterBenchmark((name + "/all/pool").c_str(), [=](benchmark::State& state) {
    if (open_pool* const p = with_pool(state)) take_all(state, p->pool, n);
  });
}

}  // namespace

void register_pool_size(const tcp::endpoint& server) {
  for (const std::size_t n : pool_sizes) register_size(server, n);
}

}  // namespace bench
