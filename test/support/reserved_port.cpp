// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/reserved_port.hpp"

#include "support/system_call.hpp"

#include <sys/socket.h>
#include <unistd.h>

namespace cocp::test {

reserved_port::reserved_port()
    : descriptor_(system_call("socket", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP))) {
  int on = 1;
  boost::asio::ip::tcp::endpoint bound{boost::asio::ip::address_v4::loopback(), 0};
  socklen_t size = static_cast<socklen_t>(bound.capacity());
  try {
    system_call("setsockopt", ::setsockopt(descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    system_call("bind", ::bind(descriptor_, bound.data(), static_cast<socklen_t>(bound.size())));
    system_call("getsockname", ::getsockname(descriptor_, bound.data(), &size));
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
  number_ = bound.port();
}

reserved_port::~reserved_port() { ::close(descriptor_); }

boost::asio::ip::tcp::endpoint reserved_port::endpoint() const {
  return {boost::asio::ip::address_v4::loopback(), number_};
}

std::string reserved_port::address() const { return "127.0.0.1:" + std::to_string(number_); }

}  // namespace cocp::test
