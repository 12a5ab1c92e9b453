// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What there is of TLS in a library that was built without it.

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp.hpp>
#include <stdexcept>
#include <string>

BOOST_AUTO_TEST_SUITE(no_tls)

BOOST_AUTO_TEST_CASE(who_asks_for_it_is_told_that_there_is_none) {
  boost::asio::io_context io;
  std::string said;
  try {
    cocp::pool pool(io, cocp::connection_options{.address = "localhost:7", .tls = cocp::tls_options{}});
  } catch (const std::invalid_argument& e) {
    said = e.what();
  }
  BOOST_TEST(said == "tls: is set: must be std::nullopt, since cocp was built without OpenSSL (-Dtls)");
}

BOOST_AUTO_TEST_SUITE_END()
