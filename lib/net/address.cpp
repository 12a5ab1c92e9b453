// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/address.hpp"

#include <boost/asio/local/stream_protocol.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <stdexcept>
#include <string_view>

namespace cocp::detail {
namespace {

[[noreturn]] void reject_address(const std::string& text, const char* rule) {
  throw std::invalid_argument("address: \"" + text + "\": " + rule);
}

constexpr std::string_view unix_scheme = "unix:";

/// unix(7): a path, or after an @ a name of Linux that no file has.
address parse_unix(const std::string& text) {
  std::string name = text.substr(unix_scheme.size());
  if (name.empty()) reject_address(text, "a path or @name must follow unix:");
  const bool abstract = name.front() == '@';
  if (abstract ? name.size() == 1 : name.front() != '/') {
    reject_address(text, abstract ? "a name must follow the @" : "a path must begin with /; an abstract name with @");
  }
  if (name.find('\0') != std::string::npos) reject_address(text.substr(0, text.find('\0')), "must not have a NUL");
  if (abstract) name.front() = '\0';
  // A path ends with a NUL there, which is not counted here.
  static constexpr std::size_t longest = sizeof(::sockaddr_un::sun_path) - 1;
  if (name.size() > longest) reject_address(text, "a path or @name must not be longer than 107 bytes");
  address a;
  a.text = text;
  a.numeric = endpoint(boost::asio::local::stream_protocol::endpoint(name));
  return a;
}

bool is_number(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

bool is_letter(unsigned char c) { return std::isalpha(c) != 0; }

/// Letters, digits, dots, hyphens and underscores, and what an IPv6 address with a zone has.
bool is_host_character(unsigned char c) {
  return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == ':' || c == '%';
}

bool is_service_character(unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '+'; }

}  // namespace

address parse_address(const std::string& text) {
  if (text.empty())
    reject_address(text, "must not be empty; write host:port, host:service, [v6]:port, unix:/path or unix:@name");
  if (text.starts_with(unix_scheme)) return parse_unix(text);
  const auto colon = text.rfind(':');
  const bool bracketed = text.front() == '[';
  if (colon == std::string::npos || (bracketed && (colon == 0 || text[colon - 1] != ']'))) {
    reject_address(text, "must end with :port or :service");
  }

  address a;
  a.text = text;
  a.host = bracketed ? text.substr(1, colon - 2) : text.substr(0, colon);
  a.service = text.substr(colon + 1);
  if (a.host.empty()) reject_address(text, "the host must not be empty");
  if (a.service.empty()) reject_address(text, "the port or service must not be empty");
  if (!bracketed && a.host.find(':') != std::string::npos) {
    reject_address(text, "an IPv6 address must stand in brackets, as in [::1]:80");
  }
  if (!std::all_of(a.host.begin(), a.host.end(), is_host_character))
    reject_address(text, "the host has a character no host has");
  if (!std::all_of(a.service.begin(), a.service.end(), is_service_character)) {
    reject_address(text, "the port or service has a character no service has");
  }

  // RFC 6335 section 5.1: a service name has at least one letter.
  if (!is_number(a.service) && std::none_of(a.service.begin(), a.service.end(), is_letter)) {
    reject_address(text, "the port or service must be a number or have a letter");
  }

  error_code ec;
  const auto ip = boost::asio::ip::make_address(a.host, ec);
  if (bracketed && (ec || !ip.is_v6())) reject_address(text, "what stands in brackets must be an IPv6 address");
  if (!is_number(a.service)) return a;
  unsigned port = 0;
  const auto parsed = std::from_chars(a.service.data(), a.service.data() + a.service.size(), port);
  if (parsed.ec != std::errc() || port == 0 || port > 65535) reject_address(text, "the port must be 1 to 65535");
  if (!ec) a.numeric = endpoint(boost::asio::ip::tcp::endpoint(ip, static_cast<unsigned short>(port)));
  return a;
}

}  // namespace cocp::detail
