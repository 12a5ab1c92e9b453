// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A pool that the kernel refuses what it needs: descriptors, ports, a link. Who can be served is served by what there
// is, who cannot is told why within his time, attempts keep to the backoff, and when there is enough again the pool is
// complete, by itself.

#include "support/exchange.hpp"
#include "support/fd_check.hpp"
#include "support/network_namespace.hpp"
#include "support/outage_rule.hpp"
#include "support/process.hpp"
#include "support/redis_server.hpp"
#include "support/run.hpp"
#include "support/sanitized.hpp"
#include "support/steps.hpp"
#include "support/system_call.hpp"
#include "support/unreachable_listener.hpp"

#include <cocp.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
namespace utf = boost::unit_test;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::duration;
using cocp::errc;
using cocp::error_code;

namespace {

using clock_type = std::chrono::steady_clock;

constexpr std::size_t connections = 6;
constexpr std::size_t enough_for = 4;
constexpr std::size_t users = 10;
constexpr duration retry_min = 10ms;
constexpr duration retry_max = 40ms;
constexpr duration short_limit = 100ms;
constexpr duration user_timeout = 200ms;
/// What a machine that is busy may add.
constexpr duration slack = 3s;

error_code kernels(int number) { return {number, boost::system::system_category()}; }

/// For `precondition`.
boost::test_tools::assertion_result is_plain(utf::test_unit_id) {
#if defined(COCP_TEST_SANITIZED)
  boost::test_tools::assertion_result no(false);
  no.message() << "the sanitizers' checks need descriptors themselves";
  return no;
#else
  return true;
#endif
}

/// No descriptor more than `n` can be opened while it lives. The kernel gives the lowest number that is free.
class few_descriptors {
 public:
  explicit few_descriptors(std::size_t n) {
    system_call("getrlimit", ::getrlimit(RLIMIT_NOFILE, &before_));
    const auto open = open_descriptors();
    rlimit few = before_;
    few.rlim_cur = 0;
    for (std::size_t free = 0; free < n || open.contains(static_cast<int>(few.rlim_cur)); ++few.rlim_cur) {
      if (!open.contains(static_cast<int>(few.rlim_cur))) ++free;
    }
    system_call("setrlimit", ::setrlimit(RLIMIT_NOFILE, &few));
  }
  ~few_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  few_descriptors(const few_descriptors&) = delete;
  few_descriptors& operator=(const few_descriptors&) = delete;

 private:
  rlimit before_{};
};

struct fixture {
  fd_check descriptors;

  cocp::connection_options to(std::string address) {
    return {.address = std::move(address),
            .connect_timeout = short_limit,
            .retry_min = retry_min,
            .retry_max = retry_max,
            .logger = [this](const cocp::event& e) {
              if (e.kind == cocp::event_kind::connect_failed) reason = e.error;
            }};
  }

  /// Of the latest attempt that failed.
  error_code reason;
};

/// Twice, so that his connection is free in between.
asio::awaitable<void> use(cocp::pool& pool, std::size_t user, std::size_t& served) {
  for (std::size_t n = 0; n < 2; ++n) {
    const cocp::lease lease = co_await pool.get(patience);
    co_await exchange(*lease, user, n);
  }
  ++served;
}

/// What is there serves everybody; the rest comes when `relief` has come.
template <class Relief>
asio::awaitable<void> make_do(cocp::pool& pool, const error_code& reason, error_code expected, Relief relief) {
  const auto ex = co_await asio::this_coro::executor;
  const auto start = clock_type::now();
  auto has_failed = [&] { return pool.stats().connect_failures >= 5; };
  co_await until(has_failed);
  BOOST_TEST((reason == expected), "it is told: " << reason.message());
  BOOST_TEST(pool.stats().connected == enough_for);
  std::size_t served = 0;
  for (std::size_t n = 0; n < users; ++n) {
    asio::co_spawn(ex, use(pool, n, served), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
  }
  auto all_are_served = [&] { return served == users; };
  co_await until(all_are_served);
  BOOST_TEST(pool.stats().connected == enough_for);
  BOOST_TEST(pool.stats().disconnects == 0u);
  BOOST_TEST(pool.stats().connect_failures <=
             connections + most_attempts(clock_type::now() - start, retry_min, retry_max));
  relief();
  const auto relieved = clock_type::now();
  auto is_complete = [&] { return pool.stats().idle == connections; };
  co_await until(is_complete);
  BOOST_TEST((clock_type::now() - relieved < retry_max + short_limit + slack));
}

/// Nobody is served, and all are told why.
asio::awaitable<void> wait_in_vain(cocp::pool& pool, std::string_view why) {
  const auto start = clock_type::now();
  std::string said;
  try {
    const cocp::lease lease = co_await pool.get(short_limit);
    BOOST_ERROR("there is a lease");
  } catch (const boost::system::system_error& e) {
    BOOST_TEST((e.code() == errc::timed_out));
    said = e.what();
  }
  BOOST_TEST((clock_type::now() - start < short_limit + slack));
  BOOST_TEST((said.find(why) != said.npos), said);
}

/// Which end of a link goes down, and what an attempt fails with then.
struct cut {
  const char* name;
  bool is_ours;
  error_code reason;

  friend std::ostream& operator<<(std::ostream& out, const cut& c) { return out << c.name; }
};

const cut ends[] = {{"our end", true, kernels(ENETUNREACH)}, {"their end", false, errc::timed_out}};

struct tally {
  std::size_t served = 0;
  std::size_t failed = 0;
  std::size_t refused = 0;
};

asio::awaitable<void> try_exchange(cocp::pool& pool, tally& seen) {
  const auto start = clock_type::now();
  cocp::lease lease;
  try {
    lease = co_await pool.get(short_limit);
    lease->expires_after(short_limit);
    co_await exchange(*lease, 1, 1);
    ++seen.served;
  } catch (const boost::system::system_error& e) {
    ++(lease ? seen.failed : seen.refused);
    BOOST_TEST((lease || e.code() == errc::timed_out));
  }
  BOOST_TEST((clock_type::now() - start < 2 * short_limit + slack));
}

asio::awaitable<void> try_until_refused(cocp::pool& pool, tally& seen) {
  tally own;
  while (own.refused == 0) co_await try_exchange(pool, own);
  seen.served += own.served;
  seen.failed += own.failed;
  ++seen.refused;
}

/// A link between two networks: ours, in which the thread stays, and theirs.
class cable {
 public:
  static constexpr const char* their_address = "10.77.0.2";

  cable() : theirs_(), stays_there_({"sleep", "600"}), ours_() {
    run({"ip", "link", "add", "ours", "type", "veth", "peer", "name", "theirs", "netns",
         std::to_string(stays_there_.id())});
    run({"ip", "address", "add", "10.77.0.1/24", "dev", "ours"});
    set_ours("up");
    theirs([&] { run({"ip", "address", "add", std::string(their_address) + "/24", "dev", "theirs"}); });
    set_theirs("up");
  }

  /// What it makes is theirs.
  template <class F>
  void theirs(F f) const {
    theirs_.enter();
    try {
      f();
    } catch (...) {
      ours_.enter();
      throw;
    }
    ours_.enter();
  }

  void set(const cut& at, const char* state) const { at.is_ours ? set_ours(state) : set_theirs(state); }
  void set_ours(const char* state) const { run({"ip", "link", "set", "ours", state}); }
  void set_theirs(const char* state) const {
    theirs([state] { run({"ip", "link", "set", "theirs", state}); });
  }

  /// For `precondition`.
  static boost::test_tools::assertion_result is_allowed(utf::test_unit_id) {
    try {
      const cable any;
      return true;
    } catch (const std::exception& e) {
      boost::test_tools::assertion_result no(false);
      no.message() << "no link between two networks can be made here: " << e.what();
      return no;
    }
  }

  static void run(std::vector<std::string> argv) {
    const std::string name = argv.at(0) + " " + argv.at(1) + " " + argv.at(2);
    process p(std::move(argv));
    if (p.wait(patience) != 0) throw std::runtime_error(name + " failed");
  }

 private:
  network_namespace theirs_;
  // By it the other network is known to ip(8).
  process stays_there_;
  network_namespace ours_;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(kernel_limits, fixture)

BOOST_AUTO_TEST_CASE(a_pool_makes_do_with_the_descriptors_that_there_are, *utf::precondition(is_plain)) {
  const redis_server server;
  asio::io_context io{1};
  const asio::steady_timer has_its_own(io);
  std::optional<few_descriptors> few(std::in_place, enough_for);
  run(io, [](fixture& f, asio::io_context& context, const redis_server& s, auto& limit) -> asio::awaitable<void> {
    cocp::pool pool(context, f.to(s.address()), {.size = connections});
    auto relief = [&] { limit.reset(); };
    auto making_do = make_do(pool, f.reason, kernels(EMFILE), relief);
    co_await std::move(making_do);
  }(*this, io, server, few));
}

BOOST_AUTO_TEST_CASE(who_waits_for_a_descriptor_is_told, *utf::precondition(is_plain)) {
  const redis_server server;
  asio::io_context io{1};
  const asio::steady_timer has_its_own(io);
  std::optional<few_descriptors> none(std::in_place, 0);
  run(io, [](fixture& f, asio::io_context& context, const redis_server& s, auto& limit) -> asio::awaitable<void> {
    cocp::pool pool(context, f.to(s.address()), {.size = connections});
    co_await wait_in_vain(pool, "Too many open files");
    limit.reset();
    std::size_t served = 0;
    co_await use(pool, 0, served);
  }(*this, io, server, none));
}

BOOST_AUTO_TEST_CASE(a_pool_makes_do_with_the_ports_that_there_are, *utf::precondition(network_namespace::is_allowed)) {
  const network_namespace own;
  const redis_server server;
  asio::io_context io{1};
  // Of which the server's is none.
  network_namespace::set("ipv4/ip_local_port_range", "20000 " + std::to_string(20000 + enough_for - 1));
  run(io, [](fixture& f, asio::io_context& context, const redis_server& s) -> asio::awaitable<void> {
    cocp::pool pool(context, f.to(s.address()), {.size = connections});
    auto relief = [] { network_namespace::set("ipv4/ip_local_port_range", "20000 30000"); };
    auto making_do = make_do(pool, f.reason, kernels(EADDRNOTAVAIL), relief);
    co_await std::move(making_do);
  }(*this, io, server));
}

BOOST_AUTO_TEST_CASE(who_waits_for_one_that_nobody_accepts_is_told) {
  const unreachable_listener listener;
  asio::io_context io{1};
  run(io, [](fixture& f, asio::io_context& context, const unreachable_listener& l) -> asio::awaitable<void> {
    auto options = f.to(l.address());
    options.connect_timeout = short_limit / 4;
    cocp::pool pool(context, options, {.size = connections});
    co_await wait_in_vain(pool, "timed out");
    BOOST_TEST((f.reason == errc::timed_out));
    BOOST_TEST(pool.stats().connect_failures <= most_attempts(short_limit + slack, retry_min, retry_max));
  }(*this, io, listener));
}

BOOST_TEST_DECORATOR(*utf::precondition(cable::is_allowed))
BOOST_DATA_TEST_CASE(a_link_that_goes_down_costs_what_was_under_way_and_comes_back, data::make(ends), end) {
  const cable wire;
  std::optional<redis_server> server;
  wire.theirs([&] { server.emplace(std::vector<std::string>{"--bind", "0.0.0.0"}); });
  const std::string port = std::to_string(server->endpoint().port());
  asio::io_context io{1};
  run(io,
      [](fixture& f, asio::io_context& context, std::string address, const cable& c,
         const cut& at) -> asio::awaitable<void> {
        auto options = f.to(std::move(address));
        options.tcp_user_timeout = user_timeout;
        cocp::pool pool(context, options, {.size = connections});
        auto is_complete = [&] { return pool.stats().idle == connections; };
        co_await until(is_complete);
        tally seen;
        co_await try_exchange(pool, seen);
        BOOST_TEST(seen.served == 1u);

        cocp::lease patient = co_await pool.get();
        c.set(at, "down");
        const auto start = clock_type::now();
        // By what the kernel is told, if nobody else has a limit.
        error_code why;
        try {
          co_await exchange(*patient, 0, 0);
        } catch (const boost::system::system_error& e) {
          why = e.code();
        }
        BOOST_TEST(bool(why));
        BOOST_TEST((clock_type::now() - start < user_timeout + slack), "tcp_user_timeout does not end it");
        patient.put();
        for (std::size_t n = 0; n < users; ++n) {
          asio::co_spawn(context, try_until_refused(pool, seen), [](std::exception_ptr e) {
            if (e) std::rethrow_exception(e);
          });
        }
        auto has_shown = [&] { return seen.refused == users && pool.stats().connect_failures >= 4; };
        co_await until(has_shown);
        BOOST_TEST(seen.served == 1u);
        BOOST_TEST(pool.stats().connected == 0u);
        BOOST_TEST((f.reason == at.reason), "it is told: " << f.reason.message());
        BOOST_TEST(pool.stats().connect_failures <=
                   connections + most_attempts(clock_type::now() - start, retry_min, retry_max));

        c.set(at, "up");
        const auto mended = clock_type::now();
        co_await until(is_complete);
        BOOST_TEST((clock_type::now() - mended < retry_max + short_limit + slack));
        co_await try_exchange(pool, seen);
        BOOST_TEST(seen.served == 2u);
        BOOST_TEST_MESSAGE(at << ": " << why.message() << ", then " << f.reason.message());
      }(*this, io, std::string(cable::their_address) + ":" + port, wire, end));
}

BOOST_AUTO_TEST_SUITE_END()
