// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "floor_pool.hpp"
#include "micro.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>
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

enum class how { get, try_get, callback };

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

/// The handler of one `async_get` after another.
struct on_lease {
  turns& left;
  asio::io_context& io;
  cocp::pool& pool;

  void begin() const { pool.async_get(*this); }

  void operator()(cocp::error_code ec, cocp::lease conn) const {
    if (ec) throw boost::system::system_error(ec);
    benchmark::DoNotOptimize(*conn);
    conn.put();
    left.next() ? begin() : io.stop();
  }
};

/// Its floor: posted, as no handler may be called at once.
struct on_post {
  turns& left;
  asio::io_context& io;
  floor_pool<int>& pool;

  void begin() const { asio::post(io, *this); }

  void operator()() const {
    {
      const auto item = pool.try_get();
      benchmark::DoNotOptimize(*item);
    }
    left.next() ? begin() : io.stop();
  }
};

template <class Handler, class Pool>
void run_callbacks(benchmark::State& state, asio::io_context& io, Pool& pool) {
  turns left(state);
  const allocation_counter allocs;
  try {
    if (left.next()) Handler{left, io, pool}.begin();
    io.restart();
    io.run();
    allocs.report(state);
  } catch (const std::exception& e) {
    state.SkipWithError(e.what());
  }
}

asio::awaitable<void> pool_loop(benchmark::State& state, cocp::pool& pool, how h) {
  co_await pool.ready(pool_size);
  co_await loop(state, pool, h);
  co_await pool.drain();
}

void run_floor(benchmark::State& state, how h) {
  asio::io_context io{1};
  floor_pool<int> pool(pool_size);
  if (h == how::callback) {
    // As beside any socket, the scheduler polls.
    const tcp::socket socket(io, tcp::v4());
    run_callbacks<on_post>(state, io, pool);
  } else {
    run_benchmark(state, io, loop(state, pool, h));
  }
}

void run_pool(benchmark::State& state, const tcp::endpoint& server, how h, cocp::duration check_after) {
  asio::io_context io{1};
  cocp::pool pool(io, {.address = address_text(server)}, {.size = pool_size, .check_after = check_after});
  if (h == how::callback) {
    run_one(io, pool.ready(pool_size));
    run_callbacks<on_lease>(state, io, pool);
  } else {
    run_benchmark(state, io, pool_loop(state, pool, h));
  }
}

}  // namespace

void register_get_put(const tcp::endpoint& server, bool second_thread) {
  const auto add = [second_thread](const std::string& name, auto body) {
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      if (second_thread) static const idle_thread t;
      if (!second_thread && !__libc_single_threaded) state.SkipWithError("a thread was started before this one");
      body(state);
    });
  };
  for (const how h : {how::get, how::try_get, how::callback}) {
    const std::string subject = h == how::get ? "get_put" : h == how::try_get ? "try_get_put" : "async_get_put";
    const std::string name = subject + (second_thread ? "/second_thread/" : "/");
    add(name + "floor", [=](benchmark::State& s) { run_floor(s, h); });
    const auto add_pool = [&](const char* check, cocp::duration check_after) {
      add(name + "check_after:" + check, [=](benchmark::State& s) { run_pool(s, server, h, check_after); });
    };
    add_pool("1h", 1h);
    add_pool("1ms", 1ms);
    add_pool("0", 0ns);
  }
}

}  // namespace bench
