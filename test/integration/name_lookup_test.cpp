// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>

#include "net/context_service.hpp"
#include "net/name_lookup.hpp"
#include "net/system_environment.hpp"
#include "support/eventually.hpp"
#include "support/scripted_server.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;
using clock_type = std::chrono::steady_clock;

namespace {

/// A name server on loopback that takes queries and never answers.
class silent_name_server {
 public:
  unsigned short port() const { return socket_.local_endpoint().port(); }

  /// Asks it as getaddrinfo(3) asks the system's, and waits as long: here for a second.
  error_code look_up(const std::string& host) const {
    struct __res_state state {};
    if (res_ninit(&state) != 0) return asio::error::no_recovery;
    state.nscount = 1;
    state.nsaddr_list[0].sin_family = AF_INET;
    state.nsaddr_list[0].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    state.nsaddr_list[0].sin_port = htons(port());
    state.retrans = 1;
    state.retry = 1;
    std::vector<unsigned char> answer(512);
    const int n = res_nquery(&state, host.c_str(), C_IN, T_A, answer.data(), static_cast<int>(answer.size()));
    res_nclose(&state);
    return n < 0 ? error_code(asio::error::host_not_found_try_again) : error_code();
  }

  /// True when a query has come.
  bool asked() {
    socket_.non_blocking(true);
    char query[512];
    error_code ec;
    return socket_.receive(asio::buffer(query), 0, ec) > 0;
  }

 private:
  asio::io_context io_;
  asio::ip::udp::socket socket_{io_, {asio::ip::address_v4::loopback(), 0}};
};

/// Looks up in a way of the test's own, and waits at the end for the lookups that nobody else waits for.
class lookups {
 public:
  explicit lookups(cocp::detail::blocking_lookup how)
      : env_(cocp::detail::system_environment(
            [state = state_, how = std::move(how)](const std::string& host, const std::string& service,
                                                   std::vector<cocp::endpoint>& found) {
              {
                const std::lock_guard lock(state->mutex);
                ++state->begun;
              }
              const error_code ec = how(host, service, found);
              const std::lock_guard lock(state->mutex);
              ++state->ended;
              state->changed.notify_all();
              return ec;
            })) {}
  ~lookups() {
    std::unique_lock lock(state_->mutex);
    BOOST_TEST(state_->changed.wait_for(lock, 20s, [&] { return state_->ended == state_->begun; }));
  }

  void install(asio::io_context& io) const {
    asio::use_service<cocp::detail::context_service>(io).set_environment(env_);
  }
  unsigned begun() const {
    const std::lock_guard lock(state_->mutex);
    return state_->begun;
  }

 private:
  struct state {
    std::mutex mutex;
    std::condition_variable changed;
    unsigned begun = 0;
    unsigned ended = 0;
  };
  std::shared_ptr<state> state_ = std::make_shared<state>();
  std::shared_ptr<cocp::detail::environment> env_;
};

/// Runs the context until `condition()` is true; whether it became true.
template <class Condition>
bool run_until(asio::io_context& io, Condition condition) {
  const auto deadline = clock_type::now() + patience;
  bool is_true = condition();
  while (!is_true && clock_type::now() < deadline) {
    io.run_one_for(1ms);
    is_true = condition();
  }
  return is_true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(name_lookup)

BOOST_AUTO_TEST_CASE(a_name_server_that_never_answers_holds_up_no_end) {
  for (const char* end : {"close", "~pool", "drain", "~io_context"}) {
    BOOST_TEST_CONTEXT(end) {
      silent_name_server server;
      const lookups names([&server](const std::string& host, const std::string&, std::vector<cocp::endpoint>&) {
        return server.look_up(host);
      });
      std::optional<asio::io_context> io(std::in_place);
      names.install(*io);
      std::optional<cocp::pool> pool(std::in_place, *io, cocp::connection_options{.address = "db.test:7"},
                                     cocp::pool_options{.size = 5});
      BOOST_REQUIRE(run_until(*io, [&] { return server.asked(); }));
      const auto start = clock_type::now();
      const std::string how = end;
      if (how == "close") pool->close();
      if (how == "~pool") pool.reset();
      if (how == "drain") asio::co_spawn(*io, pool->drain(), asio::use_future);
      if (how != "~io_context") {
        io->restart();
        io->run();
      }
      io.reset();
      BOOST_TEST((clock_type::now() - start < 1s));
      pool.reset();
    }
  }
}

BOOST_AUTO_TEST_CASE(the_limit_of_an_attempt_holds_while_a_name_server_is_silent_and_one_lookup_is_shared) {
  silent_name_server server;
  const lookups names([&server](const std::string& host, const std::string&, std::vector<cocp::endpoint>&) {
    return server.look_up(host);
  });
  asio::io_context io;
  names.install(io);
  std::optional<cocp::pool> pool(
      std::in_place, io,
      cocp::connection_options{.address = "db.test:7", .connect_timeout = 20ms, .retry_min = 1ms, .retry_max = 1ms},
      cocp::pool_options{.size = 5});
  BOOST_TEST(run_until(io, [&] { return pool->stats().connect_failures >= 5; }));
  BOOST_TEST(names.begun() == 1u);
  pool.reset();
}

BOOST_AUTO_TEST_CASE(a_name_that_is_found_is_connected_to) {
  asio::io_context io;
  scripted_server server(io.get_executor());
  const auto port = std::to_string(server.endpoint().port());
  const lookups names([](const std::string& host, const std::string& service, std::vector<cocp::endpoint>& found) {
    return cocp::detail::look_up(host == "db.test" ? "127.0.0.1" : host, service, found);
  });
  names.install(io);
  std::optional<cocp::pool> pool(std::in_place, io, cocp::connection_options{.address = "db.test:" + port},
                                 cocp::pool_options{.size = 3});
  BOOST_TEST(run_until(io, [&] { return pool->stats().connected == 3; }));
  pool.reset();
}

BOOST_AUTO_TEST_CASE(one_that_hangs_holds_up_no_later_one) {
  std::atomic<bool> over{false};
  std::atomic<unsigned> asked{0};
  asio::io_context io;
  scripted_server server(io.get_executor());
  const auto port = std::to_string(server.endpoint().port());
  const lookups names([&](const std::string&, const std::string& service, std::vector<cocp::endpoint>& found) {
    // The first one, and those that join it.
    if (asked++ == 0) eventually_blocking([&] { return over.load(); });
    return cocp::detail::look_up("127.0.0.1", service, found);
  });
  names.install(io);
  std::optional<cocp::pool> pool(
      std::in_place, io,
      cocp::connection_options{
          .address = "db.test:" + port, .connect_timeout = 100ms, .retry_min = 10ms, .retry_max = 10ms},
      cocp::pool_options{.size = 1});
  BOOST_TEST(run_until(io, [&] { return pool->stats().connected == 1; }));
  BOOST_TEST(names.begun() == 2u);
  over = true;
  pool.reset();
}

BOOST_AUTO_TEST_CASE(a_few_at_most_are_under_way_for_one_name) {
  std::atomic<bool> over{false};
  std::atomic<int> now{0};
  asio::io_context io;
  const auto hangs = [&](const std::string&, const std::string&, std::vector<cocp::endpoint>&) -> error_code {
    eventually_blocking([&] { return over.load(); });
    return asio::error::host_not_found;
  };
  // Each asks a minute after the one before.
  const auto names = std::make_shared<cocp::detail::name_lookup>(
      hangs, [&] { return cocp::detail::time_point(std::chrono::minutes(now++)); });
  unsigned ended = 0;
  for (int i = 0; i < 10; ++i) {
    names->async_resolve(io.get_executor(), "db.test", "7",
                         [&](error_code, const std::vector<cocp::endpoint>&) { ++ended; });
  }
  BOOST_TEST(names->under_way() == 4u);
  names->async_resolve(io.get_executor(), "other.test", "7",
                       [&](error_code, const std::vector<cocp::endpoint>&) { ++ended; });
  BOOST_TEST(names->under_way() == 5u);
  over = true;
  io.run();
  BOOST_TEST(ended == 11u);
  BOOST_TEST(eventually_blocking([&] { return names->under_way() == 0; }));
}

// BOOST_ASIO_CONCURRENCY_HINT_...: a thread may not post to the first.
BOOST_AUTO_TEST_CASE(on_a_context_without_locks_fails_as_asios_does) {
  for (const int hint : {BOOST_ASIO_CONCURRENCY_HINT_UNSAFE, BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO,
                         BOOST_ASIO_CONCURRENCY_HINT_SAFE, 1, 2}) {
    const bool has_locks = hint != BOOST_ASIO_CONCURRENCY_HINT_UNSAFE;
    BOOST_TEST_CONTEXT("hint " << hint) {
      asio::io_context io(hint);
      const lookups names([](const std::string&, const std::string& service, std::vector<cocp::endpoint>& found) {
        return cocp::detail::look_up("127.0.0.1", service, found);
      });
      names.install(io);
      scripted_server server(io.get_executor());
      const auto port = std::to_string(server.endpoint().port());
      std::optional<cocp::connection> by_name(
          std::in_place, io,
          cocp::connection_options{.address = "db.test:" + port, .retry_min = 1ms, .retry_max = 1ms});
      std::optional<cocp::connection> by_number(std::in_place, io,
                                                cocp::connection_options{.address = server.address()});
      BOOST_TEST(run_until(io, [&] { return by_number->is_connected(); }));
      BOOST_TEST(run_until(io, [&] { return by_name->is_connected() || by_name->last_error(); }));
      BOOST_TEST(by_name->is_connected() == has_locks);
      if (!has_locks) BOOST_TEST(by_name->last_error() == asio::error::operation_not_supported);
      BOOST_TEST(names.begun() == (has_locks ? 1u : 0u));
      by_name.reset();
      by_number.reset();
    }
  }
}

BOOST_AUTO_TEST_CASE(errors_are_as_asio_reports_them) {
  std::vector<cocp::endpoint> found;
  BOOST_TEST(cocp::detail::look_up("127.0.0.1", "no-such-service", found) == asio::error::service_not_found);
  BOOST_TEST(found.empty());
  BOOST_TEST(!cocp::detail::look_up("127.0.0.1", "80", found));
  BOOST_REQUIRE(found.size() == 1u);
  BOOST_TEST(found[0].port() == 80);
}

BOOST_AUTO_TEST_SUITE_END()
