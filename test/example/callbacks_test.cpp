// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/program.hpp"
#include "support/redis_server.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstddef>
#include <sstream>
#include <string>
#include <vector>

using namespace cocp::test;

BOOST_AUTO_TEST_SUITE(callbacks)

BOOST_AUTO_TEST_CASE(each_request_by_callbacks_futures_or_values_has_its_own_answer) {
  const auto& arguments = boost::unit_test::framework::master_test_suite();
  BOOST_TEST_REQUIRE(arguments.argc == 2, "the path of the program is wanted after `--`");
  redis_server server;
  program client({arguments.argv[1], server.address()});
  BOOST_TEST((client.wait() == 0));
  const std::string said = client.said();

  // Three connections at a time: the server has its own order.
  const std::string title = "callbacks:";
  BOOST_TEST_INFO(said);
  BOOST_TEST_REQUIRE(said.find(title) != std::string::npos);
  const std::size_t start = said.find(title) + title.size();
  std::istringstream words(said.substr(start, said.find('\n', start) - start));
  std::vector<std::string> answers, wanted;
  for (std::string answer; words >> answer;) answers.push_back(answer);
  for (int n = 1; n <= 20; ++n) wanted.push_back(":" + std::to_string(n));
  std::sort(answers.begin(), answers.end());
  std::sort(wanted.begin(), wanted.end());
  BOOST_TEST(answers == wanted, boost::test_tools::per_element());

  BOOST_TEST_INFO(said);
  BOOST_TEST(said.find("future: +PONG\n"
                       "future: :21\n"
                       "all leased: timed out\n"
                       "all back: a lease\n") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
