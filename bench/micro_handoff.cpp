// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "micro.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

constexpr std::size_t coroutines = 64;
constexpr std::size_t connections = 8;

/// The least that a pool with a queue can be: what is put goes to the first who waits, by one post.
class floor_queue {
 public:
  struct putter {
    floor_queue* to = nullptr;
    void operator()(int* item) const noexcept { to->put(*item); }
  };
  using lease = std::unique_ptr<int, putter>;

  floor_queue() {
    for (int& item : items_) free_.push_back(&item);
  }

  lease try_get() noexcept {
    const std::lock_guard lock(mutex_);
    return take();
  }

  asio::awaitable<lease> get() {
    if (lease free = try_get()) co_return std::move(free);
    auto wait = [this](waiter handler) {
      std::unique_lock lock(mutex_);
      lease free = take();
      if (!free) {
        waiting_.push_back(std::move(handler));
        return;
      }
      lock.unlock();
      give(std::move(handler), std::move(free));
    };
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(lease)>(wait, asio::use_awaitable);
  }

 private:
  using waiter = asio::async_result<asio::use_awaitable_t<>, void(lease)>::handler_type;

  static void give(waiter handler, lease item) {
    const auto ex = handler.get_executor();
    asio::post(
        ex, [handler = std::move(handler), item = std::move(item)]() mutable { std::move(handler)(std::move(item)); });
  }

  /// Empty if none is free. Under the mutex.
  lease take() noexcept {
    if (free_.empty()) return {};
    int* const item = free_.back();
    free_.pop_back();
    return {item, {this}};
  }

  void put(int& item) noexcept {
    std::unique_lock lock(mutex_);
    if (waiting_.empty()) {
      free_.push_back(&item);
      return;
    }
    waiter first = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    give(std::move(first), lease(&item, {this}));
  }

  std::array<int, connections> items_{};
  std::mutex mutex_;
  std::vector<int*> free_;
  std::deque<waiter> waiting_;
};

/// So many iterations, by coroutines on one or more threads.
class shared_work {
 public:
  shared_work(benchmark::State& state, asio::io_context& io) : state_(state), io_(io), left_(state.max_iterations) {}

  bool next() noexcept { return left_.fetch_sub(1, std::memory_order_relaxed) > 0; }

  void add(asio::awaitable<void> body) {
    ++running_;
    asio::co_spawn(io_, std::move(body), [this](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
      if (--running_ == 0) io_.stop();
    });
  }

  /// Runs all that was added, from `begin` on. What is thrown on another thread than this ends the program.
  template <class Function>
  void measure(std::size_t threads, Function begin) {
    const allocation_counter allocs;
    std::vector<std::jthread> others;
    try {
      while (others.size() + 1 < threads) others.emplace_back([this] { io_.run(); });
      while (state_.KeepRunningBatch(state_.max_iterations)) {
        begin();
        io_.run();
        others.clear();
      }
      allocs.report(state_);
    } catch (const std::exception& e) {
      io_.stop();
      state_.SkipWithError(e.what());
    }
  }

 private:
  benchmark::State& state_;
  asio::io_context& io_;
  std::atomic<benchmark::IterationCount> left_;
  std::atomic<std::size_t> running_ = 0;
};

/// Each of its gets has to wait, since others do.
template <class Pool>
asio::awaitable<void> get_and_put(shared_work& work, Pool& pool) {
  while (work.next()) {
    auto item = co_await pool.get();
    benchmark::DoNotOptimize(*item);
  }
}

template <class Pool>
void hand_off(benchmark::State& state, asio::io_context& io, std::size_t threads, Pool& pool) {
  std::vector<decltype(pool.try_get())> held;
  while (held.size() < connections) {
    held.push_back(pool.try_get());
    if (!held.back()) return state.SkipWithError("nothing is free");
  }
  shared_work work(state, io);
  for (std::size_t i = 0; i < coroutines; ++i) work.add(get_and_put(work, pool));
  // All wait from here on.
  io.restart();
  io.poll();
  work.measure(threads, [&held] { held.clear(); });
}

asio::awaitable<void> post(shared_work& work) {
  while (work.next()) co_await asio::post(asio::use_awaitable);
}

void run_post(benchmark::State& state, std::size_t threads) {
  asio::io_context io{static_cast<int>(threads)};
  // As beside any socket, the scheduler polls.
  const tcp::socket socket(io, tcp::v4());
  shared_work work(state, io);
  // As many as are on their way at once where they are hand-offs.
  for (std::size_t i = 0; i < connections; ++i) work.add(post(work));
  work.measure(threads, [] {});
}

void run_floor(benchmark::State& state, std::size_t threads) {
  asio::io_context io{static_cast<int>(threads)};
  const tcp::socket socket(io, tcp::v4());
  floor_queue queue;
  hand_off(state, io, threads, queue);
}

void run_pool(benchmark::State& state, std::size_t threads, const tcp::endpoint& server, cocp::duration check_after) {
  asio::io_context io{static_cast<int>(threads)};
  cocp::pool pool(io, {.address = address_text(server)}, {.size = connections, .check_after = check_after});
  run_one(io, pool.ready(connections));
  hand_off(state, io, threads, pool);
}

}  // namespace

void register_hand_off(const tcp::endpoint& server, std::size_t threads) {
  const std::string subject = threads == 1 ? "hand_off/1_thread/" : "hand_off/" + std::to_string(threads) + "_threads/";
  const auto add = [&](const char* name, auto body) {
    benchmark::RegisterBenchmark((subject + name).c_str(), body)->UseRealTime()->MeasureProcessCPUTime();
  };
  add("post", [=](benchmark::State& s) { run_post(s, threads); });
  add("floor", [=](benchmark::State& s) { run_floor(s, threads); });
  add("check_after:1h", [=](benchmark::State& s) { run_pool(s, threads, server, 1h); });
  add("check_after:0", [=](benchmark::State& s) { run_pool(s, threads, server, 0ns); });
}

}  // namespace bench
