// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "load_run.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <csignal>
#include <exception>
#include <iostream>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

namespace bench {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// How long it may take from the decision to stop until no work is left.
constexpr auto longest_end = 5s;

asio::awaitable<void> sleep_until(std::chrono::steady_clock::time_point t) {
  asio::steady_timer timer(co_await asio::this_coro::executor, t);
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace

load_run::load_run(const load_options& options, const std::string& address, server_process* server)
    : options_(options),
      server_(server),
      state_(server ? server_state::up : server_state::foreign),
      live_(std::cout, ::isatty(STDOUT_FILENO) != 0),
      io_(static_cast<int>(options.threads)),
      pool_(io_, {.address = address}, {.size = options.size}) {
  course_.ours = server != nullptr;
}

bool load_run::run() {
  started_ = clock::now();
  spawn(asio::make_strand(io_), conduct());
  for (std::size_t i = 0; i < options_.coroutines; ++i) {
    std::string key = "cocp-load:" + std::to_string(::getpid()) + ":" + std::to_string(i) + ":";
    spawn(io_.get_executor(), work(make_exchange(options_.speak, options_.bytes, std::move(key))));
  }
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < options_.threads; ++i) threads.emplace_back([this] { io_.run(); });
  io_.run();
  for (std::thread& t : threads) t.join();

  const cocp::stats stats = pool_.stats();
  if (watchdog_->fired()) {
    course_.trouble = drained_ ? "after the end of drain() there was still work, so that run() did not return"
                               : "drain() did not end; requests without an answer: " + std::to_string(stats.leased);
  }
  live_.end();
  print_summary(std::cout, course_, tally_, stats);
  return faults(course_, tally_, stats).empty();
}

/// An exception that leaves `body` is a fault of this program.
void load_run::spawn(asio::any_io_executor ex, asio::awaitable<void> body) {
  asio::co_spawn(ex, std::move(body), [](std::exception_ptr e) noexcept {
    if (e) std::rethrow_exception(e);
  });
}

/// Counts while it lives.
class load_run::holding {
 public:
  explicit holding(std::atomic<std::uint64_t>& n) noexcept : n_(n) { ++n_; }
  ~holding() { --n_; }
  holding(const holding&) = delete;
  holding& operator=(const holding&) = delete;

 private:
  std::atomic<std::uint64_t>& n_;
};

asio::awaitable<void> load_run::work(std::unique_ptr<exchange> what) {
  while (!stopping_) {
    std::optional<server_state> leased;
    boost::system::error_code error;
    try {
      cocp::lease conn = co_await pool_.get();
      leased = state_at_hand_over();
      const holding counted(held_);
      co_await what->run(*conn);
      tally_.answered(*leased);
      continue;
    } catch (const boost::system::system_error& e) {
      error = e.code();
    } catch (const wrong_answer& e) {
      tally_.wrong(e.what());
      continue;
    }
    if (stopping_ && !leased && error == cocp::errc::closed) break;
    tally_.failed(leased ? cause_of_failure(*leased, state_, error) : cause::no_lease, error);
    // A get that fails at once must not keep the others from running.
    co_await asio::post(asio::use_awaitable);
  }
}

/// A lease is handed over before the coroutine that waits for it runs again, and the server may die in between: then
/// its number tells that it is from before.
server_state load_run::state_at_hand_over() noexcept {
  const std::uint64_t number = ++leases_;
  const server_state now = state_;
  const bool later = now == server_state::down || now == server_state::back;
  return later && number <= leases_before_death_ ? server_state::dying : now;
}

asio::awaitable<void> load_run::conduct() {
  using namespace asio::experimental::awaitable_operators;
  asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM);
  const auto first = co_await (signals.async_wait(asio::use_awaitable) || follow_plan() || show());
  course_.interrupted = first.index() == 0;
  course_.elapsed = elapsed();
  co_await stop();
}

asio::awaitable<void> load_run::stop() {
  stopping_ = true;
  watchdog_.emplace(io_, longest_end);
  co_await pool_.drain();
  drained_ = true;
  if (server_) server_->kill();
}

asio::awaitable<void> load_run::follow_plan() {
  if (server_) {
    co_await sleep_until(started_ + options_.duration / 2);
    try {
      co_await kill_and_restart();
    } catch (const boost::system::system_error& e) {
      if (e.code() == asio::error::operation_aborted) throw;
      course_.trouble = e.what();
    } catch (const std::exception& e) {
      course_.trouble = e.what();
    }
    if (!course_.trouble.empty()) co_return;
  }
  co_await sleep_until(started_ + options_.duration);
}

asio::awaitable<void> load_run::kill_and_restart() {
  course_.leased_at_kill = pool_.stats().leased;
  state_ = server_state::dying;
  server_->kill();
  // Those that are on the way to their coroutines are leased, and are no gets yet.
  const std::uint64_t leased = pool_.stats().leased;
  leases_before_death_ = leases_ + leased - std::min<std::uint64_t>(leased, held_);
  state_ = server_state::down;
  live_.note(elapsed(), "server killed (SIGKILL)");

  co_await sleep_until(clock::now() + options_.down);
  const clock::time_point back = co_await server_->start();
  state_ = server_state::back;
  live_.note(elapsed(), "server back");

  co_await pool_.ready(options_.size);
  // It may have been redialled before we heard that it listens.
  course_.recovery = std::max(std::chrono::nanoseconds(clock::now() - back), 0ns);
  live_.note(elapsed(), "all connections up");
}

asio::awaitable<void> load_run::show() {
  clock::time_point next = started_;
  for (;;) {
    next += live_.interval();
    co_await sleep_until(next);
    live_.show(elapsed(), tally_, pool_.stats());
  }
}

}  // namespace bench
