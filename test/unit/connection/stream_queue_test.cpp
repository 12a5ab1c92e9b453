// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/stream_queue.hpp"

#include <boost/asio/error.hpp>
#include <boost/test/unit_test.hpp>

#include <optional>
#include <vector>

namespace asio = boost::asio;
using cocp::errc;
using cocp::error_code;
using cocp::detail::ending;
using cocp::detail::loss_record;
using cocp::detail::stream_queue;
using cocp::detail::stream_waiter;
using cocp::detail::wait_list;
using word = cocp::detail::stream_word;

namespace {

const error_code closed = errc::closed;

constexpr unsigned up = 0;
constexpr unsigned reading = word::reading;
constexpr unsigned writing = word::writing;

struct wait final : stream_waiter {
  using stream_waiter::stream_waiter;
  void complete() override {}
  void complete_at_once() override {}
  void destroy() noexcept override {}
  bool belongs_to(const asio::execution_context&) const noexcept override { return false; }
};

struct fixture {
  word w;
  stream_queue queue{w};
  wait_list out;

  /// Whoever is still in it leaves: the waiters of a test go before the queue.
  void leave() {
    queue.take_all(out, {});
    out.clear();
  }
  void open() {
    w.step([](unsigned now) { return std::optional(word::open(now)); });
  }
  bool is_marked() const { return w.load() & word::queued; }
  /// Takes those who came out.
  std::vector<const wait*> taken() {
    std::vector<const wait*> all;
    for (const auto& one : out) all.push_back(static_cast<const wait*>(&one));
    out.clear();
    return all;
  }
};

using waits = std::vector<const wait*>;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(stream_queue_, fixture)

BOOST_AUTO_TEST_CASE(who_comes_marks_the_word_and_waits) {
  wait a(reading);
  queue.add(a);
  BOOST_TEST(is_marked());
  BOOST_TEST(a.waiting);
  queue.release(out, 1);
  BOOST_TEST(out.empty());
  BOOST_TEST(is_marked());
  leave();
}

BOOST_AUTO_TEST_CASE(an_open_stream_releases_one_of_each_direction_and_all_who_wait_for_it) {
  wait r1(reading), r2(reading), w1(writing), u1(up), u2(up);
  for (wait* x : {&r1, &r2, &u1, &w1, &u2}) queue.add(*x);
  open();
  queue.release(out, 7);
  BOOST_TEST((taken() == waits{&r1, &u1, &w1, &u2}));
  BOOST_TEST(r1.begun);
  BOOST_TEST(w1.begun);
  BOOST_TEST(!u1.begun);
  BOOST_TEST(r1.generation == 7u);
  BOOST_TEST(u1.generation == 7u);
  BOOST_TEST(!r1.waiting);
  BOOST_TEST(!r1.error);
  BOOST_TEST((w.load() & (reading | writing)) == (reading | writing));
  BOOST_TEST(is_marked());
  w.clear(reading);
  queue.release(out, 7);
  BOOST_TEST((taken() == waits{&r2}));
  BOOST_TEST(!is_marked());
}

BOOST_AUTO_TEST_CASE(a_stream_that_is_lost_in_a_lease_is_not_up_for_who_waits_for_it) {
  open();
  w.set(word::ended);
  wait u(up), x(writing);
  queue.add(u);
  queue.add(x);
  queue.release(out, 1);
  BOOST_TEST((taken() == waits{&x}));
  BOOST_TEST(u.waiting);
  leave();
}

BOOST_AUTO_TEST_CASE(who_is_cancelled_goes_alone) {
  wait a(reading), b(reading);
  queue.add(a);
  queue.add(b);
  queue.cancel(a, out);
  BOOST_TEST((taken() == waits{&a}));
  BOOST_TEST(a.error == asio::error::operation_aborted);
  BOOST_TEST(!a.waiting);
  open();
  queue.release(out, 1);
  BOOST_TEST((taken() == waits{&b}));
}

BOOST_AUTO_TEST_CASE(a_lost_stream_refuses_those_who_cannot_go_on_to_it_and_tells_each_why) {
  loss_record why;
  why.note({asio::error::eof, {}, ending::lost}, word::up);
  why.note_failed_write(asio::error::connection_reset);
  wait r(reading), x(writing), u(up);
  for (wait* one : {&r, &x, &u}) queue.add(*one);
  queue.refuse(out, writing, why);
  BOOST_TEST((taken() == waits{&x}));
  BOOST_TEST(x.error == asio::error::connection_reset);
  BOOST_TEST(is_marked());
  queue.refuse(out, reading | writing, why);
  BOOST_TEST((taken() == waits{&r}));
  BOOST_TEST(r.error == asio::error::eof);
  BOOST_TEST(is_marked());
  open();
  queue.release(out, 1);
  BOOST_TEST((taken() == waits{&u}));
  BOOST_TEST(!is_marked());
}

BOOST_AUTO_TEST_CASE(who_refuses_the_last_one_takes_the_mark_away) {
  loss_record why;
  wait r(reading);
  queue.add(r);
  queue.refuse(out, reading | writing, why);
  BOOST_TEST((taken() == waits{&r}));
  BOOST_TEST(!is_marked());
}

BOOST_AUTO_TEST_CASE(the_end_of_a_lease_takes_all_and_says_whether_an_operation_was_among_them) {
  wait u(up), r(reading);
  queue.add(u);
  BOOST_TEST(!queue.take_all(out, errc::closed));
  BOOST_TEST((taken() == waits{&u}));
  BOOST_TEST(!is_marked());
  queue.add(u);
  queue.add(r);
  BOOST_TEST(queue.take_all(out, errc::closed));
  BOOST_TEST((taken() == waits{&u, &r}));
  BOOST_TEST(r.error == closed);
  BOOST_TEST(!queue.take_all(out, errc::closed));
}

BOOST_AUTO_TEST_SUITE_END()
