// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Pools with options drawn at random, their extremes among them, an endpoint with moods, and users with all kinds of
// limits, in virtual time. Whatever has happened: once the endpoint is well, everybody who asks is served within the
// time that the options give. The seed is printed; `-- SEED` repeats a run.

#include "sim/dice.hpp"
#include "support/pool_world.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::duration;
using cocp::test::sim::dice;
using connect_result = fake_network::connect_result;
using limit = std::optional<duration>;

namespace {

#if defined(COCP_TEST_SANITIZED)
constexpr int worlds = 15;
#else
constexpr int worlds = 150;
#endif

/// How often users and peers do something.
constexpr duration beat = 5ms;
/// What a slow peer takes to answer `on_connect`.
constexpr duration answer_after = 30ms;

/// How the endpoint's peers greet.
enum class greeting { none, at_once, late };

struct draw {
  cocp::pool_options pool;
  cocp::connection_options dial;
  greeting hello = greeting::none;
  std::string text;

  explicit draw(dice& d) {
    pool.size = d.of<std::size_t>({1, 2, 3, 8, 25});
    pool.min_size = d.of<std::optional<std::size_t>>({{}, 0, 0, 1, pool.size});
    pool.idle_timeout = d.of<limit>({{}, 1ns, 1ms, 1s, 10min, duration::max()});
    pool.max_lifetime = d.of<limit>({{}, {}, 20ms, 1s, 1h, duration::max()});
    pool.get_timeout = d.of<limit>({{}, 0s, 1ms, 1s, 30s, duration::max()});
    pool.max_waiting = d.of<std::size_t>({0, 1, 3, pool.max_waiting, pool.max_waiting});
    pool.fail_fast = d.of<limit>({{}, {}, 0s, 1ns, 500ms, 10s, duration::max()});
    pool.check_after = d.of<duration>({0s, 0s, 1ns, 20ms, 1h, duration::max()});
    pool.allow_unread = d.one_in(4);
    pool.keep_on_exception = d.one_in(4);
    pool.keepalive_interval = d.of<duration>({1ns, 20ms, 30s, duration::max()});
    pool.max_dialling = d.of<std::size_t>({1, 2, 16, pool.size});
    if (d.one_in(4)) pool.report_leases = cocp::lease_report{d.of<duration>({1ns, 50ms, 1min, duration::max()})};
    if (d.one_in(4)) pool.on_return = hook;
    if (d.one_in(4)) pool.keepalive = hook;
    dial.connect_timeout = d.of<limit>({{}, 1ns, 100ms, 5s});
    dial.retry_min = d.of<duration>({5ms, 100ms, 1s});
    dial.retry_max = std::max(dial.retry_min, d.of<duration>({5ms, 1s, 5s}));
    dial.address = d.of({"10.0.0.1:7", "db:7"});
    hello = d.of({greeting::none, greeting::at_once, greeting::late});
    // Who has no time at all cannot wait for an answer.
    if (dial.connect_timeout == 1ns && hello == greeting::late) hello = greeting::at_once;
    if (hello != greeting::none) dial.on_connect = greet;
    describe();
  }

 private:
  static asio::awaitable<void> hook(cocp::connection&) { co_return; }
  static asio::awaitable<void> greet(cocp::connection& c) {
    const auto hello_text = asio::buffer("hello", 5);
    co_await c.write(hello_text);
    char b = 0;
    const auto buffer = asio::buffer(&b, 1);
    co_await c.read(buffer);
  }

  void describe() {
    std::ostringstream out;
    const auto put = [&out](const char* name, limit l) {
      out << ' ' << name << ' ' << (l ? std::to_string(l->count()) + " ns" : "off");
    };
    out << "size " << pool.size << " min_size " << (pool.min_size ? std::to_string(*pool.min_size) : "size");
    put("idle_timeout", pool.idle_timeout);
    put("max_lifetime", pool.max_lifetime);
    put("get_timeout", pool.get_timeout);
    out << " max_waiting " << pool.max_waiting;
    put("fail_fast", pool.fail_fast);
    put("check_after", pool.check_after);
    out << (pool.on_return ? " on_return" : "") << (pool.keepalive ? " keepalive" : "");
    put("keepalive_interval", pool.keepalive_interval);
    out << " max_dialling " << pool.max_dialling;
    put("connect_timeout", dial.connect_timeout);
    put("retry_min", dial.retry_min);
    put("retry_max", dial.retry_max);
    out << ' ' << dial.address << " greeting " << static_cast<int>(hello);
    text = out.str();
  }
};

/// One who asks again and again, and holds what he gets for a moment.
struct user {
  enum class way { waits, waits_as_the_pool_says, asks_get, asks_try_get, asks_ready };

  way how = way::waits;
  std::shared_ptr<pool_world::call> asked;
  std::shared_ptr<world::outcome<bool>> up;
  cocp::lease held;
  duration next{};
  unsigned served = 0;
};

class life : public pool_world {
 public:
  life(const draw& drawn, std::uint64_t seed)
      : pool_world(drawn.pool, drawn.dial, seed), dice_(seed), drawn_(drawn), size_(drawn.pool.size) {
    net().on_accept = [this](fake_peer& p) { accepted(p); };
    be_moody();
    users_.resize(1 + dice_.below(6));
    for (user& u : users_) u.how = static_cast<user::way>(dice_.below(5));
  }

  ~life() {
    // What is accepted from now on finds none of this.
    net().on_accept = nullptr;
  }

  /// Anything may happen.
  void act() {
    switch (dice_.below(12)) {
      case 0:
      case 1:
        be_moody();
        break;
      case 2:
        pool->renew();
        break;
      case 3:
        pool->readdress(dice_.of({"10.0.0.1:7", "10.0.0.2:7", "db:7", "unanswered:7"}));
        break;
      case 4:
        size_ = 1 + dice_.below(10);
        pool->resize(size_);
        break;
      case 5:
        pool->retry_now();
        break;
      case 6:
      case 7:
        if (!net().peers.empty()) {
          fake_peer& p = *net().peers[dice_.below(net().peers.size())];
          dice_.one_in(2) ? p.fin() : p.reset();
        }
        break;
      case 8:
        if (user& u = any_user(); u.held) u.held.discard();
        break;
      case 9:
        if (user& u = any_user(); u.asked) u.asked->cancel.emit(asio::cancellation_type::total);
        break;
      default:
        // Nobody asks for a while.
        advance(duration(dice_.of<duration>({1ms, 60ms, 1s, 6s})));
    }
    pass(std::chrono::milliseconds(dice_.below(100)));
  }

  void be_well() {
    closes_ = false;
    // A place for everybody: nobody overtakes those who wait, so that who does not wait might never find one.
    size_ = std::max(size_, users_.size());
    pool->resize(size_);
    net().default_result = connect_result::accepted;
    net().results_at.clear();
    // As many of a name's addresses as an attempt has time for may be bad.
    net().names["db"] = {"10.0.0.1", "10.0.0.2"};
    bad_behind_connect_ = dice_.one_in(2);
    if (!bad_behind_connect_) {
      net().results_at["10.0.0.1:7"] = connect_result::refused;
      if (!drawn_.dial.connect_timeout || *drawn_.dial.connect_timeout >= 1s) {
        net().results_at["10.0.0.1:7"] = connect_result::hangs;
      }
    }
    const char* const good[] = {"10.0.0.3:7", "db:7"};
    pool->readdress(good[dice_.below(2)]);
    // An attempt that may take for ever does.
    if (!drawn_.dial.connect_timeout) pool->renew();
  }

  void pass(duration d) {
    for (const duration end = net().elapsed() + d; net().elapsed() < end;) {
      advance(std::min(beat, end - net().elapsed()));
      answer();
      for (user& u : users_) go_on(u);
      settle();
      check();
    }
  }

  /// How long it may take until all are served.
  duration bound() const {
    // One attempt that had begun, the delay, and one that succeeds; and those in front.
    // Where nothing limits an attempt, an address that fails behind its connect is held back for five seconds.
    const duration attempt = drawn_.dial.connect_timeout.value_or(6s) + answer_after + 500ms;
    const duration served = 2 * attempt + drawn_.dial.retry_max + 2 * drawn_.dial.retry_min + 2s;
    // An attempt is lost to an address that accepts and is no good.
    return bad_behind_connect_ ? served + attempt + drawn_.dial.retry_max : served;
  }

  void expect_all_served() {
    for (user& u : users_) u.served = 0;
    const duration start = net().elapsed();
    while (net().elapsed() - start < bound() && !all_served()) pass(beat);
    const std::string last = net().attempted.empty() ? "nowhere" : net().attempted.back();
    BOOST_TEST(all_served(), "after " << bound().count() << " ns: " << gauges(*pool) << "; " << counters(*pool)
                                      << "; the last attempt, to " << last << ", was "
                                      << (net().elapsed() - net().attempts.back()).count() << " ns ago");
    for (std::size_t i = 0; i < users_.size(); ++i) {
      if (users_[i].served == 0) BOOST_TEST_MESSAGE("user " << i << " of kind " << static_cast<int>(users_[i].how));
    }
  }

  /// Rule 14.
  void expect_gets_in_a_row_to_let_others_run() {
    leave();
    struct row {
      unsigned now = 0;
      unsigned most = 0;
      bool done = false;
    };
    auto gets = std::make_shared<row>();
    auto use = [](cocp::pool& p, std::shared_ptr<row> r) -> asio::awaitable<void> {
      try {
        for (int i = 0; i < 200; ++i) {
          const cocp::lease l = co_await p.get();
          r->most = std::max(r->most, ++r->now);
        }
      } catch (const boost::system::system_error&) {
        // It may have no time to wait.
      }
      r->done = true;
    };
    spawn(use(*pool, gets));
    for (const duration end = net().elapsed() + bound(); !gets->done && net().elapsed() < end;) {
      // One handler: whatever it does is in a row.
      gets->now = 0;
      io().restart();
      if (io().poll_one() == 0) {
        // What comes next is a timer's time, or an answer's.
        const auto timer = net().next_timer();
        const duration to_answer = answers_.empty() ? duration::max() : answers_.begin()->first - net().elapsed();
        net().move(std::min(timer ? *timer - net().now() : duration(beat), std::max(to_answer, duration())));
      }
      answer();
    }
    BOOST_TEST(gets->done, "not done: " << gauges(*pool) << "; " << counters(*pool) << "; the last attempt, to "
                                        << net().attempted.back() << ", was "
                                        << (net().elapsed() - net().attempts.back()).count() << " ns ago");
    BOOST_TEST(gets->most <= 64u);
  }

  void leave() {
    for (user& u : users_) {
      if (u.asked) u.asked->cancel.emit(asio::cancellation_type::total);
    }
    settle();
    users_.clear();
  }

 private:
  user& any_user() { return users_[dice_.below(users_.size())]; }
  bool all_served() const {
    return std::ranges::all_of(users_, [](const user& u) { return u.served != 0; });
  }

  void be_moody() {
    const auto any = [this] {
      return dice_.of(
          {connect_result::accepted, connect_result::accepted, connect_result::refused, connect_result::hangs});
    };
    net().default_result = any();
    closes_ = dice_.one_in(4);
    net().names["db"] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
    net().results_at.clear();
    if (dice_.one_in(2)) net().results_at["10.0.0.1:7"] = any();
    if (dice_.one_in(2)) net().results_at["10.0.0.2:7"] = any();
  }

  void accepted(fake_peer& p) {
    if (closes_ || (bad_behind_connect_ && net().attempted.back() == "10.0.0.1:7")) {
      p.fin();
    } else if (drawn_.hello == greeting::at_once) {
      p.send("!");
    } else if (drawn_.hello == greeting::late) {
      answers_.emplace(net().elapsed() + answer_after, net().peers.back());
    }
  }

  void answer() {
    while (!answers_.empty() && answers_.begin()->first <= net().elapsed()) {
      const auto p = answers_.begin()->second;
      answers_.erase(answers_.begin());
      if (!p->gone && !p->end) p->send("!");
    }
  }

  void go_on(user& u) {
    const duration now = net().elapsed();
    if (u.asked && u.asked->ends != 0) {
      take(u, std::move(u.asked->lease));
      u.asked.reset();
    }
    if (u.up && u.up->done) {
      if (u.up->value) ++u.served;
      u.up.reset();
    }
    if (u.asked || u.up || now < u.next) return;
    u.next = now + beat * static_cast<int>(1 + dice_.below(4));
    if (u.held) {
      // Others may have it first.
      u.held.put();
      return;
    }
    switch (u.how) {
      case user::way::waits:
        u.asked = get(1h);
        break;
      case user::way::waits_as_the_pool_says:
        u.asked = get();
        break;
      case user::way::asks_get:
        u.asked = get(0s);
        break;
      case user::way::asks_try_get:
        take(u, pool->try_get());
        break;
      case user::way::asks_ready:
        u.up = watch(pool->ready(1));
        break;
    }
  }

  void take(user& u, cocp::lease l) {
    if (!l) return;
    ++u.served;
    u.held = std::move(l);
    u.next = net().elapsed() + beat * static_cast<int>(dice_.below(3));
  }

  /// Rule 16.
  void check() {
    const auto leased = pool->stats().leased;
    BOOST_TEST(net().open() <= std::max(size_, leased));
    BOOST_TEST(pool->stats().connecting <= size_);
    std::erase_if(net().peers, [](const auto& p) { return p->gone; });
  }

  dice dice_;
  const draw& drawn_;
  std::size_t size_;
  bool closes_ = false;
  /// The first address of the name accepts, and closes then.
  bool bad_behind_connect_ = false;
  std::vector<user> users_;
  std::multimap<duration, std::shared_ptr<fake_peer>> answers_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(liveness)

BOOST_AUTO_TEST_CASE(whatever_the_options_everybody_who_asks_is_served_once_the_endpoint_is_well) {
  std::mt19937_64 seeds(random_seed());
  for (int i = 0; i < worlds; ++i) {
    const std::uint64_t seed = seeds();
    dice d(seed);
    const draw drawn(d);
    BOOST_TEST_CONTEXT("world " << i << ": " << drawn.text) {
      life l(drawn, seed);
      for (int acts = 0; acts < 25; ++acts) l.act();
      l.be_well();
      l.expect_all_served();
      l.expect_gets_in_a_row_to_let_others_run();
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
