// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What others read of what is printed: the reference parser of OpenMetrics (Debian's python3-prometheus-client), and
// Prometheus's own, by way of its storage. `promtool check metrics` reads only the older text format.

#include "support/fd_check.hpp"
#include "support/process.hpp"
#include "support/run.hpp"
#include "support/scripted_server.hpp"
#include "support/temporary_directory.hpp"

#include <cocp.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;

namespace {

asio::awaitable<void> echo(cocp::pool& pool, std::string_view text) {
  const cocp::lease lease = co_await pool.get();
  const auto out = asio::buffer(text);
  co_await lease->write(out);
  std::string answer(text.size(), '\0');
  const auto in = asio::buffer(answer);
  co_await lease->read(in);
}

void write_file(const std::string& name, const std::string& text) {
  std::ofstream file(name, std::ios::binary);
  file << text;
  file.close();
  BOOST_REQUIRE(file.good());
}

std::string read_file(const std::string& name) {
  std::ostringstream text;
  text << std::ifstream(name, std::ios::binary).rdbuf();
  return text.str();
}

std::vector<std::string> sorted_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::ranges::sort(lines);
  return lines;
}

std::size_t count_lines_with(const std::string& text, std::string_view part) {
  const auto lines = sorted_lines(text);
  return static_cast<std::size_t>(
      std::ranges::count_if(lines, [&](const auto& l) { return l.find(part) != std::string::npos; }));
}

/// Pools that have done something, printed.
struct fixture {
  fd_check descriptors;
  temporary_directory directory;
  std::string text;
  std::string address;
  cocp::stats used;

  fixture() {
    asio::io_context io{1};
    run(io, talk(io));
    BOOST_REQUIRE(used.gets == 3U);
    write_file(file("printed"), text);
  }

  asio::awaitable<void> talk(asio::io_context& io) {
    scripted_server server(io.get_executor());
    address = server.address();
    const cocp::connection_options to{.address = address};
    cocp::pool first(io, to, {.size = 2, .report_leases = cocp::lease_report{}});
    cocp::pool second(io, to, {.size = 1});
    cocp::pool third(io, to, {.size = 1});
    for (int i = 0; i < 3; ++i) co_await echo(first, "hello");
    co_await first.ready(2);
    co_await second.ready();
    co_await third.ready();
    const cocp::lease held = co_await second.get();
    used = first.stats();
    std::ostringstream out;
    const cocp::named_pool all[] = {{"", first}, {"", second}, {"a \"quoted\" \\name\nof two lines \u2192", third}};
    cocp::openmetrics(out, all);
    text = out.str();
  }

  std::string file(const char* name) const { return directory.path() / name; }

  /// What a program prints. The test fails if that program does.
  std::string output_of(std::vector<std::string> argv) {
    const std::string name = file("output");
    std::filesystem::remove(name);
    const std::string program = argv.front();
    process running(std::move(argv), name);
    const auto status = running.wait(60s);
    const std::string said = read_file(name);
    BOOST_REQUIRE_MESSAGE(status == 0, program << " failed: " << said << "\nIt was given:\n" << text);
    return said;
  }
};

// Prints families and samples, one a line: what was escaped in other ways than JSON does is seen to be the same.
constexpr const char* reference_parser = R"(
import json, sys
from prometheus_client.openmetrics.parser import text_fd_to_metric_families
with open(sys.argv[1], encoding='utf-8', newline='\n') as text:
    for family in text_fd_to_metric_families(text):
        print('family', family.name, family.type, family.unit or 'none', 'explained' if family.documentation else '')
        for sample in family.samples:
            labels = dict(sample.labels)
            pool = labels.pop('db_client_connection_pool_name')
            print(sample.name, json.dumps(pool), json.dumps(labels), float(sample.value), sample.timestamp)
)";

}  // namespace

BOOST_FIXTURE_TEST_SUITE(openmetrics, fixture)

BOOST_AUTO_TEST_CASE(the_reference_parser_understands_all_of_it) {
  // Debian's own: modules of its packages are for no other Python.
  const std::string seen = output_of({"/usr/bin/python3", "-c", reference_parser, file("printed")});
  const auto has = [&](const std::string& line) {
    BOOST_TEST(count_lines_with('\n' + seen, line) == 1U, line << " is not there once, in:\n" << seen);
  };
  for (const char* family : {"db_client_connection_count gauge none",
                             "db_client_connection_max gauge none",
                             "db_client_connection_idle_min gauge none",
                             "db_client_connection_pending_requests gauge none",
                             "db_client_connection_timeouts counter none",
                             "db_client_connection_create_time_seconds histogram seconds",
                             "db_client_connection_wait_time_seconds histogram seconds",
                             "db_client_connection_use_time_seconds histogram seconds",
                             "cocp_connected gauge none",
                             "cocp_connecting gauge none",
                             "cocp_detached gauge none",
                             "cocp_hooks gauge none",
                             "cocp_queued gauge none",
                             "cocp_resting gauge none",
                             "cocp_wanted gauge none",
                             "cocp_gets counter none",
                             "cocp_waits counter none",
                             "cocp_cancelled counter none",
                             "cocp_rejected counter none",
                             "cocp_connects counter none",
                             "cocp_connect_failures counter none",
                             "cocp_tls_resumed counter none",
                             "cocp_disconnects counter none",
                             "cocp_replaced counter none"}) {
    has("family " + std::string(family) + " explained");
  }
  BOOST_TEST(count_lines_with(seen, "family ") == 24U);

  const std::string first = " \"" + address + "\" ";
  const std::string second = " \"" + address + "#2\" ";
  const std::string third = R"( "a \"quoted\" \\name\nof two lines \u2192" )";
  has("db_client_connection_count" + first + R"({"db_client_connection_state": "used"} 0.0 None)");
  has("db_client_connection_count" + second + R"({"db_client_connection_state": "used"} 1.0 None)");
  has("db_client_connection_count" + third + R"({"db_client_connection_state": "idle"} 1.0 None)");
  has("db_client_connection_max" + first + "{} 2.0 None");
  has("cocp_gets_total" + first + "{} 3.0 None");
  has("cocp_replaced_total" + third + R"({"cause": "dirty"} 0.0 None)");
  has("db_client_connection_use_time_seconds_bucket" + first + R"({"le": "+Inf"} 3.0 None)");
  has("db_client_connection_use_time_seconds_count" + first + "{} 3.0 None");
  // The parser has read the sum as the number that it is, to what a double can tell.
  std::ostringstream sum;
  sum.precision(17);
  const std::string before = "db_client_connection_use_time_seconds_sum" + first + "{} ";
  const std::size_t at = seen.find(before);
  BOOST_REQUIRE(at != std::string::npos);
  const double seconds = std::chrono::duration<double>(used.use_time.sum()).count();
  BOOST_TEST(seconds > 0);
  BOOST_TEST(std::stod(seen.substr(at + before.size())) == seconds, boost::test_tools::tolerance(1e-14));
}

BOOST_AUTO_TEST_CASE(prometheus_stores_all_of_it) {
  // A scrape adds the time; a file must have it.
  std::string timed;
  std::size_t samples = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    timed += line;
    if (!line.starts_with('#')) {
      timed += " 1700000000";
      ++samples;
    }
    timed += '\n';
  }
  write_file(file("timed"), timed);
  const std::string storage = file("storage");
  output_of({"promtool", "tsdb", "create-blocks-from", "openmetrics", file("timed"), storage});
  // What it creates has no log of what was not yet stored, and it wants to read one.
  std::filesystem::create_directory(storage + "/wal");
  const std::string stored = output_of({"promtool", "tsdb", "dump", storage});
  const auto has = [&](const std::string& line) {
    BOOST_TEST(count_lines_with(stored, line) == 1U, line << " is not there once, in:\n" << stored);
  };
  BOOST_TEST(count_lines_with(stored, " 1700000000000") == samples);
  BOOST_TEST(count_lines_with(stored, "{") == samples);
  has(R"({__name__="cocp_gets_total", db_client_connection_pool_name=")" + address + R"("} 3 1700000000000)");
  has(R"({__name__="db_client_connection_count", db_client_connection_pool_name=")" + address +
      R"(#2", db_client_connection_state="used"} 1 1700000000000)");
  has(R"(db_client_connection_pool_name=")" + address + R"(", le="+Inf"} 2 1700000000000)");
  has(R"({__name__="cocp_connected", db_client_connection_pool_name="a \"quoted\" \\name\nof two lines )"
      "\u2192\"} 1 1700000000000");
}

BOOST_AUTO_TEST_SUITE_END()
