// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A pool against a redis-server that is killed and started again at random moments, many times. The seed is printed;
// `-- SEED` repeats a run as far as processes can be repeated.

#include "support/eventually.hpp"
#include "support/exchange.hpp"
#include "support/fd_check.hpp"
#include "support/redis_server.hpp"
#include "support/resp.hpp"
#include "support/seed.hpp"

#include <cocp.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <latch>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t connections = 10;
constexpr std::size_t workers = 64;
constexpr std::size_t kills = 20;
// Each worker's exchanges after the last kill.
constexpr std::size_t exchanges = 20;

const char* const restarts[] = {"started again when everybody waits", "started again at once"};

// What the server does, as a count of its changes: up, being killed, dead, being started, up, ...
//
// Between a kill and "dead" every handler that was due has run (see `settle`): whoever gets to run from then on was
// given his lease after the kill.
class history {
 public:
  using moment = std::size_t;

  moment now() const { return count_; }
  void advance() { ++count_; }

  static bool is_up(moment m) { return m % 4 == 0; }
  // No server has a socket.
  static bool is_dead(moment m) { return m % 4 == 2; }

 private:
  std::atomic<moment> count_{0};
};

// What the workers have seen.
struct record {
  history server;
  std::atomic<bool> last_kill_was{false};
  std::atomic<std::size_t> answered{0};
  std::atomic<std::size_t> lost{0};
  std::atomic<std::size_t> workers_done{0};

  std::mutex mutex;
  // Guarded by `mutex`.
  std::vector<std::string> dead;        // leases given out while there was no server
  std::vector<std::string> wrong;       // answers to what was not asked
  std::vector<std::string> unprovoked;  // what exchanges failed with that were in flight at no kill
  std::vector<std::string> not_served;  // what `get()` failed with

  void add(std::vector<std::string>& to, const std::string& what) {
    const std::lock_guard lock(mutex);
    to.push_back(what);
  }
};

// After half of its exchanges it keeps its lease for a while before it puts it back, so that some are clean when the
// server dies.
asio::awaitable<void> work(cocp::pool& pool, record& seen, std::size_t worker) {
  std::mt19937_64 random(worker);
  asio::steady_timer pause(co_await asio::this_coro::executor);
  std::size_t answered_at_the_end = 0;
  for (std::size_t number = 0; answered_at_the_end < exchanges; ++number) {
    const bool at_the_end = seen.last_kill_was;
    cocp::lease lease;
    try {
      lease = co_await pool.get();
    } catch (const std::exception& e) {
      seen.add(seen.not_served, e.what());
      break;
    }
    const history::moment begun = seen.server.now();
    if (history::is_dead(begun)) seen.add(seen.dead, "generation " + std::to_string(lease->generation()));
    try {
      co_await exchange(*lease, worker, number);
      ++seen.answered;
      if (at_the_end) ++answered_at_the_end;
      if (random() % 2 == 0) {
        pause.expires_after(std::chrono::microseconds(random() % 2000));
        co_await pause.async_wait(asio::use_awaitable);
      }
    } catch (const resp::unexpected_answer& e) {
      seen.add(seen.wrong, e.what());
    } catch (const boost::system::system_error& e) {
      ++seen.lost;
      if (history::is_up(begun) && seen.server.now() == begun) seen.add(seen.unprovoked, e.what());
    }
  }
  ++seen.workers_done;
}

// Returns when all that was due on the context, and what became due by it, has run. A handler that runs now may have
// looked at a connection and not handed it out yet: it has ended when all threads have come to the first of the meeting
// points, and what it has posted, and what that has posted, is in front of the next ones.
void settle(asio::io_context& io, unsigned threads) {
  for (int meeting = 0; meeting < 3; ++meeting) {
    const auto all = std::make_shared<std::latch>(threads + 1);
    for (unsigned n = 0; n < threads; ++n) asio::post(io, [all] { all->arrive_and_wait(); });
    all->arrive_and_wait();
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(restart_storm)

BOOST_DATA_TEST_CASE(costs_what_was_in_flight_at_a_kill_and_nothing_else, data::make(restarts) * data::make({1U, 2U}),
                     restart, threads) {
  const fd_check descriptors;
  std::mt19937_64 random(random_seed() + threads);
  redis_server server;
  asio::io_context io(static_cast<int>(threads));
  cocp::pool pool{io, {.address = server.address(), .retry_min = 5ms, .retry_max = 20ms}, {.size = connections}};
  record seen;
  const bool waits = restart == restarts[0];
  for (std::size_t n = 0; n < workers; ++n) {
    asio::co_spawn(io, work(pool, seen, n), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
  }
  std::vector<std::thread> running;
  for (unsigned n = 0; n < threads; ++n) running.emplace_back([&] { io.run(); });

  const auto some_time = [&](unsigned at_most) { return std::chrono::microseconds(random() % (1000 * at_most)); };
  for (std::size_t n = 0; n < kills; ++n) {
    // Sometimes before all, or any, are back.
    std::this_thread::sleep_for(some_time(60));
    seen.server.advance();
    server.kill();
    settle(io, threads);
    seen.server.advance();
    if (waits) {
      BOOST_TEST(eventually_blocking([&] { return pool.stats().waiting == workers; }));
      std::this_thread::sleep_for(some_time(30));
    }
    seen.server.advance();
    server.start();
    seen.server.advance();
  }
  seen.last_kill_was = true;
  BOOST_TEST(eventually_blocking([&] { return seen.workers_done == workers; }));
  BOOST_TEST(eventually_blocking([&] { return pool.stats().idle == connections; }), "all connections are back");
  const cocp::stats at_the_end = pool.stats();
  pool.close();
  if (seen.workers_done != workers) io.stop();
  for (auto& t : running) t.join();

  for (const std::string& what : seen.dead) BOOST_ERROR("a lease of a dead connection: " << what);
  for (const std::string& what : seen.wrong) BOOST_ERROR("wrong answer: " << what);
  for (const std::string& what : seen.unprovoked) BOOST_ERROR("failed while the server was up: " << what);
  for (const std::string& what : seen.not_served) BOOST_ERROR("no connection: " << what);
  BOOST_TEST_MESSAGE(seen.answered << " exchanges, " << seen.lost << " lost");
  BOOST_TEST(seen.answered >= workers * exchanges);
  BOOST_TEST(seen.lost > 0U);
  // Linux closes the listener of a killed process after the process's other sockets, so that a connection may be lost,
  // dialled and lost again.
  BOOST_TEST(seen.lost <= kills * 2 * connections);
  BOOST_TEST(at_the_end.leased == 0U);
  BOOST_TEST(at_the_end.waiting == 0U);
  BOOST_TEST(at_the_end.timeouts == 0U);
  BOOST_TEST(at_the_end.disconnects >= seen.lost);
  BOOST_TEST(at_the_end.connects == connections + at_the_end.disconnects);
}

BOOST_AUTO_TEST_SUITE_END()
