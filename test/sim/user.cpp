// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "user.hpp"

#include "mortal_executor.hpp"
#include "simulation.hpp"

#include "support/failing_allocations.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>
#include <exception>
#include <new>
#include <stdexcept>
#include <utility>

namespace cocp::test::sim {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using limit = std::optional<duration>;

/// From asking to the end, whichever that is.
class user::wait {
 public:
  wait(user& u, limit l) : user_(&u), number_(u.sim_.records().ask(l)) { u.asking_ = number_; }
  wait(wait&& other) noexcept : user_(std::exchange(other.user_, nullptr)), number_(other.number_) {}
  wait& operator=(wait&&) = delete;
  ~wait() {
    if (user_) end()->sim_.records().forgotten(number_);
  }

  void served() { end()->sim_.records().served(number_); }
  void failed(error_code ec) {
    user* const u = end();
    u->sim_.records().failed(number_, ec, u->cancelled_);
  }

 private:
  user* end() noexcept {
    user_->asking_ = 0;
    return std::exchange(user_, nullptr);
  }

  user* user_;
  std::uint64_t number_;
};

/// He is busy as long as this lives, in a handler.
class user::visit {
 public:
  explicit visit(user& u) : user_(&u) { u.busy_ = true; }
  visit(visit&& other) noexcept : user_(std::exchange(other.user_, nullptr)) {}
  visit& operator=(visit&&) = delete;
  ~visit() {
    if (user_) user_->busy_ = false;
  }

 private:
  user* user_;
};

void user::start(asio::awaitable<void> what) {
  signal_ = std::make_shared<asio::cancellation_signal>();
  lives_ = std::make_shared<bool>(true);
  calls_back_ = cancelled_ = is_dying_ = has_left_ = false;
  auto run = [](asio::awaitable<void> body) -> asio::awaitable<void> {
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    std::exception_ptr thrown;
    try {
      co_await std::move(body);
    } catch (...) {
      thrown = std::current_exception();
    }
    // Asio waits once more before it tells of the end, and what it throws then leaves its run().
    co_await asio::this_coro::throw_if_cancelled(false);
    if (thrown) std::rethrow_exception(thrown);
  };
  // Busy to the very end: what stands in the slot belongs to it for as long.
  auto done = [v = visit(*this)](std::exception_ptr e) {
    try {
      if (e) std::rethrow_exception(e);
    } catch (const boost::system::system_error&) {
      // A connection's, or a get's: noted where it was thrown.
    } catch (const asio::multiple_exceptions&) {
      // Of two operations at once.
    } catch (const std::domain_error&) {
      // Thrown on purpose.
    } catch (const std::bad_alloc&) {
    }
  };
  const mortal_executor<asio::io_context::executor_type> ex(lives_, sim_.io().get_executor());
  asio::co_spawn(ex, run(std::move(what)), asio::bind_cancellation_slot(signal_->slot(), std::move(done)));
}

void user::begin_session(std::uint64_t seed) {
  if (!busy_) start(session(seed));
}

asio::awaitable<void> user::run(std::uint64_t seed) {
  /// What the tries have come to.
  struct course {
    explicit course(user& u) : of(u), newest(u.sim_.records().newest()) { begin_between(); }
    ~course() {
      if (is_between) end_between();
    }
    course(const course&) = delete;
    course& operator=(const course&) = delete;

    void begin_between() {
      of.sim_.records().begin_between();
      is_between = true;
    }
    void end_between() {
      of.sim_.records().end_between();
      is_between = false;
    }

    user& of;
    const std::uint64_t newest;
    bool is_between = false;
    unsigned calls = 0;
    bool reused = false;
    bool sent = false;
    bool got = false;
  };
  dice d(seed);
  const auto again = d.of({retry::never, retry::unsent, retry::unanswered});
  run_options options;
  options.again = again;
  options.tries = d.of({1u, 2u, 3u, 5u});
  options.timeout = d.of<limit>({{}, {}, 20ms, 5s});
  course c(*this);
  const std::uint64_t how = d.any();
  const auto call = [&c, how, again, tries = options.tries](cocp::lease& l) -> asio::awaitable<void> {
    simulation& sim = c.of.sim_;
    c.end_between();
    sim.records().count_get();
    sim.count_lease(1);
    const bool may_not = again == retry::never || (c.sent && (again == retry::unsent || c.got || !c.reused));
    if (c.calls != 0 && may_not) sim.records().fail("run repeats what it may not");
    if (++c.calls > tries) sim.records().fail("run tries too often");
    if (c.calls == tries && c.calls != 1 && l->id() <= c.newest) {
      sim.records().fail("the last repeat of run is on a connection that was there before");
    }
    c.reused = l.reused();
    struct end {
      course& c;
      usage& use;
      cocp::lease& lease;
      ~end() {
        const failing_allocations::spare s;
        c.sent = use.has_sent();
        c.got = use.has_got();
        const bool discards = use.is_to_be_discarded();
        use.end(std::uncaught_exceptions() != 0, discards);
        if (discards) lease.discard();
        c.of.sim_.count_lease(-1);
        c.begin_between();
      }
    };
    usage use(sim, *l, book::role::lease, false);
    {
      const end e{c, use, l};
      co_await use.exchange(how);
    }
  };
  try {
    co_await sim_.pool().run(call, options);
  } catch (const boost::system::system_error&) {
    // A wait may have ended that nobody was told of, or a lease that nobody had.
    sim_.records().miscounts = true;
  }
}

asio::awaitable<void> user::session(std::uint64_t seed) {
  dice d(seed);
  if (!held_ && d.one_in(6)) {
    co_await run(d.any());
    co_return;
  }
  if (!held_) co_await take(d.any());
  if (!held_) co_return;
  auto mine = std::move(held_);
  if (d.one_in(8)) mine->detach();
  for (std::size_t steps = d.of<std::size_t>({0, 1, 1, 2, 5}); steps != 0; --steps) {
    const std::uint64_t how = d.any();
    const bool stubborn = d.one_in(2);
    std::exception_ptr thrown;
    try {
      co_await mine->use.step(how);
    } catch (const boost::system::system_error&) {
      thrown = std::current_exception();
    }
    // One who has lost his stream while he read may try on.
    if (thrown && !(stubborn && mine->use.goes_on_after_loss())) std::rethrow_exception(thrown);
  }
  switch (d.below(8)) {
    case 0:
      mine->discard();
      break;
    case 1:
      throw std::domain_error("on purpose");
    case 2:
      if (!has_left_) held_ = std::move(mine);
      break;
    case 3:
      break;
    default:
      mine->put();
  }
}

asio::awaitable<void> user::take(std::uint64_t seed) {
  dice d(seed);
  cocp::pool& pool = sim_.pool();
  const bool always = sim_.checks_always();
  const auto chosen = d.of<limit>({{}, {}, 0s, 1ms, 100ms, 5s, 1h, duration::max()});
  if (d.one_in(5)) {
    const bool others_wait = pool.stats().waiting != 0;
    cocp::lease l = pool.try_get();
    if (!l) co_return;
    if (others_wait) sim_.records().fail("rule 5: try_get overtakes those who wait");
    sim_.records().count_get();
    hold(std::move(l), always);
    co_return;
  }
  wait w(*this, chosen ? chosen : sim_.options().pool.get_timeout);
  error_code failure;
  try {
    // Apart: g++ 12 destroys the temporary of a conditional co_await twice.
    cocp::lease l;
    if (chosen) {
      l = co_await pool.get(*chosen);
    } else {
      l = co_await pool.get();
    }
    w.served();
    hold(std::move(l), always);
  } catch (const boost::system::system_error& e) {
    failure = e.code();
  }
  if (failure) w.failed(failure);
}

void user::hold(cocp::lease l, bool strictly) {
  const failing_allocations::spare s;
  if (has_left_) return;
  held_ = std::make_unique<tenure>(sim_, std::move(l), strictly);
}

void user::get_with_callback(std::uint64_t seed) {
  if (busy_ || held_) return;
  dice d(seed);
  signal_ = std::make_shared<asio::cancellation_signal>();
  calls_back_ = true;
  is_dying_ = false;
  has_left_ = false;
  cancelled_ = false;
  const auto chosen = d.of<limit>({{}, 0s, 1ms, 5s, 1h});
  wait w(*this, chosen ? chosen : sim_.options().pool.get_timeout);
  auto done = [this, w = std::move(w), v = visit(*this)](error_code ec, cocp::lease l) mutable {
    if (starting_) sim_.records().fail("rule 9: a handler is called inside async_get");
    if (ec) {
      w.failed(ec);
    } else {
      w.served();
      hold(std::move(l), sim_.checks_always());
    }
  };
  auto bound = asio::bind_cancellation_slot(signal_->slot(), std::move(done));
  starting_ = true;
  try {
    if (chosen) {
      sim_.pool().async_get(*chosen, std::move(bound));
    } else {
      sim_.pool().async_get(std::move(bound));
    }
  } catch (const std::bad_alloc&) {
    // It was not begun, and he knows.
  }
  starting_ = false;
}

void user::cancel(std::uint64_t seed) {
  dice d(seed);
  if (busy_ && is_dying_) return;
  cancelled_ = true;
  auto type =
      d.of({asio::cancellation_type::total, asio::cancellation_type::partial, asio::cancellation_type::terminal});
  // Asio's parallel_group forwards only the first, and coroutines in it heed only this.
  if (asking_ == 0) type = asio::cancellation_type::terminal;
  sim_.records().cancelled(asking_);
  sim_.records().note("a user is cancelled, type ", static_cast<unsigned>(type), busy_ ? "" : ", and does nothing");
  emit(type);
}

void user::emit(asio::cancellation_type type) {
  // A coroutine is cancelled where it runs: else Asio dispatches that, and it may meet what came after the coroutine
  // (github.com/chriskohlhoff/asio issue 1332).
  if (!busy_) return;
  if (calls_back_) {
    signal_->emit(type);
  } else {
    asio::post(sim_.io(), [s = signal_, type] { s->emit(type); });
  }
}

void user::drop(std::uint64_t seed) {
  if (!held_ || busy_) return;
  dice d(seed);
  if (d.one_in(3)) held_->discard();
  held_.reset();
}

void user::die(bool at_once) {
  if (!busy_ || calls_back_ || is_dying_ || sim_.records().uncertain) return;
  is_dying_ = true;
  sim_.records().note("a user dies");
  // What he is not told is counted all the same.
  sim_.records().miscounts = true;
  if (at_once) sim_.records().cancelled(asking_);
  // Behind a cancellation that is on its way. What he waits for is told to nobody.
  asio::post(sim_.io(), [s = signal_, lives = lives_, at_once] {
    if (at_once) s->emit(asio::cancellation_type::terminal);
    *lives = false;
  });
}

void user::leave() {
  cancelled_ = has_left_ = true;
  // For ever is too long.
  if (is_dying_) asio::post(sim_.io(), [lives = lives_] { *lives = true; });
  emit(asio::cancellation_type::terminal);
  held_.reset();
}

void user::want(way how) {
  how_ = how;
  served_ = false;
}

void user::ask_on() {
  if (!served_ && !busy_) start(once());
}

asio::awaitable<void> user::once() {
  if (how_ == way::asks_try_get) {
    const cocp::lease l = sim_.pool().try_get();
    served_ = bool(l);
    if (l) sim_.records().count_get();
    co_return;
  }
  const limit bound = how_ == way::waits      ? limit(1h)
                      : how_ == way::asks_get ? limit(0s)
                                              : sim_.options().pool.get_timeout;
  wait w(*this, bound);
  error_code failure;
  try {
    cocp::lease l;
    if (how_ == way::waits_as_the_pool_says) {
      l = co_await sim_.pool().get();
    } else {
      l = co_await sim_.pool().get(*bound);
    }
    w.served();
    served_ = true;
  } catch (const boost::system::system_error& e) {
    failure = e.code();
  }
  if (failure) w.failed(failure);
}

}  // namespace cocp::test::sim
