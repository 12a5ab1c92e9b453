// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/process.hpp"
#include "support/scripted_server.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <fstream>
#include <iterator>
#include <string>

using namespace cocp::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(readme_first)

BOOST_AUTO_TEST_CASE(it_prints_the_answer_of_an_echo_server_and_ends_by_itself) {
  const auto& arguments = boost::unit_test::framework::master_test_suite();
  BOOST_TEST_REQUIRE(arguments.argc == 2, "the path of the program is wanted after `--`");
  boost::asio::io_context io;
  scripted_server server(io.get_executor());
  const temporary_directory directory;
  const std::string output = directory.path() / "output";

  process program({arguments.argv[1], server.address()}, output);
  const auto limit = std::chrono::steady_clock::now() + 20s;
  std::optional<int> status;
  while (!(status = program.wait(0ms)) && std::chrono::steady_clock::now() < limit) io.run_for(5ms);

  BOOST_TEST((status == 0));
  BOOST_TEST(server.received() == 12U);
  std::ifstream file(output);
  const std::string said{std::istreambuf_iterator<char>(file), {}};
  BOOST_TEST_INFO(said);
  BOOST_TEST((said.starts_with("hello, world\n") || said.find("\nhello, world\n") != std::string::npos));
}

BOOST_AUTO_TEST_SUITE_END()
