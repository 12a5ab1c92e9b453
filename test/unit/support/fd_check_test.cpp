// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/fd_check.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/test/unit_test.hpp>

#include <unistd.h>

namespace asio = boost::asio;
using namespace cocp::test;

BOOST_AUTO_TEST_SUITE(fd_check_)

BOOST_AUTO_TEST_CASE(a_descriptor_that_is_open_is_reported_until_it_is_closed) {
  asio::io_context io;
  asio::ip::tcp::socket(io, asio::ip::tcp::v4()).close();  // a context opens its own with its first socket
  fd_check descriptors;
  asio::ip::tcp::socket socket(io, asio::ip::tcp::v4());
  const auto opened = descriptors.opened();
  BOOST_TEST(opened.size() == 1u);
  BOOST_TEST(opened.at(socket.native_handle()).starts_with("socket:["));
  socket.close();
  BOOST_TEST(descriptors.opened().size() == 0u);
}

BOOST_AUTO_TEST_CASE(a_number_that_was_closed_and_opened_again_is_reported) {
  asio::io_context io;
  asio::ip::tcp::socket before(io, asio::ip::tcp::v4());
  const int number = before.native_handle();
  fd_check descriptors;
  before.close();
  const int again = ::dup(STDIN_FILENO);
  BOOST_TEST(again == number);
  BOOST_TEST(descriptors.opened().size() == 1u);
  ::close(again);
}

BOOST_AUTO_TEST_CASE(a_context_that_is_destroyed_leaves_none) {
  fd_check descriptors;
  asio::io_context io;
  asio::ip::tcp::socket socket(io, asio::ip::tcp::v4());
}

BOOST_AUTO_TEST_CASE(a_leak_fails_the_test_case, *boost::unit_test::expected_failures(1)) {
  int leaked = -1;
  {
    fd_check descriptors;
    leaked = ::dup(STDIN_FILENO);
  }
  ::close(leaked);
}

BOOST_AUTO_TEST_SUITE_END()
