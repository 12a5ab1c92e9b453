// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <string>

namespace cocp::test {

/// A free port of 127.0.0.1 that nobody else gets while this lives.
///
/// It is held by a socket that is bound and does not listen: connects are refused, the kernel gives the port to no
/// outgoing connection (one to a dead port of the ephemeral range may otherwise be given that port and connect to
/// itself), and a listener that sets SO_REUSEADDR may come, go and come back.
class reserved_port {
 public:
  /// \throws boost::system::system_error
  reserved_port();
  reserved_port(const reserved_port&) = delete;
  reserved_port& operator=(const reserved_port&) = delete;
  ~reserved_port();

  unsigned short number() const noexcept { return number_; }
  boost::asio::ip::tcp::endpoint endpoint() const;
  /// As in "127.0.0.1:12345".
  std::string address() const;

 private:
  int descriptor_;
  unsigned short number_ = 0;
};

}  // namespace cocp::test
