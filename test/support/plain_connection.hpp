// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <cstddef>
#include <string_view>
#include <utility>

namespace cocp::test {

/// A bare socket with the operations of `cocp::connection`: what the test support is itself tested with, and what a
/// connection is compared with.
class plain_connection {
 public:
  explicit plain_connection(boost::asio::any_io_executor ex) : socket(std::move(ex)) {}

  boost::asio::awaitable<void> connect(boost::asio::ip::tcp::endpoint to) {
    co_await socket.async_connect(to, boost::asio::use_awaitable);
  }
  template <class Buffers>
  boost::asio::awaitable<std::size_t> read_some(Buffers buffers) {
    co_return co_await socket.async_read_some(buffers, boost::asio::use_awaitable);
  }
  template <class Buffers>
  boost::asio::awaitable<std::size_t> read(Buffers buffers) {
    co_return co_await boost::asio::async_read(socket, buffers, boost::asio::use_awaitable);
  }
  template <class Buffers>
  boost::asio::awaitable<std::size_t> write(Buffers buffers) {
    co_return co_await boost::asio::async_write(socket, buffers, boost::asio::use_awaitable);
  }
  template <class DynamicBuffer>
  boost::asio::awaitable<std::size_t> read_until(DynamicBuffer buffer, std::string_view delimiter) {
    co_return co_await boost::asio::async_read_until(socket, std::move(buffer), delimiter, boost::asio::use_awaitable);
  }

  boost::asio::ip::tcp::socket socket;
};

}  // namespace cocp::test
