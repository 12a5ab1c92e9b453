// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Users of a redis-server, many of whom abandon their questions at random moments: no answer may reach another one. The
// seed is printed; `-- SEED` repeats a run as far as threads can be repeated.

#include "support/eventually.hpp"
#include "support/exchange.hpp"
#include "support/fd_check.hpp"
#include "support/redis_server.hpp"
#include "support/resp.hpp"
#include "support/seed.hpp"

#include <cocp.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::error_code;

namespace {

constexpr std::size_t connections = 8;
constexpr std::size_t workers = 40;
constexpr std::size_t exchanges = 250;  // of each worker
static_assert(workers * exchanges == 10'000);

using generator = std::mt19937_64;

enum class act { whole, expired, cancelled, thrown, discarded, dropped, half_read, closed };

// Whether the act has the connection replaced; an exchange may also be over before it expires or is cancelled.
bool surely_dirty(act a) { return a >= act::thrown; }

act random_act(generator& random) {
  const auto n = random() % 35;
  return n < 7 ? static_cast<act>(1 + n) : act::whole;
}

// What the workers have seen.
struct record {
  std::atomic<std::size_t> answered{0};
  std::atomic<std::size_t> dirtied{0};
  std::atomic<std::size_t> workers_done{0};

  std::mutex mutex;
  // Guarded by `mutex`.
  std::vector<std::string> wrong;   // answers to what was not asked
  std::vector<std::string> failed;  // what failed for users who abandoned nothing

  void add(std::vector<std::string>& to, const char* what) {
    const std::lock_guard lock(mutex);
    to.emplace_back(what);
  }
};

struct abandoned : std::exception {};

asio::awaitable<void> begin_echo(cocp::connection& connection, const std::string& text) {
  const std::string question = resp::command("ECHO", text);
  const auto out = asio::buffer(question);
  co_await connection.write(out);
}

// Asks, and abandons the question in this way after `moment`, if there is a moment to it.
asio::awaitable<void> perform(cocp::lease given, act a, cocp::duration moment, std::size_t worker, std::size_t number) {
  cocp::lease lease = std::move(given);
  switch (a) {
    case act::expired:
      lease->expires_after(moment);
      [[fallthrough]];
    case act::whole:
      co_await exchange(*lease, worker, number);
      co_return;
    case act::cancelled: {
      asio::steady_timer timer(co_await asio::this_coro::executor, moment);
      auto asking = exchange(*lease, worker, number);
      auto waiting = timer.async_wait(asio::use_awaitable);
      co_await (std::move(asking) || std::move(waiting));
      co_return;
    }
    default:
      break;
  }
  const std::string text = "echo:" + std::to_string(worker) + ":" + std::to_string(number);
  co_await begin_echo(*lease, text);
  if (a == act::thrown) throw abandoned();
  if (a == act::discarded) lease.discard();
  if (a == act::closed) lease->close();
  if (a == act::dropped) {
    const auto bytes = std::make_shared<std::array<char, 100>>();
    lease->async_read_some(asio::buffer(*bytes), [bytes](error_code, std::size_t) {});
  }
  if (a == act::half_read) {
    const std::string whole = "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
    std::string half(whole.size() / 2, '\0');
    const auto in = asio::buffer(half);
    co_await lease->read(in);
    if (!whole.starts_with(half)) throw resp::unexpected_answer("ECHO " + text + " was answered by: " + half);
  }
}

asio::awaitable<void> work(cocp::pool& pool, record& seen, std::uint64_t seed, std::size_t worker) {
  generator random(seed + worker);
  for (std::size_t number = 0; number < exchanges; ++number) {
    const act a = random_act(random);
    const cocp::duration moment = std::chrono::microseconds(random() % 300);
    try {
      cocp::lease lease = co_await pool.get();
      if (surely_dirty(a)) ++seen.dirtied;
      auto performing = perform(std::move(lease), a, moment, worker, number);
      co_await std::move(performing);
      if (a == act::whole) ++seen.answered;
    } catch (const resp::unexpected_answer& e) {
      seen.add(seen.wrong, e.what());
    } catch (const abandoned&) {
    } catch (const std::exception& e) {
      if (a != act::expired && a != act::cancelled) seen.add(seen.failed, e.what());
    }
  }
  ++seen.workers_done;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(aborted_exchanges)

BOOST_DATA_TEST_CASE(mix_up_no_answers_and_lose_no_connection, boost::unit_test::data::make({1U, 2U}), threads) {
  const fd_check descriptors;
  const std::uint64_t seed = random_seed() + 1000 * threads;
  redis_server server;
  asio::io_context io(static_cast<int>(threads));
  cocp::pool pool{io, {.address = server.address(), .retry_min = 1ms, .retry_max = 20ms}, {.size = connections}};
  record seen;
  for (std::size_t n = 0; n < workers; ++n) {
    // `||` needs both sides on one strand.
    asio::co_spawn(asio::make_strand(io), work(pool, seen, seed, n), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
  }
  std::vector<std::thread> running;
  for (unsigned n = 0; n < threads; ++n) running.emplace_back([&] { io.run(); });

  BOOST_TEST(eventually_blocking([&] { return seen.workers_done == workers; }, 3 * patience));
  BOOST_TEST(eventually_blocking([&] { return pool.stats().idle == connections; }), "all connections are back");
  const cocp::stats at_the_end = pool.stats();
  pool.close();
  if (seen.workers_done != workers) io.stop();
  for (auto& t : running) t.join();

  for (const std::string& what : seen.wrong) BOOST_ERROR("wrong answer: " << what);
  for (const std::string& what : seen.failed) BOOST_ERROR("failed without a reason: " << what);
  BOOST_TEST(seen.answered > workers * exchanges / 2);
  BOOST_TEST(at_the_end.gets == workers * exchanges);
  BOOST_TEST(at_the_end.leased == 0U);
  BOOST_TEST(at_the_end.waiting == 0U);
  BOOST_TEST(at_the_end.disconnects == 0U);
  // Some of the others were in time to be aborted, too.
  BOOST_TEST(at_the_end.replaced_dirty > seen.dirtied);
  BOOST_TEST(at_the_end.connects == connections + at_the_end.replaced_dirty);
}

BOOST_AUTO_TEST_SUITE_END()
