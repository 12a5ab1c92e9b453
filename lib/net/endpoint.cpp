// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/endpoint.hpp>

#include <algorithm>
#include <cstring>
#include <ostream>

namespace cocp {
namespace {

/// The same address in the type that Asio has for its family.
template <class Endpoint>
Endpoint copy_as(const endpoint& from) {
  Endpoint e;
  const std::size_t n = std::min(from.size(), e.capacity());
  std::memcpy(e.data(), from.data(), n);
  e.resize(n);
  return e;
}

}  // namespace

bool endpoint::is_ip() const noexcept {
  const auto family = protocol().family();
  return family == AF_INET || family == AF_INET6;
}

boost::asio::ip::address endpoint::address() const { return boost::asio::ip::tcp::endpoint(*this).address(); }

unsigned short endpoint::port() const { return boost::asio::ip::tcp::endpoint(*this).port(); }

std::string endpoint::path() const {
  if (protocol().family() != AF_UNIX) return {};
  std::string path = copy_as<boost::asio::local::stream_protocol::endpoint>(*this).path();
  if (!path.empty() && path.front() == '\0') path.front() = '@';
  return path;
}

endpoint::operator boost::asio::ip::tcp::endpoint() const {
  if (!is_ip()) return {};
  return copy_as<boost::asio::ip::tcp::endpoint>(*this);
}

endpoint::operator boost::asio::local::stream_protocol::endpoint() const {
  if (protocol().family() != AF_UNIX) return {};
  return copy_as<boost::asio::local::stream_protocol::endpoint>(*this);
}

std::ostream& operator<<(std::ostream& out, const endpoint& e) {
  if (e.is_ip()) return out << boost::asio::ip::tcp::endpoint(e);
  if (e.protocol().family() == AF_UNIX) return out << "unix:" << e.path();
  return out << "address family " << e.protocol().family();
}

}  // namespace cocp
