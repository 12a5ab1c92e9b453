// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/plain_connection.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <string>

namespace cocp::test {

/// The next that comes is these bytes.
inline boost::asio::awaitable<void> expect(plain_connection& c, std::string bytes) {
  std::string got(bytes.size(), '\0');
  co_await c.read(boost::asio::buffer(got));
  BOOST_TEST(got == bytes);
}

/// They come back.
inline boost::asio::awaitable<void> ask(plain_connection& c, std::string bytes) {
  co_await c.write(boost::asio::buffer(bytes));
  co_await expect(c, bytes);
}

/// How the peer's stream ends: `eof` for a FIN, `connection_reset` for an RST.
inline boost::asio::awaitable<boost::system::error_code> end_of(plain_connection& c) {
  std::array<char, 64> rest;
  auto [ec, n] =
      co_await c.socket.async_read_some(boost::asio::buffer(rest), boost::asio::as_tuple(boost::asio::use_awaitable));
  BOOST_TEST(n == 0u);
  co_return ec;
}

}  // namespace cocp::test
