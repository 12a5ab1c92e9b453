// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What a caller costs that waits for a lease, by how many wait: one connection, one thread, callbacks; beside a timer
// of Asio's for each. The heap keeps what it once had, and the first round of each size is not counted, so that the
// kernel's handing out of pages is not measured.
#include "echo_server.hpp"
#include "free_port.hpp"
#include "server_process.hpp"
#include "timer_queue.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iomanip>
#include <iostream>
#include <map>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <malloc.h>
#include <time.h>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

/// The time that this thread had a processor: what others do on the machine shows less.
std::chrono::nanoseconds cpu_time() {
  ::timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

struct column {
  const char* name;
  const char* unit;
};

constexpr std::array<column, 8> columns{{{"queue", "ns"},
                                         {"memory", "bytes"},
                                         {"serve", "ns"},
                                         {"cancel", "ns"},
                                         {"time out", "ns"},
                                         {"cancel*", "ns"},
                                         {"queue*", "ns"},
                                         {"time out*", "ns"}}};

/// Per waiter, in the order of `columns`.
using cost = std::array<double, columns.size()>;

struct size {
  std::size_t waiters;
  unsigned rounds;
};

constexpr std::array<size, 7> sizes{
    {{1, 1'001}, {10, 501}, {100, 201}, {1'000, 101}, {10'000, 31}, {100'000, 7}, {1'000'000, 3}}};

/// The two sizes whose ratio says whether the cost is flat: from a thousand on, a round is longer than a look at the
/// clock.
constexpr std::size_t few = 1'000;
constexpr std::size_t many = 1'000'000;

/// How many are cancelled before their handlers run.
constexpr std::size_t at_once = 1'000;

/// Timeouts that differ are so far apart that queueing takes less: else the order of arrival would be that of the
/// deadlines.
constexpr auto timeout_step = 5us;

/// Between two looks at the clock: a system call.
std::chrono::nanoseconds clock_cost() {
  std::array<std::chrono::nanoseconds, 101> costs;
  for (auto& c : costs) {
    const auto start = cpu_time();
    c = cpu_time() - start;
  }
  std::sort(costs.begin(), costs.end());
  return costs[costs.size() / 2];
}

double per_waiter(std::chrono::nanoseconds d, std::size_t n) {
  static const std::chrono::nanoseconds clock = clock_cost();
  return std::chrono::duration<double, std::nano>(d - clock).count() / static_cast<double>(n);
}

/// How the waiters of one round have ended.
struct tally {
  cocp::error_code expected;
  std::size_t ended = 0;
  std::size_t unexpected = 0;

  void count(cocp::error_code ec) noexcept {
    ++ended;
    if (ec != expected) ++unexpected;
  }
};

struct plain_handler {
  tally* ends;

  template <class Lease>
  void operator()(cocp::error_code ec, Lease conn) const noexcept {
    ends->count(ec);
    conn.put();
  }
};

/// Also notes who it is.
struct numbered_handler {
  tally* ends;
  std::uint32_t* order;
  std::uint32_t number;

  template <class Lease>
  void operator()(cocp::error_code ec, const Lease&) const noexcept {
    order[ends->ended] = number;
    ends->count(ec);
  }
};

template <class Pool>
class crowd {
 public:
  crowd(asio::io_context& io, Pool& pool) : io_(io), pool_(pool) {}

  cost round(std::size_t n) {
    cost c{};
    serve(n, c);
    std::vector<std::uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0U);
    c[3] = cancel(order);
    std::shuffle(order.begin(), order.end(), random_);
    c[5] = cancel(order);
    const std::vector<cocp::duration> same(n, 1ms);
    // Its queueing is that of `serve`, with looks at the clock.
    time_out(same, c[6], c[4]);
    std::vector<cocp::duration> different(n);
    for (std::size_t i = 0; i < n; ++i) different[i] = 1ms + i * timeout_step;
    std::shuffle(different.begin(), different.end(), random_);
    time_out(different, c[6], c[7]);
    return c;
  }

 private:
  auto hold() {
    for (;;) {
      if (auto conn = pool_.try_get()) return conn;
      io_.run_one();
    }
  }

  void run_until_all_ended(const tally& ends, std::size_t n) {
    // Not run(): an open pool is work without end.
    while (ends.ended != n) {
      if (io_.poll() == 0) io_.run_one();
    }
    if (ends.unexpected != 0) throw std::runtime_error(std::to_string(ends.unexpected) + " waits ended otherwise");
  }

  void serve(std::size_t n, cost& c) {
    auto held = hold();
    tally ends;
    const std::size_t bytes = ::mallinfo2().uordblks;
    const auto start = cpu_time();
    for (std::size_t i = 0; i < n; ++i) pool_.async_get(plain_handler{&ends});
    c[0] = per_waiter(cpu_time() - start, n);
    c[1] = static_cast<double>(::mallinfo2().uordblks - bytes) / static_cast<double>(n);

    const auto served = cpu_time();
    held.put();
    run_until_all_ended(ends, n);
    c[2] = per_waiter(cpu_time() - served, n);
  }

  double cancel(const std::vector<std::uint32_t>& order) {
    const std::size_t n = order.size();
    const auto held = hold();
    tally ends{asio::error::operation_aborted};
    std::vector<asio::cancellation_signal> signals(n);
    for (auto& s : signals) pool_.async_get(asio::bind_cancellation_slot(s.slot(), plain_handler{&ends}));

    const auto start = cpu_time();
    // Handlers run in between, as in any program that cancels what many of its requests wait for.
    for (std::size_t i = 0; i < n; i += at_once) {
      const std::size_t end = std::min(n, i + at_once);
      for (std::size_t k = i; k < end; ++k) signals[order[k]].emit(asio::cancellation_type::terminal);
      run_until_all_ended(ends, end);
    }
    return per_waiter(cpu_time() - start, n);
  }

  void time_out(const std::vector<cocp::duration>& timeouts, double& queue, double& end) {
    const std::size_t n = timeouts.size();
    const auto held = hold();
    tally ends{cocp::errc::timed_out};
    std::vector<std::uint32_t> order(n);
    // The i-th wait began between the i-th time and the next.
    std::vector<clock_type::time_point> times(n + 1);
    const auto queued = cpu_time();
    for (std::size_t i = 0; i < n; ++i) {
      times[i] = clock_type::now();
      pool_.async_get(timeouts[i], numbered_handler{&ends, order.data(), static_cast<std::uint32_t>(i)});
    }
    times[n] = clock_type::now();
    queue = per_waiter(cpu_time() - queued, n);

    std::this_thread::sleep_until(times[n] + *std::max_element(timeouts.begin(), timeouts.end()));
    const auto start = cpu_time();
    run_until_all_ended(ends, n);
    end = per_waiter(cpu_time() - start, n);

    auto latest = clock_type::time_point::min();
    for (const std::uint32_t i : order) {
      latest = std::max(latest, times[i] + timeouts[i]);
      if (times[i + 1] + timeouts[i] < latest) throw std::runtime_error("waits did not end in the order of deadlines");
    }
  }

  asio::io_context& io_;
  Pool& pool_;
  std::mt19937 random_{1};
};

cost median(const std::vector<cost>& rounds) {
  cost middle{};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::vector<double> values;
    for (const cost& c : rounds) values.push_back(c[i]);
    std::sort(values.begin(), values.end());
    middle[i] = values[values.size() / 2];
  }
  return middle;
}

/// Of so many rounds, after one that is not counted.
template <class Pool>
cost measure(crowd<Pool>& waiting, const size& s) {
  waiting.round(s.waiters);
  std::vector<cost> rounds;
  for (unsigned i = 0; i < s.rounds; ++i) rounds.push_back(waiting.round(s.waiters));
  return median(rounds);
}

cost ratio(const cost& a, const cost& b) {
  cost r{};
  std::transform(a.begin(), a.end(), b.begin(), r.begin(), std::divides<>());
  return r;
}

void print_row(const std::string& name, const cost& c, int digits) {
  std::cout << std::setw(9) << name << std::fixed << std::setprecision(digits);
  for (const double value : c) std::cout << std::setw(11) << value;
  std::cout << std::endl;
}

void measure() {
  const unsigned short port = bench::free_port();
  bench::server_process server(bench::echo_server(port));
  server.start_now();
  asio::io_context io{1};
  cocp::pool pool(io, {.address = "127.0.0.1:" + std::to_string(port)}, {.size = 1});
  crowd waiting(io, pool);
  // A context of its own, since the pool has timers too.
  asio::io_context floor_io{1};
  const auto work = asio::make_work_guard(floor_io);
  bench::timer_queue floor(floor_io);
  crowd waiting_by_hand(floor_io, floor);

  std::cout
      << "per waiter; *: cancelled in random order; with different timeouts, in random order; floor: a steady_timer "
         "each\n  waiters";
  for (const column& c : columns) std::cout << std::setw(11) << c.name;
  std::cout << "\n         ";
  for (const column& c : columns) std::cout << std::setw(11) << c.unit;
  std::cout << '\n';
  std::map<std::size_t, cost> costs;
  std::map<std::size_t, cost> floors;
  for (const size& s : sizes) {
    costs[s.waiters] = measure(waiting, s);
    print_row(std::to_string(s.waiters), costs[s.waiters], 0);
    floors[s.waiters] = measure(waiting_by_hand, s);
    print_row("floor", floors[s.waiters], 0);
  }
  std::cout << std::to_string(many) + " waiters beside " + std::to_string(few) + ":\n";
  print_row("ratio", ratio(costs.at(many), costs.at(few)), 2);
  print_row("floor", ratio(floors.at(many), floors.at(few)), 2);
}

}  // namespace

int main(int argc, char** argv) {
  bench::serve_if_asked(argc, argv);
  if (argc > 1) {
    std::cerr << "usage: cocp-waiters\n";
    return 2;
  }
  try {
    ::mallopt(M_TRIM_THRESHOLD, -1);
    measure();
  } catch (const std::exception& e) {
    std::cerr << "cocp-waiters: " << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
