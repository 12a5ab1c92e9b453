// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/program.hpp"
#include "support/reserved_port.hpp"
#include "support/runner.hpp"
#include "support/scripted_server.hpp"

#include <boost/test/unit_test.hpp>

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

using namespace cocp::test;

BOOST_AUTO_TEST_SUITE(mesh_client)

BOOST_AUTO_TEST_CASE(it_has_an_answer_of_each_of_fifty_services_over_ten_connections) {
  const auto& arguments = boost::unit_test::framework::master_test_suite();
  BOOST_TEST_REQUIRE(arguments.argc == 2, "the path of the program is wanted after `--`");
  runner servers_run(1);
  std::deque<scripted_server> servers;
  std::vector<std::string> argv{arguments.argv[1]};
  for (int i = 0; i < 49; ++i) argv.push_back(servers.emplace_back(servers_run.io.get_executor()).address());
  const reserved_port nobody;
  argv.push_back(nobody.address());

  program client(argv);
  BOOST_TEST((client.wait() == 0));
  const std::string said = client.said();
  BOOST_TEST_INFO(said);
  for (std::size_t i = 1; i < 50; ++i) BOOST_TEST((said.find(argv[i] + ": ping\n") != std::string::npos));
  BOOST_TEST((said.find(nobody.address() + ": Connection refused\n") != std::string::npos));
  BOOST_TEST((said.find("150 questions, 50 services, 10 connections\n") != std::string::npos));
  for (const scripted_server& s : servers) BOOST_TEST(s.received() == 12u);
  servers.clear();
}

BOOST_AUTO_TEST_SUITE_END()
