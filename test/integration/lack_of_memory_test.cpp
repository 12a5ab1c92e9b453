// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Memory that is not there while real sockets, timers and TLS are used: the same is done again and again, and each time
// another allocation of the client's thread fails. See unit/pool/allocation_test for what the pool itself does then.

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp.hpp>
#include <cocp/tls.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <utility>

#include "support/certificates.hpp"
#include "support/failing_memory.hpp"
#include "support/fd_check.hpp"
#include "support/tls_server.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using asio::ip::tcp;
using cocp::error_code;

namespace {

/// Where the user's coroutine runs: on the pool's context or on another.
struct setting {
  bool talks_tls;
  bool runs_elsewhere;
  bool has_name;

  friend std::ostream& operator<<(std::ostream& out, const setting& s) {
    return out << (s.talks_tls ? "TLS" : "plain") << (s.runs_elsewhere ? ", on another context" : "")
               << (s.has_name ? ", by name" : "");
  }
};

asio::awaitable<void> echo(tcp::socket s) {
  std::array<char, 64> bytes;
  try {
    for (;;) {
      const auto room = asio::buffer(bytes);
      const std::size_t n = co_await s.async_read_some(room, asio::use_awaitable);
      const auto said = asio::buffer(bytes, n);
      co_await asio::async_write(s, said, asio::use_awaitable);
    }
  } catch (const boost::system::system_error&) {
    // The client has gone.
  }
}

asio::awaitable<void> accept(tcp::acceptor& from) {
  for (;;) asio::co_spawn(from.get_executor(), echo(co_await from.async_accept(asio::use_awaitable)), asio::detached);
}

/// Echo servers, on a thread of their own.
class servers {
 public:
  servers() : tls_(io_.get_executor(), papers_.localhost) {
    asio::co_spawn(io_, accept(plain_), asio::detached);
    thread_ = std::jthread([this] { io_.run(); });
  }
  ~servers() { io_.stop(); }
  servers(const servers&) = delete;
  servers& operator=(const servers&) = delete;

  std::string authority() const { return papers_.authority.certificate(); }
  std::string port(const setting& s) const {
    return s.talks_tls ? tls_port_ : std::to_string(plain_.local_endpoint().port());
  }

 private:
  struct papers {
    certificate_authority authority;
    key_pair localhost = authority.issue({"localhost", "127.0.0.1"});
  };

  const papers papers_{};
  asio::io_context io_{1};
  tcp::acceptor plain_{io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  tls_server tls_;
  const std::string tls_port_ = tls_.port();
  std::jthread thread_;
};

asio::awaitable<bool> is_served(cocp::pool& pool) {
  cocp::lease l = co_await pool.get(20s);
  l->expires_after(20s);
  std::string answer(5, '\0');
  const auto out = asio::buffer("hello", 5);
  const auto in = asio::buffer(answer);
  co_await l->write(out);
  co_await l->read(in);
  co_return answer == "hello";
}

/// What the user's program does, and what it is told.
class program {
 public:
  program(const servers& all, const setting& s, asio::ssl::context& tls) : other_context_(s.runs_elsewhere) {
    cocp::connection_options to{
        .address = (s.has_name ? "localhost:" : "127.0.0.1:") + all.port(s), .retry_min = 1ms, .retry_max = 5ms};
    if (s.talks_tls) to.tls = cocp::tls_options{.context = &tls, .server_name = "localhost"};
    pool_.emplace(io_, std::move(to), cocp::pool_options{.size = 1});
  }

  /// With the n-th allocation failing; false if it took fewer.
  bool use(std::size_t n) {
    auto alive = std::make_shared<bool>();
    failing_allocations::arm(n);
    attempt([&] { asio::co_spawn(users(), use_once(*pool_, alive), asio::detached); });
    attempt([&] {
      using erased = asio::any_completion_handler<void(error_code, cocp::lease)>;
      pool_->async_get(20s, erased(asio::bind_executor(users().get_executor(), [alive](error_code, cocp::lease) {})));
    });
    run_until([&] { return alive.use_count() == 1; });
    // The wait of the connection that lies idle then.
    for (int i = 0; i < 20; ++i) attempt([&] { io_.poll_one(); });
    const bool has_failed = !failing_allocations::armed();
    failing_allocations::arm(0);
    return has_failed;
  }

  bool serves_again() {
    std::optional<bool> served;
    asio::co_spawn(users(), is_served(*pool_), [&](std::exception_ptr e, bool s) { served = !e && s; });
    run_until([&] { return served.has_value(); });
    return *served;
  }

  bool ends() {
    pool_->close();
    run_until([&] { return io_.stopped(); });
    return true;
  }

 private:
  static asio::awaitable<void> use_once(cocp::pool& pool, std::shared_ptr<bool>) {
    try {
      co_await is_served(pool);
    } catch (const std::exception&) {
      // What a program is told that has no memory is its own affair.
    }
  }

  asio::io_context& users() { return other_context_ ? other_ : io_; }

  template <class F>
  void attempt(F f) {
    try {
      f();
    } catch (const std::bad_alloc&) {
      // run() may throw it.
    }
  }

  template <class Condition>
  void run_until(Condition is_true) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (!is_true()) {
      BOOST_REQUIRE(std::chrono::steady_clock::now() < deadline);
      attempt([&] {
        other_.restart();
        other_.poll();
      });
      attempt([&] { io_.run_one_for(1ms); });
    }
  }

  asio::io_context io_{1};
  asio::io_context other_{1};
  const bool other_context_;
  std::optional<cocp::pool> pool_;
};

const setting settings[] = {{false, false, false}, {false, true, true}, {true, false, false}, {true, true, false}};

}  // namespace

BOOST_AUTO_TEST_SUITE(lack_of_memory)

BOOST_DATA_TEST_CASE(whichever_allocation_fails_the_process_lives_and_the_pool_serves_again, settings, s) {
  const fd_check descriptors;
  const servers all;
  asio::ssl::context tls(asio::ssl::context::tls_client);
  tls.load_verify_file(all.authority());
  std::size_t n = 1;
  for (bool has_failed = true; has_failed; ++n) {
    BOOST_REQUIRE(n < 2000u);
    program p(all, s, tls);
    has_failed = p.use(n);
    BOOST_TEST(p.serves_again(), "without the allocation " << n);
    BOOST_TEST(p.ends());
  }
  BOOST_TEST_MESSAGE(n - 2 << " allocations have failed");
  BOOST_TEST(n > 20u);
}

BOOST_AUTO_TEST_SUITE_END()
