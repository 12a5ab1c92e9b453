// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// How long a pool takes to be of use again, from the moment when its server listens again: while that is down the pool
// waits for the end of a backoff delay, and nothing tells it earlier.
#include "echo_server.hpp"
#include "free_port.hpp"
#include "server_process.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

constexpr std::size_t pool_size = 10;
constexpr auto down_time = 1s;
/// The loss of a connection that is younger than `retry_min` counts as a failed attempt.
constexpr auto up_time = 500ms;

/// One outage.
struct outcome {
  /// From when the server listened again.
  cocp::duration served{};
  cocp::duration all_up{};
  /// The last backoff delay, and how much of it was left when the server listened again.
  cocp::duration delay{};
  cocp::duration left{};
  std::size_t failed = 0;
};

/// What the pool's logger was told since the server was killed.
struct failures {
  std::size_t count = 0;
  clock_type::time_point last;
  cocp::duration delay{};
};

double ms(cocp::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

asio::awaitable<void> sleep(cocp::duration d) {
  asio::steady_timer timer(co_await asio::this_coro::executor, d);
  co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<clock_type::time_point> restart(bench::server_process& server) {
  co_await sleep(down_time);
  co_return co_await server.start();
}

asio::awaitable<clock_type::time_point> served(cocp::pool& pool) {
  const cocp::lease conn = co_await pool.get();
  co_return clock_type::now();
}

/// Begins when the pool surely knows of the outage, and before it can be over.
asio::awaitable<clock_type::time_point> all_up(cocp::pool& pool) {
  co_await sleep(down_time / 2);
  co_await pool.ready(pool_size);
  co_return clock_type::now();
}

asio::awaitable<outcome> run_once(cocp::pool& pool, bench::server_process& server, failures& seen) {
  using namespace asio::experimental::awaitable_operators;
  co_await pool.ready(pool_size);
  co_await sleep(up_time);
  seen = {};
  server.kill();
  const auto [back, first, all] = co_await (restart(server) && served(pool) && all_up(pool));
  if (first < back) throw std::runtime_error("a lease was given out while the server was down");
  co_return outcome{first - back, all - back, seen.delay, seen.last + seen.delay - back, seen.count};
}

void print(const std::string& name, const outcome& o) {
  std::cout << std::setw(6) << name << std::fixed << std::setprecision(1) << std::setw(17) << ms(o.served)
            << std::setw(13) << ms(o.all_up) << std::setw(16) << ms(o.delay) << std::setw(14) << ms(o.left)
            << std::setw(18) << o.failed << std::endl;
}

template <class Value>
Value median(std::vector<outcome> runs, Value outcome::*member) {
  std::sort(runs.begin(), runs.end(), [&](const outcome& a, const outcome& b) { return a.*member < b.*member; });
  return runs[runs.size() / 2].*member;
}

asio::awaitable<void> run_all(cocp::pool& pool, bench::server_process& server, failures& seen, unsigned n) {
  std::cout << "ms from listen()\n   run  1st waiter served    all " << pool_size
            << " up   backoff delay  of it to go   failed attempts\n";
  std::vector<outcome> runs;
  for (unsigned i = 1; i <= n; ++i) {
    runs.push_back(co_await run_once(pool, server, seen));
    print(std::to_string(i), runs.back());
  }
  std::cout << std::fixed << std::setprecision(1) << "medians of " << n << " runs\n"
            << "first waiter served: " << ms(median(runs, &outcome::served)) << " ms\n"
            << "all " << pool_size << " up: " << ms(median(runs, &outcome::all_up)) << " ms\n"
            << "backoff delay: " << ms(median(runs, &outcome::delay)) << " ms\n"
            << "failed attempts: " << median(runs, &outcome::failed) << '\n';
}

void measure(unsigned runs) {
  const unsigned short port = bench::free_port();
  bench::server_process server(bench::echo_server(port));
  server.start_now();

  asio::io_context io{1};
  failures seen;
  auto log = [&seen](const cocp::event& e) {
    if (e.kind == cocp::event_kind::connect_failed) seen = {seen.count + 1, clock_type::now(), e.retry_in};
  };
  cocp::pool pool(io, {.address = "127.0.0.1:" + std::to_string(port), .logger = log}, {.size = pool_size});
  asio::co_spawn(io, run_all(pool, server, seen, runs), [&pool](std::exception_ptr e) {
    pool.close();
    if (e) std::rethrow_exception(e);
  });
  io.run();
}

}  // namespace

int main(int argc, char** argv) {
  bench::serve_if_asked(argc, argv);
  unsigned runs = 20;
  if (argc == 2) {
    const std::string_view text = argv[1];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), runs);
    if (error != std::errc{} || end != text.data() + text.size()) runs = 0;
  }
  if (argc > 2 || runs == 0) {
    std::cerr << "usage: cocp-recovery [RUNS]\n";
    return 2;
  }
  try {
    measure(runs);
  } catch (const std::exception& e) {
    std::cerr << "cocp-recovery: " << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
