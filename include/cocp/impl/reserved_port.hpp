// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/system/system_error.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace cocp::detail {

/// A free port of 127.0.0.1 that nobody else gets while this lives.
///
/// It is held by a socket that is bound and does not listen: connects are refused, the kernel gives the port to no
/// outgoing connection (one to a dead port of the ephemeral range may otherwise be given that port and connect to
/// itself), and a listener that sets SO_REUSEADDR may come, go and come back.
class reserved_port {
 public:
  /// \throws boost::system::system_error
  reserved_port() : reserved_port(check("socket", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP))) {
    int on = 1;
    boost::asio::ip::tcp::endpoint bound{boost::asio::ip::address_v4::loopback(), 0};
    socklen_t size = static_cast<socklen_t>(bound.capacity());
    check("setsockopt", ::setsockopt(descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    check("bind", ::bind(descriptor_, bound.data(), static_cast<socklen_t>(bound.size())));
    check("getsockname", ::getsockname(descriptor_, bound.data(), &size));
    number_ = bound.port();
  }
  reserved_port(const reserved_port&) = delete;
  reserved_port& operator=(const reserved_port&) = delete;
  ~reserved_port() { ::close(descriptor_); }

  unsigned short number() const noexcept { return number_; }
  boost::asio::ip::tcp::endpoint endpoint() const { return {boost::asio::ip::address_v4::loopback(), number_}; }
  /// As in "127.0.0.1:12345".
  std::string address() const { return "127.0.0.1:" + std::to_string(number_); }

 private:
  // From here on the destructor closes it, also when the other constructor throws.
  explicit reserved_port(int descriptor) noexcept : descriptor_(descriptor) {}

  static int check(const char* name, int result) {
    if (result == -1) throw boost::system::system_error(errno, boost::system::system_category(), name);
    return result;
  }

  int descriptor_;
  unsigned short number_ = 0;
};

}  // namespace cocp::detail
