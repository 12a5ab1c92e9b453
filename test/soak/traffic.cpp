// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "traffic.hpp"

#include "support/exchange.hpp"
#include "support/resp.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <random>
#include <stdexcept>
#include <utility>

namespace cocp::test::soak {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

/// Of a wait, and of an exchange.
constexpr auto limit = 1s;
/// What a machine that is busy may add.
constexpr auto slack = 10s;

/// A user's own error.
struct change_of_mind : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An answer that is another's.
struct wrong_answer : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace

void tally::serve(std::chrono::nanoseconds took) {
  ++served;
  const std::lock_guard lock(mutex_);
  latencies_.record(took);
}

void tally::note_fault(const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (fault_.empty()) fault_ = what;
}

std::string tally::fault() const {
  const std::lock_guard lock(mutex_);
  return fault_;
}

std::pair<double, double> tally::take_latencies() {
  cocp::histogram taken;
  {
    const std::lock_guard lock(mutex_);
    taken = std::exchange(latencies_, {});
  }
  const auto quantile = [&taken](double part) {
    return std::chrono::duration<double, std::milli>(taken.quantile(part)).count();
  };
  return {quantile(0.5), quantile(0.99)};
}

asio::awaitable<void> talk_redis(cocp::connection& connection, std::size_t worker, std::size_t number) {
  // No more keys than that, or the server grows.
  co_await exchange(connection, worker, number % 500);
}

asio::awaitable<void> talk_echo(cocp::connection& connection, std::size_t worker, std::size_t number) {
  std::string text = std::to_string(worker) + ":" + std::to_string(number) + ":";
  text.resize(text.size() + number * 37 % 2000, static_cast<char>('a' + number % 26));
  const auto out = asio::buffer(text);
  co_await connection.write(out);
  std::string answer(text.size(), '\0');
  const auto in = asio::buffer(answer);
  co_await connection.read(in);
  if (answer != text) throw wrong_answer("the echo of " + text + " was " + answer);
}

void crowd::start(asio::io_context& io, std::size_t workers, std::uint64_t seed) {
  left_ = workers;
  for (std::size_t n = 0; n < workers; ++n) {
    asio::co_spawn(io, work(n, seed + n), [this](std::exception_ptr e) {
      try {
        if (e) std::rethrow_exception(e);
      } catch (const std::exception& error) {
        seen_.note_fault(error.what());
      }
      --left_;
    });
  }
}

asio::awaitable<void> crowd::work(std::size_t worker, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  asio::steady_timer pause(co_await asio::this_coro::executor);
  for (std::size_t number = 0; !stopping_; ++number) {
    const auto start = clock_type::now();
    co_await use_once(worker, number, random() % 100);
    if (clock_type::now() - start > 2 * limit + slack) seen_.note_fault("somebody waits for longer than his limits");
    pause.expires_after(std::chrono::microseconds(random() % 50'000));
    co_await pause.async_wait(asio::use_awaitable);
  }
}

asio::awaitable<void> crowd::use_once(std::size_t worker, std::size_t number, std::uint64_t way) {
  const auto start = clock_type::now();
  cocp::lease lease;
  try {
    lease = co_await pool_.get(limit);
    lease->expires_after(way < 3 ? std::chrono::nanoseconds(1ms) : std::chrono::nanoseconds(limit));
    if (way < 6) {
      // A question to whose answer nobody listens.
      const auto out = asio::buffer("*1\r\n$4\r\nPING\r\n", 14);
      co_await lease->write(out);
      co_return;
    }
    if (way < 8) throw change_of_mind("never mind");
    if (way < 10) lease.detach();
    co_await talk_(*lease, worker, number);
    seen_.serve(clock_type::now() - start);
    if (way < 14) lease.discard();
  } catch (const boost::system::system_error& e) {
    if (!e.code()) seen_.note_fault("something fails without a reason");
    ++(lease ? seen_.failed : seen_.refused);
  } catch (const change_of_mind&) {
    // Its lease was used up by it.
  }
}

}  // namespace cocp::test::soak
