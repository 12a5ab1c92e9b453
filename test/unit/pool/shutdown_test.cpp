// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What keeps a context after close(), and what becomes of waits when the pool's context goes first.

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/pool_world.hpp"
#include "support/reluctant_executor.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;

namespace {

/// Starts a coroutine on that executor, which may be stopped by `cancel`, and keeps its error.
std::shared_ptr<std::optional<error_code>> start(const asio::any_io_executor& ex, asio::awaitable<void> body,
                                                 asio::cancellation_signal* cancel = nullptr) {
  auto result = std::make_shared<std::optional<error_code>>();
  auto done = [result](std::exception_ptr e) {
    *result = error_code();
    try {
      if (e) std::rethrow_exception(e);
    } catch (const boost::system::system_error& failure) {
      *result = failure.code();
    }
  };
  if (cancel) {
    asio::co_spawn(ex, std::move(body), asio::bind_cancellation_slot(cancel->slot(), std::move(done)));
  } else {
    asio::co_spawn(ex, std::move(body), std::move(done));
  }
  return result;
}

asio::awaitable<void> get_in(cocp::pool& p, cocp::duration limit) { cocp::lease conn = co_await p.get(limit); }

}  // namespace

BOOST_AUTO_TEST_SUITE(the_end)

BOOST_AUTO_TEST_SUITE(after_close)

BOOST_AUTO_TEST_CASE(a_loss_that_somebody_has_noticed_is_told_though_close_comes_at_once) {
  pool_world w({.size = 1});
  w.settle();
  w.advance(1s);
  w.peer().fin();
  BOOST_TEST(!w.pool->try_get());
  w.pool->close();
  w.settle();
  BOOST_TEST(w.pool->stats().disconnects == 1u);
  BOOST_TEST(w.log.count(cocp::event_kind::disconnected) == 1u);
}

// Its supervisor has gone, and told nobody.
BOOST_AUTO_TEST_CASE(what_a_lease_loses_after_close_is_not_counted_either) {
  pool_world w;
  auto lease = w.take();
  w.pool->close();
  w.settle();
  char b = 0;
  const auto read = w.watch(lease->read_some(asio::buffer(&b, 1)));
  w.peer().reset();
  w.settle();
  BOOST_TEST(read->error == asio::error::connection_reset);
  lease.put();
  w.settle();
  BOOST_TEST(w.log.count(cocp::event_kind::disconnected) == 0u);
  BOOST_TEST(w.pool->stats().disconnects == 0u);
}

BOOST_AUTO_TEST_CASE(a_drain_that_was_given_up_does_not_keep_the_context) {
  for (const bool closed_before : {false, true}) {
    pool_world w({.size = 2});
    auto lease = w.take();
    if (closed_before) w.pool->close(), w.settle();
    asio::cancellation_signal cancel;
    const auto drained = start(w.io().get_executor(), w.pool->drain(), &cancel);
    w.settle();
    BOOST_TEST(!w.io().stopped());
    cancel.emit(asio::cancellation_type::terminal);
    w.settle();
    BOOST_TEST((*drained == asio::error::operation_aborted));
    BOOST_TEST(w.io().stopped(), "closed_before: " << closed_before);
  }
}

BOOST_AUTO_TEST_CASE(a_drain_that_waits_for_a_lease_does_not_spin_whatever_has_become_due) {
  const auto ping = [](cocp::connection&) -> asio::awaitable<void> { co_return; };
  const cocp::pool_options all[] = {
      {.size = 2, .max_lifetime = 1s},
      {.size = 2, .min_size = 1, .idle_timeout = 1s},
      {.size = 2, .keepalive = ping, .keepalive_interval = 1s},
      {.size = 2, .report_leases = cocp::lease_report{1s}},
  };
  for (const auto& options : all) {
    pool_world w(options);
    auto lease = w.take();
    const auto drained = w.watch(w.pool->drain());
    unsigned handlers = 0;
    while (handlers < 1000 && w.step()) ++handlers;
    BOOST_TEST(handlers < 1000u, "options " << &options - all);
    lease.put();
    w.settle();
    BOOST_TEST(drained->done);
  }
}

BOOST_AUTO_TEST_CASE(the_watch_of_a_connection_that_was_idle_does_not_keep_the_context_during_its_lease) {
  pool_world w;
  w.advance(200ms);
  auto lease = w.take();
  w.pool->close();
  w.settle();
  BOOST_TEST(w.io().stopped());
  // It stays usable.
  char byte = 0;
  const auto got = w.watch(lease->read(asio::buffer(&byte, 1)));
  w.settle();
  w.peer().send("x");
  w.settle();
  BOOST_TEST(got->value.has_value());
  BOOST_TEST(byte == 'x');
  lease.put();
  w.settle();
  BOOST_TEST(w.net().open() == 0u);
}

BOOST_AUTO_TEST_CASE(an_idle_connection_is_watched_again_after_a_lease_that_saw_no_close) {
  pool_world w;
  w.advance(200ms);
  w.take().put();
  w.advance(200ms);
  w.peer().fin();
  w.settle();
  BOOST_TEST(counters(*w.pool).find("replaced_dead 1") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_drain_whose_completion_is_refused_ends_though_the_housekeeper_had_gone) {
  for (const unsigned times : {1u, 3u}) {
    pool_world w;
    auto lease = w.take();
    w.pool->close();
    w.settle();
    BOOST_TEST(w.io().stopped());
    reluctant_executor::control control{~0u, times};
    const reluctant_executor ex(w.io().get_executor(), control);
    const auto drained = start(ex, w.pool->drain());
    w.settle();
    control.first = control.calls + 1;
    lease.put();
    w.advance(1s);
    BOOST_TEST(control.refused == times);
    BOOST_TEST((*drained == error_code()));
  }
}

// It had gone, and nobody could be told of the end: the wait does not begin. Under `use_awaitable` Asio takes the
// coroutine along, and throws out of `run`.
BOOST_AUTO_TEST_CASE(a_drain_whose_housekeeper_is_refused_throws_and_the_next_one_ends) {
  reluctant_executor::control control{~0u, 1};
  world w;
  std::optional<cocp::pool> pool;
  pool.emplace(asio::any_io_executor(reluctant_executor(w.io().get_executor(), control)),
               cocp::connection_options{.address = "10.0.0.1:7"}, cocp::pool_options{.size = 1});
  w.settle();
  auto lease = pool->try_get();
  BOOST_REQUIRE(bool(lease));
  pool->close();
  w.settle();
  BOOST_TEST(w.io().stopped());
  control.first = control.calls + 1;
  const auto in_vain = w.watch(pool->drain());
  BOOST_CHECK_THROW(w.settle(), std::bad_alloc);
  BOOST_TEST(control.refused == 1u);
  BOOST_TEST(!in_vain->value.has_value());
  const auto drained = w.watch(pool->drain());
  w.settle();
  BOOST_TEST(!drained->done);
  lease.put();
  w.settle();
  BOOST_TEST(drained->value.has_value());
}

// Whatever it is that the executor refuses: nothing is left behind.
BOOST_AUTO_TEST_CASE(a_pool_that_its_executor_does_not_let_begin_throws) {
  unsigned thrown = 0;
  for (bool begun = false; !begun;) {
    reluctant_executor::control control{thrown + 1, 1};
    world w;
    std::optional<cocp::pool> pool;
    try {
      pool.emplace(asio::any_io_executor(reluctant_executor(w.io().get_executor(), control)),
                   cocp::connection_options{.address = "10.0.0.1:7"}, cocp::pool_options{.size = 2});
      begun = true;
    } catch (const std::bad_alloc&) {
      ++thrown;
    }
    control.times = 0;
  }
  BOOST_TEST(thrown != 0u);
}

BOOST_AUTO_TEST_CASE(a_wait_that_close_ends_and_whose_completion_is_refused_ends_all_the_same) {
  pool_world w;
  auto lease = w.take();
  reluctant_executor::control control{1, 2};
  const reluctant_executor ex(w.io().get_executor(), control);
  std::optional<error_code> error;
  w.pool->async_get(asio::bind_executor(ex, [&](error_code ec, cocp::lease) { error = ec; }));
  w.pool->close();
  w.advance(1s);
  BOOST_TEST((error == errc::closed));
  BOOST_TEST(w.io().stopped());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(the_pools_context_goes_first)

BOOST_DATA_TEST_CASE(waits_on_another_context_end_with_closed, data::make({false, true}), on_strand) {
  asio::io_context other;
  pool_world w;
  auto lease = w.take();
  asio::any_io_executor ex = other.get_executor();
  if (on_strand) ex = asio::make_strand(other);
  const auto limited = start(ex, get_in(*w.pool, 500ms));
  const auto patient = start(ex, get_in(*w.pool, 1h));
  const auto up = start(ex, w.pool->ready());
  other.poll();
  std::vector<std::optional<error_code>> errors(3);
  auto note = [&errors](std::size_t i) { return [&errors, i](error_code ec, cocp::lease) { errors[i] = ec; }; };
  w.pool->async_get(asio::bind_executor(ex, note(0)));
  w.pool->async_get(1h, asio::bind_executor(ex, note(1)));
  w.pool->async_get(asio::bind_executor(w.io(), note(2)));
  w.destroy_context();
  other.restart();
  other.run();
  BOOST_TEST((*limited == errc::closed));
  BOOST_TEST((*patient == errc::closed));
  BOOST_TEST((*up == error_code()), "it was up");
  BOOST_TEST((errors[0] == errc::closed));
  BOOST_TEST((errors[1] == errc::closed));
  BOOST_TEST(!errors[2].has_value());
}

BOOST_AUTO_TEST_CASE(a_type_erased_wait_on_another_context_ends_with_closed) {
  using any_handler = asio::any_completion_handler<void(error_code, cocp::lease)>;
  asio::io_context other;
  pool_world w;
  auto lease = w.take();
  std::optional<error_code> error;
  std::optional<error_code> own;
  w.pool->async_get(any_handler(asio::bind_executor(other, [&](error_code ec, cocp::lease) { error = ec; })));
  w.pool->async_get(any_handler(asio::bind_executor(w.io(), [&](error_code ec, cocp::lease) { own = ec; })));
  std::optional<error_code> ended;
  auto next = any_handler(asio::bind_executor(other, [&](error_code ec, cocp::lease) { ended = ec; }));
  w.pool->async_get(0s, std::move(next));
  w.settle();
  w.destroy_context();
  other.run();
  BOOST_TEST((error == errc::closed));
  BOOST_TEST(!own.has_value());
  BOOST_TEST((ended == errc::timed_out), "it was on its way");
}

// It comes by way of the pool's, which therefore has work.
BOOST_AUTO_TEST_CASE(a_type_erased_wait_keeps_both_contexts) {
  using any_handler = asio::any_completion_handler<void(error_code, std::size_t)>;
  asio::io_context other;
  world w;
  w.net().default_result = fake_network::connect_result::hangs;
  std::optional<error_code> error;
  asio::cancellation_signal cancel;
  char byte = 0;
  cocp::connection c(w.io(), {.address = "10.0.0.1:7"});
  auto callback = asio::bind_executor(other, [&](error_code ec, std::size_t) { error = ec; });
  c.async_read_some(asio::buffer(&byte, 1),
                    any_handler(asio::bind_cancellation_slot(cancel.slot(), std::move(callback))));
  w.settle();
  c.close();
  w.settle();
  other.poll();
  BOOST_TEST((error == errc::closed));
  BOOST_TEST(other.stopped());
  BOOST_TEST(w.io().stopped());
}

BOOST_AUTO_TEST_CASE(waits_for_a_stream_on_another_context_end_with_closed) {
  asio::io_context other;
  world w;
  w.net().default_result = fake_network::connect_result::hangs;
  cocp::connection conn(w.io(), {.address = "10.0.0.1:7"});
  const auto up = start(other.get_executor(), conn.ready());
  other.poll();
  char b = 0;
  std::optional<error_code> read;
  std::optional<error_code> own;
  conn.async_read_some(asio::buffer(&b, 1), asio::bind_executor(other, [&](error_code ec, std::size_t) { read = ec; }));
  conn.async_write_some(asio::buffer("x", 1), [&](error_code ec, std::size_t) { own = ec; });
  w.settle();
  w.destroy_context();
  other.restart();
  other.run();
  BOOST_TEST((*up == errc::closed));
  BOOST_TEST((read == errc::closed));
  BOOST_TEST(!own.has_value());
}

BOOST_AUTO_TEST_CASE(a_drain_on_another_context_ends_with_closed) {
  asio::io_context other;
  pool_world w;
  auto lease = w.take();
  const auto drained = start(other.get_executor(), w.pool->drain());
  other.poll();
  w.settle();
  w.destroy_context();
  other.restart();
  other.run();
  BOOST_TEST((*drained == errc::closed));
}

// What is left of a connection is an operation that has ended, and whose handler another context has yet to run.
struct remnant {
  world w;
  asio::io_context other;
  char byte = 0;
  std::optional<error_code> read;

  void begin(cocp::connection& c) {
    c.async_read_some(asio::buffer(&byte, 1),
                      asio::bind_executor(other, [this](error_code ec, std::size_t) { read = ec; }));
  }
  void check_that_nothing_outlives_the_context() {
    w.settle();
    BOOST_TEST(w.net().sockets == 1u);
    const auto net = w.net().shared_from_this();
    w.destroy_context();
    BOOST_TEST(net->sockets == 0u);
    BOOST_TEST(!read.has_value());
    other.run();
    BOOST_TEST(read.has_value());
  }
};

BOOST_FIXTURE_TEST_CASE(a_connection_that_was_closed_keeps_no_stream, remnant) {
  {
    cocp::connection c(w.io(), {.address = "10.0.0.1:7"});
    w.settle();
    begin(c);
    c.close();
    w.settle();
  }
  check_that_nothing_outlives_the_context();
}

BOOST_FIXTURE_TEST_CASE(a_handshake_that_was_left_keeps_no_stream, remnant) {
  auto pool = std::make_unique<cocp::pool>(
      w.io(),
      cocp::connection_options{.address = "10.0.0.1:7",
                               .on_connect = [this](cocp::connection& c) -> asio::awaitable<void> {
                                 begin(c);
                                 co_return;
                               }},
      cocp::pool_options{.size = 1});
  w.settle();
  BOOST_TEST(pool->stats().connects == 0u);
  pool.reset();
  check_that_nothing_outlives_the_context();
}

BOOST_FIXTURE_TEST_CASE(a_lease_that_was_detached_and_put_keeps_no_stream, remnant) {
  auto pool = std::make_unique<cocp::pool>(w.io(), "10.0.0.1:7", cocp::pool_options{.size = 1});
  w.settle();
  cocp::lease l = pool->try_get();
  l.detach();
  w.settle();
  begin(*l);
  pool.reset();
  w.settle();
  l.put();
  check_that_nothing_outlives_the_context();
}

BOOST_FIXTURE_TEST_CASE(a_lease_that_was_detached_has_no_stream_behind_it, remnant) {
  auto pool = std::make_unique<cocp::pool>(w.io(), "10.0.0.1:7", cocp::pool_options{.size = 1});
  w.settle();
  cocp::lease l = pool->try_get();
  l.detach();
  pool.reset();
  w.settle();
  const auto net = w.net().shared_from_this();
  w.destroy_context();
  BOOST_TEST(net->sockets == 0u);
  BOOST_TEST(!l->is_connected());
  l.put();
}

BOOST_AUTO_TEST_CASE(later_calls_from_another_context_end_with_closed) {
  asio::io_context other;
  pool_world w;
  w.settle();
  w.destroy_context();
  const auto limited = start(other.get_executor(), get_in(*w.pool, 500ms));
  const auto up = start(other.get_executor(), w.pool->ready());
  const auto drained = start(other.get_executor(), w.pool->drain());
  std::optional<error_code> error;
  w.pool->async_get(asio::bind_executor(other, [&](error_code ec, cocp::lease) { error = ec; }));
  other.run();
  BOOST_TEST((*limited == errc::closed));
  BOOST_TEST((*up == errc::closed));
  BOOST_TEST((*drained == errc::closed));
  BOOST_TEST((error == errc::closed));
  BOOST_TEST(!w.pool->try_get());
}

BOOST_AUTO_TEST_SUITE_END()

#ifndef NDEBUG
BOOST_AUTO_TEST_CASE(the_use_of_an_empty_lease_is_asserted_and_says_so) {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGABRT, SIG_DFL);
    ::dup2(ends[1], STDERR_FILENO);
    const cocp::lease empty;
    (void)empty->is_connected();
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  char buffer[512];
  for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    said.append(buffer, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(WIFSIGNALED(status));
  BOOST_TEST(said.find("the lease is empty") != std::string::npos, said);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
