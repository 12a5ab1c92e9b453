// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "../bench/established.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/test/unit_test.hpp>

namespace asio = boost::asio;
using asio::ip::tcp;

BOOST_AUTO_TEST_SUITE(established)

BOOST_AUTO_TEST_CASE(a_connection_is_until_its_client_has_its_end) {
  asio::io_context io;
  tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  const unsigned short port = acceptor.local_endpoint().port();
  BOOST_TEST(!bench::established_to(port));

  tcp::socket client(io);
  client.connect(acceptor.local_endpoint());
  tcp::socket server = acceptor.accept();
  BOOST_TEST(bench::established_to(port));
  server.shutdown(tcp::socket::shutdown_send);
  char byte = 0;
  boost::system::error_code ec;
  client.read_some(asio::buffer(&byte, 1), ec);
  BOOST_TEST(ec == asio::error::eof);
  BOOST_TEST(!bench::established_to(port));
}

BOOST_AUTO_TEST_SUITE_END()
