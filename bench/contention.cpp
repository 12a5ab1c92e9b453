// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Threads that take connections from one pool and put them back as fast as they can, each pinned to a processor and
// with an `io_context` of its own: beside one thread alone, and threads that have a pool each.
#include "echo_server.hpp"
#include "free_port.hpp"
#include "server_process.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <sched.h>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

constexpr const char* usage =
    "usage: cocp-contention [THREADS]\n"
    "get+put of one pool by so many threads (2), beside one thread, and a pool each; check_after 1 h and 0.\n";
/// As many for each thread, whatever their number, so that nobody waits.
constexpr std::size_t connections_each = 5;
constexpr auto measured_for = 300ms;
constexpr int rounds = 5;

void pin(std::size_t thread) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(thread % std::max(1u, std::thread::hardware_concurrency()), &set);
  sched_setaffinity(0, sizeof set, &set);
}

asio::awaitable<std::uint64_t> get_and_put(cocp::pool& pool, const std::atomic<bool>& stop) {
  std::uint64_t n = 0;
  for (; !stop.load(std::memory_order_relaxed); ++n) {
    cocp::lease l = co_await pool.get();
    if (!l) throw std::logic_error("nothing is free");
  }
  co_return n;
}

/// Get+put a second of all threads, of which each uses the pool with its number, or all the first.
double rate(const std::vector<std::unique_ptr<cocp::pool>>& pools, std::size_t threads) {
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> sum = 0;
  std::barrier begin(static_cast<std::ptrdiff_t>(threads) + 1);
  std::vector<std::jthread> all;
  for (std::size_t i = 0; i < threads; ++i) {
    all.emplace_back([&, i] {
      pin(i);
      asio::io_context io{1};
      auto n = asio::co_spawn(io, get_and_put(*pools[i % pools.size()], stop), asio::use_future);
      begin.arrive_and_wait();
      io.run();
      sum += n.get();
    });
  }
  begin.arrive_and_wait();
  const auto from = clock_type::now();
  std::this_thread::sleep_for(measured_for);
  stop = true;
  all.clear();
  return static_cast<double>(sum) / std::chrono::duration<double>(clock_type::now() - from).count();
}

/// Of several rounds, since the machine has other things to do.
struct best {
  double of = 0;
  void add(double x) { of = std::max(of, x); }
};

std::vector<std::unique_ptr<cocp::pool>> open(asio::io_context& io, const std::string& address, std::size_t pools,
                                              std::size_t size, cocp::duration check_after) {
  std::vector<std::unique_ptr<cocp::pool>> all;
  for (std::size_t i = 0; i < pools; ++i) {
    all.push_back(std::make_unique<cocp::pool>(io, cocp::connection_options{.address = address},
                                               cocp::pool_options{.size = size, .check_after = check_after}));
    asio::co_spawn(io, all.back()->ready(size), asio::use_future).get();
  }
  return all;
}

void compare(const std::string& address, std::size_t threads, cocp::duration check_after, const char* name) {
  asio::io_context io{1};
  auto work = asio::make_work_guard(io);
  std::jthread runs([&io] { io.run(); });
  {
    const auto shared = open(io, address, 1, threads * connections_each, check_after);
    const auto own = open(io, address, threads, connections_each, check_after);
    best alone;
    best together;
    best apart;
    for (int i = 0; i < rounds; ++i) {
      alone.add(rate(shared, 1));
      together.add(rate(shared, threads));
      apart.add(rate(own, threads));
    }
    std::printf("%-14s  1 thread %6.2f   %zu threads on one pool %6.2f (%.2fx)   with a pool each %6.2f million/s\n",
                name, alone.of / 1e6, threads, together.of / 1e6, together.of / alone.of, apart.of / 1e6);
  }
  work.reset();
}

}  // namespace

int main(int argc, char** argv) {
  bench::serve_if_asked(argc, argv);
  std::size_t threads = 2;
  const std::string_view number = argc > 1 ? argv[1] : "2";
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), threads);
  if (argc > 2 || error != std::errc{} || end != number.data() + number.size() || threads == 0 || threads > 256) {
    std::cerr << usage;
    return 2;
  }
  try {
    const unsigned short port = bench::free_port();
    bench::server_process server(bench::echo_server(port));
    server.start_now();
    const std::string address = "127.0.0.1:" + std::to_string(port);
    compare(address, threads, 1h, "check_after 1h");
    compare(address, threads, 0ns, "check_after 0");
  } catch (const std::exception& e) {
    std::cerr << "cocp-contention: " << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
