// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/histogram.hpp>
#include <cocp/pool.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

namespace cocp::test::soak {

/// What all workers have seen since it was last asked. Its size does not depend on how much that is.
class tally {
 public:
  std::atomic<std::uint64_t> served{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> refused{0};

  void serve(std::chrono::nanoseconds took);
  /// What must never be. The first is kept.
  void note_fault(const std::string& what);
  /// Empty if there was none.
  std::string fault() const;

  /// The median and the 99th percentile of what was served since the last call, in milliseconds.
  std::pair<double, double> take_latencies();

 private:
  mutable std::mutex mutex_;
  // Guarded by `mutex_`.
  cocp::histogram latencies_;
  std::string fault_;
};

/// What is talked with a server.
using talk = boost::asio::awaitable<void> (*)(cocp::connection& connection, std::size_t worker, std::size_t number);
/// A key of a redis-server is set, and read back.
boost::asio::awaitable<void> talk_redis(cocp::connection& connection, std::size_t worker, std::size_t number);
/// An echo is asked for.
boost::asio::awaitable<void> talk_echo(cocp::connection& connection, std::size_t worker, std::size_t number);

/// Those who use a pool, until they are told to stop.
class crowd {
 public:
  crowd(cocp::pool& pool, talk what, tally& seen) : pool_(pool), talk_(what), seen_(seen) {}

  void start(boost::asio::io_context& io, std::size_t workers, std::uint64_t seed);
  void stop() { stopping_ = true; }
  /// How many have not stopped yet.
  std::size_t left() const { return left_; }

 private:
  boost::asio::awaitable<void> work(std::size_t worker, std::uint64_t seed);
  boost::asio::awaitable<void> use_once(std::size_t worker, std::size_t number, std::uint64_t way);

  cocp::pool& pool_;
  const talk talk_;
  tally& seen_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> left_{0};
};

}  // namespace cocp::test::soak
