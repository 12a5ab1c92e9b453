// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "fake_network.hpp"

namespace cocp {

/// For Boost.Test's messages.
inline std::ostream& boost_test_print_type(std::ostream& out, errc e) { return out << make_error_code(e).message(); }

}  // namespace cocp

namespace cocp::test {

/// Events as data.
class recording_logger {
 public:
  struct entry {
    event_kind kind;
    std::string address;
    error_code error;
    unsigned attempt;
    duration retry_in;
    std::string reason;
    std::string line;
    std::string name;
    std::uint64_t id;
  };

  /// For `connection_options::logger`. What it records outlives this.
  cocp::logger log() const;
  std::vector<entry> entries() const;
  std::size_t count(event_kind kind) const;

 private:
  struct state {
    std::mutex mutex;
    std::vector<entry> entries;
  };
  std::shared_ptr<state> state_ = std::make_shared<state>();
};

/// An `io_context` on a fake network and a clock that only the test moves. Its destructor runs what is ready and fails
/// the test if work is left: whatever the test made must have ended or be gone.
class world {
 public:
  explicit world(std::uint64_t seed = 1) : net_(fake_network::install(*io_, seed)) {}
  world(const world&) = delete;
  world& operator=(const world&) = delete;
  ~world();

  asio::io_context& io() { return *io_; }
  fake_network& net() { return *net_; }

  /// Runs all that is ready, and what becomes ready by that. The clock stands still.
  void settle();
  /// Runs one handler; moves the clock to the next timer if none is ready. False if nothing will ever happen.
  bool step();
  /// Moves the clock by `d`, from one timer to the next, running all that becomes ready at each.
  void advance(duration d);
  /// Destroys the context with all that is on it.
  void destroy_context() { io_.reset(); }

  /// Starts a coroutine. What it throws is thrown on by whatever runs it.
  void spawn(asio::awaitable<void> body);

  /// One call of `async_get`.
  struct call {
    unsigned ends = 0;
    /// The order in which calls ended, from 1.
    unsigned order = 0;
    error_code error;
    cocp::lease lease;
    asio::cancellation_signal cancel;
  };
  /// Starts one: `start(handler)`.
  template <class Start>
  std::shared_ptr<call> begin_call(Start start) {
    auto c = std::make_shared<call>();
    start(asio::bind_cancellation_slot(c->cancel.slot(), [this, c](error_code ec, cocp::lease l) {
      ++c->ends;
      c->order = ++calls_;
      c->error = ec;
      c->lease = std::move(l);
    }));
    return c;
  }

  template <class T>
  struct outcome {
    std::optional<T> value;
    error_code error;
    std::string what;
    bool done = false;
    /// The order in which outcomes came, from 1.
    unsigned order = 0;
  };
  /// Starts a coroutine and keeps what comes of it; for one without a result the value is `true`.
  std::shared_ptr<outcome<bool>> watch(asio::awaitable<void> body);
  template <class T>
  std::shared_ptr<outcome<T>> watch(asio::awaitable<T> body) {
    auto result = std::make_shared<outcome<T>>();
    spawn(keep(std::move(body), result), [this, result](std::exception_ptr e) {
      result->done = true;
      result->order = ++outcomes_;
      if (e) explain(e, result->error, result->what);
    });
    return result;
  }

 private:
  // What differs from one type to the next is little: to compile `co_spawn` takes long.
  void spawn(asio::awaitable<void> body, std::function<void(std::exception_ptr)> done);
  template <class T>
  static asio::awaitable<void> keep(asio::awaitable<T> body, std::shared_ptr<outcome<T>> result) {
    result->value = co_await std::move(body);
  }
  static void explain(std::exception_ptr e, error_code& error, std::string& what);

  std::unique_ptr<asio::io_context> io_ = std::make_unique<asio::io_context>();
  const std::shared_ptr<fake_network> net_;
  unsigned outcomes_ = 0;
  unsigned calls_ = 0;
};

/// Runs `scenario` again and again, each time in a new world, and destroys that world after 0, 1, 2, ... handlers,
/// until the scenario ends before it is destroyed: so every suspension point is destroyed once. `scenario(world)`
/// returns what it wants to have alive, which is destroyed after the context, or, with `first`, before it.
template <class Scenario>
void destroy_at_every_step(Scenario scenario, bool first = false) {
  for (unsigned steps = 0;; ++steps) {
    bool ended = false;
    {
      auto w = std::make_unique<world>();
      auto alive = std::make_unique<decltype(scenario(*w))>(scenario(*w));
      for (unsigned i = 0; i < steps && !ended; ++i) ended = !w->step();
      if (first) alive.reset();
      w->destroy_context();
    }
    BOOST_REQUIRE_MESSAGE(steps < 5000, "the scenario does not end");
    if (ended) {
      BOOST_TEST_MESSAGE("destroyed after each of " << steps << " handlers");
      break;
    }
  }
}

}  // namespace cocp::test
