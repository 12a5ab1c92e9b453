// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "../bench/load/options.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace data = boost::unit_test::data;
using namespace std::chrono_literals;

std::optional<bench::load_options> parsed(const std::string& line) {
  std::istringstream words("cocp-load " + line);
  std::vector<std::string> all;
  for (std::string word; words >> word;) all.push_back(word);
  std::vector<const char*> argv;
  for (const std::string& word : all) argv.push_back(word.c_str());
  std::ostringstream out;
  return bench::parse_load_options(static_cast<int>(argv.size()), argv.data(), out);
}

struct refused_line {
  const char* line;
  const char* text;

  friend std::ostream& operator<<(std::ostream& out, const refused_line& r) { return out << r.line; }
};

const refused_line refused[] = {
    {"--foo", "unrecognised option '--foo'"},
    {"stray", "too many positional options have been specified on the command line"},
    {"--size 0", "--size is 0; it must be a whole number from 1 to 10000"},
    {"--size 1..2", "--size is 1..2; it must be a whole number from 1 to 10000"},
    {"--coroutines x", "--coroutines is x; it must be a whole number from 1 to 1000000"},
    {"--threads 257", "--threads is 257; it must be a whole number from 1 to 256"},
    {"--compare --rounds -1", "--rounds is -1; it must be a whole number from 1 to 1000"},
    {"--rounds 2", "--rounds has a meaning only with --compare"},
    {"--bytes 0", "--bytes is 0; it must be a whole number from 1 to 65536, or two of them as in 64..4096"},
    {"--bytes 9..8", "--bytes is 9..8; it must be a whole number from 1 to 65536, or two of them as in 64..4096"},
    {"--rate fast", "--rate is fast; it must be a number from 0.1 to 10000000"},
    {"--duration 1h", "--duration is 1h; it must be a time as in 2s, 50ms or 100us, at least 100ms, at most a day"},
    {"--think -1s", "--think is -1s; it must be a time as in 2s, 50ms or 100us, at most a day"},
    {"--rate 1 --think 1s", "--think has a meaning only with a loop that waits for answers, without --rate"},
    {"--protocol smtp", "--protocol is smtp; it must be echo, redis, memcached or http"},
    {"--tls --protocol redis", "--tls is for the protocols echo and http, not for redis"},
    {"--insecure", "--insecure has a meaning only with --tls and --connect"},
    {"--path /x", "--path has a meaning only with --protocol http and --connect"},
    {"--mode none", "--mode is none; it must be pool, own-connection, dial-each or locked"},
    {"--mode locked --compare", "--mode has no meaning with --compare, which has modes of its own"},
    {"--compare=pool", "--compare is pool; it must be two modes at least"},
    {"--compare=pool,pool",
     "--compare is pool,pool; it must be some of pool, own-connection, dial-each and locked, each once, with commas"},
    {"--contexts two", "--contexts is two; it must be one or each"},
    {"--contexts each --threads 9 --size 8",
     "--contexts is each; then --size and --coroutines must be --threads at least"},
    {"--fault 2s",
     "--fault is 2s; it must be a time, a colon, and kill, restart, stall=TIME, latency=TIME or reset=PERCENT%, as in "
     "5s:stall=1s"},
    {"--fault 1s:restart", "--fault is 1s:restart; it must be after a kill"},
    {"--fault 6s:kill", "--fault is 6s:kill; it must be before the end, which is at 6s"},
    {"--connect h:1 --fault 1s:kill", "--fault is 1s:kill; a server of one's own (--connect) is not killed from here"},
};

BOOST_DATA_TEST_CASE(what_is_wrong_with_a_line_is_said_in_one_that_names_it, data::make(refused)) {
  BOOST_CHECK_EXCEPTION(parsed(sample.line), bench::usage_error, [&](const bench::usage_error& e) {
    BOOST_TEST(e.what() == sample.text);
    return std::string(e.what()).find('\n') == std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(without_options_there_is_one_outage) {
  const auto o = parsed("").value();
  BOOST_TEST(o.size == 10u);
  BOOST_TEST(o.coroutines == 64u);
  BOOST_TEST((o.modes == std::vector{bench::mode::pool}));
  BOOST_REQUIRE_EQUAL(o.faults.size(), 2u);
  BOOST_TEST((o.faults[0] == bench::fault{.at = 3s}));
  BOOST_TEST((o.faults[1] == bench::fault{.at = 4s, .what = bench::fault::kind::restart}));
}

BOOST_AUTO_TEST_CASE(a_comparison_has_a_connection_for_each_coroutine_and_no_outage) {
  const auto o = parsed("--compare --coroutines 7").value();
  BOOST_TEST(o.size == 7u);
  BOOST_TEST(o.rounds == 10u);
  BOOST_TEST(o.modes.size() == 4u);
  BOOST_TEST(o.faults.empty());
  BOOST_TEST((parsed("--compare=locked,pool")->modes == std::vector{bench::mode::locked, bench::mode::pool}));
}

BOOST_AUTO_TEST_CASE(a_server_of_ones_own_is_left_alone) { BOOST_TEST(parsed("--connect h:1")->faults.empty()); }

BOOST_AUTO_TEST_CASE(sizes_may_be_drawn) {
  BOOST_TEST((parsed("--bytes 64..4096")->bytes == bench::byte_range{64, 4096}));
}

BOOST_AUTO_TEST_CASE(help_is_printed_and_nothing_is_run) { BOOST_TEST(!parsed("--help")); }

}  // namespace
