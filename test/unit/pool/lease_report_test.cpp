// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <source_location>
#include <string_view>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::event_kind;

namespace {

cocp::pool_options reporting(std::size_t size) { return {.size = size, .report_leases = cocp::lease_report{1min}}; }

asio::awaitable<cocp::lease> fetch(cocp::pool& pool, unsigned& line) {
  line = std::source_location::current().line() + 1;
  cocp::lease l = co_await pool.get();
  co_return l;
}

asio::awaitable<cocp::lease> fetch_in_time(cocp::pool& pool, unsigned& line) {
  line = std::source_location::current().line() + 1;
  cocp::lease l = co_await pool.get(5min);
  co_return l;
}

bool ends_with(std::string_view text, std::string_view end) { return text.ends_with(end); }

}  // namespace

BOOST_AUTO_TEST_SUITE(lease_report)

BOOST_AUTO_TEST_CASE(is_off_by_default) {
  pool_world w;
  auto held = w.take();
  w.advance(24h);
  BOOST_TEST(w.pool->leases().empty());
  BOOST_TEST(w.log.count(event_kind::lease_overdue) == 0u);
}

BOOST_AUTO_TEST_CASE(says_who_holds_what_and_since_when) {
  pool_world w(reporting(3));
  w.settle();
  BOOST_TEST(w.pool->leases().empty());
  unsigned line = 0;
  auto held = w.watch(fetch(*w.pool, line));
  w.advance(10s);
  const auto leases = w.pool->leases();
  BOOST_REQUIRE(leases.size() == 1u);
  BOOST_TEST(ends_with(leases[0].where.file_name(), "lease_report_test.cpp"));
  BOOST_TEST(leases[0].where.line() == line);
  BOOST_TEST((leases[0].held == 10s));
  BOOST_TEST((leases[0].since == w.net().now() - 10s));
  BOOST_TEST(leases[0].remote_endpoint == (*held->value)->remote_endpoint());
  held->value->put();
  BOOST_TEST(w.pool->leases().empty());
}

BOOST_AUTO_TEST_CASE(knows_every_way_to_get_one_at_once_and_after_a_wait) {
  pool_world w(reporting(1));
  w.settle();
  for (bool busy : {false, true}) {
    cocp::lease first;
    if (busy) first = w.take();
    unsigned line = 0;
    const auto check = [&](const char* what) {
      first.put();
      w.settle();
      const auto leases = w.pool->leases();
      BOOST_REQUIRE(leases.size() == 1u);
      BOOST_TEST(leases[0].where.line() == line, what << ": " << leases[0].where.line() << " and not " << line);
      BOOST_TEST(ends_with(leases[0].where.file_name(), "lease_report_test.cpp"));
    };
    {
      auto got = w.watch(fetch(*w.pool, line));
      w.settle();
      check("get()");
    }
    w.settle();
    if (busy) first = w.take();
    {
      auto got = w.watch(fetch_in_time(*w.pool, line));
      w.settle();
      check("get(timeout)");
    }
    w.settle();
    if (busy) first = w.take();
    {
      cocp::lease got;
      const auto keep = [&got](cocp::error_code, cocp::lease l) { got = std::move(l); };
      line = std::source_location::current().line() + 1;
      w.pool->async_get(keep);
      w.settle();
      check("async_get(token)");
    }
    w.settle();
    if (busy) first = w.take();
    {
      cocp::lease got;
      const auto keep = [&got](cocp::error_code, cocp::lease l) { got = std::move(l); };
      line = std::source_location::current().line() + 1;
      w.pool->async_get(5min, keep);
      w.settle();
      check("async_get(timeout, token)");
    }
    w.settle();
  }
  const unsigned line = std::source_location::current().line() + 1;
  auto got = w.pool->try_get();
  BOOST_TEST(w.pool->leases().at(0).where.line() == line);
}

BOOST_AUTO_TEST_CASE(one_that_is_out_for_too_long_is_told_once_and_once_more_when_it_comes_back) {
  pool_world w(reporting(2));
  auto brief = w.take();
  auto held = w.take();
  w.advance(59s);
  brief.put();
  BOOST_TEST(w.log.count(event_kind::lease_overdue) == 0u);
  w.advance(1s);
  BOOST_TEST(w.log.count(event_kind::lease_overdue) == 1u);
  const auto told = w.log.entries().back();
  BOOST_TEST(told.address == "10.0.0.1:7");
  BOOST_TEST(told.reason.find("pool_world.hpp:") != std::string::npos, told.reason);
  BOOST_TEST(ends_with(told.reason, ", held for 60.000 s"), told.reason);
  w.advance(1h);
  BOOST_TEST(w.log.count(event_kind::lease_overdue) == 1u);
  BOOST_TEST(w.log.count(event_kind::lease_returned) == 0u);
  held.put();
  w.settle();
  BOOST_TEST(w.log.count(event_kind::lease_returned) == 1u);
  BOOST_TEST(ends_with(w.log.entries().back().reason, ", held for 3660.000 s"), w.log.entries().back().reason);
  // The next lease of the same connection is another one.
  auto again = w.take();
  w.advance(2min);
  BOOST_TEST(w.log.count(event_kind::lease_overdue) == 2u);
  again.discard();
  w.settle();
  BOOST_TEST(w.log.count(event_kind::lease_returned) == 2u);
}

BOOST_AUTO_TEST_CASE(what_is_found_dead_before_it_is_given_out_is_held_by_nobody) {
  pool_world w(reporting(1));
  w.settle();
  w.peer().fin();
  BOOST_TEST(!w.pool->try_get());
  BOOST_TEST(w.pool->leases().empty());
  w.advance(1h);
  BOOST_TEST(w.log.count(event_kind::lease_overdue) == 0u);
}

BOOST_AUTO_TEST_CASE(each_lease_has_a_time_of_its_own) {
  pool_world w(reporting(3));
  std::vector<cocp::lease> held;
  for (int i = 0; i < 3; ++i) {
    held.push_back(w.take());
    w.advance(10s);
  }
  w.advance(30s);
  for (std::size_t told = 1; told <= 3; ++told) {
    BOOST_TEST(w.log.count(event_kind::lease_overdue) == told);
    w.advance(10s);
  }
  BOOST_TEST(w.log.count(event_kind::lease_overdue) == 3u);
}

BOOST_AUTO_TEST_CASE(use_time_is_how_long_leases_were_held_that_came_back) {
  pool_world w(reporting(3));
  auto put = w.take();
  w.advance(10s);
  auto discarded = w.take();
  auto overdue = w.take();
  put.put();
  w.advance(5s);
  discarded.discard();
  w.advance(1h);
  auto used = w.pool->stats().use_time;
  BOOST_TEST(used.count() == 2u);
  BOOST_TEST((used.sum() == 15s));
  overdue.put();
  w.advance(1h);
  used = w.pool->stats().use_time;
  BOOST_TEST(used.count() == 3u);
  BOOST_TEST((used.sum() == 1h + 20s));
}

BOOST_AUTO_TEST_CASE(use_time_knows_nothing_of_leases_that_nobody_got) {
  pool_world w(reporting(1));
  auto lease = w.take();
  auto gone = w.get();
  w.advance(1s);
  lease.put();
  gone->cancel.emit(asio::cancellation_type::terminal);
  w.advance(1s);
  BOOST_TEST(gone->error == asio::error::operation_aborted);
  auto used = w.pool->stats().use_time;
  BOOST_TEST(used.count() == 1u);
  BOOST_TEST((used.sum() == 1s));
  // The next lease of the same connection counts again.
  lease = w.take();
  lease.put();
  BOOST_TEST(w.pool->stats().use_time.count() == 2u);
  BOOST_TEST(w.pool->stats().gets == 2u);
}

BOOST_AUTO_TEST_CASE(use_time_is_not_counted_if_leases_are_not_reported) {
  pool_world w;
  auto lease = w.take();
  w.advance(1s);
  lease.put();
  BOOST_TEST(w.pool->stats().gets == 1u);
  BOOST_TEST(w.pool->stats().use_time.count() == 0u);
}

BOOST_AUTO_TEST_CASE(a_logger_may_use_the_pool) {
  cocp::pool* used = nullptr;
  std::size_t seen = 0;
  pool_world w(reporting(2), {.logger = [&](const cocp::event& e) {
                 if (e.kind == event_kind::lease_overdue) seen = used->leases().size();
               }});
  used = &*w.pool;
  auto a = w.take();
  auto b = w.take();
  w.advance(1min);
  BOOST_TEST(seen == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
