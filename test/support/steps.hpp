// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/eventually.hpp"

#include <cocp/connection.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/test/unit_test.hpp>

#include <string>

/// What tests against servers do again and again. On the thread of the test, since Boost.Test is told.
namespace cocp::test {

/// The test ends here unless `condition()` becomes true.
template <class Condition>
boost::asio::awaitable<void> until(Condition condition) {
  const bool became_true = co_await eventually(condition);
  BOOST_REQUIRE(became_true);
}

/// Sends `text` to an echo server, and expects it back.
inline boost::asio::awaitable<void> echo(connection& c, std::string text) {
  const auto out = boost::asio::buffer(text);
  co_await c.write(out);
  std::string answer(text.size(), '\0');
  const auto in = boost::asio::buffer(answer);
  co_await c.read(in);
  BOOST_TEST((answer == text), "the answer to \"" << text << "\" was \"" << answer << '"');
}

}  // namespace cocp::test
