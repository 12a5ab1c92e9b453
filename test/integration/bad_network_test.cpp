// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A pool of which everybody is busy, on a network that gets bad and gets well again: nobody waits for longer than the
// options say, nobody gets another one's answer, who is not served is told why, an outage costs one attempt per step of
// the backoff, and when it is over all is as before, by itself.

#include "support/fault_relay.hpp"
#include "support/fd_check.hpp"
#include "support/outage_rule.hpp"
#include "support/run.hpp"
#include "support/scripted_server.hpp"
#include "support/steps.hpp"

#include <cocp.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::duration;
using cocp::errc;

namespace {

using clock_type = std::chrono::steady_clock;

constexpr std::size_t connections = 10;
constexpr std::size_t workers = 20;
// Each worker's, before the network gets bad, and after.
constexpr std::size_t exchanges = 10;
constexpr std::size_t length = 100;
constexpr duration retry_min = 10ms;
constexpr duration retry_max = 40ms;
/// Of a wait, an exchange and an attempt, until the network is good again.
constexpr duration short_limit = 100ms;
/// What a machine that is busy may add.
constexpr duration slack = 3s;

enum class harm {
  none,     ///< Everything takes longer, and nothing fails.
  some,     ///< Some are served.
  outage,   ///< Nobody is served, and attempts fail.
  silence,  ///< Nobody is served, though attempts succeed.
};

struct trouble {
  const char* name;
  harm what;
  relay_faults faults;
  /// What befalls the connections at its beginning.
  void (*onset)(fault_relay& relay) = [](fault_relay&) {};

  friend std::ostream& operator<<(std::ostream& out, const trouble& t) { return out << t.name; }
};

const auto reset_all = [](fault_relay& r) { r.reset_all(); };
const auto close_all = [](fault_relay& r) { r.close_all(); };
const relay_faults refused{.connects = arrival::refused};
const relay_faults ignored{.connects = arrival::ignored};

const trouble troubles[] = {
    {"latency and jitter", harm::none, relay_faults::both_ways({.latency = 5ms, .jitter = 10ms})},
    {"little bandwidth", harm::none, relay_faults::both_ways({.bandwidth = 10'000})},
    {"latency, jitter and little bandwidth", harm::none,
     relay_faults::both_ways({.latency = 5ms, .jitter = 5ms, .bandwidth = 20'000})},
    {"a stall", harm::none, {}, [](fault_relay& r) { r.stall_for(80ms); }},
    {"a reset after some bytes", harm::some, {.reset_after = 550}},
    {"half of the connects are reset", harm::some, {.resets = 0.5, .reset_after = 2000}},
    {"some requests are reset", harm::some, {.to_server = {.resets = 0.1}}},
    {"some answers are reset", harm::some, {.to_client = {.resets = 0.1}}},
    {"all of it at once",
     harm::some,
     {.resets = 0.2,
      .reset_after = 2500,
      .to_server = {.latency = 1ms, .jitter = 3ms, .bandwidth = 500'000, .resets = 0.05},
      .to_client = {.latency = 2ms, .jitter = 5ms, .bandwidth = 100'000, .resets = 0.05}}},
    {"answers do not come", harm::silence, {.to_client = {.stalled = true}}},
    {"a black hole", harm::silence, relay_faults::black_hole()},
    {"a black hole behind resets", harm::silence, relay_faults::black_hole(), reset_all},
    {"resets, and nobody listens", harm::outage, refused, reset_all},
    {"ends, and nobody listens", harm::outage, refused, close_all},
    {"resets, and the backlog is full", harm::outage, ignored, reset_all},
    {"every connect is reset", harm::outage, {.resets = 1}, reset_all},
    // Who is slow to ask loses a connection that has lasted, which is no failed attempt.
    {"connections are reset by their first byte",
     harm::silence,
     {.to_server = {.latency = 2ms, .resets = 1}, .to_client = {.latency = 2ms}},
     reset_all},
};

enum class weather { good, bad, good_again };

struct world {
  explicit world(const trouble& t) : row(t) {}

  const trouble& row;
  fd_check descriptors;
  asio::io_context io{1};
  // Gone at the end of the story, or the context has work for ever.
  std::optional<scripted_server> server{std::in_place, io.get_executor()};
  std::optional<fault_relay> relay{std::in_place, io.get_executor(), server->endpoint()};
  weather now = weather::good;
  std::size_t served[3]{};
  std::size_t failed[3]{};
  std::size_t refused_gets[3]{};
  std::size_t done = 0;

  /// Of a wait, and of an exchange, that begins now. What begins before it gets bad is to end then too.
  duration limit_now() const {
    return now == weather::good_again || row.what == harm::none ? duration(patience) : short_limit;
  }
  std::size_t& count(std::size_t (&counts)[3], weather of) { return counts[static_cast<std::size_t>(of)]; }

  asio::awaitable<void> exchange_once(cocp::pool& pool, std::string text) {
    const weather begun = now;
    const duration limit = limit_now();
    cocp::lease lease;
    auto start = clock_type::now();
    try {
      lease = co_await pool.get(limit);
    } catch (const boost::system::system_error& e) {
      ++count(refused_gets, begun);
      const std::string_view what = e.what();
      BOOST_TEST((e.code() == errc::timed_out), what);
      BOOST_TEST((what.find("no connection to ") != what.npos), what);
    }
    BOOST_TEST((clock_type::now() - start < limit + slack), "get takes too long");
    if (!lease) co_return;
    start = clock_type::now();
    lease->expires_after(limit);
    try {
      const auto out = asio::buffer(text);
      co_await lease->write(out);
      std::string answer(text.size(), '\0');
      const auto in = asio::buffer(answer);
      co_await lease->read(in);
      BOOST_TEST((answer == text), "another one's answer");
      ++count(served, begun);
    } catch (const boost::system::system_error& e) {
      BOOST_TEST(bool(e.code()));
      ++count(failed, begun);
    }
    BOOST_TEST((clock_type::now() - start < limit + slack), "an exchange takes too long");
  }

  /// Until it was served often enough in good weather, before and after.
  asio::awaitable<void> work(cocp::pool& pool, std::size_t worker) {
    std::size_t after = 0;
    for (std::size_t number = 0; after < exchanges; ++number) {
      std::string text = std::to_string(worker) + ":" + std::to_string(number);
      text.resize(length, '.');
      const bool is_after = now == weather::good_again;
      auto one = exchange_once(pool, text);
      co_await std::move(one);
      if (is_after) ++after;
    }
    ++done;
  }

  void run() {
    cocp::test::run(io, [](world& w) -> asio::awaitable<void> {
      cocp::connection_options to{.address = w.relay->address(), .retry_min = retry_min, .retry_max = retry_max};
      if (w.row.what != harm::none) to.connect_timeout = short_limit;
      cocp::pool pool(w.io, to, {.size = connections});
      for (std::size_t n = 0; n < workers; ++n) {
        asio::co_spawn(w.io, w.work(pool, n), [](std::exception_ptr e) {
          if (e) std::rethrow_exception(e);
        });
      }
      auto story = w.tell(pool);
      co_await std::move(story);
      pool.close();
      w.relay.reset();
      w.server.reset();
    }(*this));
  }

  asio::awaitable<void> tell(cocp::pool& pool) {
    auto all_are_busy = [&] { return count(served, weather::good) >= workers * exchanges; };
    co_await until(all_are_busy);

    relay->set(row.faults);
    row.onset(*relay);
    now = weather::bad;
    const auto start = clock_type::now();
    const cocp::stats before = pool.stats();
    const std::size_t accepted_before = relay->seen().accepted;
    auto has_shown = [&] {
      const cocp::stats s = pool.stats();
      switch (row.what) {
        case harm::none:
          return count(served, weather::bad) >= 2 * workers;
        case harm::some:
          return count(served, weather::bad) >= 2 * workers && count(failed, weather::bad) >= workers;
        case harm::silence:
          return count(failed, weather::bad) >= workers;
        case harm::outage:
          return s.connect_failures + s.disconnects - before.connect_failures - before.disconnects >= connections + 4 &&
                 count(refused_gets, weather::bad) >= workers;
      }
      return false;
    };
    co_await until(has_shown);
    const cocp::stats at_its_end = pool.stats();
    const duration lasted = clock_type::now() - start;
    const std::size_t accepted = relay->seen().accepted - accepted_before;
    relay->set({});
    now = weather::good_again;

    const auto ended = clock_type::now();
    auto all_are_done = [&] { return done == workers; };
    co_await until(all_are_done);
    auto all_are_idle = [&] { return pool.stats().idle == connections; };
    co_await until(all_are_idle);
    BOOST_TEST((clock_type::now() - ended < retry_max + short_limit + slack), "the pool is long in coming back");

    const std::size_t in_vain = at_its_end.connect_failures - before.connect_failures;
    if (row.what == harm::none) {
      BOOST_TEST(count(failed, weather::bad) == 0u);
      BOOST_TEST(count(refused_gets, weather::bad) == 0u);
      BOOST_TEST(at_its_end.disconnects == 0u);
    }
    if (row.what == harm::outage) {
      // Those that were under way when it began, and what they say is no news.
      BOOST_TEST(in_vain <= connections + most_attempts(lasted, retry_min, retry_max));
      BOOST_TEST(accepted <= connections + most_attempts(lasted, retry_min, retry_max));
    }
    // A connection that was lost, and whose user could not know yet; an attempt that its faults have spoilt.
    BOOST_TEST(count(failed, weather::good_again) <= connections);
    BOOST_TEST(count(refused_gets, weather::good_again) == 0u);
    BOOST_TEST(pool.stats().waiting == 0u);
    BOOST_TEST(pool.stats().leased == 0u);
    BOOST_TEST_MESSAGE(row << ": " << lasted.count() / 1'000'000 << " ms, served " << count(served, weather::bad)
                           << ", failed " << count(failed, weather::bad) << ", refused "
                           << count(refused_gets, weather::bad) << ", attempts in vain " << in_vain << ", accepted "
                           << accepted << " of at most " << most_attempts(lasted, retry_min, retry_max)
                           << "; after it failed " << count(failed, weather::good_again));
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(bad_network)

BOOST_DATA_TEST_CASE(costs_nobody_more_than_his_time_and_is_over_when_it_is_over, data::make(troubles), row) {
  world w(row);
  w.run();
}

BOOST_AUTO_TEST_SUITE_END()
