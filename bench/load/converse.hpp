// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "exchange.hpp"

#include <cocp/connection.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>

namespace bench {

namespace asio = boost::asio;

/// All of an exchange over a stream: as a user of that stream would write it.
template <class Stream>
asio::awaitable<void> converse(Stream& stream, exchange& what) {
  for (std::string_view request = what.begin(); !request.empty(); request = what.next()) {
    const asio::const_buffer sent = asio::buffer(request);
    if constexpr (std::same_as<Stream, cocp::connection>) {
      co_await stream.write(sent);
    } else {
      co_await asio::async_write(stream, sent, asio::use_awaitable);
    }
    for (bool complete = false; !complete;) {
      const std::span<char> room = what.room();
      const asio::mutable_buffer to = asio::buffer(room.data(), room.size());
      std::size_t n = 0;
      if constexpr (std::same_as<Stream, cocp::connection>) {
        n = co_await stream.read_some(to);
      } else {
        n = co_await stream.async_read_some(to, asio::use_awaitable);
      }
      complete = what.take(n);
    }
  }
}

}  // namespace bench
