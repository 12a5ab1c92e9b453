// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/shelf.hpp"

#include <boost/test/unit_test.hpp>

#include <array>
#include <vector>

using namespace cocp::detail;
using namespace std::chrono_literals;

namespace {

using entries = std::vector<const shelf::entry*>;

entries of(const shelf::list& l) {
  entries all;
  for (const auto& e : l) all.push_back(&e);
  return all;
}

struct fixture {
  std::array<shelf::entry, 3> e;

  /// Up and idle since that time.
  void put(shelf& s, shelf::entry& one, time_point t) {
    s.connected(one, t);
    s.arrived(one, t);
    s.put(one);
  }
  void empty(shelf& s) {
    while (!s.is_empty()) s.take();
  }
};

cocp::pool_options verified_late() { return {.check_after = 1min}; }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(a_shelf, fixture)

BOOST_AUTO_TEST_CASE(gives_out_the_one_that_was_used_last) {
  shelf s{cocp::pool_options{}};
  for (auto& one : e) put(s, one, time_point());
  BOOST_TEST((s.find_oldest() == &e[0]));
  BOOST_TEST((&s.take() == &e[2]));
  s.remove(e[0]);
  BOOST_TEST((&s.take() == &e[1]));
  BOOST_TEST(s.is_empty());
  BOOST_TEST((s.find_oldest() == nullptr));
}

BOOST_AUTO_TEST_CASE(puts_what_was_kept_alive_behind_the_others) {
  shelf s{cocp::pool_options{}};
  put(s, e[0], time_point());
  s.begin_keepalive(e[1]);
  s.hook_ended(e[1], time_point());
  s.put(e[1]);
  BOOST_TEST((s.find_oldest() == &e[1]));
  BOOST_TEST((&s.take() == &e[0]));
  BOOST_TEST((&s.take() == &e[1]));
  s.put(e[1]);
  put(s, e[0], time_point());
  s.put(e[2]);
  BOOST_TEST((s.find_oldest() == &e[1]), "that counts once");
  empty(s);
}

BOOST_AUTO_TEST_CASE(has_each_looked_at_unless_it_came_back_unused_and_may_wait) {
  for (const bool always : {true, false}) {
    shelf s{always ? cocp::pool_options{} : verified_late()};
    s.connected(e[0], {});
    BOOST_TEST(s.take_verify(e[0]), "a new one");
    BOOST_TEST(!s.take_verify(e[0]));
    s.came_back(e[0], true, {});
    BOOST_TEST(s.take_verify(e[0]), "one that was used");
    s.came_back(e[0], false, {});
    BOOST_TEST(s.take_verify(e[0]) == always);
    s.placed(e[0]);
    BOOST_TEST(s.take_verify(e[0]) == always);
  }
}

BOOST_AUTO_TEST_CASE(has_one_looked_at_that_was_idle_for_as_long_as_check_after) {
  shelf s{verified_late()};
  put(s, e[0], time_point(1s));
  s.take_verify(e[0]);
  shelf::duties found;
  s.look(0, 1, time_point(60s), found);
  BOOST_TEST((of(found.watch) == entries{&e[0]}), "it is watched first");
  found.watch.clear();
  s.put(e[0]);
  found.next = time_point::max();
  s.look(0, 1, time_point(60s), found);
  BOOST_TEST(!s.take_verify(e[0]));
  BOOST_TEST((found.next == time_point(61s)));
  s.look(0, 1, time_point(61s), found);
  BOOST_TEST(s.take_verify(e[0]));
  empty(s);
}

BOOST_AUTO_TEST_CASE(has_each_watched_once_and_again_only_when_that_has_ended) {
  shelf s{cocp::pool_options{}};
  put(s, e[0], time_point(1s));
  BOOST_TEST(s.wants_look(e[0]));
  shelf::duties found;
  s.look(0, 1, time_point(2s), found);
  BOOST_TEST((of(found.watch) == entries{&e[0]}));
  BOOST_TEST(s.is_empty());
  found.watch.clear();
  s.put(e[0]);
  BOOST_TEST(!s.wants_look(e[0]));
  s.look(0, 1, time_point(3s), found);
  BOOST_TEST(found.watch.empty());
  s.unwatched(e[0], time_point(5s));
  s.look(0, 1, time_point(4s), found);
  BOOST_TEST(found.watch.empty());
  BOOST_TEST((found.next == time_point(5s)));
  s.came_back(e[0], true, time_point(4s));
  s.look(0, 1, time_point(4s), found);
  BOOST_TEST((of(found.watch) == entries{&e[0]}), "a lease may have read what was unread");
  found.watch.clear();
}

BOOST_AUTO_TEST_CASE(closes_what_nobody_has_used_for_long_from_the_one_that_rests_the_longest) {
  shelf s{cocp::pool_options{.min_size = 0, .idle_timeout = 10s}};
  BOOST_TEST(s.is_timed());
  put(s, e[0], time_point(1s));
  put(s, e[1], time_point(2s));
  put(s, e[2], time_point(8s));
  shelf::duties found;
  s.look(1, 3, time_point(12s), found);
  BOOST_TEST((of(found.close) == entries{&e[0]}), "one is spare");
  found.close.clear();
  for (auto& one : found.watch) BOOST_TEST((&one != &e[0]));
  found.watch.clear();
  s.put(e[2]);
  s.put(e[1]);
  s.came_back(e[1], true, time_point(12s));
  s.look(2, 2, time_point(13s), found);
  BOOST_TEST(found.close.empty());
  BOOST_TEST((found.next == time_point(18s)));
  s.look(2, 2, time_point(18s), found);
  BOOST_TEST((of(found.close) == entries{&e[2]}));
  found.close.clear();
  s.look(2, 1, time_point(22s), found);
  BOOST_TEST(found.close.empty());
  s.look(2, 1, time_point(23s), found);
  BOOST_TEST((of(found.close) == entries{&e[1]}));
  found.close.clear();
}

BOOST_AUTO_TEST_CASE(keeps_alive_what_was_idle_for_long_but_not_all_at_once) {
  cocp::pool_options o;
  o.keepalive = [](cocp::connection&) -> boost::asio::awaitable<void> { co_return; };
  o.keepalive_interval = 10s;
  shelf s{o};
  for (auto& one : e) put(s, one, time_point(1s));
  shelf::duties found;
  s.look(0, 3, time_point(11s), found);
  BOOST_TEST((of(found.keep_alive) == entries{&e[0]}), "half of three");
  found.keep_alive.clear();
  found.watch.clear();
  BOOST_TEST(s.take_verify(e[0]));
  s.begin_keepalive(e[0]);
  s.put(e[1]);
  found.next = time_point::max();
  s.look(0, 3, time_point(11s), found);
  BOOST_TEST(found.keep_alive.empty());
  BOOST_TEST((found.next <= time_point(12s)), "soon it is another's turn");
  s.hook_ended(e[0], time_point(12s));
  s.put(e[0]);
  s.look(0, 3, time_point(12s), found);
  BOOST_TEST((of(found.keep_alive) == entries{&e[1]}));
  found.keep_alive.clear();
  empty(s);
}

BOOST_AUTO_TEST_CASE(retires_what_is_old_as_many_as_may_at_a_time) {
  shelf s{cocp::pool_options{.size = 20, .max_lifetime = 100s}};
  for (auto& one : e) {
    put(s, one, time_point(0s));
    const time_point old = s.begin_age(one, time_point(0s), 0);
    BOOST_TEST((old == time_point(100s)));
    BOOST_TEST(s.is_young(one, time_point(99s)));
    BOOST_TEST(!s.is_young(one, old));
  }
  BOOST_TEST((s.next_age(e[0], time_point(50s)) == time_point(100s)));
  BOOST_TEST(!s.retires(e[0], true, 20, time_point(100s)), "somebody waits");
  BOOST_TEST(s.retires(e[0], true, 20, time_point(125s)));
  shelf::list old;
  s.take_retiring(false, 20, time_point(100s), old);
  BOOST_TEST((of(old) == entries{&e[0], &e[1]}), "two of twenty");
  old.clear();
  s.retired(e[0]);
  s.retired(e[1]);
  BOOST_TEST(!s.retires(e[2], false, 20, time_point(100s)));
  BOOST_TEST(s.end_retirement(e[0]));
  BOOST_TEST(!s.end_retirement(e[0]));
  BOOST_TEST(s.retires(e[2], false, 20, time_point(100s)));
  empty(s);
}

BOOST_AUTO_TEST_CASE(takes_no_more_what_is_not_to_be_used_again) {
  shelf s{cocp::pool_options{}};
  s.connected(e[0], {});
  BOOST_TEST((s.begin_age(e[0], {}, 7) == time_point::max()));
  BOOST_TEST(s.is_young(e[0], time_point(1h)));
  s.end_age(e[0]);
  BOOST_TEST(!s.is_young(e[0], time_point()));
  s.forget_age(e[0]);
  BOOST_TEST(s.is_young(e[0], time_point(1h)));
}

BOOST_AUTO_TEST_CASE(knows_when_one_was_used_last) {
  shelf s{cocp::pool_options{}};
  s.connected(e[0], time_point(4s));
  s.arrived(e[0], time_point(3s));
  BOOST_TEST((s.used_at(e[0], time_point(9s)) == time_point(3s)));
  s.came_back(e[0], false, time_point(5s));
  BOOST_TEST((s.used_at(e[0], time_point(9s)) == time_point(9s)));
  s.connected(e[0], time_point(6s));
  BOOST_TEST((s.used_at(e[0], time_point(9s)) == time_point(9s)), "it was redialled in that lease");
}

BOOST_AUTO_TEST_SUITE_END()
