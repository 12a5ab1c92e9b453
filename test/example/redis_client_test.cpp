// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/program.hpp"
#include "support/redis_server.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <string>

using namespace cocp::test;

namespace {

struct example {
  std::string path;
  redis_server server{{"--requirepass", "open sesame"}};

  example() {
    const auto& arguments = boost::unit_test::framework::master_test_suite();
    BOOST_TEST_REQUIRE(arguments.argc == 2, "the path of the program is wanted after `--`");
    path = arguments.argv[1];
  }
  ~example() { ::unsetenv("REDIS_PASSWORD"); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(redis_client, example)

BOOST_AUTO_TEST_CASE(it_logs_in_and_an_error_answer_costs_no_connection) {
  ::setenv("REDIS_PASSWORD", "open sesame", 1);
  program client({path, server.address(), "7"});
  BOOST_TEST((client.wait() == 0));
  const std::string said = client.said();
  BOOST_TEST_INFO(said);
  BOOST_TEST(said.find("greeting: hello, world\n"
                       "nothing: none\n"
                       "visits: 100\n"
                       "pipelined: ERR value is not an integer or out of range\n"
                       "visits: 101\n"
                       "error: ERR value is not an integer or out of range\n"
                       "greeting: hello, world\n"
                       "replaced: 0\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(each_connection_is_in_the_database_that_was_asked_for) {
  ::setenv("REDIS_PASSWORD", "open sesame", 1);
  // What one run has left in its database makes the next one's visits more, unless that is in another.
  for (const char* database : {"1", "2", "1"}) {
    program client({path, server.address(), database});
    BOOST_TEST((client.wait() == 0));
  }
  program third({path, server.address(), "1"});
  BOOST_TEST((third.wait() == 0));
  const std::string said = third.said();
  BOOST_TEST_INFO(said);
  BOOST_TEST(said.find("visits: 302\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_wrong_password_is_told_to_the_logger_and_fails_requests) {
  ::setenv("REDIS_PASSWORD", "sesame", 1);
  program client({path, server.address(), "0"});
  BOOST_TEST((client.wait() == 1));
  const std::string said = client.said();
  BOOST_TEST_INFO(said);
  BOOST_TEST(said.find("connect_failed " + server.address() + ": handshake failed: WRONGPASS") != std::string::npos);
  BOOST_TEST(said.find("get: no connection to " + server.address()) != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
