// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A cancellation slot is its user's. Its signal may die before the wait that it was given to has ended, or be emitted
// long after, and a second wait on the same slot replaces the first.

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/unit_test.hpp>

#include <memory>
#include <optional>
#include <utility>

#include "net/name_lookup.hpp"
#include "support/pool_world.hpp"
#include "support/reluctant_executor.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;

namespace {

constexpr auto any_type = asio::cancellation_type::terminal;

/// How a wait ended.
struct result {
  unsigned ends = 0;
  error_code error;
  cocp::lease lease;

  auto note() {
    return [this](error_code ec, cocp::lease l) {
      ++ends;
      error = ec;
      lease = std::move(l);
    };
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(cancellation_slot)

BOOST_AUTO_TEST_CASE(a_signal_may_die_before_the_handler_has_run) {
  pool_world w;
  auto held = w.take();
  result r;
  {
    asio::cancellation_signal cancel;
    w.pool->async_get(asio::bind_cancellation_slot(cancel.slot(), r.note()));
    cancel.emit(any_type);
    BOOST_TEST(r.ends == 0u);
  }
  w.settle();
  BOOST_TEST(r.ends == 1u);
  BOOST_TEST(r.error == asio::error::operation_aborted);
}

BOOST_AUTO_TEST_CASE(a_signal_may_die_before_the_wait_has_ended) {
  pool_world w;
  auto held = w.take();
  result r;
  {
    asio::cancellation_signal cancel;
    w.pool->async_get(asio::bind_cancellation_slot(cancel.slot(), r.note()));
  }
  held.put();
  w.settle();
  BOOST_TEST(bool(r.lease));
}

BOOST_AUTO_TEST_CASE(a_second_wait_on_a_slot_replaces_the_first) {
  pool_world w;
  auto held = w.take();
  asio::cancellation_signal cancel;
  result first;
  result second;
  w.pool->async_get(asio::bind_cancellation_slot(cancel.slot(), first.note()));
  w.pool->async_get(asio::bind_cancellation_slot(cancel.slot(), second.note()));
  cancel.emit(any_type);
  w.settle();
  BOOST_TEST(first.ends == 0u);
  BOOST_TEST(second.error == asio::error::operation_aborted);
  held.put();
  w.settle();
  BOOST_TEST(bool(first.lease));
}

BOOST_AUTO_TEST_CASE(the_end_of_the_first_wait_on_a_slot_leaves_the_second_its_cancellation) {
  pool_world w;
  auto held = w.take();
  asio::cancellation_signal cancel;
  result first;
  result second;
  w.pool->async_get(asio::bind_cancellation_slot(cancel.slot(), first.note()));
  w.pool->async_get(asio::bind_cancellation_slot(cancel.slot(), second.note()));
  held.put();
  w.settle();
  BOOST_REQUIRE(bool(first.lease));
  cancel.emit(any_type);
  w.settle();
  BOOST_TEST(second.error == asio::error::operation_aborted);
}

BOOST_AUTO_TEST_CASE(a_cancellation_that_comes_late_meets_nobody_who_has_the_memory_now) {
  pool_world w;
  auto held = w.take();
  asio::cancellation_signal cancel;
  result first;
  w.pool->async_get(asio::bind_cancellation_slot(cancel.slot(), first.note()));
  held.put();
  w.settle();
  BOOST_REQUIRE(bool(first.lease));
  auto next = w.get();
  cancel.emit(any_type);
  w.settle();
  BOOST_TEST(next->ends == 0u);
  first.lease.put();
  w.settle();
  BOOST_TEST(bool(next->lease));
}

BOOST_AUTO_TEST_CASE(a_wait_that_its_executor_dropped_is_met_by_no_later_cancellation) {
  pool_world w({.size = 1, .max_waiting = 0});
  auto held = w.take();
  asio::cancellation_signal cancel;
  result r;
  reluctant_executor::control control{1, ~0u};
  const reluctant_executor ex(w.io().get_executor(), control);
  // Refused at once: nothing is started.
  auto start = [&] {
    w.pool->async_get(asio::bind_cancellation_slot(cancel.slot(), asio::bind_executor(ex, r.note())));
  };
  BOOST_CHECK_THROW(start(), std::bad_alloc);
  cancel.emit(any_type);
  BOOST_TEST(r.ends == 0u);
}

BOOST_AUTO_TEST_CASE(a_wait_whose_own_context_went_first_is_met_by_no_later_cancellation) {
  for (const bool on_strand : {false, true}) {
    for (const bool posted : {false, true}) {
      pool_world w;
      auto held = w.take();
      asio::cancellation_signal cancel;
      result r;
      auto other = std::make_unique<asio::io_context>();
      asio::any_io_executor ex = other->get_executor();
      if (on_strand) ex = asio::make_strand(*other);
      w.pool->async_get(asio::bind_cancellation_slot(cancel.slot(), asio::bind_executor(ex, r.note())));
      ex = asio::any_io_executor();
      // Its completion is in the other context's queue when that goes.
      if (posted) held.put();
      if (posted) w.settle();
      if (!posted) w.pool.reset(), w.settle();
      other.reset();
      cancel.emit(any_type);
      w.settle();
      BOOST_TEST(r.ends == 0u);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_wait_that_went_with_the_pools_context_is_met_by_no_later_cancellation) {
  asio::cancellation_signal cancel;
  result r;
  {
    pool_world w;
    auto held = w.take();
    w.pool->async_get(asio::bind_cancellation_slot(cancel.slot(), r.note()));
    w.destroy_context();
    cancel.emit(any_type);
    held.put();
  }
  cancel.emit(any_type);
  BOOST_TEST(r.ends == 0u);
}

BOOST_AUTO_TEST_CASE(a_signal_keeps_no_pool) {
  const auto mark = std::make_shared<int>();
  asio::cancellation_signal cancel;
  result r;
  {
    pool_world w({.size = 1}, {.logger = [mark](const cocp::event&) {}});
    auto held = w.take();
    w.pool->async_get(asio::bind_cancellation_slot(cancel.slot(), r.note()));
    held.put();
    w.settle();
    r.lease.put();
  }
  BOOST_TEST(mark.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(a_slot_serves_one_wait_after_the_other) {
  pool_world w;
  asio::cancellation_signal cancel;
  for (int i = 0; i < 3; ++i) {
    auto held = w.take();
    result r;
    w.pool->async_get(asio::bind_cancellation_slot(cancel.slot(), r.note()));
    if (i == 1) held.put();
    if (i == 2) w.settle();
    cancel.emit(any_type);
    w.settle();
    BOOST_TEST(r.error == asio::error::operation_aborted);
  }
}

BOOST_AUTO_TEST_CASE(a_handler_may_destroy_its_own_signal) {
  pool_world w;
  auto held = w.take();
  auto cancel = std::make_unique<asio::cancellation_signal>();
  bool called = false;
  w.pool->async_get(asio::bind_cancellation_slot(cancel->slot(), [&](error_code, cocp::lease) {
    cancel.reset();
    called = true;
  }));
  held.put();
  w.settle();
  BOOST_TEST(called);
}

BOOST_AUTO_TEST_CASE(an_operation_ends_though_its_signal_died) {
  pool_world w;
  auto lease = w.take();
  char byte = 0;
  std::optional<error_code> error;
  {
    asio::cancellation_signal cancel;
    lease->async_read_some(asio::buffer(&byte, 1), asio::bind_cancellation_slot(
                                                       cancel.slot(), [&](error_code ec, std::size_t) { error = ec; }));
  }
  w.peer().send("x");
  w.settle();
  BOOST_TEST((error == error_code()));
}

BOOST_AUTO_TEST_CASE(the_end_of_a_read_leaves_a_write_on_its_slot_its_cancellation) {
  pool_world w;
  auto lease = w.take();
  w.peer().stall();
  asio::cancellation_signal stop;
  char byte = 0;
  std::optional<error_code> read;
  std::optional<error_code> written;
  lease->async_read_some(asio::buffer(&byte, 1),
                         asio::bind_cancellation_slot(stop.slot(), [&](error_code ec, std::size_t) { read = ec; }));
  lease->async_write_some(asio::buffer("x", 1),
                          asio::bind_cancellation_slot(stop.slot(), [&](error_code ec, std::size_t) { written = ec; }));
  w.peer().send("x");
  w.settle();
  BOOST_TEST((read == error_code()));
  BOOST_TEST(!written.has_value());
  stop.emit(any_type);
  w.settle();
  BOOST_TEST((written == asio::error::operation_aborted));
}

BOOST_AUTO_TEST_CASE(a_cancellation_that_comes_behind_an_operation_spoils_no_lease) {
  pool_world w;
  auto lease = w.take();
  asio::cancellation_signal cancel;
  char byte = 0;
  std::optional<error_code> error;
  lease->async_read_some(asio::buffer(&byte, 1),
                         asio::bind_cancellation_slot(cancel.slot(), [&](error_code ec, std::size_t) { error = ec; }));
  w.peer().send("x");
  w.settle();
  BOOST_TEST((error == error_code()));
  cancel.emit(any_type);
  lease.put();
  w.settle();
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 1");
}

BOOST_AUTO_TEST_CASE(a_read_that_waits_for_its_stream_ends_though_its_signal_died) {
  world w;
  w.net().default_result = fake_network::connect_result::refused;
  cocp::connection c(w.io(), {.address = "10.0.0.1:7"});
  char byte = 0;
  std::optional<error_code> error;
  {
    asio::cancellation_signal cancel;
    c.async_read_some(asio::buffer(&byte, 1),
                      asio::bind_cancellation_slot(cancel.slot(), [&](error_code ec, std::size_t) { error = ec; }));
    cancel.emit(any_type);
  }
  w.settle();
  BOOST_TEST((error == asio::error::operation_aborted));
  c.close();
}

BOOST_AUTO_TEST_CASE(a_cancelled_lookup_that_has_ended_drops_nobody_elses) {
  // The memory of one waiter is the next one's.
  const auto found = [](const std::string&, const std::string&, std::vector<cocp::endpoint>&) { return error_code(); };
  const auto names = std::make_shared<cocp::detail::name_lookup>(found);
  for (int i = 0; i < 20; ++i) {
    asio::io_context io;
    asio::cancellation_signal cancel;
    unsigned ended = 0;
    auto count = [&](error_code, const std::vector<cocp::endpoint>&) { ++ended; };
    names->async_resolve(io.get_executor(), "db", "7", asio::bind_cancellation_slot(cancel.slot(), count));
    io.run();
    io.restart();
    names->async_resolve(io.get_executor(), "db", "7", count);
    cancel.emit(any_type);
    io.run();
    BOOST_TEST(ended == 2u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
