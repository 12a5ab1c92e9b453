// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Tests of a protocol of one's own, to be copied: the server follows a script, and does so when the test says so.
// Nothing sleeps, and no real server is needed. (Outside of this project, `BOOST_TEST_MODULE` makes the `main`.)

#include <cocp.hpp>
#include <cocp/testing.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>

namespace asio = boost::asio;
namespace step = cocp::testing::step;
using cocp::testing::scripted_server;
using cocp::testing::session_script;
using namespace std::chrono_literals;

namespace {

// What is tested: a client of a server that greets, wants to know its user, and answers a line with a line.

asio::awaitable<std::string> read_line(cocp::connection& conn) {
  std::string line;
  const std::size_t size = co_await conn.read_until(asio::dynamic_buffer(line, 65'536), "\r\n");
  if (size != line.size()) throw std::runtime_error("more than one line came");
  co_return line.substr(0, size - 2);
}

asio::awaitable<std::string> command(cocp::connection& conn, std::string line) {
  line += "\r\n";
  co_await conn.write(asio::buffer(line));
  co_return co_await read_line(conn);
}

asio::awaitable<void> log_in(cocp::connection& conn) {
  co_await read_line(conn);
  const std::string answer = co_await command(conn, "USER me");
  if (answer != "OK") throw std::runtime_error(answer);
}

asio::awaitable<std::string> get(cocp::pool& pool, std::string key) {
  auto ask = [&](cocp::lease& conn) -> asio::awaitable<std::string> {
    co_return co_await command(*conn, "GET " + key);
  };
  co_return co_await pool.run(ask, {.again = cocp::retry::unanswered});
}

// How it is tested.

/// The script of a session: the log-in, and then `steps`.
session_script logged_in(session_script steps) {
  session_script all{step::send{"HELLO\r\n"}, step::expect{"USER me\r\n"}, step::send{"OK\r\n"}};
  all.insert(all.end(), steps.begin(), steps.end());
  return all;
}

/// Back at once when the server is; and one connection, so that it is known which is which.
cocp::connection_options at(const scripted_server& server) {
  return {.address = server.address(), .retry_min = 1ms, .retry_max = 1ms, .on_connect = log_in};
}
const cocp::pool_options one{.size = 1, .get_timeout = 10s};

struct fixture {
  asio::io_context io;

  /// `test` makes a coroutine.
  template <class Test>
  void run(Test test) {
    run_one(test());
  }

  void run_one(asio::awaitable<void> test) {
    asio::co_spawn(io, std::move(test), [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    });
    io.run();
  }
};

BOOST_FIXTURE_TEST_SUITE(own_protocol, fixture)

BOOST_AUTO_TEST_CASE(it_logs_in_once_and_asks_twice) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), logged_in({step::expect{"GET hits\r\n"}, step::send{"12\r\n"},
                                                         step::expect{"GET hits\r\n"}, step::send{"13\r\n"}}));
    cocp::pool pool(io, at(server), one);
    BOOST_TEST(co_await get(pool, "hits") == "12");
    BOOST_TEST(co_await get(pool, "hits") == "13");
    co_await server.until_finished(1);
    server.verify();
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(a_request_that_meets_a_restart_is_asked_again) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), logged_in({step::expect{"GET hits\r\n"}, step::send{"13\r\n"}}));
    server.behave_once(
        logged_in({step::expect{"GET hits\r\n"}, step::send{"12\r\n"}, step::expect{"GET hits\r\n"}, step::reset{}}));
    cocp::pool pool(io, at(server), one);
    BOOST_TEST(co_await get(pool, "hits") == "12");
    BOOST_TEST(co_await get(pool, "hits") == "13");
    BOOST_TEST(server.accepted() == 2u);
    server.verify();
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(an_answer_that_is_not_awaited_any_more_reaches_nobody_else) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), logged_in({step::expect{"GET mine\r\n"}, step::send{"2\r\n"}}));
    server.behave_once(logged_in({step::expect{"GET theirs\r\n"}, step::hold{}, step::send{"1\r\n"}}));
    cocp::pool pool(io, at(server), one);
    asio::cancellation_signal enough;
    asio::co_spawn(io, get(pool, "theirs"),
                   asio::bind_cancellation_slot(
                       enough.slot(), [](std::exception_ptr error, std::string) { BOOST_TEST((error != nullptr)); }));
    co_await server.until_held(1);
    enough.emit(asio::cancellation_type::terminal);
    server.release();
    BOOST_TEST(co_await get(pool, "mine") == "2");
    server.verify();
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_CASE(an_outage_is_told_at_once_and_is_over_when_the_server_is_back) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), logged_in({step::expect{"GET hits\r\n"}, step::send{"12\r\n"}}));
    server.stop_listening();
    cocp::pool patient(io, at(server), one);
    cocp::pool impatient(io, at(server), {.size = 1, .fail_fast = 0ms});
    const auto [error, none] = co_await impatient.async_get(asio::as_tuple(asio::use_awaitable));
    BOOST_TEST(error == asio::error::connection_refused);
    server.listen_again();
    BOOST_TEST(co_await get(patient, "hits") == "12");
    server.verify();
    co_await patient.drain();
    co_await impatient.drain();
  });
}

BOOST_AUTO_TEST_CASE(a_wrong_word_at_the_log_in_is_found) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::send{"HELLO\r\n"}, step::expect{"USER you\r\n"}});
    cocp::pool pool(io, at(server), one);
    std::string why;
    try {
      co_await server.until_finished(1);
    } catch (const cocp::testing::script_error& error) {
      why = error.what();
    }
    BOOST_TEST(why == "session 1, step 2, expect \"USER you\\r\\n\": came \"USER me\\r\\n\"");
    co_await pool.drain();
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
