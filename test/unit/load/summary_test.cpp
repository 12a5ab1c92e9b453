// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "../bench/load/summary.hpp"
#include "../bench/load/outage_book.hpp"

#include <boost/asio/error.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <ostream>
#include <string>
#include <vector>

namespace {

namespace data = boost::unit_test::data;
using namespace std::chrono_literals;
using bench::cause;
using state = bench::server_state;

/// Of the default run, without a fault.
bench::measured good_run() {
  bench::measured m;
  m.elapsed = 6s;
  for (int i = 0; i < 100; ++i) m.answers.record(1ms);
  m.leased_at_kill = 10;
  m.errors[{cause::in_flight, "End of file"}] = 10;
  m.answered_after_back = 50;
  m.recovery = 40ms;
  m.down_for = 1s;
  m.back_for = 2400ms;
  m.pool.emplace();
  m.pool->disconnects = 10;
  return m;
}

bench::load_options with_outage() {
  bench::load_options options;
  options.faults = {{.at = 3s}, {.at = 4s, .what = bench::fault::kind::restart}};
  return options;
}

BOOST_AUTO_TEST_CASE(only_what_was_in_flight_may_fail) {
  const bench::load_options options = with_outage();
  BOOST_TEST(bench::faults(options, good_run()).empty());
  for (const cause c : {cause::after_back, cause::no_connection, cause::other}) {
    bench::measured m = good_run();
    m.errors[{c, "End of file"}] = 1;
    BOOST_TEST((bench::faults(options, m) == std::vector{"1 error: " + std::string(bench::to_string(c))}));
  }
}

BOOST_AUTO_TEST_CASE(no_more_may_fail_than_connections_were_lost) {
  bench::measured m = good_run();
  m.pool->disconnects = 9;
  BOOST_TEST(bench::faults(with_outage(), m).size() == 1u);
  m.errors_at_close = 1;
  BOOST_TEST(bench::faults(with_outage(), m).empty());
}

BOOST_AUTO_TEST_CASE(all_connections_must_come_back) {
  bench::measured m = good_run();
  m.recovery.reset();
  BOOST_TEST((bench::faults(with_outage(), m) == std::vector<std::string>{"the connections were not all up again"}));
  m.back_for = 2200ms;
  BOOST_TEST(bench::faults(with_outage(), m).empty());
}

BOOST_AUTO_TEST_CASE(a_mode_without_a_pool_may_fail_but_not_mix_up_answers) {
  bench::measured m = good_run();
  m.pool.reset();
  m.errors[{cause::after_back, "End of file"}] = 1;
  BOOST_TEST(bench::faults(with_outage(), m).empty());
  m.wrong = 2;
  BOOST_TEST((bench::faults(with_outage(), m) == std::vector<std::string>{"2 wrong answers"}));
}

struct failure_row {
  state leased;
  state failed;
  boost::system::error_code error;
  cause right;

  friend std::ostream& operator<<(std::ostream& out, const failure_row& r) { return out << bench::to_string(r.right); }
};

const failure_row failures[] = {
    {state::up, state::dying, boost::asio::error::eof, cause::in_flight},
    {state::up, state::back, boost::asio::error::connection_reset, cause::in_flight},
    {state::dying, state::down, boost::asio::error::broken_pipe, cause::in_flight},
    {state::up, state::up, boost::asio::error::eof, cause::other},
    {state::up, state::down, boost::asio::error::timed_out, cause::other},
    {state::down, state::down, boost::asio::error::eof, cause::other},
    {state::back, state::back, boost::asio::error::eof, cause::after_back},
    {state::foreign, state::foreign, boost::asio::error::eof, cause::lost},
};

BOOST_DATA_TEST_CASE(the_cause_of_a_failure_is_known_from_when_it_got_its_connection, data::make(failures)) {
  BOOST_TEST(bench::to_string(bench::cause_of_failure(sample.leased, sample.failed, sample.error)) ==
             bench::to_string(sample.right));
}

BOOST_AUTO_TEST_CASE(a_lease_that_was_on_its_way_when_the_server_died_is_from_before) {
  bench::outage_book book(state::up);
  bench::attempt first(book);
  first.taken();
  book.dying();
  // Two leases are out: one of them is on its way.
  book.down(2);
  bench::attempt second(book);
  second.taken();
  bench::attempt third(book);
  third.taken();
  BOOST_TEST((second.at() == state::dying));
  BOOST_TEST((third.at() == state::down));
}

BOOST_AUTO_TEST_CASE(of_a_server_that_is_not_ours_nothing_is_known_later_either) {
  bench::outage_book book(state::foreign);
  book.dying();
  book.down(0);
  BOOST_TEST((book.state() == state::foreign));
  book.back();
  BOOST_TEST((book.state() == state::foreign));
}

BOOST_AUTO_TEST_CASE(modes_are_compared_round_by_round) {
  bench::measured slow;
  bench::measured quick;
  for (const unsigned rate : {100u, 200u, 400u}) {
    slow.blocks.push_back({.span = 1s, .answered = rate});
    quick.blocks.push_back({.span = 1s, .answered = 2 * rate});
  }
  quick.blocks.back().answered = 1000;
  const bench::spread s = bench::ratio_of(quick, slow, bench::rate_figure);
  BOOST_TEST(s.median == 2);
  BOOST_TEST(s.least == 2);
  BOOST_TEST(s.most == 2.5);
}

BOOST_AUTO_TEST_CASE(slices_are_put_together) {
  bench::measured all;
  for (int i = 0; i < 2; ++i) {
    bench::measured m = good_run();
    m.samples.push_back({.at = 1s});
    m.happened.push_back({3s, "server killed"});
    bench::append(all, std::move(m));
  }
  BOOST_TEST((all.elapsed == 12s));
  BOOST_TEST((all.samples[1].at == 7s));
  BOOST_TEST((all.happened[1].at == 9s));
  BOOST_TEST(all.answers.count() == 200u);
  BOOST_TEST(all.all_errors() == 20u);
  BOOST_TEST(all.pool->disconnects == 20u);
}

}  // namespace
