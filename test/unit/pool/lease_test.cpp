// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/lease.hpp>
#include <stdexcept>
#include <type_traits>

#include "support/pool_world.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;
using cocp::event_kind;

static_assert(std::is_nothrow_default_constructible_v<cocp::lease>);
static_assert(std::is_nothrow_move_constructible_v<cocp::lease>);
static_assert(std::is_nothrow_move_assignable_v<cocp::lease>);
static_assert(!std::is_copy_constructible_v<cocp::lease>);
static_assert(noexcept(std::declval<cocp::lease&>().put()));
static_assert(noexcept(std::declval<cocp::lease&>().discard()));

namespace {

/// Outlives what a lease leaves outstanding.
char byte = 0;

void ignore(error_code, std::size_t) {}

void exchange(pool_world& w, cocp::lease& l) {
  auto sent = w.watch(l->write(asio::buffer("ask", 3)));
  auto got = w.watch(l->read_some(asio::buffer(&byte, 1)));
  w.settle();
  w.peer().send("!");
  w.settle();
  BOOST_TEST(sent->value.has_value());
  BOOST_TEST(got->value.has_value());
}

/// One way to use a lease before it is put back.
struct use {
  const char* name;
  /// Whether the connection must not be leased again before it was reconnected.
  bool dirty;
  void (*run)(pool_world& w, cocp::lease& l);

  friend std::ostream& operator<<(std::ostream& out, const use& u) { return out << u.name; }
};

const std::vector<use> uses{
    {"nothing", false, [](pool_world&, cocp::lease&) {}},
    {"a clean exchange", false, exchange},
    {"nothing, for a long time", false, [](pool_world& w, cocp::lease&) { w.advance(10s); }},
    {"expires_after that passes, and no operation", false,
     [](pool_world& w, cocp::lease& l) {
       l->expires_after(1s);
       w.advance(2s);
     }},
    {"expires_after that does not pass, and an exchange", false,
     [](pool_world& w, cocp::lease& l) {
       l->expires_after(1s);
       exchange(w, l);
     }},
    {"a read left outstanding", true,
     [](pool_world& w, cocp::lease& l) {
       l->async_read_some(asio::buffer(&byte, 1), ignore);
       w.settle();
     }},
    {"a read left outstanding in the same turn", true,
     [](pool_world&, cocp::lease& l) { l->async_read_some(asio::buffer(&byte, 1), ignore); }},
    {"a write left outstanding", true,
     [](pool_world& w, cocp::lease& l) {
       w.peer().stall();
       l->async_write_some(asio::buffer(&byte, 1), ignore);
       w.settle();
     }},
    {"a write that has ended, but not its handler", true,
     [](pool_world&, cocp::lease& l) { l->async_write_some(asio::buffer(&byte, 1), ignore); }},
    {"a read that was cancelled", true,
     [](pool_world& w, cocp::lease& l) {
       asio::cancellation_signal cancel;
       l->async_read_some(asio::buffer(&byte, 1), asio::bind_cancellation_slot(cancel.slot(), ignore));
       w.settle();
       cancel.emit(asio::cancellation_type::terminal);
       w.settle();
     }},
    {"a read that expired", true,
     [](pool_world& w, cocp::lease& l) {
       l->expires_after(1s);
       l->async_read_some(asio::buffer(&byte, 1), ignore);
       w.advance(1s);
     }},
    {"a read after the expiry", true,
     [](pool_world& w, cocp::lease& l) {
       l->expires_after(1s);
       w.advance(1s);
       auto failing = w.watch(l->read_some(asio::buffer(&byte, 1)));
       w.settle();
       BOOST_TEST(failing->error == errc::timed_out);
     }},
    {"bytes left unread", true,
     [](pool_world& w, cocp::lease& l) {
       l->async_write_some(asio::buffer(&byte, 1), ignore);
       w.peer().send("more than was asked for");
       w.settle();
     }},
    {"unread bytes, and no operation", true, [](pool_world& w, cocp::lease&) { w.peer().send("surprise"); }},
    {"close", true, [](pool_world&, cocp::lease& l) { l->close(); }},
    {"discard", true, [](pool_world&, cocp::lease& l) { l.discard(); }},
    {"a read that was cancelled, and an exchange", true,
     [](pool_world& w, cocp::lease& l) {
       asio::cancellation_signal cancel;
       l->async_read_some(asio::buffer(&byte, 1), asio::bind_cancellation_slot(cancel.slot(), ignore));
       w.settle();
       cancel.emit(asio::cancellation_type::total);
       w.settle();
       exchange(w, l);
     }},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(lease)

// Both ways back: to the idle set and by hand-off.
BOOST_DATA_TEST_CASE(a_dirty_connection_is_replaced_and_a_clean_one_is_kept,
                     data::make(uses) * data::make({false, true}), u, waiter) {
  pool_world w;
  auto lease = w.take();
  auto next = waiter ? w.get() : nullptr;
  u.run(w, lease);
  lease.put();
  w.advance(200ms);
  const bool down = w.net().peers.front()->gone;
  BOOST_TEST(down == u.dirty);
  BOOST_TEST(w.net().open() == 1u);
  BOOST_TEST(w.pool->stats().replaced_dirty == (u.dirty ? 1u : 0u));
  BOOST_TEST(w.log.count(event_kind::replaced) == (u.dirty ? 1u : 0u));
  if (!waiter) next = w.get();
  w.settle();
  BOOST_REQUIRE(bool(next->lease));
  BOOST_TEST(next->lease->generation() == (u.dirty ? 2u : 1u));
  // Nothing of the first lease is left.
  exchange(w, next->lease);
  next->lease.put();
  w.advance(200ms);
  BOOST_TEST(w.pool->stats().replaced_dirty == (u.dirty ? 1u : 0u));
}

BOOST_AUTO_TEST_CASE(a_replacement_says_why) {
  pool_world w;
  for (const use& u : uses) {
    if (!u.dirty) continue;
    auto lease = w.take();
    u.run(w, lease);
    lease.put();
    w.advance(200ms);
  }
  for (const auto& e : w.log.entries()) {
    if (e.kind == event_kind::replaced) BOOST_TEST(!e.reason.empty());
  }
}

BOOST_AUTO_TEST_CASE(an_operation_that_failed_has_had_the_connection_redialled) {
  pool_world w;
  auto lease = w.take();
  auto failing = w.watch(lease->read_some(asio::buffer(&byte, 1)));
  w.settle();
  w.peer().reset();
  w.settle();
  BOOST_TEST(failing->error == asio::error::connection_reset);
  lease.put();
  w.advance(1s);
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 2, disconnects 1");
}

BOOST_AUTO_TEST_CASE(a_stream_redialled_during_the_lease_is_clean_again) {
  pool_world w;
  auto lease = w.take();
  asio::cancellation_signal cancel;
  lease->async_read_some(asio::buffer(&byte, 1), asio::bind_cancellation_slot(cancel.slot(), ignore));
  w.settle();
  cancel.emit(asio::cancellation_type::terminal);
  w.settle();
  auto failing = w.watch(lease->read_some(asio::buffer(&byte, 1)));
  w.settle();
  w.peer().fin();
  w.settle();
  auto again = w.watch(lease->ready());
  w.advance(200ms);
  BOOST_TEST(again->value.has_value());
  BOOST_TEST(lease->generation() == 2u);
  lease.put();
  w.advance(1s);
  BOOST_TEST(counters(*w.pool) == "gets 1, connects 2, disconnects 1");
  BOOST_TEST(w.take()->generation() == 2u);
}

BOOST_AUTO_TEST_CASE(what_was_left_outstanding_ends_with_operation_aborted) {
  pool_world w;
  w.net().on_accept = [](fake_peer& p) { p.stall(); };
  auto lease = w.take();
  std::optional<error_code> read;
  std::optional<error_code> second;
  std::optional<error_code> written;
  lease->async_read_some(asio::buffer(&byte, 1), [&](error_code ec, std::size_t) { read = ec; });
  lease->async_read_some(asio::buffer(&byte, 1), [&](error_code ec, std::size_t) { second = ec; });
  lease->async_write_some(asio::buffer(&byte, 1), [&](error_code ec, std::size_t) { written = ec; });
  w.settle();
  lease.put();
  BOOST_TEST(!read.has_value());
  w.settle();
  BOOST_TEST((read == asio::error::operation_aborted));
  BOOST_TEST((second == asio::error::operation_aborted));
  BOOST_TEST((written == asio::error::operation_aborted));
}

BOOST_AUTO_TEST_CASE(an_answer_that_comes_after_its_lease_never_reaches_the_next) {
  pool_world w({.size = 1, .one_way = true});
  auto lease = w.take();
  auto sent = w.watch(lease->write(asio::buffer("ask", 3)));
  w.settle();
  lease.put();
  w.settle();
  w.peer().send("answer");
  auto next = w.get();
  w.advance(200ms);
  BOOST_REQUIRE(bool(next->lease));
  BOOST_TEST(next->lease->generation() == 2u);
  exchange(w, next->lease);
}

BOOST_AUTO_TEST_SUITE(exceptions)

/// Ends a lease by an exception, after a write if `used`.
asio::awaitable<void> fail(cocp::lease l, bool used) {
  if (used) co_await l->write(asio::buffer("x", 1));
  l->no_answer();
  throw std::runtime_error("failed");
}

BOOST_AUTO_TEST_CASE(a_lease_that_ends_by_one_is_dirty_if_it_started_an_operation) {
  for (bool used : {false, true}) {
    for (bool keep : {false, true}) {
      pool_world w({.size = 1, .keep_on_exception = keep});
      auto done = w.watch(fail(w.take(), used));
      w.advance(200ms);
      BOOST_TEST(done->what == "failed");
      BOOST_TEST(w.pool->stats().replaced_dirty == (used && !keep ? 1u : 0u));
      BOOST_TEST(w.take()->generation() == (used && !keep ? 2u : 1u));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_lease_that_is_put_while_one_propagates_is_what_its_operations_made_it) {
  struct guard {
    cocp::lease& l;
    ~guard() { l.put(); }
  };
  pool_world w;
  auto lease = w.take();
  exchange(w, lease);
  try {
    const guard putter{lease};
    throw std::runtime_error("failed");
  } catch (const std::runtime_error&) {
  }
  w.advance(200ms);
  BOOST_TEST(w.pool->stats().replaced_dirty == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(giving_back_twice_is_harmless) {
  pool_world w({.size = 2});
  auto other = w.take();
  auto lease = w.take();
  lease.put();
  BOOST_TEST(!lease);
  lease.put();
  lease.discard();
  BOOST_TEST(gauges(*w.pool) == "2 connected, 1 idle, 1 leased, 0 connecting, 0 waiting");
  lease = w.take();
  lease.discard();
  lease.put();
  w.settle();
  BOOST_TEST(gauges(*w.pool) == "2 connected, 1 idle, 1 leased, 0 connecting, 0 waiting");
  BOOST_TEST(w.pool->stats().replaced_dirty == 1u);
}

BOOST_AUTO_TEST_CASE(an_empty_lease_gives_nothing_back) {
  cocp::lease empty;
  BOOST_TEST(!empty);
  empty.put();
  empty.discard();
  cocp::lease moved(std::move(empty));
  BOOST_TEST(!moved);
}

BOOST_AUTO_TEST_CASE(moving_moves_the_right_and_assigning_gives_the_old_one_back) {
  pool_world w({.size = 2});
  auto a = w.take();
  auto b = w.take();
  auto* shown = &*a;
  BOOST_TEST(shown != &*b);
  cocp::lease c(std::move(a));
  BOOST_TEST(!a);
  BOOST_TEST(&*c == shown);
  b = std::move(c);
  BOOST_TEST(!c);
  BOOST_TEST(&*b == shown);
  BOOST_TEST(gauges(*w.pool) == "2 connected, 1 idle, 1 leased, 0 connecting, 0 waiting");
  auto& same = b;
  b = std::move(same);
  BOOST_TEST(gauges(*w.pool).find("1 leased") != std::string::npos);
  b = cocp::lease();
  BOOST_TEST(gauges(*w.pool) == "2 connected, 2 idle, 0 leased, 0 connecting, 0 waiting");
}

BOOST_AUTO_TEST_CASE(it_outlives_the_pool) {
  pool_world w;
  auto lease = w.take();
  w.pool.reset();
  w.settle();
  exchange(w, lease);
  lease.put();
  BOOST_TEST(w.net().open() == 0u);
}

BOOST_AUTO_TEST_CASE(close_through_it_ends_its_operations_and_no_other_lease) {
  pool_world w;
  auto lease = w.take();
  auto reading = w.watch(lease->read_some(asio::buffer(&byte, 1)));
  w.settle();
  lease->close();
  w.settle();
  BOOST_TEST(reading->error == errc::closed);
  auto later = w.watch(lease->write(asio::buffer("x", 1)));
  w.advance(1s);
  BOOST_TEST(later->error == errc::closed, "for that lease, also when the stream is up again");
  lease.put();
  w.advance(1s);
  lease = w.take();
  exchange(w, lease);
}

BOOST_AUTO_TEST_CASE(expires_after_ends_with_it) {
  pool_world w;
  auto lease = w.take();
  lease->expires_after(1s);
  lease.put();
  lease = w.take();
  auto reading = w.watch(lease->read_some(asio::buffer(&byte, 1)));
  w.advance(10s);
  BOOST_TEST(!reading->done);
}

BOOST_AUTO_TEST_SUITE_END()
