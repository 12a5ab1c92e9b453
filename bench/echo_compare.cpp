// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// The time that one message there and back takes through a lease, against a plain socket, to within a percent: they
// take turns in short blocks, so that what disturbs the machine disturbs all, and the middle of many ratios counts.
// Client and server are pinned, once to the same CPU and once to two: waking another CPU can cost more than all the
// rest.
#include "echo_server.hpp"
#include "free_port.hpp"
#include "round_trip.hpp"
#include "server_process.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <iomanip>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sched.h>

namespace {

namespace asio = boost::asio;

constexpr unsigned block_size = 2000;

/// Nanoseconds per round trip.
struct cost {
  double cpu = 0;  ///< Of this thread, in user and kernel mode.
  double wall = 0;
};

double now(clockid_t clock) {
  std::timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

/// Pins this process to the n-th CPU that it may use.
void pin(const cpu_set_t& allowed, int n) {
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || n-- != 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ::sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

template <class RoundTrip>
asio::awaitable<void> repeat(RoundTrip& round_trip) {
  for (unsigned i = 0; i < block_size; ++i) co_await round_trip();
}

template <class RoundTrip>
cost block(asio::io_context& io, RoundTrip& round_trip) {
  bool done = false;
  asio::co_spawn(io, repeat(round_trip), [&done](std::exception_ptr e) {
    done = true;
    if (e) std::rethrow_exception(e);
  });
  const double cpu = now(CLOCK_THREAD_CPUTIME_ID);
  const double wall = now(CLOCK_MONOTONIC);
  io.restart();
  // Not run(): an open pool is work without end.
  while (!done) io.run_one();
  return {(now(CLOCK_THREAD_CPUTIME_ID) - cpu) / block_size, (now(CLOCK_MONOTONIC) - wall) / block_size};
}

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

void print(std::string_view what, const std::vector<cost>& raw, const std::vector<cost>& pooled) {
  for (auto [name, time] : {std::pair("CPU ", &cost::cpu), std::pair("wall", &cost::wall)}) {
    std::vector<double> r, p, ratio;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      r.push_back(raw[i].*time);
      p.push_back(pooled[i].*time);
      ratio.push_back(p.back() / r.back());
    }
    std::cout << std::fixed << std::setprecision(0) << "  " << what << ", " << name << " time: raw " << quantile(r, 0.5)
              << " ns, pool " << quantile(p, 0.5) << " ns; ratio " << std::setprecision(3) << quantile(ratio, 0.5)
              << " (quartiles " << quantile(ratio, 0.25) << " to " << quantile(ratio, 0.75) << ")\n";
  }
}

asio::awaitable<void> until_up(cocp::pool& pool, bool& up) {
  co_await pool.ready(10);
  up = true;
}

void compare(unsigned blocks) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ::sched_getaffinity(0, sizeof allowed, &allowed);

  // The server inherits it.
  pin(allowed, 0);
  const unsigned short port = bench::free_port();
  bench::server_process server(bench::echo_server(port));
  server.start_now();

  asio::io_context raw_io{1};
  bench::raw_round_trip raw(bench::dial_plain(raw_io, port));
  asio::io_context pool_io{1};
  cocp::pool pool(pool_io, {.address = "127.0.0.1:" + std::to_string(port)}, {.size = 10});
  bench::leased_round_trip leased(pool);
  bool up = false;
  asio::co_spawn(pool_io, until_up(pool, up), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  while (!up) pool_io.run_one();
  bench::held_round_trip held(pool.try_get());

  for (int cpu = 0; cpu < std::min(CPU_COUNT(&allowed), 2); ++cpu) {
    pin(allowed, cpu);
    block(raw_io, raw);
    block(pool_io, held);
    block(pool_io, leased);
    std::vector<cost> raw_costs, held_costs, leased_costs;
    for (unsigned i = 0; i < blocks; ++i) {
      // The plain socket goes first every other time.
      if (i % 2 == 0) raw_costs.push_back(block(raw_io, raw));
      held_costs.push_back(block(pool_io, held));
      leased_costs.push_back(block(pool_io, leased));
      if (i % 2 != 0) raw_costs.push_back(block(raw_io, raw));
    }
    std::cout << (cpu == 0 ? "client and server on one CPU, " : "on two CPUs, ") << blocks << " blocks of "
              << block_size << " round trips each way\n";
    print("through a lease         ", raw_costs, held_costs);
    print("get, through it, and put", raw_costs, leased_costs);
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::serve_if_asked(argc, argv);
  unsigned blocks = 100;
  if (argc == 2) {
    const std::string_view text = argv[1];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), blocks);
    if (error != std::errc{} || end != text.data() + text.size()) blocks = 0;
  }
  if (argc > 2 || blocks == 0) {
    std::cerr << "usage: cocp-echo-compare [BLOCKS]\n";
    return 2;
  }
  try {
    compare(blocks);
  } catch (const std::exception& e) {
    std::cerr << "cocp-echo-compare: " << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
