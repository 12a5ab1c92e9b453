// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/pool.hpp>
#include <functional>
#include <new>
#include <stdexcept>

#include "support/pool_world.hpp"
#include "support/reluctant_executor.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;
using connect_result = fake_network::connect_result;

namespace {

const char* const one_idle = "1 connected, 1 idle, 0 leased, 0 connecting, 0 waiting";

/// As the Networking TS has executors: members in place of properties.
class old_executor {
 public:
  struct counts {
    unsigned posted = 0;
    unsigned working = 0;
  };

  old_executor(asio::io_context& io, counts& c) : io_(&io), counts_(&c) {}

  asio::execution_context& context() const noexcept { return *io_; }
  void on_work_started() const noexcept { ++counts_->working; }
  void on_work_finished() const noexcept { --counts_->working; }
  template <class F, class Allocator>
  void dispatch(F&& f, const Allocator& alloc) const {
    post(std::forward<F>(f), alloc);
  }
  template <class F, class Allocator>
  void post(F&& f, const Allocator&) const {
    ++counts_->posted;
    asio::post(*io_, std::forward<F>(f));
  }
  template <class F, class Allocator>
  void defer(F&& f, const Allocator& alloc) const {
    post(std::forward<F>(f), alloc);
  }
  bool operator==(const old_executor& other) const noexcept { return io_ == other.io_; }
  bool operator!=(const old_executor& other) const noexcept { return io_ != other.io_; }

 private:
  asio::io_context* io_;
  counts* counts_;
};

using any_handler = asio::any_completion_handler<void(error_code, cocp::lease)>;

/// Takes nothing, for another reason than a lack of memory.
class refusing_executor {
 public:
  struct refusal {};

  explicit refusing_executor(asio::io_context::executor_type inner) noexcept : inner_(inner) {}

  asio::execution_context& query(asio::execution::context_t) const noexcept { return inner_.context(); }
  template <class Function>
  void execute(Function) const {
    throw refusal();
  }
  bool operator==(const refusing_executor& other) const noexcept { return inner_ == other.inner_; }

 private:
  asio::io_context::executor_type inner_;
};

/// Takes what it is given, and says that there is no memory.
class hoarding_executor {
 public:
  hoarding_executor(asio::io_context::executor_type inner, std::vector<std::function<void()>>& taken) noexcept
      : inner_(inner), taken_(&taken) {}

  asio::execution_context& query(asio::execution::context_t) const noexcept { return inner_.context(); }
  hoarding_executor require(asio::execution::blocking_t::never_t) const noexcept { return *this; }
  template <class Function>
  void execute(Function f) const {
    auto shared = std::make_shared<Function>(std::move(f));
    taken_->push_back([shared] { (*shared)(); });
    throw std::bad_alloc();
  }
  bool operator==(const hoarding_executor& other) const noexcept { return taken_ == other.taken_; }

 private:
  asio::io_context::executor_type inner_;
  std::vector<std::function<void()>>* taken_;
};

/// Counts what it allocates.
template <class T>
struct counting_allocator {
  struct counts {
    unsigned allocated = 0;
    unsigned freed = 0;
  };

  using value_type = T;
  explicit counting_allocator(std::shared_ptr<void> c) : state(std::move(c)) {}
  template <class U>
  counting_allocator(const counting_allocator<U>& other) : state(other.state) {}

  T* allocate(std::size_t n) {
    ++static_cast<counts*>(state.get())->allocated;
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* p, std::size_t n) {
    ++static_cast<counts*>(state.get())->freed;
    std::allocator<T>().deallocate(p, n);
  }
  template <class U>
  bool operator==(const counting_allocator<U>& other) const {
    return state == other.state;
  }

  std::shared_ptr<void> state;
};

/// Calls everything that a pool has; what that starts ends by itself.
void call_everything(cocp::pool& p) {
  p.stats();
  p.get_executor();
  p.try_get().put();
  p.async_get([](error_code, cocp::lease) {});
  p.async_get(0s, [](error_code, cocp::lease) {});
  asio::co_spawn(p.get_executor(), p.ready(0), [](std::exception_ptr) {});
  asio::co_spawn(p.get_executor(), p.get(), [](std::exception_ptr, cocp::lease) {});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(completion)

BOOST_AUTO_TEST_SUITE(tokens)

BOOST_AUTO_TEST_CASE(use_awaitable_and_deferred_and_as_tuple_and_no_token) {
  pool_world w;
  auto body = [](cocp::pool& p) -> asio::awaitable<void> {
    {
      cocp::lease a = co_await p.async_get(asio::use_awaitable);
      BOOST_TEST(bool(a));
    }
    {
      cocp::lease a = co_await p.async_get(1s, asio::use_awaitable);
      BOOST_TEST(bool(a));
    }
    {
      cocp::lease a = co_await p.async_get(asio::deferred);
      BOOST_TEST(bool(a));
    }
    {
      cocp::lease a = co_await p.async_get(1s, asio::deferred);
      BOOST_TEST(bool(a));
    }
    constexpr auto token = asio::as_tuple(asio::use_awaitable);
    {
      auto [ec, a] = co_await p.async_get(token);
      BOOST_TEST(!ec);
      BOOST_TEST(bool(a));
    }
    {
      cocp::lease a = co_await p.async_get();
      BOOST_TEST(bool(a));
      auto [ec, b] = co_await p.async_get(1s, token);
      BOOST_TEST(ec == errc::timed_out);
      BOOST_TEST(!b);
    }
    cocp::lease a = co_await p.async_get(1s);
    BOOST_TEST(bool(a));
  };
  auto done = w.watch(body(*w.pool));
  w.advance(2s);
  BOOST_TEST(done->value.has_value());
  BOOST_TEST(done->what == "");
  BOOST_TEST(gauges(*w.pool) == one_idle);
}

BOOST_AUTO_TEST_CASE(a_deferred_get_does_nothing_until_it_is_started_and_may_outlive_the_pool) {
  pool_world w;
  w.settle();
  auto first = w.pool->async_get();
  auto second = w.pool->async_get(1s);
  BOOST_TEST(counters(*w.pool) == "connects 1");
  cocp::lease got;
  std::move(first)([&](error_code, cocp::lease l) { got = std::move(l); });
  w.settle();
  BOOST_TEST(bool(got));
  w.pool.reset();
  std::optional<error_code> error;
  std::move(second)([&](error_code ec, cocp::lease) { error = ec; });
  w.settle();
  BOOST_TEST((error == errc::closed));
}

BOOST_AUTO_TEST_CASE(use_future) {
  pool_world w;
  auto first = w.pool->async_get(asio::use_future);
  // No exception: ThreadSanitizer does not see how libstdc++ shares one between the threads of promise and future.
  auto second = w.pool->async_get(1s, asio::use_future([](error_code ec, cocp::lease) { return ec; }));
  w.settle();
  // A promise is kept on the system executor, in a thread of Asio's.
  BOOST_REQUIRE((first.wait_for(20s) == std::future_status::ready));
  BOOST_TEST((second.wait_for(0s) == std::future_status::timeout));
  cocp::lease lease = first.get();
  BOOST_TEST(bool(lease));
  w.advance(1s);
  BOOST_REQUIRE((second.wait_for(20s) == std::future_status::ready));
  BOOST_TEST((second.get() == errc::timed_out));
}

BOOST_AUTO_TEST_CASE(a_callback_that_can_only_be_moved) {
  pool_world w;
  unsigned called = 0;
  for (bool timeout : {false, true}) {
    auto callback = [&called, p = std::make_unique<int>(42)](error_code ec, cocp::lease l) mutable {
      BOOST_TEST(!ec);
      BOOST_TEST(bool(l));
      called += *p == 42 ? 1 : 0;
    };
    if (timeout) {
      w.pool->async_get(1s, std::move(callback));
    } else {
      w.pool->async_get(std::move(callback));
    }
  }
  w.settle();
  BOOST_TEST(called == 2u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(associations)

// Idle, after a wait, and with an error.
BOOST_DATA_TEST_CASE(the_handler_runs_on_its_executor_and_its_context_has_work_while_it_waits,
                     data::xrange(3) * data::make({false, true}), how, erased) {
  pool_world w;
  auto lease = w.take();
  asio::io_context other;
  unsigned called = 0;
  if (how == 0) lease.put();
  auto callback = asio::bind_executor(other, [&](error_code, cocp::lease) { ++called; });
  if (erased) {
    w.pool->async_get(1s, any_handler(callback));
  } else {
    w.pool->async_get(1s, callback);
  }
  if (how == 1) lease.put();
  // By way of the pool's.
  if (erased) w.settle();
  other.poll();
  BOOST_TEST((how == 2 || called == 1u));
  BOOST_TEST(other.stopped() == (called == 1u));
  w.advance(2s);
  BOOST_TEST(called == (how == 2 ? 0u : 1u));
  other.poll();
  BOOST_TEST(called == 1u);
  BOOST_TEST(other.stopped());
}

BOOST_AUTO_TEST_CASE(the_handler_runs_on_its_executor_though_that_has_no_properties) {
  pool_world w({.size = 1});
  old_executor::counts counts;
  unsigned called = 0;
  auto callback = [&](error_code ec, const cocp::lease& conn) { called += !ec && conn ? 1 : 0; };
  w.pool->async_get(asio::bind_executor(old_executor(w.io(), counts), callback));
  BOOST_TEST(counts.working == 1u);
  w.settle();
  BOOST_TEST(called == 1u);
  BOOST_TEST(counts.posted == 1u);
  BOOST_TEST(counts.working == 0u);
}

BOOST_AUTO_TEST_CASE(the_handler_runs_on_its_strand) {
  pool_world w;
  auto strand = asio::make_strand(w.io());
  unsigned called = 0;
  auto callback = [&](error_code, cocp::lease) { called += strand.running_in_this_thread() ? 1 : 0; };
  w.pool->async_get(asio::bind_executor(strand, callback));
  w.pool->async_get(asio::bind_executor(strand, callback));
  w.settle();
  w.pool->async_get(asio::bind_executor(strand, callback));
  w.pool->close();
  w.pool->async_get(asio::bind_executor(strand, callback));
  w.settle();
  BOOST_TEST(called == 4u);
}

BOOST_AUTO_TEST_CASE(a_coroutine_goes_on_where_it_was) {
  pool_world w;
  asio::io_context other;
  auto strand = asio::make_strand(other);
  unsigned steps = 0;
  auto body = [](cocp::pool& p, auto where, unsigned& n) -> asio::awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      cocp::lease l = co_await p.get();
      n += where.running_in_this_thread() ? 1 : 0;
      co_await asio::post(asio::use_awaitable);
    }
  };
  asio::co_spawn(strand, body(*w.pool, strand, steps), [](std::exception_ptr) {});
  for (int i = 0; i < 5; ++i) {
    w.settle();
    other.poll();
  }
  BOOST_TEST(steps == 3u);
  BOOST_TEST(other.stopped());
}

BOOST_DATA_TEST_CASE(memory_comes_from_the_allocator_and_goes_back_before_the_handler_runs, data::xrange(3), how) {
  using allocator = counting_allocator<int>;
  pool_world w;
  auto lease = w.take();
  auto counts = std::make_shared<allocator::counts>();
  unsigned called = 0;
  auto callback = [&](error_code, cocp::lease) {
    ++called;
    BOOST_TEST(counts->freed == counts->allocated);
  };
  if (how == 0) lease.put();
  w.pool->async_get(1s, asio::bind_allocator(allocator(counts), callback));
  BOOST_TEST(counts->allocated > 0u);
  if (how == 1) lease.put();
  w.advance(2s);
  BOOST_TEST(called == 1u);
  BOOST_TEST(counts->freed == counts->allocated);
}

BOOST_AUTO_TEST_CASE(memory_goes_back_when_the_context_is_destroyed) {
  using allocator = counting_allocator<int>;
  pool_world w;
  auto lease = w.take();
  auto counts = std::make_shared<allocator::counts>();
  auto callback = [](error_code, cocp::lease) { BOOST_ERROR("called"); };
  w.pool->async_get(asio::bind_allocator(allocator(counts), callback));
  w.pool->async_get(asio::bind_allocator(allocator(counts), callback));
  lease.put();
  w.destroy_context();
  BOOST_TEST(counts->allocated > 0u);
  BOOST_TEST(counts->freed == counts->allocated);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(in_nobodys_stack)

/// The handler is not called before async_get has returned, whatever the outcome, on the context's thread and off it.
BOOST_DATA_TEST_CASE(a_handler_never_runs_inside_the_initiating_function,
                     data::make({"hit", "miss", "closed", "overloaded", "zero timeout"}) * data::make({false, true}) *
                         data::make({false, true}),
                     how, on_context, erased) {
  const std::string_view outcome = how;
  pool_world w({.size = 1, .max_waiting = outcome == "overloaded" ? 0u : 1u});
  auto lease = w.take();
  if (outcome == "hit") lease.put();
  if (outcome == "closed") w.pool->close();
  w.settle();
  bool inside = false;
  std::optional<error_code> result;
  auto start = [&] {
    inside = true;
    auto callback = [&](error_code ec, cocp::lease) {
      BOOST_TEST(!inside);
      result = ec;
    };
    const auto timeout = outcome == "zero timeout" ? 0s : 1s;
    if (erased) {
      w.pool->async_get(timeout, any_handler(callback));
    } else {
      w.pool->async_get(timeout, callback);
    }
    if (outcome == "miss") lease.put();
    inside = false;
  };
  if (on_context) {
    asio::post(w.io(), start);
  } else {
    start();
  }
  w.settle();
  BOOST_REQUIRE(result.has_value());
  const error_code expected = outcome == "closed"         ? make_error_code(errc::closed)
                              : outcome == "overloaded"   ? make_error_code(errc::overloaded)
                              : outcome == "zero timeout" ? make_error_code(errc::timed_out)
                                                          : error_code();
  BOOST_TEST(*result == expected);
}

BOOST_AUTO_TEST_CASE(a_handler_may_call_everything) {
  pool_world w;
  unsigned called = 0;
  auto callback = [&](error_code, cocp::lease l) {
    ++called;
    call_everything(*w.pool);
    l.put();
    call_everything(*w.pool);
  };
  w.pool->async_get(callback);
  auto lease = w.take();
  w.pool->async_get(1s, callback);
  w.advance(1s);
  w.pool->async_get(callback);
  w.pool->close();
  w.settle();
  BOOST_TEST(called == 3u);
}

BOOST_AUTO_TEST_CASE(a_logger_and_a_handshake_may_call_everything) {
  for (bool close : {false, true}) {
    cocp::pool* pool = nullptr;
    unsigned told = 0;
    unsigned shaken = 0;
    cocp::connection_options dial;
    dial.logger = [&](const cocp::event& e) {
      ++told;
      if (!pool) return;
      call_everything(*pool);
      if (close && e.kind != cocp::event_kind::connect_failed) pool->close();
    };
    dial.on_connect = [&](cocp::connection&) -> asio::awaitable<void> {
      ++shaken;
      if (pool) call_everything(*pool);
      co_return;
    };
    pool_world w({.size = 2}, dial);
    pool = &*w.pool;
    w.net().next_results = {connect_result::refused};
    w.advance(1s);
    if (!close) {
      w.take().discard();
      w.settle();
      w.net().peers.front()->fin();
      w.advance(1s);
    }
    BOOST_TEST(told >= 2u);
    BOOST_TEST(shaken >= 1u);
    w.pool->close();
    w.settle();
    pool = nullptr;
  }
}

BOOST_AUTO_TEST_CASE(the_destructor_of_a_handler_may_call_everything) {
  struct caller {
    cocp::pool* pool;
    unsigned* called;
    explicit caller(cocp::pool& p, unsigned& n) : pool(&p), called(&n) {}
    caller(caller&& other) noexcept : pool(std::exchange(other.pool, nullptr)), called(other.called) {}
    ~caller() {
      if (!pool) return;
      ++*called;
      pool->stats();
      pool->try_get().put();
      pool->close();
    }
    void operator()(error_code, cocp::lease) {}
  };
  unsigned called = 0;
  pool_world w;
  auto lease = w.take();
  w.pool->async_get(caller(*w.pool, called));
  w.pool->async_get(caller(*w.pool, called));
  w.destroy_context();
  BOOST_TEST(called == 2u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(exceptions)

BOOST_AUTO_TEST_CASE(one_that_leaves_a_handler_leaves_the_context_and_loses_nothing) {
  pool_world w({.size = 1, .get_timeout = 1s});
  struct failure {};
  auto lease = w.take();
  for (int i = 0; i < 3; ++i) w.pool->async_get([](error_code, cocp::lease) { throw failure(); });
  auto last = w.get();
  lease.put();
  for (int i = 0; i < 3; ++i) BOOST_CHECK_THROW(w.settle(), failure);
  w.settle();
  BOOST_REQUIRE(bool(last->lease));
  // Timeouts, errors and the end too.
  w.pool->async_get([](error_code, cocp::lease) { throw failure(); });
  auto second = w.get();
  BOOST_CHECK_THROW(w.advance(1s), failure);
  w.settle();
  BOOST_TEST(second->error == errc::timed_out);
  w.pool->async_get([](error_code, cocp::lease) { throw failure(); });
  last->lease.put();
  BOOST_CHECK_THROW(w.settle(), failure);
  w.settle();
  BOOST_TEST(gauges(*w.pool) == one_idle);
}

BOOST_AUTO_TEST_CASE(one_that_leaves_a_logger_is_dropped) {
  cocp::connection_options dial;
  unsigned told = 0;
  dial.logger = [&](const cocp::event&) {
    ++told;
    throw std::runtime_error("disk full");
  };
  pool_world w({.size = 1}, dial);
  w.net().next_results = {connect_result::refused};
  w.advance(1s);
  auto lease = w.take();
  lease.discard();
  w.advance(1s);
  w.peer().fin();
  w.advance(1s);
  BOOST_TEST(gauges(*w.pool) == one_idle);
  w.pool->close();
  w.settle();
  BOOST_TEST(told == 7u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(an_executor_that_refuses)

// The n-th call of execute() throws, for each n; `times` in a row.
BOOST_DATA_TEST_CASE(delays_the_waiter_and_loses_nothing,
                     data::xrange(1u, 6u) * data::make({1u, 3u}) * data::make({false, true}), n, times, erased) {
  pool_world w({.size = 1, .get_timeout = 10s});
  reluctant_executor::control control{n, times};
  const reluctant_executor ex(w.io().get_executor(), control);
  std::vector<unsigned> order;
  std::vector<error_code> errors(5);
  auto start = [&](unsigned i, cocp::duration timeout) {
    auto callback = [&, i](error_code ec, cocp::lease) {
      order.push_back(i);
      errors[i] = ec;
    };
    if (erased) {
      w.pool->async_get(timeout, any_handler(asio::bind_executor(ex, callback)));
    } else {
      w.pool->async_get(timeout, asio::bind_executor(ex, callback));
    }
  };
  // Where there is nothing to wait for, it may also be the caller who is told: then nothing was started.
  auto start_without_wait = [&](unsigned i, error_code expected) {
    try {
      start(i, 10s);
    } catch (const std::bad_alloc&) {
      order.push_back(i);
      errors[i] = expected;
    }
  };
  auto lease = w.take();
  start(0, 10s);
  start(1, 10s);
  start(2, 1s);
  w.advance(1100ms);
  lease.put();
  w.advance(1s);
  // Idle, and after the end.
  start_without_wait(3, {});
  w.advance(1s);
  w.pool->close();
  w.settle();
  start_without_wait(4, errc::closed);
  w.advance(1s);
  BOOST_TEST(order.size() == 5u);
  BOOST_TEST(!errors[0]);
  BOOST_TEST(!errors[1]);
  BOOST_TEST(errors[2] == errc::timed_out);
  BOOST_TEST(!errors[3]);
  BOOST_TEST(errors[4] == errc::closed);
  BOOST_TEST(control.refused > 0u, "the scenario has fewer steps");
  BOOST_TEST(w.net().open() == 0u);
  BOOST_TEST(w.io().stopped());
}

BOOST_AUTO_TEST_CASE(for_long_does_not_spin_and_the_others_go_on) {
  pool_world w({.size = 2, .get_timeout = 10s});
  reluctant_executor::control control{1, ~0u};
  const reluctant_executor ex(w.io().get_executor(), control);
  auto lease = w.take();
  auto other = w.take();
  bool called = false;
  w.pool->async_get(asio::bind_executor(ex, [&](error_code ec, cocp::lease l) { called = !ec && l; }));
  auto next = w.get();
  lease.put();
  other.put();
  const auto end = w.net().elapsed() + 1s;
  unsigned steps = 0;
  while (w.net().elapsed() < end && steps < 10'000 && w.step()) ++steps;
  BOOST_TEST(steps < 2000u);
  BOOST_TEST(!called);
  BOOST_TEST(bool(next->lease));
  control.times = 0;
  w.advance(1s);
  BOOST_TEST(called);
}

BOOST_AUTO_TEST_CASE(and_a_cancellation_meanwhile_lets_the_connection_go_to_the_next) {
  reluctant_executor::control control{1, 3};
  pool_world w;
  const reluctant_executor ex(w.io().get_executor(), control);
  auto lease = w.take();
  asio::cancellation_signal cancel;
  std::optional<error_code> error;
  auto callback = [&](error_code ec, cocp::lease) { error = ec; };
  w.pool->async_get(asio::bind_cancellation_slot(cancel.slot(), asio::bind_executor(ex, callback)));
  auto next = w.get();
  lease.put();
  w.settle();
  BOOST_TEST(!error.has_value());
  cancel.emit(asio::cancellation_type::total);
  w.advance(1s);
  BOOST_TEST((error == asio::error::operation_aborted));
  BOOST_TEST(bool(next->lease));
}

// As a strand that could not schedule itself.
BOOST_DATA_TEST_CASE(though_it_has_taken_it_is_not_asked_again, data::make({false, true}), erased) {
  pool_world w;
  std::vector<std::function<void()>> taken;
  const hoarding_executor ex(w.io().get_executor(), taken);
  unsigned called = 0;
  auto lease = w.take();
  auto callback = asio::bind_executor(ex, [&](error_code, cocp::lease) { ++called; });
  if (erased) {
    w.pool->async_get(any_handler(callback));
  } else {
    w.pool->async_get(callback);
  }
  lease.put();
  w.advance(1s);
  BOOST_TEST(taken.size() == 1u);
  for (const auto& f : std::exchange(taken, {})) f();
  BOOST_TEST(called == 1u);
  w.advance(1s);
  BOOST_TEST(gauges(*w.pool) == one_idle);
}

BOOST_AUTO_TEST_CASE(for_good_ends_a_type_erased_handler) {
  pool_world w;
  const refusing_executor ex(w.io().get_executor());
  auto kept = std::make_shared<int>();
  w.pool->async_get(any_handler(asio::bind_executor(ex, [kept](error_code, cocp::lease) {})));
  BOOST_CHECK_THROW(w.settle(), refusing_executor::refusal);
  BOOST_TEST(kept.use_count() == 1);
  w.settle();
  BOOST_TEST(gauges(*w.pool) == one_idle);
}

BOOST_AUTO_TEST_CASE(what_a_type_erased_handler_throws_that_it_runs_at_once_is_its_own) {
  pool_world w;
  unsigned calls = 0;
  auto callback = [&](error_code, cocp::lease) {
    ++calls;
    throw std::bad_alloc();
  };
  w.pool->async_get(any_handler(asio::bind_executor(w.io(), callback)));
  BOOST_CHECK_THROW(w.settle(), std::bad_alloc);
  w.settle();
  BOOST_TEST(calls == 1u);
  BOOST_TEST(gauges(*w.pool) == one_idle);
}

BOOST_AUTO_TEST_CASE(and_the_end_of_the_context_before_it_agrees_leaks_nothing) {
  reluctant_executor::control control{1, ~0u};
  pool_world w;
  const reluctant_executor ex(w.io().get_executor(), control);
  auto kept = std::make_shared<int>();
  w.pool->async_get(asio::bind_executor(ex, [kept](error_code, cocp::lease) {}));
  w.settle();
  BOOST_TEST(control.refused > 0u);
  w.destroy_context();
  BOOST_TEST(kept.use_count() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
