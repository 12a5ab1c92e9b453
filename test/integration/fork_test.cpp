// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A child process that lets its copy of a pool go. (It must not use Boost.Test.)

#include <boost/asio/io_context.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp.hpp>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include "support/fd_check.hpp"
#include "support/run.hpp"
#include "support/scripted_server.hpp"
#include "support/steps.hpp"
#include "support/system_call.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;

namespace {

/// How the child lets go.
enum class way { context_first, pool_first, runs_on, puts_back };

std::ostream& operator<<(std::ostream& out, way w) {
  static constexpr const char* names[] = {"the context first", "the pool first", "closes it and runs on",
                                          "puts a lease back in which an operation is outstanding"};
  return out << names[static_cast<int>(w)];
}

struct parent {
  fd_check descriptors;
  std::optional<asio::io_context> io{std::in_place, 1};
  std::optional<cocp::pool> pool;
  cocp::lease lease;
  std::array<char, 5> buffer{};

  /// Lets a child go through it, and waits for its end.
  void fork(way w) {
    io->notify_fork(asio::execution_context::fork_prepare);
    const ::pid_t child = system_call("fork", ::fork());
    if (child == 0) {
      io->notify_fork(asio::execution_context::fork_child);
      let_go(w);
      ::_exit(0);
    }
    io->notify_fork(asio::execution_context::fork_parent);
    int status = 0;
    system_call("waitpid", ::waitpid(child, &status, 0));
    BOOST_TEST(status == 0);
  }

  void let_go(way w) {
    switch (w) {
      case way::context_first:
        io.reset();
        lease = cocp::lease();
        pool.reset();
        break;
      case way::pool_first:
        pool.reset();
        lease = cocp::lease();
        io.reset();
        break;
      case way::runs_on:
        lease.put();
        pool->close();
        io->restart();
        io->run_for(100ms);
        pool.reset();
        io.reset();
        break;
      case way::puts_back:
        lease->async_read_some(asio::buffer(buffer), [](cocp::error_code, std::size_t) {});
        lease.put();
        io->restart();
        io->poll();
        pool.reset();
        io.reset();
        break;
    }
  }

  template <class Body>
  void run(Body body) {
    run_to_end(*io, body());
  }

  /// One lease is out, two connections are idle; all three live on.
  void check(cocp::connection_options options, way w, const std::function<bool()>& all_are_there) {
    pool.emplace(*io, std::move(options), cocp::pool_options{.size = 3});
    run([&]() -> asio::awaitable<void> {
      co_await pool->ready(3);
      co_await until([&] { return all_are_there(); });
      lease = co_await pool->get();
      co_await echo(*lease, "hello");
    });
    fork(w);
    run([&]() -> asio::awaitable<void> {
      co_await echo(*lease, "still mine");
      lease.put();
      for (int i = 0; i < 6; ++i) {
        cocp::lease other = co_await pool->get();
        co_await echo(*other, "and they are there");
      }
      BOOST_TEST(all_are_there());
      BOOST_TEST(pool->stats().connects == 3u);
      co_await pool->drain();
    });
    pool.reset();
  }
};

const auto ways = data::make({way::context_first, way::pool_first, way::runs_on, way::puts_back});

}  // namespace

BOOST_FIXTURE_TEST_SUITE(forking, parent)

BOOST_DATA_TEST_CASE(a_child_that_lets_its_copy_go_tells_the_peer_nothing, ways, w) {
  scripted_server server(io->get_executor());
  check({.address = server.address(), .retry_min = 1ms, .retry_max = 20ms}, w, [&] { return server.open() == 3; });
}

BOOST_AUTO_TEST_SUITE_END()
