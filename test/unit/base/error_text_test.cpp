// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "base/error_text.hpp"

#include <boost/asio/error.hpp>
#include <boost/assert/source_location.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <cstddef>
#include <exception>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>

namespace asio = boost::asio;
using cocp::errc;
using cocp::error_code;
using cocp::detail::words_beside;

namespace {

const error_code eof = asio::error::eof;
const error_code refused = asio::error::connection_refused;

/// What an exception says, and what of it is no message of its code.
struct row {
  error_code ec;
  std::string what;
  std::string words;

  friend std::ostream& operator<<(std::ostream& out, const row& r) { return out << '"' << r.what << '"'; }
};

const std::string end = "End of file";
const std::string nothing;

const row rows[] = {
    // Boost.System's texts, up to 1.76 and since; with a location where there is one.
    {eof, end, nothing},
    {eof, "read: " + end, "read"},
    {eof, end + " [asio.misc:2]", nothing},
    {eof, end + " [asio.misc:2 at /boost/asio/x.hpp:1:2 in function 'int f(char (&)[3])']", nothing},
    {eof, end + " [asio.misc:2 at (unknown source location)]", nothing},
    {eof, end + " [asio.misc:2 at x.hpp:1]", nothing},
    {eof, "log-in: " + end + " [asio.misc:2 at x.hpp:1:2 in function 'f'] (try 2)", "log-in: " + end + " (try 2)"},
    {refused, "Connection refused [system:111]", nothing},
    {error_code(), "odd: Success [system:0]", "odd"},
    // The text of a read of ours.
    {eof, "read 127.0.0.1:6379: " + end, "read 127.0.0.1:6379"},
    // The code's message anywhere between colons.
    {eof, end + ": while logging in", "while logging in"},
    {eof, "log-in: " + end + ": as bob", "log-in: as bob"},
    {eof, end + ": " + end, nothing},
    {eof, "log-in: " + end + ": " + end, "log-in"},
    {eof, "no " + end + " seen", "no " + end + " seen"},
    // Somebody else's error in a text of one's own: there is no location in it.
    {errc::handshake_failed, "greeting: " + end + " [asio.misc:2 at x.hpp:1:2 in function 'f']", "greeting: " + end},
    // What only looks like it.
    {errc::handshake_failed, "refused [db:5432]", "refused [db:5432]"},
    {eof, "[asio.misc:2] first", "[asio.misc:2] first"},
    {eof, "see [1] and [a b] and [", "see [1] and [a b] and ["},
    {errc::handshake_failed, "x [y at z]", "x [y at z]"},
    {errc::handshake_failed, "x [y:1 at z", "x [y:1 at z"},
    {errc::handshake_failed, "x [y:1 at z in function 'f]", "x [y:1 at z in function 'f]"},
    // Plain texts.
    {errc::handshake_failed, "WRONGPASS for bob", "WRONGPASS for bob"},
    {errc::handshake_failed, nothing, nothing},
    {errc::handshake_failed, "K\u00f6nig \u2192 \xff", "K\u00f6nig \u2192 \xff"},
    // C1, in UTF-8 and as bytes of another code; what else is UTF-8 has such bytes too.
    {errc::handshake_failed, "a\xc2\x9b[1mb\x9b[1mc\x85 K\u00f6nig \u2019 \U0001f600 \xc2",
     "a\\x9b[1mb\\x9b[1mc\\x85 K\u00f6nig \u2019 \U0001f600 \xc2"},
    {errc::handshake_failed, std::string("a\nb\r\tc\x1b[1md\x7f") + '\0', "a\\nb\\r\\tc\\x1b[1md\\x7f\\x00"},
};

std::string printed(error_code ec, std::string_view words) {
  std::ostringstream out;
  cocp::detail::print_error(out, ec, words);
  return out.str();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(error_text)

BOOST_DATA_TEST_CASE(words_are_what_an_exception_says_beside_its_codes_message, rows, r) {
  BOOST_TEST(words_beside(r.ec, r.what) == r.words);
}

BOOST_AUTO_TEST_CASE(what_this_boost_says_has_no_words_beside_the_message_and_ones_own) {
  BOOST_TEST(words_beside(refused, boost::system::system_error(refused).what()) == "");
  BOOST_TEST(words_beside(refused, boost::system::system_error(refused, "as bob").what()) == "as bob");
  static constexpr auto here = BOOST_CURRENT_LOCATION;
  const error_code located(refused.value(), refused.category(), &here);
  BOOST_TEST(words_beside(refused, boost::system::system_error(located, "as bob").what()) == "as bob");
}

BOOST_AUTO_TEST_CASE(words_are_bounded_and_end_with_a_whole_character) {
  const std::string most = words_beside(errc::handshake_failed, std::string(240, 'a'));
  BOOST_TEST(most == std::string(240, 'a'));
  const std::string more = words_beside(errc::handshake_failed, std::string(241, 'a'));
  BOOST_TEST(more == std::string(237, 'a') + "...");
  for (std::size_t n = 0; n < 4; ++n) {
    std::string text(n, 'a');
    while (text.size() < 300) text += "\U0001f309";
    std::string cut = words_beside(errc::handshake_failed, text);
    BOOST_TEST(cut.size() <= 240u);
    BOOST_TEST((cut.size() - n - 3) % 4 == 0u, cut);
  }
  BOOST_TEST(words_beside(errc::handshake_failed, std::string(300, '\n')).size() <= 240u);
  BOOST_TEST(words_beside(errc::handshake_failed, std::string(300, '\x80')).size() <= 240u);
}

BOOST_AUTO_TEST_CASE(a_reason_that_is_made_from_the_one_before_does_not_grow_without_bound) {
  std::string words;
  for (int i = 0; i < 100; ++i) {
    words = words_beside(errc::timed_out, "get: no connection (last error: timed out: " + words + ")");
  }
  BOOST_TEST(words.size() <= 240u);
}

BOOST_AUTO_TEST_CASE(what_message_and_words_both_say_is_printed_once) {
  BOOST_TEST(printed(eof, "") == "End of file");
  BOOST_TEST(printed(eof, "read 127.0.0.1:7") == "End of file: read 127.0.0.1:7");
  BOOST_TEST(printed(eof, "no End of file seen") == "no End of file seen");
  BOOST_TEST(printed(errc::closed, "its user closed it") == "closed: its user closed it");
  BOOST_TEST(printed({}, "discarded") == "discarded");
  BOOST_TEST(printed(eof, "a\nb\x1b") == "End of file: a\\nb\\x1b");
}

BOOST_AUTO_TEST_CASE(an_error_can_have_a_text_that_is_all_it_says) {
  const std::exception_ptr e = cocp::detail::make_text_error(eof, "read 127.0.0.1:7: End of file");
  try {
    std::rethrow_exception(e);
  } catch (const boost::system::system_error& error) {
    BOOST_TEST(error.code() == eof);
    BOOST_TEST(error.what() == std::string("read 127.0.0.1:7: End of file"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
