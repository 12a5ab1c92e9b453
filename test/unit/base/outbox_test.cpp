// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "base/outbox.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <deque>
#include <new>
#include <string>

using namespace std::chrono_literals;
using cocp::detail::outbox;
using cocp::detail::redelivery_pause;
using cocp::detail::time_point;
using cocp::detail::wait_list;
using cocp::detail::waiter;

namespace {

const time_point start{1h};

/// Waits, and what became of them, in order: 'a' was completed, 'A' was destroyed.
class waits {
 public:
  waiter& add(char name, int refusals) { return all_.emplace_back(*this, name, refusals); }
  /// A list of new waits that are completed at once.
  void add_all(wait_list& list, const std::string& names, int refusals = 0) {
    for (const char c : names) list.push_back(add(c, refusals));
  }
  /// Another context's, for `drop`.
  bool elsewhere = false;
  std::string ended;

 private:
  struct wait final : waiter {
    wait(waits& w, char n, int r) : whose(w), name(n), refusals(r) {}
    void complete_at_once() override {}
    void complete() override {
      BOOST_TEST(!is_linked());
      if (refusals > 0) {
        --refusals;
        throw std::bad_alloc();
      }
      whose.ended += name;
    }
    void destroy() noexcept override { whose.ended += static_cast<char>(name - 'a' + 'A'); }
    bool belongs_to(const boost::asio::execution_context&) const noexcept override { return !whose.elsewhere; }

    waits& whose;
    const char name;
    int refusals;
  };

  std::deque<wait> all_;
};

std::string names_in(wait_list& list, const waits& w) {
  const std::size_t before = w.ended.size();
  outbox::send(list);
  return w.ended.substr(before);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(outbox_)

BOOST_AUTO_TEST_CASE(what_executors_take_is_sent_in_order) {
  waits w;
  wait_list list;
  w.add_all(list, "abc");
  BOOST_TEST(outbox::send(list));
  BOOST_TEST(list.empty());
  BOOST_TEST(w.ended == "abc");
}

BOOST_AUTO_TEST_CASE(what_is_refused_holds_up_nothing_behind_it_and_stays_in_the_list_in_order) {
  waits w;
  wait_list list;
  w.add_all(list, "a");
  w.add_all(list, "xy", 1);
  w.add_all(list, "b");
  BOOST_TEST(!outbox::send(list));
  BOOST_TEST(w.ended == "ab");
  BOOST_TEST(list.size() == 2u);
  BOOST_TEST(outbox::send(list));
  BOOST_TEST(w.ended == "abxy");
}

BOOST_AUTO_TEST_CASE(an_empty_one_is_never_due) {
  outbox box;
  wait_list none;
  box.keep(none, start);
  BOOST_TEST(box.empty());
  BOOST_TEST((box.due() == time_point::max()));
}

BOOST_AUTO_TEST_CASE(what_is_kept_is_due_after_the_pause_that_follows_the_first_refusal) {
  waits w;
  outbox box;
  wait_list list;
  w.add_all(list, "a", 1);
  outbox::send(list);
  box.keep(list, start);
  BOOST_TEST(list.empty());
  BOOST_TEST(!box.empty());
  BOOST_TEST((box.due() == start + redelivery_pause));
  w.add_all(list, "b", 1);
  outbox::send(list);
  box.keep(list, start + 1ms);
  BOOST_TEST((box.due() == start + redelivery_pause));
  box.take(list);
  BOOST_TEST((box.due() == time_point::max()));
  outbox::send(list);
  BOOST_TEST(w.ended == "ab");
}

BOOST_AUTO_TEST_CASE(what_is_refused_again_is_kept_again_and_due_anew) {
  waits w;
  outbox box;
  wait_list list;
  w.add_all(list, "a", 2);
  outbox::send(list);
  box.keep(list, start);
  box.take(list);
  BOOST_TEST(!outbox::send(list));
  box.keep(list, start + 1h);
  BOOST_TEST((box.due() == start + 1h + redelivery_pause));
  box.take(list);
  BOOST_TEST(outbox::send(list));
  BOOST_TEST(w.ended == "a");
}

BOOST_AUTO_TEST_CASE(what_was_refused_goes_behind_what_is_sent_with_it) {
  waits w;
  outbox box;
  wait_list list;
  w.add_all(list, "ab", 1);
  outbox::send(list);
  box.keep(list, start);
  w.add_all(list, "c");
  box.take(list);
  BOOST_TEST(names_in(list, w) == "cab");
}

BOOST_AUTO_TEST_CASE(what_is_in_it_at_the_end_is_destroyed) {
  waits w;
  {
    outbox box;
    wait_list list;
    w.add_all(list, "ab", 1);
    outbox::send(list);
    box.keep(list, start);
  }
  BOOST_TEST(w.ended == "AB");
}

BOOST_AUTO_TEST_CASE(what_belongs_to_a_context_that_goes_away_goes_with_it) {
  boost::asio::io_context io;
  waits w;
  wait_list list;
  w.add_all(list, "ab");
  outbox::drop(list, io);
  BOOST_TEST(list.empty());
  BOOST_TEST(w.ended == "AB");
}

BOOST_AUTO_TEST_CASE(others_learn_that_a_context_goes_away_unless_their_executor_refuses) {
  boost::asio::io_context io;
  waits w;
  w.elsewhere = true;
  wait_list list;
  w.add_all(list, "a");
  w.add_all(list, "b", 1);
  outbox::drop(list, io);
  BOOST_TEST(w.ended == "aB");
}

BOOST_AUTO_TEST_SUITE_END()
