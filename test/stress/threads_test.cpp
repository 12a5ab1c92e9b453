// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Random use of pools from several threads, for ThreadSanitizer and for the rules that only threads can break. The seed
// is printed; `-- SEED` repeats a run as far as threads can be repeated.

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp.hpp>

#include <array>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <thread>

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

/// What comes of a get from outside. No exception: ThreadSanitizer does not see how libstdc++ shares those.
using outcome = std::pair<error_code, cocp::lease>;

std::future<outcome> get_from_outside(cocp::pool& pool, cocp::duration timeout) {
  auto promise = std::make_unique<std::promise<outcome>>();
  auto result = promise->get_future();
  pool.async_get(timeout, [p = std::move(promise)](error_code ec, cocp::lease l) { p->set_value({ec, std::move(l)}); });
  return result;
}

/// Knows who has which connection (rule 1), and how the calls of get ended (rule 6).
class referee {
 public:
  std::atomic<bool>& in_use(cocp::connection& c) {
    const std::lock_guard lock(mutex_);
    return in_use_[&c];
  }

  std::atomic<unsigned> asked{0};
  std::atomic<unsigned> ended{0};
  std::atomic<unsigned> leases{0};
  std::atomic<unsigned> shared{0};
  std::atomic<unsigned> wrong{0};

 private:
  std::mutex mutex_;
  std::map<cocp::connection*, std::atomic<bool>> in_use_;
};

/// A lease that the referee knows of.
class held {
 public:
  held(referee& r, cocp::lease l) : in_use_(&r.in_use(*l)), lease_(std::move(l)) {
    ++r.leases;
    if (in_use_->exchange(true)) ++r.shared;
  }
  held(held&& other) noexcept = default;
  ~held() { put(); }

  cocp::connection& operator*() const { return *lease_; }

  // The mark goes before the pool can give the connection to somebody else.
  void put() {
    if (lease_) in_use_->store(false);
    lease_.put();
  }
  void discard() {
    if (lease_) in_use_->store(false);
    lease_.discard();
  }

 private:
  std::atomic<bool>* in_use_;
  cocp::lease lease_;
};

/// Asks, and checks the answer if one comes.
asio::awaitable<void> ask(cocp::connection& c, std::uint64_t number, referee& r) {
  std::array<std::uint64_t, 4> question;
  question.fill(number);
  std::array<std::uint64_t, 4> answer{};
  error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  const auto out = asio::buffer(question);
  const auto in = asio::buffer(answer);
  co_await asio::async_write(c, out, token);
  if (ec) co_return;
  co_await asio::async_read(c, in, token);
  if (!ec && answer != question) ++r.wrong;
}

/// Leaves a read outstanding.
void start_read(cocp::connection& c) {
  auto byte = std::make_shared<char>();
  const auto buffer = asio::buffer(byte.get(), 1);
  c.async_read_some(buffer, [byte](error_code, std::size_t) {});
}

asio::awaitable<std::optional<held>> get(cocp::pool& pool, referee& r, std::optional<cocp::duration> timeout) {
  ++r.asked;
  std::optional<held> result;
  try {
    cocp::lease l;
    if (timeout) {
      l = co_await pool.get(*timeout);
    } else {
      l = co_await pool.get();
    }
    result.emplace(r, std::move(l));
  } catch (const boost::system::system_error&) {
  }
  ++r.ended;
  co_return result;
}

/// A get that is cancelled after `patience`, on the executor of its handler.
struct cancelled_get : std::enable_shared_from_this<cancelled_get> {
  cancelled_get(cocp::pool& p, referee& r, const asio::any_io_executor& ex)
      : pool(p), judge(r), strand(asio::make_strand(ex)), timer(strand) {}

  void start(cocp::duration patience) {
    auto self = shared_from_this();
    ++judge.asked;
    auto begin = [self, patience] {
      auto on_lease = [self](error_code ec, cocp::lease l) {
        self->timer.cancel();
        if (!ec) held(self->judge, std::move(l)).put();
        ++self->judge.ended;
      };
      auto on_time = [self](error_code ec) {
        if (!ec) self->cancel.emit(asio::cancellation_type::total);
      };
      self->timer.expires_after(patience);
      self->timer.async_wait(std::move(on_time));
      self->pool.async_get(
          asio::bind_cancellation_slot(self->cancel.slot(), asio::bind_executor(self->strand, std::move(on_lease))));
      // Sometimes between the hand-off and the handler.
      if (patience < 100us) self->cancel.emit(asio::cancellation_type::total);
    };
    asio::post(strand, std::move(begin));
  }

  cocp::pool& pool;
  referee& judge;
  asio::any_io_executor strand;
  asio::steady_timer timer;
  asio::cancellation_signal cancel;
};

/// One user: `rounds` random acts. `elsewhere` runs on other threads, too.
asio::awaitable<void> use(cocp::pool& pool, referee& r, asio::io_context& elsewhere, std::uint64_t seed, int rounds) {
  generator random(seed);
  const auto ex = co_await asio::this_coro::executor;
  for (int i = 0; i < rounds; ++i) {
    const auto act = random() % 16;
    const cocp::duration little = std::chrono::microseconds(random() % 500);
    if (act == 0) {
      std::make_shared<cancelled_get>(pool, r, ex)->start(little);
      continue;
    }
    std::optional<held> h;
    if (act == 1) {
      if (cocp::lease l = pool.try_get()) h.emplace(r, std::move(l));
    } else {
      std::optional<cocp::duration> timeout;
      if (act == 2) timeout = little;
      std::optional<held> got = co_await get(pool, r, timeout);
      if (got) h.emplace(std::move(*got));
    }
    if (!h) continue;
    co_await ask(**h, random(), r);
    if (act == 3) h->discard();
    if (act == 4) start_read(**h);
    if (act == 5) start_read(**h), start_read(**h);
    if (act == 6) (**h).close();
    if (act == 7) asio::post(elsewhere, [moved = std::move(*h)] {});
    if (act == 8) {
      (**h).expires_after(little);
      co_await ask(**h, random(), r);
    }
    if (act == 9) h->put();
  }
}

/// Ends sessions at random times, until `stop`.
void disturb(scripted_server& server, std::uint64_t seed, const std::atomic<bool>& stop) {
  generator random(seed);
  while (!stop) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
    const step::echo some{random() % 200};
    switch (random() % 4) {
      case 0:
        server.close_all();
        break;
      case 1:
        server.reset_all();
        break;
      case 2:
        server.behave_once({some, step::close{}});
        break;
      default:
        server.behave_once({some, step::reset{}});
    }
  }
}

cocp::connection_options at(const scripted_server& server) {
  return {.address = server.address(), .retry_min = 1ms, .retry_max = 5ms};
}

/// Many users on `users`, and this thread, share a pool on `home`.
void run_traffic(asio::io_context& home, asio::io_context& users, bool disturbed, std::uint64_t seed) {
  constexpr std::size_t size = 4;
  runner servers(1);
  scripted_server server(servers.io.get_executor());
  referee r;
  cocp::pool pool(home, at(server), {.size = size});
  std::atomic<bool> stop{false};
  std::thread trouble([&] {
    if (disturbed) disturb(server, seed, stop);
  });
  std::vector<std::future<void>> done;
  for (std::uint64_t i = 1; i <= 12; ++i) {
    done.push_back(asio::co_spawn(users, use(pool, r, home, seed + i, 400), asio::use_future));
  }
  for (int i = 0; i < 400; ++i) {
    ++r.asked;
    auto [ec, got] = get_from_outside(pool, i % 4 == 0 ? cocp::duration(100us) : cocp::duration(10s)).get();
    BOOST_TEST((!ec || ec == errc::timed_out));
    if (got) held(r, std::move(got)).put();
    ++r.ended;
    if (cocp::lease l = pool.try_get()) held(r, std::move(l)).discard();
    BOOST_TEST(pool.stats().leased <= size);
  }
  for (auto& f : done) BOOST_CHECK_NO_THROW(f.get());
  stop = true;
  trouble.join();
  BOOST_TEST(eventually_blocking([&] { return r.asked == r.ended; }), "every get ends once");
  BOOST_TEST(eventually_blocking([&] { return pool.stats().leased == 0; }), "every slot comes back");
  BOOST_TEST(pool.stats().waiting == 0u);
  BOOST_TEST(r.shared == 0u);
  BOOST_TEST(r.wrong == 0u);
  BOOST_TEST(r.asked == r.ended);
  std::vector<cocp::lease> all;
  for (std::size_t i = 0; i < size; ++i) {
    BOOST_CHECK_NO_THROW(all.push_back(pool.async_get(10s, asio::use_future).get()));
  }
  BOOST_TEST(pool.stats().leased == size);
  auto drained = asio::co_spawn(users, pool.drain(), asio::use_future);
  all.clear();
  BOOST_TEST((drained.wait_for(patience) == std::future_status::ready), "drain() ends");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(threads)

BOOST_AUTO_TEST_CASE(two_threads_and_one_from_outside_share_a_pool) {
  const fd_check descriptors;
  runner both(2);
  run_traffic(both.io, both.io, false, random_seed());
}

BOOST_AUTO_TEST_CASE(nothing_is_lost_while_the_server_ends_random_sessions) {
  const fd_check descriptors;
  runner both(2);
  run_traffic(both.io, both.io, true, random_seed() + 1000);
}

BOOST_AUTO_TEST_CASE(a_pool_on_one_context_serves_users_on_another) {
  const fd_check descriptors;
  runner home(1);
  runner users(1);
  run_traffic(home.io, users.io, true, random_seed() + 2000);
}

BOOST_AUTO_TEST_CASE(a_pool_that_closes_what_is_idle_at_once_serves_everybody) {
  const fd_check descriptors;
  runner servers(1);
  scripted_server server(servers.io.get_executor());
  runner both(2);
  cocp::pool pool(both.io, at(server), {.size = 1, .min_size = 0, .idle_timeout = 1ns, .check_after = 1us});
  // The housekeeper closes it not sooner than it looks at what is idle, which is every 50 ms: somebody comes then.
  std::mt19937 random(random_seed());
  while (pool.stats().connects < 20) {
    std::this_thread::sleep_for(std::chrono::microseconds(45'000 + random() % 20'000));
    if (pool.try_get()) continue;
    const auto [ec, got] = get_from_outside(pool, 20s).get();
    BOOST_REQUIRE(!ec);
  }
  pool.close();
}

BOOST_AUTO_TEST_CASE(a_pool_is_closed_by_another_thread_during_traffic) {
  const fd_check descriptors;
  generator random(random_seed() + 3000);
  runner servers(1);
  scripted_server server(servers.io.get_executor());
  for (int round = 0; round < 100; ++round) {
    runner both(2);
    referee r;
    cocp::pool pool(both.io, at(server), {.size = 3});
    const auto user = [&](std::uint64_t seed) -> asio::awaitable<void> {
      generator own(seed);
      for (;;) {
        ++r.asked;
        error_code ec;
        auto token = asio::redirect_error(asio::use_awaitable, ec);
        cocp::lease l = co_await pool.async_get(token);
        ++r.ended;
        if (ec && ec != errc::closed) ++r.wrong;
        if (ec) co_return;
        const held h(r, std::move(l));
        co_await ask(*h, own(), r);
        if (own() % 4 == 0) start_read(*h);
      }
    };
    std::vector<std::future<void>> done;
    for (int i = 0; i < 8; ++i) done.push_back(asio::co_spawn(both.io, user(random()), asio::use_future));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 8000));
    pool.close();
    for (auto& f : done) BOOST_CHECK_NO_THROW(f.get());
    both.finish();
    BOOST_TEST(r.asked == r.ended);
    BOOST_TEST(r.shared == 0u);
    BOOST_TEST(r.wrong == 0u);
    BOOST_TEST(pool.stats().leased == 0u);
    BOOST_TEST(pool.stats().connected == 0u);
  }
}

BOOST_AUTO_TEST_CASE(leases_outlive_their_pool_and_end_on_other_threads) {
  const fd_check descriptors;
  generator random(random_seed() + 4000);
  runner servers(1);
  scripted_server server(servers.io.get_executor());
  for (int round = 0; round < 100; ++round) {
    runner both(2);
    auto pool = std::make_unique<cocp::pool>(both.io, at(server), cocp::pool_options{.size = 3});
    std::vector<std::future<outcome>> asked;
    for (int i = 0; i < 6; ++i) asked.push_back(get_from_outside(*pool, 10s));
    std::vector<std::thread> owners;
    for (std::size_t i = 0; i < 3; ++i) {
      cocp::lease l = asked[i].get().second;
      if (random() % 2 == 0) start_read(*l);
      owners.emplace_back([mine = std::move(l), discard = random() % 2 == 0]() mutable {
        if (discard) mine.discard();
      });
    }
    std::thread destroyer([&] { pool.reset(); });
    for (auto& o : owners) o.join();
    destroyer.join();
    for (std::size_t i = 3; i < 6; ++i) {
      const auto [ec, late] = asked[i].get();
      BOOST_TEST((!ec || ec == errc::closed));
    }
    both.finish();
  }
}

BOOST_AUTO_TEST_SUITE_END()
