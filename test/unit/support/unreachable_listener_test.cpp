// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/unreachable_listener.hpp"

#include "support/fd_check.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>

namespace asio = boost::asio;
using namespace cocp::test;

BOOST_AUTO_TEST_SUITE(unreachable_listener_)

BOOST_AUTO_TEST_CASE(connects_neither_succeed_nor_fail) {
  fd_check descriptors;
  unreachable_listener listener;
  asio::io_context io;
  asio::ip::tcp::socket first(io), second(io);
  for (auto* socket : {&first, &second})
    socket->async_connect(listener.endpoint(),
                          [](boost::system::error_code ec) { BOOST_TEST(ec == asio::error::operation_aborted); });
  BOOST_TEST(io.run_for(std::chrono::milliseconds(200)) == 0u);
  first.close();
  second.close();
  io.run();
}

BOOST_AUTO_TEST_SUITE_END()
