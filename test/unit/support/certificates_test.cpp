// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/certificates.hpp"

#include "support/process.hpp"

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <string>

using namespace cocp::test;
using namespace std::chrono_literals;

namespace {

// Whether a client that trusts this authority would take the certificate for a server of that name.
bool is_good(const certificate_authority& authority, const key_pair& server, const std::string& option,
             const std::string& name) {
  const temporary_directory quiet;
  process verify({"openssl", "verify", "-no-CApath", "-no-CAstore", "-x509_strict", "-purpose", "sslserver", "-CAfile",
                  authority.certificate(), option, name, server.certificate},
                 quiet.path() / "said");
  return verify.wait(20s) == 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(certificates)

BOOST_AUTO_TEST_CASE(one_is_good_for_the_names_it_was_issued_for_and_no_other) {
  certificate_authority authority;
  const key_pair server = authority.issue({"localhost", "127.0.0.1", "::1"});
  BOOST_TEST(is_good(authority, server, "-verify_hostname", "localhost"));
  BOOST_TEST(is_good(authority, server, "-verify_ip", "127.0.0.1"));
  BOOST_TEST(is_good(authority, server, "-verify_ip", "::1"));
  BOOST_TEST(!is_good(authority, server, "-verify_hostname", "elsewhere"));
  BOOST_TEST(!is_good(authority, server, "-verify_ip", "127.0.0.2"));
}

BOOST_AUTO_TEST_CASE(an_expired_one_is_good_for_nothing) {
  certificate_authority authority;
  const key_pair good = authority.issue({"localhost"});
  const key_pair expired = authority.issue_expired({"localhost"});
  BOOST_TEST(is_good(authority, good, "-verify_hostname", "localhost"));
  BOOST_TEST(!is_good(authority, expired, "-verify_hostname", "localhost"));
}

BOOST_AUTO_TEST_CASE(one_is_good_for_those_only_who_trust_its_authority) {
  certificate_authority authority;
  certificate_authority another;
  const key_pair server = authority.issue({"localhost"});
  BOOST_TEST(is_good(authority, server, "-verify_hostname", "localhost"));
  BOOST_TEST(!is_good(another, server, "-verify_hostname", "localhost"));
}

BOOST_AUTO_TEST_SUITE_END()
