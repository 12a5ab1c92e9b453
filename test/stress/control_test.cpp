// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A pool that one thread moves, resizes and hurries on while others use it: for ThreadSanitizer, and for the rules that
// only threads can break. The seed is printed; `-- SEED` repeats a run as far as threads can be repeated.

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/eventually.hpp"
#include "support/fd_check.hpp"
#include "support/runner.hpp"
#include "support/scripted_server.hpp"
#include "support/seed.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;

namespace {

using generator = std::mt19937_64;

struct tally {
  std::atomic<unsigned> asked{0};
  std::atomic<unsigned> ended{0};
  std::atomic<unsigned> answers{0};
  /// Answers to somebody else's question, and errors that no get may end with.
  std::atomic<unsigned> wrong{0};
};

/// One user, until the pool is closed or `stop`.
asio::awaitable<void> use(cocp::pool& pool, tally& t, std::uint64_t seed, const std::atomic<bool>& stop) {
  generator random(seed);
  while (!stop) {
    ++t.asked;
    error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    const cocp::duration limit = random() % 8 == 0 ? cocp::duration(100us) : cocp::duration(20s);
    cocp::lease l = co_await pool.async_get(limit, token);
    ++t.ended;
    if (ec == errc::closed) co_return;
    if (ec) {
      if (ec != errc::timed_out || limit > 1s) ++t.wrong;
      continue;
    }
    const std::uint64_t question = random();
    std::uint64_t answer = 0;
    const auto out = asio::buffer(&question, sizeof question);
    const auto in = asio::buffer(&answer, sizeof answer);
    co_await asio::async_write(*l, out, token);
    if (!ec) co_await asio::async_read(*l, in, token);
    if (ec) continue;
    ++t.answers;
    if (answer != question) ++t.wrong;
    if (random() % 4 == 0) l.discard();
  }
}

/// Does what an operator does, faster, for that many times.
void control(cocp::pool& pool, scripted_server& a, scripted_server& b, generator& random, int times) {
  for (int i = 0; i < times; ++i) {
    scripted_server& one = random() % 2 == 0 ? a : b;
    switch (random() % 8) {
      case 0:
      case 1:
        pool.readdress(one.address());
        break;
      case 2:
      case 3:
        pool.resize(1 + random() % 8);
        break;
      case 4:
        one.reset_all();
        break;
      case 5:
        one.behave_once({step::close{}});
        break;
      case 6:
        one.stop_listening();
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
        one.listen_again();
        break;
      default:
        // One more while an old connection, still in use, is replaced.
        BOOST_TEST(pool.leases().size() <= 8u + 1u);
    }
    pool.retry_now();
    BOOST_TEST(pool.stats().connecting <= 3u);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 1000));
  }
}

cocp::connection_options at(const scripted_server& server) {
  return {.address = server.address(), .connect_timeout = 1s, .retry_min = 1ms, .retry_max = 5ms};
}

const cocp::pool_options options{.size = 4,
                                 .min_size = 2,
                                 .idle_timeout = 2ms,
                                 .max_lifetime = 5ms,
                                 .max_dialling = 3,
                                 .report_leases = cocp::lease_report{}};

}  // namespace

BOOST_AUTO_TEST_SUITE(control_from_outside)

BOOST_AUTO_TEST_CASE(a_pool_that_is_moved_and_resized_during_traffic_serves_everybody) {
  const fd_check descriptors;
  generator random(random_seed());
  runner servers(1);
  scripted_server a(servers.io.get_executor());
  scripted_server b(servers.io.get_executor());
  runner both(2);
  tally t;
  std::atomic<bool> stop{false};
  cocp::pool pool(both.io, at(a), options);
  std::vector<std::future<void>> done;
  for (int i = 0; i < 10; ++i) done.push_back(asio::co_spawn(both.io, use(pool, t, random(), stop), asio::use_future));
  control(pool, a, b, random, 500);
  stop = true;
  for (auto& f : done) BOOST_CHECK_NO_THROW(f.get());
  BOOST_TEST(t.asked == t.ended);
  BOOST_TEST(t.answers != 0u);
  BOOST_TEST(t.wrong == 0u);

  // Its size is what it was told last, and all that it has leads to where it was told last.
  constexpr std::size_t size = 5;
  pool.resize(size);
  pool.readdress(a.address());
  pool.readdress(b.address());
  std::vector<cocp::lease> all;
  for (std::size_t i = 0; i < size; ++i) {
    all.push_back(pool.async_get(patience, asio::use_future).get());
    std::ostringstream there;
    there << all.back()->remote_endpoint();
    BOOST_TEST(there.str() == b.address());
  }
  BOOST_TEST(pool.stats().leased == size);
  BOOST_TEST(!pool.try_get());
  auto drained = asio::co_spawn(both.io, pool.drain(), asio::use_future);
  all.clear();
  BOOST_TEST((drained.wait_for(patience) == std::future_status::ready), "drain() ends");
}

BOOST_AUTO_TEST_CASE(a_pool_that_is_closed_while_it_is_moved_and_resized_ends_every_wait) {
  const fd_check descriptors;
  generator random(random_seed() + 1000);
  runner servers(1);
  scripted_server a(servers.io.get_executor());
  scripted_server b(servers.io.get_executor());
  for (int round = 0; round < 40; ++round) {
    runner both(2);
    tally t;
    std::atomic<bool> stop{false};
    cocp::pool pool(both.io, at(a), options);
    std::vector<std::future<void>> done;
    for (int i = 0; i < 6; ++i) done.push_back(asio::co_spawn(both.io, use(pool, t, random(), stop), asio::use_future));
    std::thread closer([&pool, pause = std::chrono::microseconds(random() % 8000)] {
      std::this_thread::sleep_for(pause);
      pool.close();
    });
    control(pool, a, b, random, 10);
    closer.join();
    for (auto& f : done) BOOST_CHECK_NO_THROW(f.get());
    both.finish();
    BOOST_TEST(t.asked == t.ended);
    BOOST_TEST(t.wrong == 0u);
    BOOST_TEST(pool.stats().leased == 0u);
    BOOST_TEST(pool.stats().connected == 0u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
