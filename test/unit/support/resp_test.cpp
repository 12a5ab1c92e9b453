// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/resp.hpp"

#include "support/plain_connection.hpp"
#include "support/redis_server.hpp"
#include "support/run.hpp"
#include "support/scripted_server.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <ostream>

namespace asio = boost::asio;
using namespace cocp::test;

namespace {

// Answers one request of any length with this.
session_script answer_with(std::string bytes) { return {step::receive{1}, step::send{std::move(bytes)}, step::echo{}}; }

struct answer {
  const char* name;
  const char* bytes;
  friend std::ostream& operator<<(std::ostream& out, const answer& a) { return out << a.name; }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(resp_)

BOOST_AUTO_TEST_CASE(a_command_is_an_array_of_bulk_strings) {
  BOOST_TEST(resp::command("GET", std::string("key")) == "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n");
}

const answer wrong_for_set[] = {{"an error", "-ERR no\r\n"}, {"a value", "$2\r\nOK\r\n"}, {"two", "+OK\r\n+OK\r\n"}};

BOOST_DATA_TEST_CASE(set_takes_no_answer_but_ok, wrong_for_set, wrong) {
  asio::io_context io;
  scripted_server server(io.get_executor(), answer_with(wrong.bytes));
  run(io, [&]() -> asio::awaitable<void> {
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    bool refused = false;
    try {
      co_await resp::set(c, "key", "value");
    } catch (const resp::unexpected_answer&) {
      refused = true;
    }
    BOOST_TEST(refused);
    server.stop_listening();
  }());
}

const answer wrong_for_get[] = {{"an error", "-ERR no\r\n"},
                                {"a status", "+OK\r\n"},
                                {"a length that is none", "$x\r\nab\r\n"},
                                {"an empty length", "$\r\n\r\n"},
                                {"more than its length", "$2\r\nabc\r\n"},
                                {"two", "$2\r\nab\r\n$2\r\nab\r\n"}};

BOOST_DATA_TEST_CASE(get_takes_no_answer_but_one_value, wrong_for_get, wrong) {
  asio::io_context io;
  scripted_server server(io.get_executor(), answer_with(wrong.bytes));
  run(io, [&]() -> asio::awaitable<void> {
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    bool refused = false;
    try {
      co_await resp::get(c, "key");
    } catch (const resp::unexpected_answer&) {
      refused = true;
    }
    BOOST_TEST(refused);
    server.stop_listening();
  }());
}

BOOST_AUTO_TEST_CASE(a_value_may_come_in_pieces) {
  asio::io_context io;
  scripted_server server(io.get_executor(), {step::receive{1}, step::send{"$5\r"}, step::hold{}, step::send{"\nhel"},
                                             step::hold{}, step::send{"lo\r"}, step::hold{}, step::send{"\n"}});
  run(io, [&]() -> asio::awaitable<void> {
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    server.release(3);
    BOOST_TEST((co_await resp::get(c, "key") == "hello"));
    server.stop_listening();
  }());
}

BOOST_AUTO_TEST_CASE(a_real_server_keeps_what_was_set_until_it_is_killed) {
  asio::io_context io;
  redis_server server;
  auto connect = [&](plain_connection& c) -> asio::awaitable<void> {
    const auto colon = server.address().find(':');
    const auto port = static_cast<unsigned short>(std::stoi(server.address().substr(colon + 1)));
    co_await c.connect({asio::ip::address_v4::loopback(), port});
  };
  run(io, [&]() -> asio::awaitable<void> {
    const std::string values[] = {"hello", "", "\r\n$-1\r\n", std::string(100'000, 'x')};
    for (const std::string& value : values) {
      plain_connection c(io.get_executor());
      co_await connect(c);
      BOOST_TEST((co_await resp::get(c, "key") == std::nullopt));
      co_await resp::set(c, "key", value);
      BOOST_TEST((co_await resp::get(c, "key") == value));
      server.kill();
      bool lost = false;
      try {
        co_await resp::get(c, "key");
      } catch (const boost::system::system_error&) {
        lost = true;
      }
      BOOST_TEST(lost);
      server.start();
    }
  }());
}

BOOST_AUTO_TEST_SUITE_END()
