// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "free_port.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <fstream>
#include <random>

namespace bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr unsigned short first_candidate = 10'000;

/// The lowest port that the kernel may give to an outgoing connection.
unsigned short lowest_ephemeral() {
  std::ifstream range("/proc/sys/net/ipv4/ip_local_port_range");
  unsigned short low = 0;
  return range >> low ? low : static_cast<unsigned short>(32'768);
}

/// The port that was bound for a moment; 0 if it is in use.
unsigned short bind_once(unsigned short port) {
  asio::io_context io;
  tcp::socket socket(io, tcp::v4());
  boost::system::error_code ec;
  socket.bind({asio::ip::address_v4::loopback(), port}, ec);
  if (ec == asio::error::address_in_use) return 0;
  if (ec) throw boost::system::system_error(ec, "bind");
  return socket.local_endpoint().port();
}

}  // namespace

unsigned short free_port() {
  const unsigned short end = lowest_ephemeral();
  if (end <= first_candidate) return bind_once(0);
  std::random_device seed;
  std::uniform_int_distribution<unsigned short> candidate(first_candidate, static_cast<unsigned short>(end - 1));
  for (int attempt = 0; attempt < 100; ++attempt) {
    if (const unsigned short port = bind_once(candidate(seed))) return port;
  }
  return bind_once(0);
}

}  // namespace bench
