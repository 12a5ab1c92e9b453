// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Connections and pools that talk TLS, on loopback.

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp.hpp>
#include <cocp/tls.hpp>

#include <array>
#include <cstdint>
#include <ctime>
#include <functional>
#include <optional>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "support/certificates.hpp"
#include "support/eventually.hpp"
#include "support/fd_check.hpp"
#include "support/run.hpp"
#include "support/scripted_server.hpp"
#include "support/steps.hpp"
#include "support/tls_server.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;

namespace {

/// Made once: each of its certificates costs a few starts of a program.
struct papers {
  certificate_authority authority;
  key_pair localhost = authority.issue({"localhost", "127.0.0.1"});
  key_pair wildcard = authority.issue({"*.example.test"});
  key_pair partial_wildcard = authority.issue({"w*.example.test"});
  key_pair stranger = authority.issue({"other.test"});
  key_pair expired = authority.issue_expired({"localhost", "127.0.0.1"});

  static papers& get() {
    static papers all;
    return all;
  }
};

struct fixture {
  fd_check descriptors;
  papers& made = papers::get();
  asio::ssl::context context{asio::ssl::context::tls_client};
  std::vector<cocp::event> events;
  asio::io_context io{1};

  fixture() { context.load_verify_file(made.authority.certificate()); }

  /// Until the body has ended: a server is work without end.
  template <class Body>
  void run(Body body) {
    run_to_end(io, body());
  }

  /// What a `get` is told that fails with that as `tls_options::before`.
  std::string told_of(cocp::handshake before) {
    tls_server server(io.get_executor(), made.localhost, tls_version::any, {"STARTTLS\n", "no\n"});
    std::string told;
    run([&]() -> asio::awaitable<void> {
      auto options = at(server.address());
      options.tls->before = std::move(before);
      cocp::pool pool(io, options, {.size = 1, .fail_fast = 0s});
      try {
        auto get = pool.get();
        const cocp::lease l = co_await std::move(get);
      } catch (const boost::system::system_error& e) {
        told = e.what();
      }
      co_await pool.drain();
    });
    return told;
  }

  /// With delays that suit a test.
  cocp::connection_options at(std::string address, std::string name = {}, bool verify = true) {
    return {.address = std::move(address),
            .retry_min = 1ms,
            .retry_max = 20ms,
            .tls = cocp::tls_options{.context = &context, .server_name = std::move(name), .verify = verify}};
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(tls, fixture)

BOOST_DATA_TEST_CASE(bytes_go_to_and_fro, data::make({tls_version::tls_1_2, tls_version::tls_1_3}), version) {
  tls_server server(io.get_executor(), made.localhost, version);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 2});
    co_await pool.ready(2);
    for (const std::size_t n : {1u, 100u, 16'384u, 16'385u, 1'000'000u}) {
      cocp::lease conn = co_await pool.get();
      std::string text(n, 'x');
      for (std::size_t i = 0; i < n; i += 997) text[i] = static_cast<char>('a' + i % 26);
      // More than the buffers of both sides hold must be read while it is written.
      using namespace asio::experimental::awaitable_operators;
      std::string answer(n, '\0');
      auto out = asio::buffer(text);
      auto in = asio::buffer(answer);
      co_await (conn->write(out) && conn->read(in));
      BOOST_TEST((answer == text));
    }
    BOOST_TEST(pool.stats().connects == 2u);
    BOOST_TEST(pool.stats().replaced_dirty == 0u);
    {
      cocp::lease conn = co_await pool.get();
      const int agreed = version == tls_version::tls_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
      BOOST_TEST(::SSL_version(conn->native_tls()) == agreed);
    }
    co_await pool.drain();
  });
  BOOST_TEST(server.seen().sessions == 2u);
}

struct identity {
  const char* what;
  const char* address;  // # is the port
  const char* server_name;
  const char* asked_for;
  friend std::ostream& operator<<(std::ostream& out, const identity& i) { return out << i.what; }
};

BOOST_DATA_TEST_CASE(the_server_is_told_which_name_is_wanted,
                     data::make({identity{"the host of the address", "localhost:#", "", "localhost"},
                                 identity{"no addresses", "127.0.0.1:#", "", ""},
                                 identity{"without a trailing dot", "127.0.0.1:#", "localhost.", "localhost"},
                                 identity{"what is given, whatever the address", "127.0.0.1:#", "localhost",
                                          "localhost"}}),
                     row) {
  tls_server server(io.get_executor(), made.localhost);
  std::string address = row.address;
  address.replace(address.find('#'), 1, server.port());
  run([&]() -> asio::awaitable<void> {
    cocp::connection c(io, at(address, row.server_name));
    co_await c.ready();
    co_await until([&] { return server.seen().sessions == 1; });
    c.close();
  });
  BOOST_TEST((server.seen().names == std::vector<std::string>{row.asked_for}));
}

BOOST_AUTO_TEST_CASE(a_wildcard_stands_for_one_label) {
  tls_server server(io.get_executor(), made.wildcard);
  run([&]() -> asio::awaitable<void> {
    cocp::connection good(io, at(server.address(), "www.example.test"));
    co_await good.ready();
    cocp::connection bad(io, at(server.address(), "a.www.example.test"));
    co_await until([&] { return bool(bad.last_error()); });
    BOOST_TEST((bad.last_error() == error_code(X509_V_ERR_HOSTNAME_MISMATCH, cocp::certificate_category())));
    good.close();
    bad.close();
  });
}

struct refusal {
  const char* what;
  std::function<key_pair(papers&)> files;
  const char* name;
  bool trust;
  int error;
  const char* message;
  friend std::ostream& operator<<(std::ostream& out, const refusal& r) { return out << r.what; }
};

const std::vector<refusal> refusals{
    {"another name", [](papers& p) { return p.stranger; }, "localhost", true, X509_V_ERR_HOSTNAME_MISMATCH,
     "hostname mismatch"},
    {"a wildcard that is no whole label", [](papers& p) { return p.partial_wildcard; }, "www.example.test", true,
     X509_V_ERR_HOSTNAME_MISMATCH, "hostname mismatch"},
    {"another address", [](papers& p) { return p.stranger; }, "", true, X509_V_ERR_IP_ADDRESS_MISMATCH,
     "IP address mismatch"},
    {"an unknown issuer", [](papers& p) { return p.localhost; }, "localhost", false,
     X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "unable to get local issuer certificate"},
    {"its time is over", [](papers& p) { return p.expired; }, "localhost", true, X509_V_ERR_CERT_HAS_EXPIRED,
     "certificate has expired"},
};

BOOST_DATA_TEST_CASE(a_certificate_that_is_refused_fails_the_attempt_and_says_why, data::make(refusals), row) {
  tls_server server(io.get_executor(), row.files(made));
  asio::ssl::context stranger(asio::ssl::context::tls_client);
  run([&]() -> asio::awaitable<void> {
    auto options = at(server.address(), row.name);
    if (!row.trust) options.tls->context = &stranger;
    std::vector<error_code> told;
    options.logger = [&](const cocp::event& e) {
      if (e.kind == cocp::event_kind::connect_failed) told.push_back(e.error);
    };
    cocp::pool pool(io, options, {.size = 3});
    // It is tried again, like any that failed.
    co_await until([&] { return told.size() >= 3; });
    BOOST_TEST((told.front() == error_code(row.error, cocp::certificate_category())));
    std::string said;
    try {
      const cocp::lease none = co_await pool.get(1ms);
    } catch (const boost::system::system_error& e) {
      said = e.what();
    }
    BOOST_TEST_INFO(said);
    BOOST_TEST((said.find(std::string("last error: ") + row.message) != std::string::npos));
    BOOST_TEST(pool.stats().connects == 0u);
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(any_certificate_will_do_without_verification) {
  tls_server server(io.get_executor(), made.expired);
  asio::ssl::context stranger(asio::ssl::context::tls_client);
  run([&]() -> asio::awaitable<void> {
    auto options = at(server.address(), "nobody.test", false);
    options.tls->context = &stranger;
    cocp::connection c(io, options);
    co_await echo(c, "hello");
    c.close();
  });
}

BOOST_AUTO_TEST_CASE(a_server_that_talks_no_tls_fails_the_attempt_with_what_openssl_says) {
  scripted_server server(io.get_executor(), {step::receive{1}, step::send{"-ERR unknown command\r\n"}, step::stall{}});
  run([&]() -> asio::awaitable<void> {
    cocp::connection c(io, at(server.address()));
    co_await until([&] { return server.accepted() >= 2; });
    BOOST_TEST((c.last_error().category() == asio::error::get_ssl_category()));
    BOOST_TEST(c.last_error().message().find("wrong version number") != std::string::npos);
    c.close();
  });
}

BOOST_AUTO_TEST_CASE(a_server_that_closes_during_the_handshake_fails_the_attempt) {
  scripted_server server(io.get_executor(), {step::receive{1}, step::close{}});
  run([&]() -> asio::awaitable<void> {
    cocp::connection c(io, at(server.address()));
    co_await until([&] { return server.accepted() >= 2; });
    BOOST_TEST(bool(c.last_error()));
    BOOST_TEST(!c.is_connected());
    c.close();
  });
}

BOOST_AUTO_TEST_CASE(a_handshake_that_stalls_is_late_when_the_attempt_is) {
  scripted_server server(io.get_executor(), {step::stall{}});
  run([&]() -> asio::awaitable<void> {
    auto options = at(server.address());
    options.connect_timeout = 50ms;
    cocp::connection c(io, options);
    co_await until([&] { return server.accepted() >= 2; });
    BOOST_TEST((c.last_error() == errc::timed_out));
    // The next one is under way: closing waits for nobody.
    c.close();
  });
}

BOOST_AUTO_TEST_CASE(closing_ends_a_handshake_under_way) {
  scripted_server server(io.get_executor(), {step::stall{}});
  run([&]() -> asio::awaitable<void> {
    auto options = at(server.address());
    options.connect_timeout = std::nullopt;
    cocp::pool pool(io, options, {.size = 2});
    co_await until([&] { return server.accepted() == 1; });
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(the_end_of_the_context_ends_a_handshake_under_way) {
  scripted_server server(io.get_executor(), {step::stall{}});
  auto pool = std::make_unique<cocp::pool>(io, at(server.address()), cocp::pool_options{.size = 1});
  while (server.accepted() == 0) io.run_one();
  for (int i = 0; i < 10; ++i) io.poll();
}

BOOST_DATA_TEST_CASE(reconnecting_a_hundred_connections_resumes_their_sessions,
                     data::make({tls_version::tls_1_2, tls_version::tls_1_3}), version) {
  constexpr std::size_t n = 100;
  tls_server server(io.get_executor(), made.localhost, version);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = n});
    co_await pool.ready(n);
    const auto before = pool.stats();
    const unsigned resumed_before = server.seen().resumed;
    // Nobody has read from them: tickets that came since are taken in by the looks at what is idle.
    co_await until([&] { return server.seen().open == n && pool.stats().idle == n; });
    server.close_all();
    co_await until([&] { return pool.stats().connects >= 2 * n && pool.stats().connected == n; });
    BOOST_TEST(pool.stats().tls_resumed - before.tls_resumed >= n - 1);
    BOOST_TEST(server.seen().resumed - resumed_before >= n - 1);
    {
      cocp::lease conn = co_await pool.get();
      co_await echo(*conn, "still there");
    }
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(another_address_resumes_nothing) {
  tls_server first(io.get_executor(), made.localhost);
  tls_server second(io.get_executor(), made.localhost);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(first.address()), {.size = 1});
    {
      cocp::lease conn = co_await pool.get();
      co_await echo(*conn, "a ticket comes with the answer");
    }
    pool.readdress(second.address());
    co_await until([&] { return second.seen().sessions == 1; });
    BOOST_TEST(second.seen().resumed == 0u);
    BOOST_TEST(pool.stats().tls_resumed == 0u);
    co_await pool.drain();
  });
}

// The context's two words for it.
const std::vector<void (*)(asio::ssl::context&)> ways_to_turn_resumption_off{
    [](asio::ssl::context& c) { ::SSL_CTX_set_session_cache_mode(c.native_handle(), SSL_SESS_CACHE_OFF); },
    [](asio::ssl::context& c) { c.set_options(SSL_OP_NO_TICKET); }};

BOOST_DATA_TEST_CASE(no_session_is_resumed_where_the_context_says_no,
                     data::make({tls_version::tls_1_2, tls_version::tls_1_3}) * data::make({0, 1}), version, way) {
  ways_to_turn_resumption_off[static_cast<std::size_t>(way)](context);
  tls_server server(io.get_executor(), made.localhost, version);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 1});
    for (int i = 0; i < 3; ++i) {
      cocp::lease conn = co_await pool.get();
      co_await echo(*conn, "a ticket comes with the answer");
      conn.discard();
    }
    co_await pool.drain();
  });
  BOOST_TEST(server.seen().sessions >= 3u);
  BOOST_TEST(server.seen().resumed == 0u);
}

BOOST_DATA_TEST_CASE(no_session_is_resumed_past_the_end_of_the_certificate_that_it_was_made_with,
                     data::make({tls_version::tls_1_2, tls_version::tls_1_3}) *
                         data::make({"its own", "that of its authority's"}),
                     version, whose) {
  // Nor past that of any other of its chain.
  const bool own = std::string_view(whose) == "its own";
  std::time_t end = 0;
  std::optional<certificate_authority> mortal;
  std::optional<key_pair> paper;
  // A busy machine may take longer to make them than they last.
  for (std::time_t lasts = 3; end < std::time(nullptr) + 2; lasts *= 2) {
    end = std::time(nullptr) + lasts;
    if (!own) mortal.emplace(end);
    paper = own ? made.authority.issue_until({"127.0.0.1"}, end) : mortal->issue({"127.0.0.1"});
  }
  if (!own) context.load_verify_file(mortal->certificate());
  tls_server server(io.get_executor(), *paper, version);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 1});
    while (std::time(nullptr) <= end) {
      try {
        cocp::lease conn = co_await pool.get(100ms);
        co_await echo(*conn, "each answer brings a new ticket");
        conn.discard();
      } catch (const boost::system::system_error&) {
        // Its end has come.
      }
    }
    BOOST_TEST(server.seen().resumed > 0u);
    const std::uint64_t failures = pool.stats().connect_failures;
    server.close_all();
    // One that has begun before the end may still come to its own; all behind the first that fails begin after it.
    co_await until([&] { return pool.stats().connected == 0 && pool.stats().connect_failures > failures; });
    const unsigned before = server.seen().sessions;
    co_await until([&] { return pool.stats().connect_failures >= failures + 3; });
    BOOST_TEST(server.seen().sessions == before);
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(session_tickets_make_no_idle_connection_dirty) {
  tls_server server(io.get_executor(), made.localhost, tls_version::tls_1_3);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 1});
    co_await pool.ready();
    // The server has sent its tickets when its handshake has ended.
    co_await until([&] { return server.seen().sessions == 1; });
    for (int i = 0; i < 10; ++i) {
      cocp::lease conn = co_await pool.get();
      co_await echo(*conn, "hello");
    }
    BOOST_TEST(pool.stats().connects == 1u);
    BOOST_TEST(pool.stats().replaced_dirty + pool.stats().replaced_dead == 0u);
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(data_that_nobody_asked_for_makes_an_idle_connection_dirty) {
  tls_server server(io.get_executor(), made.localhost);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 1});
    {
      cocp::lease conn = co_await pool.get();
      co_await echo(*conn, "hello");
    }
    server.push_all("surprise");
    co_await until([&] { return pool.stats().replaced_dirty == 1 && pool.stats().connected == 1; });
    {
      cocp::lease conn = co_await pool.get();
      co_await echo(*conn, "mine");
    }
    co_await pool.drain();
  });
}

BOOST_DATA_TEST_CASE(the_unread_rest_of_an_answer_is_found_though_it_has_left_the_socket,
                     data::make({std::size_t{3}, std::size_t{4}, std::size_t{100}}), read) {
  tls_server server(io.get_executor(), made.localhost);
  run([&]() -> asio::awaitable<void> {
    // One record of 4 bytes, and one of 97, arrive together.
    cocp::pool pool(io, at(server.address()), {.size = 1});
    {
      cocp::lease conn = co_await pool.get();
      co_await until([&] { return server.seen().open == 1; });
      server.push_all("once");
      auto out = asio::buffer("twice");
      co_await conn->write(out);
      const std::string rest(92, 'x');
      auto more = asio::buffer(rest);
      co_await conn->write(more);
      co_await until([&] { return server.seen().echoed == out.size() + more.size(); });
      std::string answer(read, '\0');
      auto in = asio::buffer(answer);
      co_await conn->read(in);
      BOOST_TEST(pool.stats().replaced_dirty == 0u);
    }
    {
      cocp::lease conn = co_await pool.get();
      co_await echo(*conn, "mine");
    }
    BOOST_TEST(pool.stats().replaced_dirty == 1u);
    BOOST_TEST(pool.stats().connects == 2u);
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(what_the_server_says_first_reaches_the_next_lease_whole_if_that_is_allowed) {
  tls_server server(io.get_executor(), made.localhost);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 1, .allow_unread = true});
    co_await pool.ready();
    co_await until([&] { return server.seen().open == 1; });
    server.push_all("greetings");
    std::string said(9, '\0');
    {
      cocp::lease conn = co_await pool.get();
      auto first = asio::buffer(said.data(), 1);
      co_await conn->read(first);
    }
    // The rest has left the socket, and is looked at more than once before anybody reads it.
    for (int i = 0; i < 3; ++i) pool.try_get().put();
    {
      cocp::lease conn = co_await pool.get();
      conn->expires_after(patience);
      auto rest = asio::buffer(said.data() + 1, 8);
      co_await conn->read(rest);
    }
    BOOST_TEST(said == "greetings");
    BOOST_TEST(pool.stats().connects == 1u);
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(a_server_that_says_goodbye_is_redialled_before_anybody_asks) {
  tls_server server(io.get_executor(), made.localhost);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 1});
    {
      cocp::lease conn = co_await pool.get();
      co_await echo(*conn, "hello");
    }
    server.say_goodbye_to_all();
    co_await until([&] { return pool.stats().connects == 2 && pool.stats().connected == 1; });
    BOOST_TEST(pool.stats().disconnects == 1u);
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(an_orderly_close_says_goodbye) {
  tls_server server(io.get_executor(), made.localhost);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 2});
    co_await pool.ready(2);
    co_await until([&] { return server.seen().open == 2; });
    cocp::lease conn = co_await pool.get();
    co_await echo(*conn, "hello");
    pool.close();
    co_await until([&] { return server.seen().said_goodbye == 1; });
    co_await echo(*conn, "still mine");
    conn.put();
    co_await until([&] { return server.seen().said_goodbye == 2; });
    co_await pool.drain();
  });
  BOOST_TEST(server.seen().cut_off == 0u);
}

BOOST_DATA_TEST_CASE(the_end_of_the_context_says_goodbye, data::make({false, true}), in_use) {
  tls_server server(io.get_executor(), made.localhost);
  std::array<char, 10> buffer{};
  std::optional<asio::io_context> own(std::in_place, 1);
  cocp::pool pool(*own, at(server.address()), {.size = 1});
  bool reading = false;
  auto body = [&]() -> asio::awaitable<void> {
    cocp::lease conn = co_await pool.get();
    co_await echo(*conn, "hello");
    reading = true;
    auto in = asio::buffer(buffer);
    if (in_use) co_await conn->read(in);
  };
  asio::co_spawn(*own, body(), [](std::exception_ptr) {});
  while (!reading) {
    own->poll();
    io.poll();
  }
  for (int i = 0; i < 10; ++i) own->poll();
  own.reset();
  run([&]() -> asio::awaitable<void> { co_await until([&] { return server.seen().open == 0; }); });
  BOOST_TEST(server.seen().said_goodbye == 1u);
}

BOOST_AUTO_TEST_CASE(a_child_process_that_lets_its_copy_go_says_no_goodbye) {
  tls_server server(io.get_executor(), made.localhost);
  std::optional<cocp::pool> pool(std::in_place, io, at(server.address()), cocp::pool_options{.size = 2});
  run([&]() -> asio::awaitable<void> {
    co_await pool->ready(2);
    co_await until([&] { return server.seen().open == 2; });
    cocp::lease conn = co_await pool->get();
    co_await echo(*conn, "hello");
    io.notify_fork(asio::execution_context::fork_prepare);
    const ::pid_t child = ::fork();
    BOOST_REQUIRE(child >= 0);
    if (child == 0) {
      io.notify_fork(asio::execution_context::fork_child);
      conn.put();
      pool.reset();
      ::_exit(0);
    }
    io.notify_fork(asio::execution_context::fork_parent);
    int status = 0;
    BOOST_TEST(::waitpid(child, &status, 0) == child);
    BOOST_TEST(status == 0);
    co_await echo(*conn, "still mine");
    conn.put();
    for (int i = 0; i < 4; ++i) {
      cocp::lease other = co_await pool->get();
      co_await echo(*other, "and the other");
    }
    BOOST_TEST(pool->stats().connects == 2u);
    BOOST_TEST(server.seen().open == 2u);
    co_await pool->drain();
  });
}

BOOST_AUTO_TEST_CASE(unread_bytes_hide_no_end_that_came_behind_them) {
  tls_server server(io.get_executor(), made.localhost);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 1, .allow_unread = true});
    co_await pool.ready();
    co_await until([&] { return server.seen().open == 1; });
    server.push_all("bye");
    server.close_all();
    co_await until([&] { return pool.stats().connects == 2 && pool.stats().connected == 1; });
    BOOST_TEST(pool.stats().replaced_dead == 1u);
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(closing_waits_for_no_peer_that_takes_nothing) {
  scripted_server stalled(io.get_executor(), {step::stall{}});
  tls_server server(io.get_executor(), made.localhost);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 1});
    co_await pool.ready();
    cocp::lease conn = co_await pool.get();
    // Until the buffers of both sides are full: the server sends back what comes, and nobody reads it.
    const std::string much(1'000'000, 'x');
    for (;;) {
      conn->expires_after(200ms);
      auto out = asio::buffer(much);
      try {
        co_await conn->write(out);
      } catch (const boost::system::system_error& e) {
        BOOST_TEST((e.code() == errc::timed_out));
        break;
      }
    }
    conn.put();
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(a_cancelled_read_leaves_the_stream_up_and_the_lease_dirty) {
  tls_server server(io.get_executor(), made.localhost);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 1});
    {
      cocp::lease conn = co_await pool.get();
      asio::cancellation_signal cancel;
      error_code ended;
      std::array<char, 10> buffer{};
      conn->async_read_some(asio::buffer(buffer),
                            asio::bind_cancellation_slot(cancel.slot(), [&](error_code ec, std::size_t) {
                              BOOST_TEST(bool(ec));
                              ended = ec;
                            }));
      co_await asio::post(io, asio::use_awaitable);
      cancel.emit(asio::cancellation_type::terminal);
      co_await until([&] { return bool(ended); });
      BOOST_TEST((ended == asio::error::operation_aborted));
      BOOST_TEST(conn->is_connected());
      co_await echo(*conn, "and goes on");
    }
    co_await until([&] { return pool.stats().connects == 2; });
    BOOST_TEST(pool.stats().replaced_dirty == 1u);
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(an_operation_that_expires_ends_the_stream) {
  tls_server server(io.get_executor(), made.localhost);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 1});
    {
      cocp::lease conn = co_await pool.get();
      conn->expires_after(20ms);
      std::array<char, 10> buffer{};
      auto in = asio::buffer(buffer);
      error_code ended;
      try {
        co_await conn->read(in);
      } catch (const boost::system::system_error& e) {
        ended = e.code();
      }
      BOOST_TEST((ended == errc::timed_out));
    }
    co_await until([&] { return pool.stats().connects == 2; });
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(the_context_may_go_while_operations_are_outstanding) {
  asio::io_context own{1};
  auto server = std::make_unique<tls_server>(own.get_executor(), made.localhost);
  cocp::pool pool(own, at(server->address()), {.size = 1});
  std::array<char, 10> buffer{};
  bool reading = false;
  auto body = [&]() -> asio::awaitable<void> {
    cocp::lease conn = co_await pool.get();
    reading = true;
    auto in = asio::buffer(buffer);
    co_await conn->read(in);
  };
  asio::co_spawn(own, body(), [](std::exception_ptr) {});
  while (!reading) own.run_one();
  for (int i = 0; i < 10; ++i) own.poll();
  server.reset();
}

BOOST_DATA_TEST_CASE(reads_and_writes_may_come_from_different_threads, data::make({"a thread pool", "a context"}), of) {
  tls_server server(io.get_executor(), made.localhost);
  asio::thread_pool threads(2);
  asio::io_context own(2);
  const bool has_context = std::string_view(of) == "a context";
  const asio::any_io_executor ex =
      has_context ? asio::any_io_executor(own.get_executor()) : asio::any_io_executor(threads.get_executor());
  constexpr std::size_t size = 4'000'000;
  constexpr std::size_t part = 1000;
  cocp::pool pool(ex, at(server.address()), {.size = 1});
  auto body = [&]() -> asio::awaitable<std::size_t> {
    cocp::lease conn = co_await pool.get();
    cocp::connection& c = *conn;
    // On two coroutines that no strand keeps apart.
    auto write = [](cocp::connection& to) -> asio::awaitable<std::size_t> {
      const std::string text(size / 2, 'x');
      auto half = asio::buffer(text);
      std::size_t n = co_await to.write(half);
      for (std::size_t i = 0; i < text.size(); i += part) {
        auto some = asio::buffer(text.data() + i, part);
        n += co_await to.write(some);
      }
      co_return n;
    };
    auto written = asio::co_spawn(ex, write(c), asio::use_future);
    std::string answer(size, '\0');
    auto in = asio::buffer(answer);
    const std::size_t n = co_await c.read(in);
    BOOST_TEST(written.get() == size);
    BOOST_TEST((answer == std::string(size, 'x')));
    co_return n;
  };
  std::size_t n = 0;
  asio::co_spawn(ex, body(), [&](std::exception_ptr e, std::size_t read) {
    asio::post(io, [&, e, read] {
      BOOST_TEST(!e);
      n = read;
      pool.close();
      io.stop();
    });
  });
  for (int i = 0; has_context && i < 2; ++i) asio::post(threads, [&] { own.run(); });
  auto work = asio::make_work_guard(io);
  io.run();
  threads.join();
  BOOST_TEST(n == size);
  io.restart();
}

BOOST_AUTO_TEST_CASE(options_that_cannot_work_are_refused) {
  const auto rule = [&](cocp::connection_options options) -> std::string {
    try {
      cocp::pool pool(io, std::move(options));
      pool.close();
    } catch (const std::invalid_argument& e) {
      return e.what();
    }
    return "accepted";
  };
  auto options = at("localhost:1");
  options.tls->context = nullptr;
  BOOST_TEST(rule(options) == "tls.context: nullptr: must point to a context");
  BOOST_TEST(rule(at("unix:/path")) ==
             "tls.server_name: empty: must be given, or verify be false, since \"unix:/path\" has no host name to "
             "verify");
  BOOST_TEST(rule(at("unix:/path", "localhost")) == "accepted");
  BOOST_TEST(rule(at("unix:/path", "", false)) == "accepted");
  BOOST_TEST(rule(at("localhost:1", std::string("a\0b", 3))) == "tls.server_name: \"a\\0...\": must not have a NUL");
  // Less its dot it is nothing, by which OpenSSL verifies no host.
  BOOST_TEST(rule(at("localhost:1", ".")) == "tls.server_name: \".\": must name a host");
  BOOST_TEST(rule(at(".:1")) ==
             "tls.server_name: empty: must be given, or verify be false, since \".:1\" has no host name to verify");
}

// Rules 3 and 13.
BOOST_DATA_TEST_CASE(a_lease_is_one_stream, data::make({tls_version::tls_1_2, tls_version::tls_1_3}), version) {
  tls_server server(io.get_executor(), made.localhost, version);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 1});
    cocp::lease conn = co_await pool.get();
    co_await echo(*conn, "before");
    server.say_goodbye_to_all();
    char b = 0;
    error_code ended;
    co_await conn->async_read_some(asio::buffer(&b, 1), asio::redirect_error(asio::use_awaitable, ended));
    BOOST_TEST(ended == asio::error::eof);
    error_code again;
    co_await conn->async_read_some(asio::buffer(&b, 1), asio::redirect_error(asio::use_awaitable, again));
    BOOST_TEST(again == asio::error::eof);
    // What is written goes to the old stream until that fails, and then nowhere.
    error_code failed;
    while (!failed) {
      co_await conn->async_write_some(asio::buffer("x", 1), asio::redirect_error(asio::use_awaitable, failed));
    }
    // An end of file ends reads only.
    BOOST_TEST(failed != asio::error::eof);
    BOOST_TEST(conn->generation() == 1u);
    BOOST_TEST(server.seen().sessions == 1u);
    co_await conn->ready();
    BOOST_TEST(conn->generation() == 2u);
    co_await echo(*conn, "after");
    conn.put();
    BOOST_TEST(pool.stats().replaced_dirty == 0u);

    conn = co_await pool.get();
    co_await conn->write(asio::buffer("left behind", 11));
    conn.put();
    conn = co_await pool.get();
    co_await echo(*conn, "mine");
    BOOST_TEST(pool.stats().replaced_dirty == 1u);
    conn.put();
    co_await pool.drain();
  });
}

// What comes before TLS on the same stream.

BOOST_AUTO_TEST_CASE(before_talks_on_the_plain_stream_and_then_it_is_tls) {
  tls_server server(io.get_executor(), made.localhost, tls_version::any, {"STARTTLS\n", "go\n"});
  run([&]() -> asio::awaitable<void> {
    std::vector<std::uint64_t> ids;
    auto options = at(server.address());
    options.tls->before = [&ids](cocp::connection& c) -> asio::awaitable<void> {
      ids.push_back(c.id());
      BOOST_TEST(c.native_tls() == nullptr);
      c.session<std::string>() = "asked";
      auto ask = asio::buffer("STARTTLS\n", 9);
      co_await c.write(ask);
      std::string answer(3, '\0');
      auto in = asio::buffer(answer);
      co_await c.read(in);
      BOOST_TEST(answer == "go\n");
    };
    options.on_connect = [&ids](cocp::connection& c) -> asio::awaitable<void> {
      ids.push_back(c.id());
      BOOST_TEST(c.native_tls() != nullptr);
      co_return;
    };
    cocp::pool pool(io, options, {.size = 1});
    cocp::lease conn = co_await pool.get();
    BOOST_TEST(ids == std::vector<std::uint64_t>(2, conn->id()), boost::test_tools::per_element());
    BOOST_TEST(conn->session<std::string>() == "asked");
    std::string text = "hello";
    auto buffer = asio::buffer(text);
    co_await conn->write(buffer);
    co_await conn->read(buffer);
    BOOST_TEST(text == "hello");
    conn.put();
    co_await pool.drain();
  });
  BOOST_TEST(server.seen().sessions == 1u);
}

BOOST_DATA_TEST_CASE(what_before_leaves_unread_fails_the_attempt, data::make({false, true}), allow_unread) {
  // Whoever is on the way can have put it there.
  tls_server server(io.get_executor(), made.localhost, tls_version::any, {"STARTTLS\n", "go\nRCPT TO"});
  std::vector<std::string> told;
  run([&]() -> asio::awaitable<void> {
    auto options = at(server.address());
    options.logger = [&told](const cocp::event& e) {
      std::ostringstream line;
      line << e.error.message() << ": " << e.reason;
      told.push_back(line.str());
    };
    options.tls->before = [](cocp::connection& c) -> asio::awaitable<void> {
      auto ask = asio::buffer("STARTTLS\n", 9);
      co_await c.write(ask);
      std::string answer(3, '\0');
      auto in = asio::buffer(answer);
      co_await c.read(in);
    };
    cocp::pool pool(io, options, {.size = 1, .fail_fast = 0s, .allow_unread = allow_unread});
    auto get = pool.get();
    error_code ec;
    try {
      const cocp::lease l = co_await std::move(get);
    } catch (const boost::system::system_error& e) {
      ec = e.code();
    }
    BOOST_TEST((ec == errc::unsolicited_data));
    co_await pool.drain();
  });
  BOOST_TEST(told.at(0) == error_code(errc::unsolicited_data).message() + ": bytes were left unread before TLS");
  BOOST_TEST(server.seen().sessions == 0u);
}

BOOST_AUTO_TEST_CASE(before_may_say_why_there_is_no_tls) {
  const std::string told = told_of([](cocp::connection&) -> asio::awaitable<void> {
    throw std::runtime_error("the server has no TLS");
    co_return;
  });
  BOOST_TEST(told.find("the server has no TLS") != std::string::npos, told);
}

BOOST_AUTO_TEST_CASE(before_may_not_end_what_is_sent) {
  const std::string told = told_of([](cocp::connection& c) -> asio::awaitable<void> { co_await c.shutdown_send(); });
  BOOST_TEST(told.find("tls.before shut its sending side down") != std::string::npos, told);
}

BOOST_DATA_TEST_CASE(shutdown_send_is_close_notify_and_reads_go_on,
                     data::make({tls_version::tls_1_2, tls_version::tls_1_3}), version) {
  tls_server server(io.get_executor(), made.localhost, version);
  run([&]() -> asio::awaitable<void> {
    cocp::pool pool(io, at(server.address()), {.size = 1});
    {
      cocp::lease conn = co_await pool.get();
      // In several records, of which some come in when our side has ended.
      std::string text(100'000, 'x');
      auto out = asio::buffer(text);
      co_await conn->write(out);
      std::string first(10, '\0');
      auto begin = asio::buffer(first);
      co_await conn->read(begin);
      co_await conn->shutdown_send();
      BOOST_TEST(conn->remote_endpoint().port() != 0u);
      error_code ec;
      try {
        co_await conn->write(begin);
      } catch (const boost::system::system_error& e) {
        ec = e.code();
      }
      BOOST_TEST(ec == asio::error::broken_pipe);
      std::string answer(text.size() - first.size(), '\0');
      auto in = asio::buffer(answer);
      co_await conn->read(in);
      BOOST_TEST((answer == text.substr(first.size())));
    }
    // Until it has seen the end.
    while (server.seen().open != 0) co_await asio::post(io, asio::use_awaitable);
    co_await pool.drain();
    BOOST_TEST(pool.stats().replaced_dirty == 1u);
  });
  BOOST_TEST(server.seen().said_goodbye >= 1u);
  BOOST_TEST(server.seen().cut_off == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
