// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/waiting_room.hpp"

#include <boost/asio/error.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <vector>

using namespace cocp::detail;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;
using line = waiting_room::line;

namespace {

struct someone final : event_waiter {
  void complete() override {}
  void complete_at_once() override {}
  void destroy() noexcept override {}
  bool belongs_to(const boost::asio::execution_context&) const noexcept override { return false; }
};

using waiters = std::vector<const waiter*>;

struct fixture {
  std::array<someone, 4> w;
  waiting_room room;
  wait_list ended;

  waiters take_ended() {
    waiters all;
    for (const waiter& one : ended) all.push_back(&one);
    ended.clear();
    return all;
  }
  fixture() {
    auto wait_time = std::make_unique<cocp::histogram>();
    room.furnish(wait_time);
  }
  void enter(someone& one, line l = line::lease, std::optional<cocp::duration> timeout = std::nullopt) {
    room.enter(one, l, timeout, {});
  }
  cocp::stats stats() const {
    cocp::stats s;
    room.report(s);
    return s;
  }
  ~fixture() {
    for (const line l : {line::lease, line::up, line::end}) room.end_all(l, errc::closed, {}, ended);
    ended.clear();
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(a_waiting_room, fixture)

BOOST_AUTO_TEST_CASE(serves_first_who_came_first) {
  for (auto& one : w) enter(one);
  BOOST_TEST(room.waiting() == 4u);
  room.cancel(w[1], {});
  for (const int next : {0, 2, 3}) {
    BOOST_TEST((&room.serve_first({}) == &w[static_cast<std::size_t>(next)]));
  }
  BOOST_TEST(room.is_empty(line::lease));
  BOOST_TEST(!w[0].error);
  BOOST_TEST(w[0].has_waited());
}

BOOST_AUTO_TEST_CASE(ends_a_wait_once) {
  enter(w[0]);
  BOOST_TEST(room.cancel(w[0], {}));
  BOOST_TEST((w[0].error == boost::asio::error::operation_aborted));
  BOOST_TEST(!room.cancel(w[0], {}));
  BOOST_TEST(stats().cancelled == 1u);
}

BOOST_AUTO_TEST_CASE(ends_waits_whose_time_is_up_in_their_order_and_so_many_at_a_time) {
  BOOST_TEST((room.enter(w[0], line::lease, 3s, {}) == time_point(3s)));
  BOOST_TEST((room.enter(w[1], line::lease, 1s, {}) == time_point(1s)));
  BOOST_TEST((room.enter(w[2], line::up, 2s, {}) == time_point(2s)));
  BOOST_TEST((room.enter(w[3], line::lease, std::nullopt, {}) == time_point::max()));
  BOOST_TEST((room.next_deadline() == time_point(1s)));
  room.end_expired(1, time_point(5s), ended);
  BOOST_TEST((take_ended() == waiters{&w[1]}));
  room.end_expired(9, time_point(2s), ended);
  BOOST_TEST((take_ended() == waiters{&w[2]}));
  BOOST_TEST((w[2].error == errc::timed_out));
  room.end_expired(9, time_point(5s), ended);
  BOOST_TEST((take_ended() == waiters{&w[0]}));
  BOOST_TEST((room.next_deadline() == time_point::max()));
  BOOST_TEST(stats().timeouts == 2u, "of those who wait for a connection");
}

BOOST_AUTO_TEST_CASE(ends_waits_for_so_many_to_be_up_when_they_are_or_never_can_be) {
  for (std::size_t n = 1; n <= 3; ++n) {
    w[n].wanted = n;
    enter(w[n], line::up);
  }
  BOOST_TEST(room.most_wanted_up() == 3u);
  room.end_reached(1, {}, ended);
  BOOST_TEST((take_ended() == waiters{&w[1]}));
  room.end_unreachable(2, make_error_code(boost::system::errc::invalid_argument), {}, ended);
  BOOST_TEST((take_ended() == waiters{&w[3]}));
  BOOST_TEST(room.most_wanted_up() == 2u);
}

BOOST_AUTO_TEST_CASE(says_once_that_the_last_has_gone) {
  enter(w[0]);
  enter(w[1]);
  room.serve_first({});
  BOOST_TEST(!room.has_emptied());
  room.serve_first({});
  BOOST_TEST(room.has_emptied());
  BOOST_TEST(!room.has_emptied());
  BOOST_TEST(!room.has_let_go());
  enter(w[2], line::up);
  room.cancel(w[2], {});
  BOOST_TEST(room.has_let_go());
  BOOST_TEST(!room.has_let_go());
}

BOOST_AUTO_TEST_CASE(knows_how_long_each_has_waited_once_it_is_known_how_that_ended) {
  for (auto& one : w) enter(one);
  room.serve_first(time_point(1s));
  BOOST_TEST(stats().wait_time.count() == 0u);
  room.had(w[0]);
  room.serve_first(time_point(2s));
  room.withdrew(w[1]);
  room.cancel(w[2], time_point(4s));
  room.end_all(line::lease, errc::closed, time_point(8s), ended);
  const cocp::stats s = stats();
  BOOST_TEST(s.wait_time.count() == 4u);
  BOOST_TEST((s.wait_time.sum() == 15s));
  BOOST_TEST(s.waits == 1u);
  BOOST_TEST(s.cancelled == 2u);
  BOOST_TEST(s.waiting == 0u);
}

BOOST_AUTO_TEST_CASE(counts_those_who_may_not_wait) {
  room.refused_for_time();
  room.refused_for_length();
  room.refused_for_else();
  const cocp::stats s = stats();
  BOOST_TEST(s.timeouts == 1u);
  BOOST_TEST(s.rejected == 1u);
  BOOST_TEST(s.wait_time.count() == 3u);
  BOOST_TEST((s.wait_time.sum() == 0s));
}

BOOST_AUTO_TEST_SUITE_END()
