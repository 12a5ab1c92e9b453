// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "exchange.hpp"
#include "outage_book.hpp"

#include <cocp/stats.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace boost::asio::ssl {
class context;
}  // namespace boost::asio::ssl

namespace bench {

/// Where the server is.
struct target {
  std::string address;                                    ///< `host:port`.
  std::string host;                                       ///< Whom its certificate must name.
  std::vector<boost::asio::ip::tcp::endpoint> endpoints;  ///< What the address is for those who dial by hand.
  boost::asio::ssl::context* tls = nullptr;               ///< Null: without TLS.
  bool verify = true;
};

/// One coroutine's way to the server.
class asker {
 public:
  asker() = default;
  asker(const asker&) = delete;
  asker& operator=(const asker&) = delete;
  virtual ~asker() = default;

  /// Has all of `what` answered, and tells `now` when it has a connection for that. Throws `wrong_answer`, or
  /// what the connection reports.
  virtual boost::asio::awaitable<void> ask(exchange& what, attempt& now) = 0;
};

/// One of the modes, on one context. What has been made of it may outlive it.
class client {
 public:
  struct gauges {
    std::size_t up = 0;       ///< Connections.
    std::size_t leased = 0;   ///< Those of them that somebody uses.
    std::size_t waiting = 0;  ///< Requests without a connection.
  };

  client() = default;
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  virtual ~client() = default;

  virtual std::unique_ptr<asker> make_asker() = 0;
  /// Until what is kept connected is.
  virtual boost::asio::awaitable<void> ready() = 0;
  /// No more requests: until those under way have ended, and all is closed.
  virtual boost::asio::awaitable<void> close() = 0;
  /// From any thread.
  virtual gauges now() const = 0;
  /// The pool's own, from any thread.
  virtual std::optional<cocp::stats> stats() const { return std::nullopt; }
};

std::unique_ptr<client> make_pool_client(boost::asio::io_context& io, const target& to, std::size_t size);
/// Any but `mode::pool`.
std::unique_ptr<client> make_client_by_hand(boost::asio::io_context& io, const target& to, mode how);

}  // namespace bench
