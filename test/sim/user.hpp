// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "book.hpp"
#include "dice.hpp"
#include "tenure.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <cstdint>
#include <memory>
#include <optional>

namespace cocp::test::sim {

/// One who asks for connections and uses them: one thing at a time, and always through the public interface.
class user {
 public:
  explicit user(simulation& s) : sim_(s) {}

  /// Does nothing while he is busy. From here on he asks, or goes on with the lease that he holds, and gives it back,
  /// keeps it, or throws.
  void begin_session(std::uint64_t seed);
  void get_with_callback(std::uint64_t seed);
  bool is_busy() const { return busy_; }
  void cancel(std::uint64_t seed);
  void drop(std::uint64_t seed);
  /// If he runs a coroutine, its frames are destroyed: at once, or with the end of what he waits for.
  void die(bool at_once);
  /// Lets all go.
  void leave();

  /// Asks once, in the given way, until he was served, and gives back at once.
  enum class way { waits, waits_as_the_pool_says, asks_get, asks_try_get };
  static constexpr std::size_t ways = 4;
  void want(way how);
  bool was_served() const { return served_; }
  /// Asks again if he has failed.
  void ask_on();

 private:
  class wait;
  class visit;

  asio::awaitable<void> session(std::uint64_t seed);
  asio::awaitable<void> take(std::uint64_t seed);
  /// Has the pool repeat what it may.
  asio::awaitable<void> run(std::uint64_t seed);
  asio::awaitable<void> once();
  void start(asio::awaitable<void> what);
  void hold(cocp::lease l, bool strictly);
  void emit(asio::cancellation_type type);

  simulation& sim_;
  /// One for each thing that he does.
  std::shared_ptr<asio::cancellation_signal> signal_ = std::make_shared<asio::cancellation_signal>();
  /// One for each coroutine.
  std::shared_ptr<bool> lives_;
  bool is_dying_ = false;
  /// He keeps nothing any more.
  bool has_left_ = false;
  bool cancelled_ = false;
  bool busy_ = false;
  /// The wait that he is in; 0: none.
  std::uint64_t asking_ = 0;
  bool starting_ = false;
  /// What he does is no coroutine.
  bool calls_back_ = false;
  std::unique_ptr<tenure> held_;
  way how_ = way::waits;
  bool served_ = false;
};

}  // namespace cocp::test::sim
