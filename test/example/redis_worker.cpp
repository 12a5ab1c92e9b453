// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Takes jobs from a list in Redis and runs them, several at a time; each is run at least once.
//
//   redis_worker ADDRESS QUEUE NAME WORKERS LIMIT
//
// Producers LPUSH to QUEUE. Each worker moves a job to a list of its own (`BLMOVE`, which waits until there is one),
// runs it, and removes it (`LREM`). So a job is in one list or the other, whoever dies: what a worker finds in its
// list, it has not finished, in this life or in an earlier one of the same NAME. SIGTERM: no more jobs; those that run
// have LIMIT seconds.
//
// - A worker keeps its lease while it waits and while it works. If the stream is lost, by a restart of Redis or a wire
//   that was pulled, it begins anew with another, and looks into its list first: the answer to a BLMOVE may be lost
//   that was carried out.
// - `connection::close` ends a BLMOVE that waits, at once; `drain(limit)` waits for the others.

#include <cocp.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <deque>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace asio = boost::asio;
using boost::system::system_error;
using namespace std::chrono_literals;

template <class... Words>
std::string command(const Words&... words) {
  std::string text = "*" + std::to_string(sizeof...(words)) + "\r\n";
  const auto append = [&](std::string_view word) {
    text.append("$" + std::to_string(word.size()) + "\r\n").append(word).append("\r\n");
  };
  (append(words), ...);
  return text;
}

// What Redis has to say to a command: a string, a number or a status; nothing if there is no such thing.
asio::awaitable<std::optional<std::string>> ask(cocp::connection& redis, std::string command) {
  const auto asked = asio::buffer(command);
  co_await redis.write(asked);
  std::string answer;
  const std::size_t line = co_await redis.read_until(asio::dynamic_buffer(answer), "\r\n");
  std::string text = answer.substr(1, line - 3);
  if (answer[0] == '-') throw std::runtime_error("Redis: " + text);
  if (answer[0] != '$') co_return text;
  const long size = std::stol(text);
  if (size < 0) co_return std::nullopt;
  const std::size_t got = answer.size();
  answer.resize(line + static_cast<std::size_t>(size) + 2);
  if (got < answer.size()) {
    const auto rest = asio::buffer(answer) + got;
    co_await redis.read(rest);
  }
  co_return answer.substr(line, static_cast<std::size_t>(size));
}

// While Redis still loads its data it answers so, and the attempt to connect has failed.
asio::awaitable<void> wait_until_loaded(cocp::connection& redis) { co_await ask(redis, command("PING")); }

// Here is what is to be done. These jobs are "MILLISECONDS NAME", take that long, and tell their names.
asio::awaitable<void> carry_out(std::string job) {
  asio::steady_timer work(co_await asio::this_coro::executor);
  work.expires_after(std::chrono::milliseconds(std::stol(job)));
  co_await work.async_wait(asio::use_awaitable);
  std::cout << "done " << job.substr(job.find(' ') + 1) << std::endl;
}

class worker {
 public:
  worker(cocp::pool& redis, std::string queue, std::string own)
      : redis_(redis), queue_(std::move(queue)), own_(std::move(own)) {}

  asio::awaitable<void> run() {
    while (!stops_) {
      try {
        cocp::lease connection = co_await redis_.get();
        co_await work(*connection);
      } catch (const system_error& e) {
        waits_on_ = nullptr;
        if (!stops_) std::clog << own_ << ": " << e.what() << std::endl;
      }
    }
  }

  // After the job that is under way.
  void stop() {
    stops_ = true;
    if (waits_on_) waits_on_->close();  // should a job be ours by now, it is found in our list
  }

 private:
  // On one stream: until that is lost, or we stop.
  asio::awaitable<void> work(cocp::connection& redis) {
    for (bool is_new = true;; is_new = false) {
      if (done_) co_await ask(redis, command("LREM", own_, "1", *done_));
      done_.reset();
      if (stops_) co_return;

      std::optional<std::string> job;
      if (is_new) job = co_await ask(redis, command("LINDEX", own_, "0"));
      if (!job) {
        waits_on_ = &redis;
        job = co_await ask(redis, command("BLMOVE", queue_, own_, "RIGHT", "LEFT", "0"));
        waits_on_ = nullptr;
      }
      if (!job) continue;
      co_await carry_out(*job);
      done_ = std::move(job);
    }
  }

  cocp::pool& redis_;
  const std::string queue_;
  const std::string own_;
  std::optional<std::string> done_;  // carried out, and still in our list
  bool stops_ = false;
  cocp::connection* waits_on_ = nullptr;
};

asio::awaitable<void> stop_by_signal(asio::io_context& io, cocp::pool& redis, std::deque<worker>& workers,
                                     std::chrono::seconds limit) {
  asio::signal_set signals(io, SIGTERM, SIGINT);
  co_await signals.async_wait(asio::use_awaitable);
  for (worker& each : workers) each.stop();
  const std::size_t unfinished = co_await redis.drain(limit);
  std::cout << "stopped, " << unfinished << " unfinished" << std::endl;
  if (unfinished != 0) io.stop();  // these jobs are begun again by the next of our name
}

int main(int argc, char** argv) try {
  if (argc != 6) {
    std::cerr << "usage: redis_worker ADDRESS QUEUE NAME WORKERS LIMIT\n";
    return 2;
  }
  const std::string queue = argv[2];
  const std::string name = argv[3];
  const std::size_t count = std::stoul(argv[4]);
  asio::io_context io;
  // While Redis is down the workers wait for it: no `get` has a limit.
  cocp::pool redis{
      io,
      {.address = argv[1], .retry_max = 1s, .on_connect = wait_until_loaded, .logger = cocp::log_to(std::clog)},
      {.size = count, .get_timeout = std::nullopt}};
  std::deque<worker> workers;
  const auto must_end_well = [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  };
  for (std::size_t n = 0; n < count; ++n) {
    worker& next = workers.emplace_back(redis, queue, queue + ":" + name + ":" + std::to_string(n));
    asio::co_spawn(io, next.run(), must_end_well);
  }
  asio::co_spawn(io, stop_by_signal(io, redis, workers, std::chrono::seconds(std::stol(argv[5]))), must_end_well);
  io.run();
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
