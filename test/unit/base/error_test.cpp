// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/test/unit_test.hpp>
#include <cocp/error.hpp>
#include <cstddef>
#include <iterator>
#include <set>
#include <string>
#include <system_error>

using cocp::errc;
using cocp::error_code;

namespace {
constexpr errc all[] = {errc::timed_out, errc::closed, errc::overloaded, errc::unsolicited_data,
                        errc::handshake_failed};
}

BOOST_AUTO_TEST_SUITE(error)

BOOST_AUTO_TEST_CASE(codes_start_at_one_so_that_none_reads_as_success) {
  for (errc e : all) {
    BOOST_TEST(static_cast<int>(e) >= 1);
    BOOST_TEST(error_code(e).failed());
  }
}

BOOST_AUTO_TEST_CASE(each_code_has_a_message_of_its_own) {
  std::set<std::string> messages;
  for (errc e : all) BOOST_TEST(messages.insert(error_code(e).message()).second);
  BOOST_TEST(cocp::error_category().message(4711) == "unknown error 4711");
  BOOST_TEST(cocp::error_category().name() == std::string("cocp"));
}

BOOST_AUTO_TEST_CASE(numbers_stay_what_they_were) {
  const int numbers[] = {1, 2, 3, 5, 6};
  for (std::size_t i = 0; i < std::size(all); ++i) BOOST_TEST(static_cast<int>(all[i]) == numbers[i]);
  BOOST_TEST(cocp::error_category().message(4) == "unknown error 4");
}

BOOST_AUTO_TEST_CASE(timed_out_is_the_condition_timed_out) {
  const error_code ec = errc::timed_out;
  BOOST_TEST((ec == boost::system::errc::timed_out));
  BOOST_TEST((static_cast<std::error_code>(ec) == std::errc::timed_out));
  BOOST_TEST((error_code(errc::closed) != boost::system::errc::timed_out));
}

BOOST_AUTO_TEST_SUITE_END()
