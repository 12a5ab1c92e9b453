// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/endpoint.hpp>

namespace asio = boost::asio;
using asio::ip::tcp;
using local = asio::local::stream_protocol;
using generic = asio::generic::stream_protocol;

BOOST_AUTO_TEST_SUITE(endpoint)

BOOST_AUTO_TEST_CASE(becomes_what_asio_has_for_its_family) {
  const tcp::endpoint v4(asio::ip::make_address("127.0.0.1"), 7);
  const tcp::endpoint v6(asio::ip::make_address("::1"), 7);
  const local::endpoint path("/tmp/socket");
  BOOST_TEST(tcp::endpoint(cocp::endpoint(v4)) == v4);
  BOOST_TEST(tcp::endpoint(cocp::endpoint(v6)) == v6);
  BOOST_TEST(local::endpoint(cocp::endpoint(path)) == path);
  const generic::endpoint any = cocp::endpoint(path);
  BOOST_TEST((any == generic::endpoint(path)));
}

BOOST_AUTO_TEST_CASE(of_another_family_becomes_an_empty_one) {
  const cocp::endpoint v4 = tcp::endpoint(asio::ip::make_address("127.0.0.1"), 7);
  BOOST_TEST(tcp::endpoint(cocp::endpoint(local::endpoint("/tmp/socket"))) == tcp::endpoint());
  BOOST_TEST(local::endpoint(v4) == local::endpoint());
  BOOST_TEST(local::endpoint(cocp::endpoint()) == local::endpoint());
}

BOOST_AUTO_TEST_CASE(is_taken_where_asio_wants_its_own) {
  const cocp::endpoint from(tcp::endpoint(asio::ip::make_address("127.0.0.1"), 7));
  const auto port_of = [](const tcp::endpoint& e) { return e.port(); };
  BOOST_TEST(port_of(from) == 7);
}

BOOST_AUTO_TEST_SUITE_END()
