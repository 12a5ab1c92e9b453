// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string_view>

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

/// What a server does with a connection.
using session = std::function<boost::asio::awaitable<void>(boost::asio::ip::tcp::socket)>;

/// Turns this process into a server on a port of 127.0.0.1, until it is killed, or says what went wrong and exits. It
/// prints `listening since NANOSECONDS` (of the monotonic clock) as soon as it does. `make_session` may throw.
[[noreturn]] void serve(std::string_view port, const std::function<session()>& make_session);

}  // namespace bench
