// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Pools of several addresses that come and go under those who ask them, on several threads: for ThreadSanitizer, and
// for the life of a pool between the look for it and the wait in it. The seed is printed; `-- SEED` repeats a run as
// far as threads can be repeated.

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pools.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <future>
#include <random>
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
using address_list = std::vector<std::string>;

struct tally {
  std::atomic<unsigned> answers{0};
  /// Answers to somebody else's question, and errors that no call may end with.
  std::atomic<unsigned> wrong{0};
};

asio::awaitable<void> exchange(cocp::lease& l, std::uint64_t question, tally& t) {
  std::uint64_t answer = 0;
  const auto out = asio::buffer(&question, sizeof question);
  const auto in = asio::buffer(&answer, sizeof answer);
  co_await l->write(out);
  co_await l->read(in);
  ++t.answers;
  if (answer != question) ++t.wrong;
}

/// One user, until the pools are closed or `stop`.
asio::awaitable<void> use(cocp::pools& pools, const address_list& all, tally& t, std::uint64_t seed,
                          const std::atomic<bool>& stop) {
  generator random(seed);
  while (!stop) {
    const std::string& address = all[random() % all.size()];
    const std::uint64_t question = random();
    error_code ec;
    try {
      if (random() % 4 == 0) {
        auto body = [&](cocp::lease& l) { return exchange(l, question, t); };
        co_await pools.run(address, body);
      } else {
        cocp::lease l = random() % 2 == 0 ? pools.try_get(address) : cocp::lease();
        if (!l) l = co_await pools.get(address, 20s);
        co_await exchange(l, question, t);
        const auto end = random() % 16;
        if (end < 2) {
          l.discard();
        } else if (end == 2) {
          l.detach();
        }
      }
    } catch (const boost::system::system_error& e) {
      ec = e.code();
    }
    if (ec == errc::closed) co_return;
    if (ec && ec != errc::overloaded) ++t.wrong;
  }
}

struct scene {
  runner servers_run{1};
  std::deque<scripted_server> servers;
  address_list addresses;

  scene() {
    for (int i = 0; i < 8; ++i) addresses.push_back(servers.emplace_back(servers_run.io.get_executor()).address());
  }
};

const cocp::pool_options of_each{.size = 3, .idle_timeout = 5ms};
const cocp::pools_options together{.unused_for = 1ms, .max_connections = 5, .max_dialling = 3, .max_pools = 6};

}  // namespace

BOOST_AUTO_TEST_SUITE(pools_from_outside)

BOOST_AUTO_TEST_CASE(everybody_is_served_by_pools_that_come_and_go) {
  const fd_check descriptors;
  generator random(random_seed());
  scene s;
  runner both(2);
  tally t;
  std::atomic<bool> stop{false};
  cocp::pools pools(both.io, {.retry_min = 1ms, .retry_max = 5ms}, of_each, together);
  std::vector<std::future<void>> done;
  for (int i = 0; i < 12; ++i) {
    done.push_back(asio::co_spawn(both.io, use(pools, s.addresses, t, random(), stop), asio::use_future));
  }
  for (int i = 0; i < 300; ++i) {
    const cocp::pools_stats now = pools.stats();
    BOOST_TEST(now.size() <= 6u);
    if (random() % 8 == 0) pools.renew();
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
  }
  stop = true;
  for (auto& f : done) {
    BOOST_TEST_REQUIRE((f.wait_for(patience + 20s) == std::future_status::ready), "a wait does not end");
    BOOST_CHECK_NO_THROW(f.get());
  }
  BOOST_TEST(t.answers != 0u);
  BOOST_TEST(t.wrong == 0u);
  const bool settled = eventually_blocking([&pools] {
    const cocp::pools_stats now = pools.stats();
    return now.empty() && now.sum.connected == 0 && now.sum.detached == 0;
  });
  BOOST_TEST(settled, "what is unused goes");
  auto drained = asio::co_spawn(both.io, pools.drain(), asio::use_future);
  BOOST_TEST((drained.wait_for(patience) == std::future_status::ready), "drain() ends");
}

BOOST_AUTO_TEST_CASE(pools_that_are_closed_meanwhile_end_every_wait) {
  const fd_check descriptors;
  generator random(random_seed() + 1000);
  scene s;
  for (int round = 0; round < 40; ++round) {
    runner both(2);
    tally t;
    const std::atomic<bool> stop{false};
    cocp::pools pools(both.io, {}, of_each, together);
    std::vector<std::future<void>> done;
    for (int i = 0; i < 8; ++i) {
      done.push_back(asio::co_spawn(both.io, use(pools, s.addresses, t, random(), stop), asio::use_future));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 8000));
    pools.close();
    for (auto& f : done) BOOST_CHECK_NO_THROW(f.get());
    both.finish();
    BOOST_TEST(t.wrong == 0u);
    const cocp::pools_stats now = pools.stats();
    BOOST_TEST(now.sum.leased == 0u);
    BOOST_TEST(now.sum.connected == 0u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
