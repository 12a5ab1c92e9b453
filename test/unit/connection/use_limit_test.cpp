// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/use_limit.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using cocp::duration;
using cocp::error_code;
using cocp::detail::time_point;

namespace {

constexpr time_point start{1h};

/// A clock with one timer, which goes off only when the test says so.
struct fake_clock final : cocp::detail::environment {
  time_point time = start;
  /// How often the timer was set, and how many of the next times fail.
  unsigned set = 0;
  unsigned failures = 0;
  std::optional<time_point> due;
  // Boost 1.81 cannot assign one.
  std::optional<cocp::detail::wait_handler> pending;

  struct fake_timer final : cocp::detail::timer {
    explicit fake_timer(fake_clock& c) : clock(c) {}
    ~fake_timer() override { cancel(); }
    void expires_at(time_point t) override {
      cancel();
      clock.due = t;
    }
    void async_wait(cocp::detail::wait_handler handler) override {
      if (clock.failures > 0) {
        --clock.failures;
        throw std::bad_alloc();
      }
      ++clock.set;
      clock.pending.emplace(std::move(handler));
    }
    void cancel() noexcept override {
      clock.due.reset();
      if (clock.pending) clock.take()(error_code(asio::error::operation_aborted));
    }
    fake_clock& clock;
  };

  bool is_pending() const { return pending.has_value(); }
  cocp::detail::wait_handler take() {
    cocp::detail::wait_handler h(std::move(*pending));
    pending.reset();
    return h;
  }
  void strike() {
    time = *due;
    take()(error_code());
  }

  time_point now() const noexcept override { return time; }
  std::uint64_t random() noexcept override { return 0; }
  std::unique_ptr<cocp::detail::timer> make_timer(const asio::any_io_executor&) override {
    return std::make_unique<fake_timer>(*this);
  }
  std::unique_ptr<cocp::detail::stream> make_stream(const asio::any_io_executor&, const cocp::connection_options&,
                                                    const cocp::detail::destination&) override {
    return nullptr;
  }
  void async_resolve(const asio::any_io_executor&, std::string, std::string, cocp::detail::resolve_handler) override {}
};

/// Does what a channel does when the timer goes off.
struct owner final : cocp::detail::limit_owner, std::enable_shared_from_this<owner> {
  explicit owner(fake_clock& clock) : limit(clock, ex, *this) {}

  std::shared_ptr<limit_owner> hold() override { return shared_from_this(); }
  void on_limit_timer() override {
    limit.note_strike();
    if (limit.has_passed()) {
      ++expired;
      limit.clear();
    } else if (!limit.rearm()) {
      ++unarmed;
    }
  }

  asio::io_context io;
  asio::any_io_executor ex = io.get_executor();
  cocp::detail::use_limit limit;
  unsigned expired = 0;
  unsigned unarmed = 0;
};

struct fixture {
  fake_clock clock;
  std::shared_ptr<owner> mine = std::make_shared<owner>(clock);
  cocp::detail::use_limit& limit = mine->limit;

  ~fixture() {
    if (mine) limit.end();
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(use_limit_, fixture)

BOOST_AUTO_TEST_CASE(there_is_none_at_first) {
  clock.time += 1000h;
  BOOST_TEST(!limit.has_passed());
  BOOST_TEST(limit.rearm());
  BOOST_TEST(clock.set == 0u);
}

BOOST_AUTO_TEST_CASE(a_bound_behind_a_limit_that_has_passed_is_still_there) {
  const int run = 0;
  limit.bound(start + 10s, &run);
  limit.set(1s);
  clock.time += 1s;
  limit.note_strike();
  limit.note_passed(false);
  BOOST_TEST(!limit.has_passed());
  // The user sets another, and cannot.
  clock.failures = 1;
  BOOST_CHECK_THROW(limit.set(5s), std::bad_alloc);
  BOOST_TEST(limit.rearm());
  BOOST_TEST((clock.due == start + 10s));
  clock.time = start + 10s;
  BOOST_TEST(limit.has_passed());
}

BOOST_AUTO_TEST_CASE(it_is_told_whether_a_bound_has_struck_before_the_users_own) {
  const int run = 0;
  limit.bound(start + 5s, &run);
  clock.time += 5s;
  limit.note_passed(false);
  BOOST_TEST(limit.lift(&run));
  BOOST_TEST(!limit.lift(&run));
  limit.bound(clock.time + 5s, &run);
  limit.set(1s);
  clock.time += 10s;
  limit.note_passed(false);
  BOOST_TEST(!limit.lift(&run), "the user's own has passed too");
  limit.unset();
  limit.bound(clock.time + 5s, &run);
  clock.time += 5s;
  limit.note_passed(true);
  BOOST_TEST(!limit.lift(&run), "the user has ended all");
}

BOOST_AUTO_TEST_CASE(it_passes_at_its_time_and_the_timer_tells_then) {
  limit.set(5s);
  BOOST_TEST((clock.due == start + 5s));
  clock.time += 5s - 1ns;
  BOOST_TEST(!limit.has_passed());
  clock.time += 1ns;
  BOOST_TEST(limit.has_passed());
  clock.strike();
  BOOST_TEST(mine->expired == 1u);
  BOOST_TEST(!clock.is_pending());
}

BOOST_AUTO_TEST_CASE(one_that_is_later_than_any_time_is_none) {
  limit.set(duration::max());
  BOOST_TEST(!limit.has_passed());
  BOOST_TEST(clock.set == 0u);
}

BOOST_AUTO_TEST_CASE(a_later_one_leaves_the_timer_alone_until_it_goes_off) {
  limit.set(5s);
  limit.set(8s);
  BOOST_TEST(clock.set == 1u);
  clock.strike();
  BOOST_TEST(mine->expired == 0u);
  BOOST_TEST(clock.set == 2u);
  BOOST_TEST((clock.due == start + 8s));
  clock.strike();
  BOOST_TEST(mine->expired == 1u);
}

BOOST_AUTO_TEST_CASE(an_earlier_one_sets_the_timer) {
  limit.set(5s);
  limit.set(2s);
  BOOST_TEST((clock.due == start + 2s));
  clock.strike();
  BOOST_TEST(mine->expired == 1u);
}

BOOST_AUTO_TEST_CASE(one_that_was_taken_away_never_passes) {
  limit.set(5s);
  limit.clear();
  clock.strike();
  BOOST_TEST(mine->expired == 0u);
  BOOST_TEST(!limit.has_passed());
  BOOST_TEST(!clock.is_pending());
}

BOOST_AUTO_TEST_CASE(a_bound_is_lifted_by_whose_it_is_and_by_nobody_else) {
  limit.set(5s);
  limit.bound(start + 2s, &clock);
  limit.lift(&limit);
  BOOST_TEST(limit.is_bound());
  clock.time = start + 2s;
  BOOST_TEST(limit.has_passed());
  limit.lift(&clock);
  BOOST_TEST(!limit.is_bound());
  BOOST_TEST(!limit.has_passed());
  clock.time = start + 5s;
  BOOST_TEST(limit.has_passed());
}

BOOST_AUTO_TEST_CASE(who_cannot_set_the_timer_for_an_earlier_one_keeps_the_limit_that_there_was_and_may_try_again) {
  limit.set(5s);
  clock.failures = 2;
  BOOST_CHECK_THROW(limit.set(2s), std::bad_alloc);
  BOOST_TEST(!clock.is_pending());
  BOOST_TEST(!limit.rearm());
  BOOST_TEST(limit.rearm());
  BOOST_TEST((clock.due == start + 5s));
  BOOST_TEST(limit.rearm());
  BOOST_TEST(clock.set == 2u);
}

BOOST_AUTO_TEST_CASE(a_timer_that_cannot_be_set_again_when_it_goes_off_is_not_forgotten) {
  limit.set(5s);
  limit.set(8s);
  clock.failures = 1;
  clock.strike();
  BOOST_TEST(mine->unarmed == 1u);
  BOOST_TEST(!clock.is_pending());
  BOOST_TEST(limit.rearm());
  BOOST_TEST((clock.due == start + 8s));
}

BOOST_AUTO_TEST_CASE(the_timer_keeps_its_owner_until_it_ends) {
  limit.set(5s);
  const std::weak_ptr<owner> watched = mine;
  mine.reset();
  BOOST_TEST(!watched.expired());
  watched.lock()->limit.end();
  BOOST_TEST(watched.expired());
}

BOOST_AUTO_TEST_CASE(without_an_executor_no_timer_is_set) {
  limit.set(5s);
  limit.let_go().reset();
  mine->ex = {};
  limit.set(2s);
  BOOST_TEST(limit.rearm());
  BOOST_TEST(!clock.is_pending());
  BOOST_TEST(clock.set == 1u);
  clock.time += 2s;
  BOOST_TEST(limit.has_passed());
}

BOOST_AUTO_TEST_SUITE_END()
