// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/asio/io_context.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp.hpp>
#include <functional>
#include <ostream>
#include <set>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;
using cocp::connection_options;
using cocp::pool_options;

namespace {

struct bad {
  const char* text;
  std::function<void(connection_options&, pool_options&)> spoil;
  friend std::ostream& operator<<(std::ostream& out, const bad& r) { return out << r.text; }
};

using c = connection_options;
using p = pool_options;

const bad bad_rows[] = {
    {"connect_timeout: 0 s: must be more than zero", [](c& o, p&) { o.connect_timeout = 0s; }},
    {"connect_timeout: -1 s: must be more than zero", [](c& o, p&) { o.connect_timeout = -1s; }},
    {"retry_min: 0 s: must be more than zero", [](c& o, p&) { o.retry_min = 0s; }},
    {"retry_min: -5 ms: must be more than zero", [](c& o, p&) { o.retry_min = -5ms; }},
    {"retry_max: 0 s: must be more than zero", [](c& o, p&) { o.retry_max = 0s; }},
    {"retry_max: 99 ms: must not be less than retry_min (100 ms)", [](c& o, p&) { o.retry_max = 99ms; }},
    {"tcp_keepalive: 999 ms: must be 1 s to 32767 s, or std::nullopt", [](c& o, p&) { o.tcp_keepalive = 999ms; }},
    {"tcp_keepalive: 32768 s: must be 1 s to 32767 s, or std::nullopt", [](c& o, p&) { o.tcp_keepalive = 32768s; }},
    {"tcp_user_timeout: 0 s: must be 1 ms to 2147483.647 s, or std::nullopt",
     [](c& o, p&) { o.tcp_user_timeout = 0s; }},
    {"tcp_user_timeout: -1 s: must be 1 ms to 2147483.647 s, or std::nullopt",
     [](c& o, p&) { o.tcp_user_timeout = -1s; }},
    {"size: 0: must be at least 1", [](c&, p& o) { o.size = 0; }},
    {"min_size: 6: must not be more than size (5)", [](c&, p& o) { o.min_size = 6; }},
    {"idle_timeout: 0 s: must be more than zero", [](c&, p& o) { o.idle_timeout = 0s; }},
    {"idle_timeout: -1 s: must be more than zero", [](c&, p& o) { o.idle_timeout = -1s; }},
    {"max_lifetime: 0 s: must be more than zero", [](c&, p& o) { o.max_lifetime = 0s; }},
    {"max_lifetime: -1 s: must be more than zero", [](c&, p& o) { o.max_lifetime = -1s; }},
    {"keepalive_interval: 0 s: must be more than zero", [](c&, p& o) { o.keepalive_interval = 0s; }},
    {"keepalive_interval: -1 s: must be more than zero", [](c&, p& o) { o.keepalive_interval = -1s; }},
    {"report_leases->held_longer_than: 0 s: must be more than zero",
     [](c&, p& o) { o.report_leases = cocp::lease_report{0s}; }},
    {"get_timeout: -1 ns: must not be negative", [](c&, p& o) { o.get_timeout = -1ns; }},
    {"fail_fast: -1 ns: must not be negative", [](c&, p& o) { o.fail_fast = -1ns; }},
    {"check_after: -2 us: must not be negative", [](c&, p& o) { o.check_after = -2us; }},
    {"address: \"\": must not be empty; write host:port, host:service, [v6]:port, unix:/path or unix:@name",
     [](c& o, p&) { o.address = ""; }},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(options)

BOOST_DATA_TEST_CASE(outside_their_range_are_refused_with_field_value_and_rule, bad_rows, r) {
  boost::asio::io_context io;
  connection_options connection{.address = "localhost:7"};
  pool_options pool;
  r.spoil(connection, pool);
  auto refused = [&](const std::invalid_argument& e) {
    BOOST_TEST(e.what() == std::string(r.text));
    return true;
  };
  BOOST_CHECK_EXCEPTION((cocp::pool{io, connection, pool}), std::invalid_argument, refused);
  // A refused pool leaves nothing behind on the context.
  BOOST_TEST(io.poll() == 0u);
  BOOST_TEST(io.stopped());
}

BOOST_AUTO_TEST_CASE(each_bad_field_has_a_text_of_its_own) {
  std::set<std::string> texts;
  for (const bad& r : bad_rows) BOOST_TEST(texts.insert(r.text).second, r.text);
}

BOOST_AUTO_TEST_CASE(of_a_lone_connection_are_checked_too) {
  boost::asio::io_context io;
  BOOST_CHECK_THROW((cocp::connection{io, {.address = "localhost"}}), std::invalid_argument);
  BOOST_CHECK_THROW((cocp::connection{io, {.address = "localhost:7", .retry_min = 0s}}), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(at_the_ends_of_their_ranges_are_taken) {
  boost::asio::io_context io;
  cocp::pool least{io,
                   {.address = "127.0.0.1:1",
                    .connect_timeout = 1ns,
                    .retry_min = 1ns,
                    .retry_max = 1ns,
                    .tcp_keepalive = 1s,
                    .tcp_user_timeout = 1ms},
                   {.size = 1,
                    .min_size = 0,
                    .idle_timeout = 1ns,
                    .max_lifetime = 1ns,
                    .get_timeout = 0s,
                    .max_waiting = 0,
                    .fail_fast = 0s,
                    .keepalive_interval = 1ns,
                    .report_leases = cocp::lease_report{1ns}}};
  cocp::pool most{io,
                  {.address = "127.0.0.1:1",
                   .connect_timeout = std::nullopt,
                   .retry_min = cocp::duration::max(),
                   .retry_max = cocp::duration::max(),
                   .tcp_keepalive = std::nullopt,
                   .tcp_user_timeout = std::nullopt},
                  {.min_size = 5,
                   .idle_timeout = cocp::duration::max(),
                   .max_lifetime = cocp::duration::max(),
                   .get_timeout = std::nullopt,
                   .fail_fast = cocp::duration::max(),
                   .check_after = cocp::duration::max(),
                   .keepalive_interval = cocp::duration::max(),
                   .report_leases = cocp::lease_report{cocp::duration::max()}}};
  BOOST_TEST(least.stats().size == 1u);
  BOOST_TEST(most.stats().size == 5u);
}

BOOST_AUTO_TEST_SUITE_END()
