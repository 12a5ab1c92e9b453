// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "floor_pool.hpp"
#include "micro.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#include <sys/single_threaded.h>

namespace bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

constexpr std::size_t pool_size = 10;

/// A thread that does nothing. While there was never one, glibc and libstdc++ do without atomic operations.
class idle_thread {
 public:
  idle_thread()
      : thread_([this](const std::stop_token& stop) {
          std::unique_lock lock(mutex_);
          never_.wait(lock, stop, [] { return false; });
        }) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any never_;
  std::jthread thread_;
};

enum class how { get, try_get };

template <class Pool>
asio::awaitable<void> loop(benchmark::State& state, Pool& pool, how h) {
  const allocation_counter allocs;
  if (h == how::get) {
    for (auto _ : state) {
      auto item = co_await pool.get();
      benchmark::DoNotOptimize(*item);
    }
  } else {
    for (auto _ : state) {
      auto item = pool.try_get();
      if (!item) state.SkipWithError("nothing is free");
      benchmark::DoNotOptimize(*item);
    }
  }
  allocs.report(state);
}

asio::awaitable<void> pool_loop(benchmark::State& state, cocp::pool& pool, how h) {
  co_await pool.ready(pool_size);
  co_await loop(state, pool, h);
  co_await pool.drain();
}

void run_floor(benchmark::State& state, how h) {
  asio::io_context io{1};
  floor_pool<int> pool(pool_size);
  run_benchmark(state, io, loop(state, pool, h));
}

void run_pool(benchmark::State& state, const tcp::endpoint& server, how h, cocp::duration check_after) {
  asio::io_context io{1};
  std::ostringstream address;
  address << server;
  cocp::pool pool(io, {.address = address.str()}, {.size = pool_size, .check_after = check_after});
  run_benchmark(state, io, pool_loop(state, pool, h));
}

void register_all(const tcp::endpoint& server, bool second_thread) {
  const auto add = [second_thread](std::string name, auto body) {
    if (second_thread) name += "/second_thread";
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      if (second_thread) static const idle_thread t;
      if (!second_thread && !__libc_single_threaded) state.SkipWithError("a thread was started before this one");
      body(state);
    });
  };
  for (const how h : {how::get, how::try_get}) {
    const std::string name = h == how::get ? "get_put/" : "try_get_put/";
    add(name + "floor", [=](benchmark::State& s) { run_floor(s, h); });
    add(name + "pool/check_after:1h", [=](benchmark::State& s) { run_pool(s, server, h, 1h); });
    add(name + "pool/check_after:default", [=](benchmark::State& s) { run_pool(s, server, h, 0ns); });
  }
}

}  // namespace

void register_get_put(const tcp::endpoint& server) {
  register_all(server, false);
  register_all(server, true);
}

}  // namespace bench
