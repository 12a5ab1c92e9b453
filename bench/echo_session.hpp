// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <chrono>
#include <cstddef>

namespace bench {

/// Sends back what comes, so much later, until the client goes: then it throws `boost::system::system_error`.
template <class Stream>
boost::asio::awaitable<void> echo_session(Stream& stream, std::chrono::microseconds delay) {
  std::array<char, 16384> bytes;
  boost::asio::steady_timer timer(stream.get_executor());
  for (;;) {
    const std::size_t n = co_await stream.async_read_some(boost::asio::buffer(bytes), boost::asio::use_awaitable);
    if (delay.count() != 0) {
      timer.expires_after(delay);
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    co_await boost::asio::async_write(stream, boost::asio::buffer(bytes, n), boost::asio::use_awaitable);
  }
}

}  // namespace bench
