// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/deadlines.hpp"

#include "support/seed.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <map>
#include <random>
#include <vector>

using namespace cocp::detail;
using namespace std::chrono_literals;

namespace {

struct someone final : event_waiter {
  void complete() override {}
  void complete_at_once() override {}
  void destroy() noexcept override {}
  bool belongs_to(const boost::asio::execution_context&) const noexcept override { return false; }
};

struct queue {
  deadlines all;
  std::deque<someone> waiters;
  time_point now{};

  someone& add(cocp::duration timeout) {
    someone& w = waiters.emplace_back();
    all.add(w, now + timeout, timeout);
    return w;
  }

  ~queue() {
    for (someone& w : waiters) all.remove(w);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(deadline)

BOOST_AUTO_TEST_CASE(of_nobody_never_comes) {
  queue q;
  BOOST_TEST((q.all.first() == nullptr));
  BOOST_TEST((q.all.earliest() == time_point::max()));
}

BOOST_AUTO_TEST_CASE(of_a_short_wait_comes_before_that_of_a_longer_one_that_began_earlier) {
  queue q;
  q.add(2s);
  q.now += 1s;
  someone& soon = q.add(500ms);
  BOOST_TEST((q.all.first() == &soon));
  BOOST_TEST((q.all.earliest() == time_point(1500ms)));
}

BOOST_AUTO_TEST_CASE(is_found_with_more_timeouts_than_lanes_whichever_comes_first) {
  for (const int shortest : {0, 3, 4, 7}) {
    queue q;
    someone* expected = nullptr;
    for (int i = 0; i < 8; ++i) {
      someone& w = q.add(i == shortest ? cocp::duration(1s) : cocp::duration(10s + i * 1s));
      if (i == shortest) expected = &w;
    }
    BOOST_TEST_CONTEXT("the shortest is number " << shortest) { BOOST_TEST((q.all.first() == expected)); }
  }
}

BOOST_AUTO_TEST_CASE(of_one_that_goes_is_forgotten_and_going_twice_is_harmless) {
  queue q;
  someone& first = q.add(1s);
  someone& second = q.add(1s);
  q.all.remove(first);
  q.all.remove(first);
  BOOST_TEST((q.all.first() == &second));
  q.all.remove(second);
  BOOST_TEST((q.all.first() == nullptr));
}

BOOST_AUTO_TEST_CASE(is_kept_for_any_mixture_of_timeouts_comers_and_goers) {
  const auto seed = cocp::test::random_seed();
  BOOST_TEST_CONTEXT("seed " << seed) {
    std::mt19937_64 random(seed);
    constexpr std::array<cocp::duration, 7> timeouts{1ms, 2ms, 3ms, 5ms, 8ms, 13ms, 21ms};
    queue q;
    std::multimap<time_point, someone*> model;
    for (int step = 0; step < 20'000; ++step) {
      q.now += std::chrono::microseconds(random() % 100);
      const auto what = random() % 8;
      if (what < 4) {
        // Now a few timeouts, now one for each.
        const auto timeout = what == 0 ? cocp::duration(random() % 20'000'000) : timeouts[random() % timeouts.size()];
        someone& w = q.add(timeout);
        model.emplace(w.deadline(), &w);
      } else if (what < 6 && !model.empty()) {
        const auto gone = std::next(model.begin(), static_cast<std::ptrdiff_t>(random() % model.size()));
        q.all.remove(*gone->second);
        model.erase(gone);
      }
      while (q.all.earliest() <= q.now) {
        auto* const w = q.all.first();
        BOOST_TEST_REQUIRE(!model.empty());
        BOOST_TEST_REQUIRE((w->deadline() == model.begin()->first));
        const auto [from, to] = model.equal_range(w->deadline());
        const auto found = std::find_if(from, to, [&](const auto& entry) { return entry.second == w; });
        BOOST_TEST_REQUIRE((found != to));
        q.all.remove(*w);
        model.erase(found);
      }
      BOOST_TEST_REQUIRE((model.empty() || model.begin()->first > q.now));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
