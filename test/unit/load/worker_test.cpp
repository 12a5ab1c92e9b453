// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "../bench/load/worker.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <utility>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using clock_type = bench::timekeeper::clock;

/// Time that passes when nothing else is left to do.
class made_up_time final : public bench::timekeeper {
 public:
  clock::time_point now() override { return now_; }

  asio::awaitable<void> sleep_until(clock::time_point t) override {
    asio::steady_timer sleeper(co_await asio::this_coro::executor, clock::time_point::max());
    sleepers_.emplace(t, &sleeper);
    boost::system::error_code woken;
    auto token = asio::redirect_error(asio::use_awaitable, woken);
    co_await sleeper.async_wait(token);
  }

  void run(asio::io_context& io) {
    for (io.poll(); !sleepers_.empty(); io.restart(), io.poll()) {
      now_ = std::max(now_, sleepers_.begin()->first);
      sleepers_.begin()->second->cancel();
      sleepers_.erase(sleepers_.begin());
    }
  }

 private:
  clock::time_point now_{1h};
  std::multimap<clock::time_point, asio::steady_timer*> sleepers_;
};

/// Answers half a millisecond after it was asked, but for a second in which it does nothing.
class stalling_asker final : public bench::asker {
 public:
  explicit stalling_asker(bench::timekeeper& time) : time_(time), began_(time.now()) {}

  asio::awaitable<void> ask(bench::exchange&, bench::attempt& now) override {
    now.taken();
    co_await time_.sleep_until(time_.now() + 500us);
    if (time_.now() > began_ + 100ms && time_.now() < began_ + 1100ms) co_await time_.sleep_until(began_ + 1100ms);
  }

 private:
  bench::timekeeper& time_;
  const clock_type::time_point began_;
};

class failing_asker final : public bench::asker {
 public:
  asio::awaitable<void> ask(bench::exchange&, bench::attempt& now) override {
    now.taken();
    throw boost::system::system_error(asio::error::eof);
    co_return;
  }
};

/// A coroutine that asks for two seconds.
struct two_seconds {
  explicit two_seconds(double rate, std::chrono::nanoseconds think = {}) {
    if (rate != 0) due.emplace(time.now(), rate);
    asio::co_spawn(io, until_the_end(), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
    run(std::make_unique<stalling_asker>(time), think);
  }

  void run(std::unique_ptr<bench::asker> way, std::chrono::nanoseconds think) {
    const bench::workplace at{time, answers, failures, book, due ? &*due : nullptr, think, stopping};
    asio::co_spawn(io, bench::work(at, std::move(way), nullptr), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
    time.run(io);
    seen = answers.collect();
  }

  asio::awaitable<void> until_the_end() {
    co_await time.sleep_until(time.now() + 2s);
    stopping = true;
  }

  asio::io_context io;
  made_up_time time;
  bench::recorders answers{1};
  bench::tally failures;
  bench::outage_book book{bench::server_state::foreign};
  std::optional<bench::schedule> due;
  std::atomic<bool> stopping = false;
  bench::latency seen;
};

BOOST_AUTO_TEST_CASE(a_loop_that_waits_for_answers_sees_a_stall_once) {
  const two_seconds run(0);
  BOOST_TEST(run.seen.quantile(0.99) < 1ms);
  BOOST_TEST(run.seen.longest() >= 999ms);
}

BOOST_AUTO_TEST_CASE(all_that_came_during_a_stall_are_late_by_the_schedule) {
  const two_seconds run(1000);
  // A thousand came during the stall, and half of the time was left to work them off; each came a millisecond after the
  // one before and was late by half a millisecond less.
  BOOST_TEST(run.seen.count() > 1800u);
  BOOST_TEST(run.seen.quantile(0.5) > 400ms);
  BOOST_TEST(run.seen.quantile(0.04) < 1ms);
  BOOST_TEST(run.seen.longest() >= 999ms);
}

BOOST_AUTO_TEST_CASE(who_thinks_asks_less) {
  const two_seconds run(0, 9500us);
  BOOST_TEST(run.seen.count() <= 101u);
  BOOST_TEST(run.seen.count() >= 99u);
}

BOOST_AUTO_TEST_CASE(requests_that_nobody_had_time_for_are_counted) {
  const auto begin = clock_type::now();
  bench::schedule due(begin, 100);
  for (int i = 0; i < 7; ++i) BOOST_TEST((due.take() == begin + i * 10ms));
  BOOST_TEST(due.not_taken(begin) == 0u);
  BOOST_TEST(due.not_taken(begin + 50ms) == 0u);
  BOOST_TEST(due.not_taken(begin + 100ms) == 3u);
}

BOOST_AUTO_TEST_CASE(what_fails_is_no_answer) {
  asio::io_context io;
  made_up_time time;
  bench::recorders answers{1};
  bench::tally failures;
  bench::outage_book book{bench::server_state::foreign};
  std::atomic<bool> stopping = false;
  const bench::workplace at{time, answers, failures, book, nullptr, {}, stopping};
  asio::co_spawn(io, bench::work(at, std::make_unique<failing_asker>(), nullptr), [](std::exception_ptr) {});
  for (int i = 0; i < 20; ++i) io.poll_one();
  stopping = true;
  io.poll();
  BOOST_TEST(answers.collect().count() == 0u);
  BOOST_TEST(failures.errors() > 1u);
  BOOST_TEST((failures.error_texts().begin()->first.first == bench::cause::lost));
}

}  // namespace
