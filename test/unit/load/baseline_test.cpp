// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "../bench/load/baseline.hpp"
#include "../bench/load/record.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using doubles = std::vector<double>;

BOOST_AUTO_TEST_CASE(a_difference_within_the_spread_is_chance) {
  const bench::change c = bench::change_of(doubles{98, 99, 100, 101, 102}, doubles{99, 100, 101, 102, 103});
  BOOST_TEST(c.by == 0.01, boost::test_tools::tolerance(1e-9));
  // Both have quartiles that are 2 apart: 2 * 1.57 * 2 / sqrt(5).
  BOOST_TEST(c.noise == 0.0280850, boost::test_tools::tolerance(1e-5));
  BOOST_TEST(!c.beyond_noise());
}

BOOST_AUTO_TEST_CASE(a_difference_beyond_the_spread_is_a_change_up_or_down) {
  const doubles slow{98, 99, 100, 101, 102};
  const doubles quick{108, 109, 110, 111, 112};
  BOOST_TEST(bench::change_of(slow, quick).beyond_noise());
  BOOST_TEST(bench::change_of(quick, slow).beyond_noise());
  BOOST_TEST(bench::change_of(quick, slow).by < 0);
}

BOOST_AUTO_TEST_CASE(of_few_blocks_nothing_is_known) {
  BOOST_TEST(!bench::change_of(doubles{1, 1, 1, 1}, doubles{9, 9, 9, 9}).beyond_noise());
  BOOST_TEST(!bench::change_of(doubles{}, doubles{}).known);
}

json::object record(unsigned rate, std::size_t coroutines = 64) {
  bench::load_options options;
  options.coroutines = coroutines;
  bench::measured m;
  m.elapsed = 5s;
  for (unsigned i = 0; i < 5; ++i) {
    m.blocks.push_back({.span = 1s, .answered = rate + i, .p50 = 1ms, .p90 = 1ms, .p99 = 2ms, .p999 = 2ms});
  }
  return bench::record_of("bench/run", options, {std::move(m)});
}

std::string changes(const json::object& before, const json::object& now) {
  std::ostringstream out;
  bench::print_changes(out, before, now);
  return out.str();
}

BOOST_AUTO_TEST_CASE(what_has_changed_is_named) {
  const std::string said = changes(record(1000), record(2000));
  BOOST_TEST(said.find("pool") != std::string::npos, said);
  BOOST_TEST(said.find("requests/s +99.8 % (0.3 %) CHANGED") != std::string::npos, said);
  BOOST_TEST(said.find("p99 +0.0 % (0.0 %)\n") != std::string::npos, said);
  BOOST_TEST(said.find("not the same") == std::string::npos, said);
}

BOOST_AUTO_TEST_CASE(that_nothing_has_changed_is_said) {
  const std::string said = changes(record(1000), record(1001));
  BOOST_TEST(said.find("nothing changed beyond the noise of the two runs") != std::string::npos, said);
}

BOOST_AUTO_TEST_CASE(other_work_is_not_taken_for_the_same) {
  const std::string said = changes(record(1000, 64), record(1000, 65));
  BOOST_TEST(said.find("not the same work: coroutines was 64 and is 65\n") != std::string::npos, said);
}

BOOST_AUTO_TEST_CASE(a_record_is_read_as_it_was_written) {
  const cocp::test::temporary_directory directory;
  const std::string file = directory.path() / "record.json";
  const json::object written = record(1000);
  bench::write_file(file, json::serialize(written));
  BOOST_TEST((bench::read_record(file) == written));
}

BOOST_AUTO_TEST_CASE(a_file_that_is_no_record_is_named) {
  const cocp::test::temporary_directory directory;
  const std::string file = directory.path() / "other.json";
  for (const char* const text : {"", "{}", "[1]", "no json"}) {
    bench::write_file(file, text);
    BOOST_CHECK_EXCEPTION(bench::read_record(file), std::runtime_error, [&](const std::runtime_error& e) {
      return e.what() == file + " is none that --json has written";
    });
  }
  BOOST_CHECK_EXCEPTION(bench::read_record(file + "x"), std::runtime_error,
                        [&](const std::runtime_error& e) { return e.what() == file + "x cannot be read"; });
  BOOST_CHECK_THROW(bench::write_file(directory.path(), "a directory"), std::runtime_error);
}

}  // namespace
