// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/address.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>

using cocp::detail::parse_address;

namespace {

struct good {
  const char* text;
  const char* host;
  const char* service;
  /// As printed; empty if it must be looked up.
  const char* numeric;
  friend std::ostream& operator<<(std::ostream& out, const good& r) { return out << r.text; }
};

const good good_rows[] = {
    {"localhost:7", "localhost", "7", ""},
    {"db.example.com:postgresql", "db.example.com", "postgresql", ""},
    {"my_host-1:65535", "my_host-1", "65535", ""},
    {"127.0.0.1:6379", "127.0.0.1", "6379", "127.0.0.1:6379"},
    {"127.0.0.1:redis", "127.0.0.1", "redis", ""},
    {"[::1]:80", "::1", "80", "[::1]:80"},
    {"[::1]:http", "::1", "http", ""},
    {"[2001:db8::1]:443", "2001:db8::1", "443", "[2001:db8::1]:443"},
    {"unix:/run/redis.sock", "", "", "unix:/run/redis.sock"},
    {"unix:/a path: with all [sorts] of @things", "", "", "unix:/a path: with all [sorts] of @things"},
    {"unix:@name", "", "", "unix:@name"},
};

struct bad {
  const char* text;
  const char* rule;
  friend std::ostream& operator<<(std::ostream& out, const bad& r) { return out << '"' << r.text << '"'; }
};

const bad bad_rows[] = {
    {"", "must not be empty"},
    {"localhost", "must end with :port"},
    {":80", "the host must not be empty"},
    {"localhost:", "the port or service must not be empty"},
    {"localhost:0", "the port must be 1 to 65535"},
    {"localhost:65536", "the port must be 1 to 65535"},
    {"localhost:99999999999999999999", "the port must be 1 to 65535"},
    {"::1:80", "must stand in brackets"},
    {"[::1]", "must end with :port"},
    {"[::1]80", "must end with :port"},
    {"[::1:80", "must end with :port"},
    {"[]:80", "the host must not be empty"},
    {"[localhost]:80", "must be an IPv6 address"},
    {"[127.0.0.1]:80", "must be an IPv6 address"},
    {"local host:80", "a character no host has"},
    {"http://localhost:80", "must stand in brackets"},
    {"localhost:80 ", "a character no service has"},
    {"localhost:-1", "the port or service"},
    {"unix:", "a path or @name must follow"},
    {"unix:relative", "a path must begin with /"},
    {"unix:@", "a name must follow the @"},
    {"unix:/"
     "12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567",
     "not be longer than 107 bytes"},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(address)

BOOST_DATA_TEST_CASE(is_split_into_host_and_service, good_rows, r) {
  const auto a = parse_address(r.text);
  BOOST_TEST(a.text == r.text);
  BOOST_TEST(a.host == r.host);
  BOOST_TEST(a.service == r.service);
  std::ostringstream numeric;
  if (a.numeric) numeric << *a.numeric;
  BOOST_TEST(numeric.str() == r.numeric);
}

BOOST_DATA_TEST_CASE(that_is_malformed_is_refused_with_the_value_and_the_rule, bad_rows, r) {
  try {
    parse_address(r.text);
    BOOST_TEST(false, "accepted");
  } catch (const std::invalid_argument& e) {
    const std::string what = e.what();
    BOOST_TEST(what.starts_with("address: \"" + std::string(r.text) + "\": "), what);
    BOOST_TEST(what.find(r.rule) != std::string::npos, what);
  }
}

BOOST_AUTO_TEST_SUITE_END()
