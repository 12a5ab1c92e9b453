// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/asio/error.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/event.hpp>
#include <ostream>
#include <sstream>
#include <string>

using namespace std::chrono_literals;
using cocp::event;
using cocp::event_kind;
using cocp::severity;

namespace {

struct row {
  event e;
  const char* line;
  friend std::ostream& operator<<(std::ostream& out, const row& r) { return out << r.line; }
};

const cocp::error_code refused = boost::asio::error::connection_refused;
const cocp::error_code eof = boost::asio::error::eof;

const row rows[] = {
    {{event_kind::connected, severity::info, "a:1", {}, 1, {}, {}}, "info connected a:1 (attempt 1)"},
    {{event_kind::connect_failed, severity::warning, "a:1", refused, 3, 312ms, {}},
     "warning connect_failed a:1: Connection refused (attempt 3, retry in 312 ms)"},
    {{event_kind::connect_failed, severity::warning, "a:1", cocp::errc::handshake_failed, 1, 1500ms, "no"},
     "warning connect_failed a:1: handshake failed: no (attempt 1, retry in 1.5 s)"},
    {{event_kind::disconnected, severity::warning, "a:1", eof, 0, {}, {}}, "warning disconnected a:1: End of file"},
    {{event_kind::replaced, severity::info, "a:1", {}, 0, {}, "discarded"}, "info replaced a:1: discarded"},
    {{event_kind::closed, severity::debug, "a:1", {}, 0, {}, {}}, "debug closed a:1"},
    {{event_kind::connect_failed, severity::warning, "a:1", eof, 1, {}, "log-in: End of file"},
     "warning connect_failed a:1: log-in: End of file (attempt 1)"},
    {{event_kind::replaced, severity::info, "unix:/a\nb", {}, 0, {}, "no\r\nerror forged\x1b[1m K\u00f6nig"},
     "info replaced unix:/a\\nb: no\\r\\nerror forged\\x1b[1m K\u00f6nig"},
    {{.kind = event_kind::closed, .level = severity::error, .address = "a:1"}, "error closed a:1"},
    {{.kind = event_kind::closed, .level = severity::debug, .address = "a:1", .name = "d\nb"}, "debug closed d\\nb"},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(event_)

BOOST_DATA_TEST_CASE(is_printed_as_one_line, rows, r) {
  std::ostringstream out;
  out << r.e;
  BOOST_TEST(out.str() == r.line);
}

BOOST_DATA_TEST_CASE(log_to_prints_it_with_a_line_feed, rows, r) {
  std::ostringstream out;
  auto log = cocp::log_to(out);
  log(r.e);
  log(r.e);
  BOOST_TEST(out.str() == r.line + std::string("\n") + r.line + "\n");
}

BOOST_AUTO_TEST_SUITE_END()
