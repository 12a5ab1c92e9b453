// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/memcached_server.hpp"
#include "support/program.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

using namespace cocp::test;

BOOST_AUTO_TEST_SUITE(memcached_client)

BOOST_AUTO_TEST_CASE(many_users_have_their_own_values_and_a_refusal_costs_a_connection) {
  const auto& arguments = boost::unit_test::framework::master_test_suite();
  BOOST_TEST_REQUIRE(arguments.argc == 2, "the path of the program is wanted after `--`");
  memcached_server server;
  program client({arguments.argv[1], server.address()});
  BOOST_TEST((client.wait() == 0));
  const std::string said = client.said();
  BOOST_TEST_INFO(said);
  BOOST_TEST(said.find("50 users, 0 wrong\n"
                       "memcached: bad key \"too large\"\n"
                       "memcached: SERVER_ERROR object too large for cache\n"
                       "not stored\n"
                       "replaced: 1\n") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
