// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/export.hpp>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <iosfwd>
#include <string>

namespace cocp {

/// The address of a stream's end, of any family that cocp connects to.
/// \par Thread safety
/// As for any value.
class COCP_API endpoint : public boost::asio::generic::stream_protocol::endpoint {
 public:
  /// Asio's type for the address of any stream's end.
  using base = boost::asio::generic::stream_protocol::endpoint;

  /// No address.
  endpoint() = default;
  /// The same address.
  endpoint(const base& other) : base(other) {}
  /// The same address.
  endpoint(const boost::asio::ip::tcp::endpoint& other) : base(other) {}

  /// Of a Unix-domain socket.
  endpoint(const boost::asio::local::stream_protocol::endpoint& other) : base(other) {}

  /// True if this is an IPv4 or IPv6 address.
  bool is_ip() const noexcept;
  /// The IP address; unspecified (0.0.0.0) if this is none.
  boost::asio::ip::address address() const;
  /// The port; 0 if this is no IP address.
  unsigned short port() const;
  /// The path of a Unix-domain socket, or `@` and its abstract name; empty if this is none, or it has no name.
  std::string path() const;
  /// The same address in Asio's type for TCP; empty if this is no IP address.
  operator boost::asio::ip::tcp::endpoint() const;
  /// The same address in Asio's type for Unix-domain sockets; empty if this is of none.
  operator boost::asio::local::stream_protocol::endpoint() const;
};

/// Prints `127.0.0.1:80`, `[::1]:80`, `unix:/path`, `unix:@name`, or the family's number.
COCP_API std::ostream& operator<<(std::ostream& out, const endpoint& e);

}  // namespace cocp
