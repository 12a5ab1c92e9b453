// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/ledger.hpp"

#include <boost/test/unit_test.hpp>

#include <vector>

using namespace cocp::detail;
using namespace std::chrono_literals;
using cocp::event_kind;

namespace {

struct fixture {
  ledger::entry a;
  ledger::entry b;
  ledger book{cocp::lease_report{.held_longer_than = 10s}};
  std::source_location here = std::source_location::current();

  std::vector<const ledger::entry*> out() const {
    std::vector<const ledger::entry*> all;
    book.for_each(time_point(1h), [&all](const ledger::entry& e, const cocp::lease_info&) { all.push_back(&e); });
    return all;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(a_ledger, fixture)

BOOST_AUTO_TEST_CASE(is_kept_only_for_who_asks) {
  BOOST_TEST(book.is_kept());
  BOOST_TEST(!ledger(std::nullopt).is_kept());
}

BOOST_AUTO_TEST_CASE(tells_of_a_lease_that_is_out_for_too_long_once) {
  BOOST_TEST((book.next_time() == time_point::max()));
  book.given(a, here, time_point(1s));
  book.given(b, here, time_point(3s));
  BOOST_TEST((book.next_time() == time_point(11s)));
  BOOST_TEST(!book.next_report(time_point(10s)));
  const auto r = book.next_report(time_point(12s));
  BOOST_TEST_REQUIRE(r.has_value());
  BOOST_TEST((r->kind == event_kind::lease_overdue));
  BOOST_TEST((r->held == 11s));
  BOOST_TEST(r->where.line() == here.line());
  BOOST_TEST(!book.next_report(time_point(12s)));
  BOOST_TEST((book.next_time() == time_point(13s)));
}

BOOST_AUTO_TEST_CASE(tells_of_the_return_only_if_it_was_overdue) {
  book.given(a, here, time_point(0s));
  book.given(b, here, time_point(5s));
  BOOST_TEST(book.next_report(time_point(10s)).has_value());
  BOOST_TEST(!book.returned(b, 7, time_point(11s)));
  BOOST_TEST(book.returned(a, 7, time_point(12s)));
  BOOST_TEST((book.next_time() <= time_point(12s)));
  const auto r = book.next_report(time_point(12s));
  BOOST_TEST_REQUIRE(r.has_value());
  BOOST_TEST((r->kind == event_kind::lease_returned));
  BOOST_TEST((r->held == 12s));
  BOOST_TEST(r->id == 7u);
  BOOST_TEST(!book.next_report(time_point(1h)));
}

BOOST_AUTO_TEST_CASE(tells_of_a_return_although_the_connection_is_out_again) {
  book.given(a, here, time_point(0s));
  BOOST_TEST(book.next_report(time_point(10s)).has_value());
  book.returned(a, 7, time_point(11s));
  book.given(a, here, time_point(11s));
  BOOST_TEST((book.next_report(time_point(11s))->kind == event_kind::lease_returned));
  BOOST_TEST((book.next_time() == time_point(21s)));
  book.returned(a, 7, time_point(11s));
}

BOOST_AUTO_TEST_CASE(shows_who_has_what_overdue_or_not) {
  book.given(a, here, time_point(0s));
  book.given(b, here, time_point(5s));
  BOOST_TEST(book.next_report(time_point(10s)).has_value());
  BOOST_TEST((out() == std::vector<const ledger::entry*>{&a, &b}));
  book.returned(a, 7, time_point(11s));
  BOOST_TEST((out() == std::vector<const ledger::entry*>{&b}));
  book.not_given(b);
  BOOST_TEST(out().empty());
}

BOOST_AUTO_TEST_CASE(counts_how_long_leases_were_held_by_somebody) {
  book.given(a, here, time_point(0s));
  book.returned(a, 7, time_point(2s));
  book.given(a, here, time_point(2s));
  book.withdrawn(a);
  book.returned(a, 7, time_point(3s));
  book.given(b, here, time_point(3s));
  book.not_given(b);
  BOOST_TEST(book.use_time().count() == 1u);
  BOOST_TEST((book.use_time().sum() == 2s));
}

BOOST_AUTO_TEST_SUITE_END()
