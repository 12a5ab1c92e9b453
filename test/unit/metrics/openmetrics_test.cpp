// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/openmetrics.hpp>
#include <cstdint>
#include <iomanip>
#include <limits>
#include <locale>
#include <ostream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/exposition.hpp"
#include "support/pool_world.hpp"

namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::duration;
using cocp::named_pool;
using cocp::openmetrics;

namespace {

template <class... Arguments>
std::string print(const Arguments&... arguments) {
  std::ostringstream out;
  openmetrics(out, arguments...);
  return out.str();
}

/// What comes before the space, of each line that is a sample.
std::vector<std::string> series(const std::string& text) {
  std::vector<std::string> result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('#')) result.push_back(line.substr(0, line.rfind(' ')));
  }
  return result;
}

/// The names of the pools, as printed, of one family without other labels.
std::vector<std::string> names(const std::string& text) {
  const std::string before = "db_client_connection_max{db_client_connection_pool_name=\"";
  std::vector<std::string> result;
  for (const std::string& s : series(text)) {
    if (s.starts_with(before)) result.push_back(s.substr(before.size(), s.size() - before.size() - 2));
  }
  return result;
}

/// The value of one series, or why there is none.
std::string value(const std::string& text, const std::string& name) {
  const std::string line = '\n' + name + ' ';
  const std::size_t at = text.find(line);
  if (at == std::string::npos) return "not there";
  const std::size_t begin = at + line.size();
  return text.substr(begin, text.find('\n', begin) - begin);
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The name of a pool, and how it is printed.
struct escape {
  const char* what;
  std::string name;
  std::string printed;

  friend std::ostream& operator<<(std::ostream& out, const escape& e) { return out << e.what; }
};

const escape escapes[] = {
    {"nothing to escape", "localhost:7", "localhost:7"},
    {"a backslash", "a\\b", "a\\\\b"},
    {"a quotation mark", "a\"b", "a\\\"b"},
    {"a newline", "a\nb", "a\\nb"},
    {"a backslash and an n", "a\\nb", "a\\\\nb"},
    {"all of them at the ends", "\"\\\n", "\\\"\\\\\\n"},
    {"what else has a meaning", "{a='b',c#} \t\r", "{a='b',c#} \t\r"},
    {"a byte that is no UTF-8",
     "a\xff"
     "b\x80",
     "a\ufffd"
     "b\ufffd"},
    {"UTF-8", "K\u00f6nigsberg \u2192 \U0001f309", "K\u00f6nigsberg \u2192 \U0001f309"},
};

/// Writes 1234567 as 12'34'567, and 0.5 as 0,5.
struct quaint_numbers : std::numpunct<char> {
  char do_thousands_sep() const override { return '\''; }
  char do_decimal_point() const override { return ','; }
  std::string do_grouping() const override { return "\3\2"; }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(openmetrics_)

BOOST_AUTO_TEST_CASE(a_pool_is_called_what_its_options_say) {
  pool_world w({.size = 1}, {.name = "the db"});
  std::ostringstream out;
  cocp::openmetrics(out, *w.pool);
  BOOST_TEST(out.str().find("pool_name=\"the db\"") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(without_pools_is_only_its_end) {
  BOOST_TEST(print() == "# EOF\n");
  BOOST_TEST(print(std::vector<const cocp::pool*>()) == "# EOF\n");
  BOOST_TEST(print(std::vector<named_pool>()) == "# EOF\n");
}

BOOST_AUTO_TEST_CASE(prints_all_that_the_stats_tell) {
  cocp::detail::pool_snapshot p{.name = "p", .stats = {}, .reports_leases = true};
  p.stats.size = 1;
  p.stats.min_size = 2;
  p.stats.connected = 3;
  p.stats.idle = 4;
  p.stats.leased = 5;
  p.stats.connecting = 6;
  p.stats.hooks = 21;
  p.stats.queued = 22;
  p.stats.resting = 23;
  p.stats.wanted = 24;
  p.stats.waiting = 7;
  p.stats.gets = std::numeric_limits<std::uint64_t>::max();
  p.stats.waits = 9;
  p.stats.timeouts = 10;
  p.stats.cancelled = 11;
  p.stats.rejected = 12;
  p.stats.connects = 13;
  p.stats.connect_failures = 14;
  p.stats.tls_resumed = 19;
  p.stats.disconnects = 15;
  p.stats.replaced_dead = 16;
  p.stats.replaced_dirty = 17;
  p.stats.replaced_expired = 18;
  p.stats.create_time.record(3ms);
  p.stats.wait_time.record(0s, 2);
  for (const duration d : {duration(100us), duration(10s), duration(1min)}) p.stats.wait_time.record(d);
  for (const long long n : {1LL, (1LL << 20) - 1, 1LL << 20}) p.stats.use_time.record(duration(n));
  BOOST_TEST(cocp::detail::to_openmetrics({p}) ==
             R"(# TYPE db_client_connection_count gauge
# HELP db_client_connection_count Connections that are idle, and those that are leased.
db_client_connection_count{db_client_connection_pool_name="p",db_client_connection_state="idle"} 4
db_client_connection_count{db_client_connection_pool_name="p",db_client_connection_state="used"} 5
# TYPE db_client_connection_max gauge
# HELP db_client_connection_max The most connections.
db_client_connection_max{db_client_connection_pool_name="p"} 1
# TYPE db_client_connection_idle_min gauge
# HELP db_client_connection_idle_min Connections kept open when nobody asks.
db_client_connection_idle_min{db_client_connection_pool_name="p"} 2
# TYPE db_client_connection_pending_requests gauge
# HELP db_client_connection_pending_requests Calls that wait for a connection.
db_client_connection_pending_requests{db_client_connection_pool_name="p"} 7
# TYPE db_client_connection_timeouts counter
# HELP db_client_connection_timeouts Calls that got no connection in time.
db_client_connection_timeouts_total{db_client_connection_pool_name="p"} 10
# TYPE db_client_connection_create_time_seconds histogram
# UNIT db_client_connection_create_time_seconds seconds
# HELP db_client_connection_create_time_seconds How long attempts to connect took that succeeded.
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.000065535"} 0
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.000131071"} 0
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.000262143"} 0
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.000524287"} 0
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.001048575"} 0
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.002097151"} 0
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.004194303"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.008388607"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.016777215"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.033554431"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.067108863"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.134217727"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.268435455"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="0.536870911"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="1.073741823"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="2.147483647"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="4.294967295"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="8.589934591"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="17.179869183"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="34.359738367"} 1
db_client_connection_create_time_seconds_bucket{db_client_connection_pool_name="p",le="+Inf"} 1
db_client_connection_create_time_seconds_count{db_client_connection_pool_name="p"} 1
db_client_connection_create_time_seconds_sum{db_client_connection_pool_name="p"} 0.003
# TYPE db_client_connection_wait_time_seconds histogram
# UNIT db_client_connection_wait_time_seconds seconds
# HELP db_client_connection_wait_time_seconds How long calls waited for a connection, failed ones included.
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.0"} 2
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.000065535"} 2
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.000131071"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.000262143"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.000524287"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.001048575"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.002097151"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.004194303"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.008388607"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.016777215"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.033554431"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.067108863"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.134217727"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.268435455"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="0.536870911"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="1.073741823"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="2.147483647"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="4.294967295"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="8.589934591"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="17.179869183"} 4
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="34.359738367"} 4
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="+Inf"} 5
db_client_connection_wait_time_seconds_count{db_client_connection_pool_name="p"} 5
db_client_connection_wait_time_seconds_sum{db_client_connection_pool_name="p"} 70.0001
# TYPE db_client_connection_use_time_seconds histogram
# UNIT db_client_connection_use_time_seconds seconds
# HELP db_client_connection_use_time_seconds How long connections were leased that have come back.
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.000065535"} 1
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.000131071"} 1
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.000262143"} 1
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.000524287"} 1
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.001048575"} 2
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.002097151"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.004194303"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.008388607"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.016777215"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.033554431"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.067108863"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.134217727"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.268435455"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="0.536870911"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="1.073741823"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="2.147483647"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="4.294967295"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="8.589934591"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="17.179869183"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="34.359738367"} 3
db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="p",le="+Inf"} 3
db_client_connection_use_time_seconds_count{db_client_connection_pool_name="p"} 3
db_client_connection_use_time_seconds_sum{db_client_connection_pool_name="p"} 0.002097152
# TYPE cocp_connected gauge
# HELP cocp_connected Connections that are up, in use or not.
cocp_connected{db_client_connection_pool_name="p"} 3
# TYPE cocp_connecting gauge
# HELP cocp_connecting Connections with an attempt to connect under way.
cocp_connecting{db_client_connection_pool_name="p"} 6
# TYPE cocp_detached gauge
# HELP cocp_detached Connections that leases keep for good.
cocp_detached{db_client_connection_pool_name="p"} 0
# TYPE cocp_hooks gauge
# HELP cocp_hooks Connections that on_return or keepalive has.
cocp_hooks{db_client_connection_pool_name="p"} 21
# TYPE cocp_queued gauge
# HELP cocp_queued Connections that wait to dial.
cocp_queued{db_client_connection_pool_name="p"} 22
# TYPE cocp_resting gauge
# HELP cocp_resting Connections that are being looked at, placed or closed.
cocp_resting{db_client_connection_pool_name="p"} 23
# TYPE cocp_wanted gauge
# HELP cocp_wanted Connections that are to be there now.
cocp_wanted{db_client_connection_pool_name="p"} 24
# TYPE cocp_gets counter
# HELP cocp_gets Leases given out.
cocp_gets_total{db_client_connection_pool_name="p"} 18446744073709551615
# TYPE cocp_waits counter
# HELP cocp_waits Leases given out that had to be waited for.
cocp_waits_total{db_client_connection_pool_name="p"} 9
# TYPE cocp_cancelled counter
# HELP cocp_cancelled Calls for a connection that were cancelled.
cocp_cancelled_total{db_client_connection_pool_name="p"} 11
# TYPE cocp_rejected counter
# HELP cocp_rejected Calls for a connection that found too many waiting.
cocp_rejected_total{db_client_connection_pool_name="p"} 12
# TYPE cocp_connects counter
# HELP cocp_connects Attempts to connect that succeeded.
cocp_connects_total{db_client_connection_pool_name="p"} 13
# TYPE cocp_connect_failures counter
# HELP cocp_connect_failures Attempts to connect that failed.
cocp_connect_failures_total{db_client_connection_pool_name="p"} 14
# TYPE cocp_tls_resumed counter
# HELP cocp_tls_resumed Attempts to connect that resumed a TLS session.
cocp_tls_resumed_total{db_client_connection_pool_name="p"} 19
# TYPE cocp_disconnects counter
# HELP cocp_disconnects Connections lost while up.
cocp_disconnects_total{db_client_connection_pool_name="p"} 15
# TYPE cocp_replaced counter
# HELP cocp_replaced Connections replaced, by cause.
cocp_replaced_total{db_client_connection_pool_name="p",cause="dead"} 16
cocp_replaced_total{db_client_connection_pool_name="p",cause="dirty"} 17
cocp_replaced_total{db_client_connection_pool_name="p",cause="expired"} 18
# EOF
)");
}

BOOST_AUTO_TEST_CASE(prints_the_stats_of_a_pool) {
  pool_world w({.size = 3, .min_size = 1});
  auto lease = w.take();
  const std::string printed = print(*w.pool);
  BOOST_TEST(printed == cocp::detail::to_openmetrics({{.name = "10.0.0.1:7", .stats = w.pool->stats()}}));
  BOOST_TEST(value(printed, "cocp_gets_total{db_client_connection_pool_name=\"10.0.0.1:7\"}") == "1");
}

/// Bytes, and what becomes of them where only UTF-8 may be: "?" for U+FFFD.
struct bytes {
  std::string_view given;
  std::string_view printed;

  friend std::ostream& operator<<(std::ostream& out, const bytes& b) { return out << b.printed; }
};

const bytes all_bytes[] = {
    {"", ""},
    {"a\x7f\n", "a\x7f\n"},
    {"\xc2\x80\xdf\xbf", "\xc2\x80\xdf\xbf"},
    {"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"},
    {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
    {"\xff", "?"},
    {"\x80\xbf", "??"},
    {"\xc0\x80", "??"},
    {"\xc1\xbf", "??"},
    {"\xc2", "?"},
    {"\xc2"
     "a",
     "?a"},
    {"\xe0\x9f\xbf", "???"},
    {"\xed\xa0\x80", "???"},
    {"\xe2\x82", "??"},
    {"\xe2\x82"
     "a",
     "??a"},
    {"\xf0\x8f\xbf\xbf", "????"},
    {"\xf4\x90\x80\x80", "????"},
    {"\xf5\x80\x80\x80", "????"},
    {"\xf0\x9f\x8c", "???"},
};

BOOST_DATA_TEST_CASE(what_is_not_utf_8_is_replaced_byte_by_byte, all_bytes, b) {
  std::string expected;
  for (const char c : b.printed) expected += c == '?' ? "\ufffd" : std::string(1, c);
  BOOST_TEST(cocp::detail::to_utf8(b.given) == expected);
}

BOOST_AUTO_TEST_CASE(pools_whose_names_differ_in_what_is_not_utf_8_are_told_apart) {
  pool_world one;
  const named_pool all[] = {{"a\xff", *one.pool}, {"a\xfe", *one.pool}};
  std::ostringstream out;
  openmetrics(out, all);
  BOOST_TEST(names(out.str()) == (std::vector<std::string>{"a\ufffd", "a\ufffd#2"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_address_that_is_not_utf_8_does_not_spoil_the_scrape) {
  pool_world w({.size = 1}, {.address = "unix:@\xff"});
  BOOST_TEST(names(print(*w.pool)) == (std::vector<std::string>{"unix:@\ufffd"}), boost::test_tools::per_element());
}

BOOST_DATA_TEST_CASE(a_name_is_escaped, escapes, e) {
  pool_world w;
  const named_pool all[] = {{e.name, *w.pool}};
  const std::string text = print(all);
  BOOST_TEST(contains(text, "\ncocp_gets_total{db_client_connection_pool_name=\"" + e.printed + "\"} 0\n"), text);
}

BOOST_AUTO_TEST_CASE(a_pool_without_a_name_is_called_by_its_current_address) {
  pool_world w;
  const named_pool all[] = {{"", *w.pool}};
  BOOST_TEST(names(print(all)) == std::vector<std::string>{"10.0.0.1:7"}, boost::test_tools::per_element());
  w.pool->readdress("10.0.0.2:7");
  BOOST_TEST(names(print(all)) == std::vector<std::string>{"10.0.0.2:7"}, boost::test_tools::per_element());
  BOOST_TEST(print(all) == print(*w.pool));
}

BOOST_AUTO_TEST_CASE(a_name_that_is_there_already_gets_a_number) {
  pool_world w;
  pool_world other({.size = 1}, {.address = "10.0.0.2:7"});
  const cocp::pool& p = *w.pool;
  const std::string text = print(p, *other.pool, p, p);
  const std::vector<std::string> expected{"10.0.0.1:7", "10.0.0.2:7", "10.0.0.1:7#2", "10.0.0.1:7#3"};
  BOOST_TEST(names(text) == expected, boost::test_tools::per_element());
  // Nor is a number that is a name given twice, nor a name that differs only before it is escaped.
  const named_pool named[] = {{"a#2", p}, {"a", p}, {"a", p}, {"a#2", p}, {"a\n", p}, {"a\\n", p}};
  const std::vector<std::string> free{"a#2", "a", "a#3", "a#2#2", "a\\n", "a\\\\n"};
  BOOST_TEST(names(print(named)) == free, boost::test_tools::per_element());
  for (const std::string& each : {text, print(named)}) {
    const auto all = series(each);
    BOOST_TEST(std::set<std::string>(all.begin(), all.end()).size() == all.size());
  }
}

BOOST_AUTO_TEST_CASE(each_family_is_there_once_whatever_the_number_of_pools) {
  pool_world one;
  pool_world two({.size = 1, .report_leases = cocp::lease_report{}}, {.address = "10.0.0.2:7"});
  std::istringstream lines(print(*one.pool, *two.pool));
  std::vector<std::string> told;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# ")) told.push_back(line.substr(0, line.find(' ', 7)));
  }
  BOOST_TEST(told.size() == 24u * 2 + 3 + 1);
  BOOST_TEST(std::set<std::string>(told.begin(), told.end()).size() == told.size());
}

BOOST_AUTO_TEST_CASE(takes_pools_in_any_form) {
  pool_world one;
  pool_world two({.size = 2}, {.address = "10.0.0.2:7"});
  const std::string expected = print(*one.pool, *two.pool);
  BOOST_TEST(names(expected).size() == 2u);
  BOOST_TEST(print(std::vector<cocp::pool*>{&*one.pool, &*two.pool}) == expected);
  BOOST_TEST(print(std::vector<const cocp::pool*>{&*one.pool, &*two.pool}) == expected);
  std::vector<named_pool> named;
  named.push_back({"10.0.0.1:7", *one.pool});
  named.push_back({"", *two.pool});
  BOOST_TEST(print(named) == expected);
}

BOOST_AUTO_TEST_CASE(use_time_is_there_for_pools_that_report_their_leases) {
  pool_world silent;
  pool_world reporting({.size = 1, .report_leases = cocp::lease_report{}}, {.address = "10.0.0.2:7"});
  const std::string family = "db_client_connection_use_time_seconds";
  BOOST_TEST(!contains(print(*silent.pool), family));
  const std::string text = print(*silent.pool, *reporting.pool);
  BOOST_TEST(value(text, family + "_count{db_client_connection_pool_name=\"10.0.0.1:7\"}") == "not there");
  // Also before the first one came back.
  BOOST_TEST(value(text, family + "_count{db_client_connection_pool_name=\"10.0.0.2:7\"}") == "0");
}

BOOST_AUTO_TEST_CASE(a_bucket_counts_what_is_not_longer_than_its_bound_to_the_nanosecond) {
  pool_world w({.size = 1, .report_leases = cocp::lease_report{}});
  for (unsigned n = 16; n <= 35; ++n) {
    for (const duration held : {duration((1LL << n) - 1), duration(1LL << n)}) {
      auto lease = w.take();
      w.advance(held);
      lease.put();
    }
  }
  const std::string text = print(*w.pool);
  const std::string bucket =
      "db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name=\"10.0.0.1:7\",le=\"";
  const std::vector<std::string> bounds{"0.000065535", "0.000131071", "0.000262143", "0.000524287",  "0.001048575",
                                        "0.002097151", "0.004194303", "0.008388607", "0.016777215",  "0.033554431",
                                        "0.067108863", "0.134217727", "0.268435455", "0.536870911",  "1.073741823",
                                        "2.147483647", "4.294967295", "8.589934591", "17.179869183", "34.359738367"};
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    BOOST_TEST(value(text, bucket + bounds[i] + "\"}") == std::to_string(2 * i + 1), bounds[i]);
  }
  BOOST_TEST(value(text, bucket + "+Inf\"}") == "40");
}

BOOST_AUTO_TEST_CASE(neither_locale_nor_flags_of_the_stream_change_anything) {
  pool_world w({.size = 1, .report_leases = cocp::lease_report{}});
  w.settle();
  auto lease = w.take();
  w.advance(1234567ms + 5ns);
  lease.put();
  for (int i = 0; i < 1233; ++i) w.pool->try_get().put();
  const std::string expected = print(*w.pool);
  BOOST_TEST(contains(expected, "\ncocp_gets_total{db_client_connection_pool_name=\"10.0.0.1:7\"} 1234\n"));
  BOOST_TEST(
      contains(expected, "_use_time_seconds_sum{db_client_connection_pool_name=\"10.0.0.1:7\"} 1234.567000005\n"));

  std::ostringstream out;
  out.imbue(std::locale(std::locale::classic(), new quaint_numbers));
  out << std::hex << std::showbase << std::showpos << std::uppercase << std::scientific << std::setprecision(1)
      << std::left << std::setfill('*');
  out << 1234567;
  BOOST_REQUIRE(contains(out.str(), "'"));
  out.str({});
  out << std::setw(10'000'000);
  openmetrics(out, *w.pool);
  BOOST_TEST((out.str() == expected));

  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new quaint_numbers));
  const std::string global = print(*w.pool);
  std::locale::global(before);
  BOOST_TEST(global == expected);
}

BOOST_AUTO_TEST_CASE(pools_of_many_addresses_have_a_series_each_and_one_for_those_that_were_removed) {
  world w;
  cocp::pools many(w.io(), {}, {}, {.unused_for = 1min});
  const auto print_all = [&many] {
    std::ostringstream out;
    cocp::openmetrics(out, many);
    return out.str();
  };
  const std::string name = "cocp_connects_total{db_client_connection_pool_name=\"";
  for (const char* address : {"10.0.0.1:7", "10.0.0.2:7", "10.0.0.1:7"}) static_cast<void>(many.try_get(address));
  w.settle();
  std::string text = print_all();
  BOOST_TEST(value(text, name + "10.0.0.1:7\"}") == "1");
  BOOST_TEST(value(text, name + "10.0.0.2:7\"}") == "1");
  BOOST_TEST(!contains(text, "(removed)"));
  w.advance(30s);
  many.try_get("10.0.0.2:7").put();
  w.advance(31s);
  text = print_all();
  BOOST_TEST(value(text, name + "(removed)\"}") == "1");
  BOOST_TEST(value(text, name + "10.0.0.2:7\"}") == "1");
  BOOST_TEST(!contains(text, name + "10.0.0.1:7"));

  cocp::pool one(w.io(), "10.0.0.3:7", {.size = 1});
  w.settle();
  const cocp::named_pool single[] = {{"single", one}};
  const cocp::pools* const all[] = {&many};
  std::ostringstream out;
  cocp::openmetrics(out, single, all);
  BOOST_TEST(value(out.str(), name + "single\"}") == "1");
  BOOST_TEST(value(out.str(), name + "10.0.0.2:7\"}") == "1");
}

BOOST_AUTO_TEST_CASE(a_closed_pool_can_be_printed) {
  pool_world w;
  w.settle();
  w.pool->close();
  w.settle();
  const std::string text = print(*w.pool);
  BOOST_TEST(value(text, "cocp_connects_total{db_client_connection_pool_name=\"10.0.0.1:7\"}") == "1");
  BOOST_TEST(value(text, "cocp_connected{db_client_connection_pool_name=\"10.0.0.1:7\"}") == "0");
}

BOOST_AUTO_TEST_SUITE_END()
