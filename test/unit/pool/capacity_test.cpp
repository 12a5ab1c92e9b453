// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// However a lease ends, its slot comes back exactly once (rule 4), and what it left behind reaches nobody (rule 3).

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <stdexcept>
#include <thread>

#include "support/world.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;

namespace {

constexpr std::size_t size = 3;

struct fixture : world {
  cocp::pool pool{io(), {.address = "10.0.0.1:7"}, {.size = size}};

  fixture() { settle(); }
  ~fixture() { pool.close(); }

  /// Bytes, on all streams.
  std::size_t count_received() {
    std::size_t n = 0;
    for (const auto& peer : net().peers) n += peer->received.size();
    return n;
  }
  /// The peers of all streams answer with this.
  void send_all(std::string_view bytes) {
    for (const auto& peer : net().peers) {
      if (!peer->gone) peer->send(bytes);
    }
  }
};

/// For operations whose result does not matter.
struct byte {
  std::shared_ptr<char> value = std::make_shared<char>();

  asio::mutable_buffer buffer() const { return asio::buffer(value.get(), 1); }
  void operator()(error_code, std::size_t) const {}
};

void read_byte(cocp::lease& l) {
  const byte b;
  l->async_read_some(b.buffer(), b);
}

/// A coroutine that is resumed by nobody but whoever owns `gate`.
using gate = std::optional<asio::any_completion_handler<void()>>;

asio::awaitable<void> hold_before(gate& g, cocp::lease held) {
  const cocp::lease kept = std::move(held);
  auto park = [&g](auto handler) { g.emplace(std::move(handler)); };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(park, asio::use_awaitable);
}

asio::awaitable<void> read_with(cocp::lease held) {
  const cocp::lease kept = std::move(held);
  const byte b;
  auto buffer = b.buffer();
  co_await kept->read(buffer);
}

void by_scope(fixture& f) { const cocp::lease l = f.pool.try_get(); }
void by_put(fixture& f) {
  cocp::lease l = f.pool.try_get();
  l.put();
  l.put();
  l.discard();
}
void by_discard(fixture& f) {
  cocp::lease l = f.pool.try_get();
  l.discard();
  l.put();
}
void by_close(fixture& f) {
  const cocp::lease l = f.pool.try_get();
  l->close();
}
void by_assignment(fixture& f) {
  cocp::lease l = f.pool.try_get();
  l = f.pool.try_get();
  l = cocp::lease();
}
void by_moves(fixture& f) {
  cocp::lease a = f.pool.try_get();
  cocp::lease b = std::move(a);
  cocp::lease& same = b;
  b = std::move(same);
  a = std::move(b);
}
void by_exception(fixture& f) {
  try {
    const cocp::lease l = f.pool.try_get();
    throw std::runtime_error("unused");
  } catch (const std::runtime_error&) {
  }
}
void by_exception_after_use(fixture& f) {
  try {
    cocp::lease l = f.pool.try_get();
    read_byte(l);
    f.send_all("x");
    f.settle();
    throw std::runtime_error("used");
  } catch (const std::runtime_error&) {
  }
}
void with_an_operation_outstanding(fixture& f) {
  cocp::lease l = f.pool.try_get();
  read_byte(l);
}
void with_two_reads_outstanding(fixture& f) {
  cocp::lease l = f.pool.try_get();
  read_byte(l);
  read_byte(l);
}
void with_unread_bytes(fixture& f) {
  cocp::lease l = f.pool.try_get();
  f.send_all("unread");
}
void after_the_stream_was_lost(fixture& f) {
  cocp::lease l = f.pool.try_get();
  read_byte(l);
  f.net().peers.back()->reset();
  f.net().peers.front()->reset();
  f.settle();
}
void after_an_operation_expired(fixture& f) {
  cocp::lease l = f.pool.try_get();
  l->expires_after(1s);
  read_byte(l);
  f.advance(1s);
}
void inside_the_handler_of_its_own_operation(fixture& f) {
  auto l = std::make_shared<cocp::lease>(f.pool.try_get());
  const byte b;
  (*l)->async_read_some(b.buffer(), [l, b](error_code, std::size_t) { l->put(); });
  l.reset();
  f.send_all("x");
}
void by_a_handler_that_throws(fixture& f) {
  f.pool.async_get([](error_code, const cocp::lease&) { throw std::runtime_error("handler"); });
  BOOST_CHECK_THROW(f.settle(), std::runtime_error);
}
void by_a_handler_that_ignores_it(fixture& f) {
  f.pool.async_get([](error_code, const cocp::lease&) {});
}
void by_cancellation_of_its_coroutine(fixture& f) {
  asio::cancellation_signal cancel;
  asio::co_spawn(f.io(), read_with(f.pool.try_get()),
                 asio::bind_cancellation_slot(cancel.slot(), [](std::exception_ptr) {}));
  f.settle();
  cancel.emit(asio::cancellation_type::terminal);
  f.settle();
}
void by_a_coroutine_that_was_never_started(fixture& f) { const auto unstarted = read_with(f.pool.try_get()); }
void by_a_destroyed_frame(fixture& f) {
  gate g;
  f.spawn(hold_before(g, f.pool.try_get()));
  f.settle();
  g.reset();
}
void on_another_thread(fixture& f) {
  std::thread([held = f.pool.try_get()]() mutable { held.put(); }).join();
}
/// The lease was given out, and the context where its handler was to run is gone.
void by_a_destroyed_context(fixture& f) {
  asio::io_context other;
  std::vector<cocp::lease> all;
  f.pool.async_get(asio::bind_executor(other, [](error_code, const cocp::lease&) { BOOST_ERROR("called"); }));
  for (std::size_t i = 1; i < size; ++i) all.push_back(f.pool.try_get());
  f.pool.async_get(asio::bind_executor(other, [](error_code, const cocp::lease&) { BOOST_ERROR("called"); }));
}
/// The same for a frame that holds one lease and waits for another.
void by_a_destroyed_context_with_frames(fixture& f) {
  asio::io_context other;
  asio::co_spawn(other, read_with(f.pool.try_get()), [](std::exception_ptr) {});
  other.poll();
  f.send_all("x");
  f.settle();
}
/// A waiter is given a lease, and cancelled before it knows.
void by_a_cancelled_waiter(fixture& f) {
  asio::cancellation_signal cancel;
  std::optional<error_code> ended;
  f.pool.async_get(asio::bind_cancellation_slot(cancel.slot(), [&](error_code ec, const cocp::lease&) { ended = ec; }));
  cancel.emit(asio::cancellation_type::total);
  f.settle();
  BOOST_TEST((ended == error_code(asio::error::operation_aborted)));
}

struct way {
  const char* name;
  void (*end)(fixture&);

  friend std::ostream& operator<<(std::ostream& out, const way& w) { return out << w.name; }
};

#define WAY(name) \
  way { #name, name }
const way ways[] = {
    WAY(by_scope),
    WAY(by_put),
    WAY(by_discard),
    WAY(by_close),
    WAY(by_assignment),
    WAY(by_moves),
    WAY(by_exception),
    WAY(by_exception_after_use),
    WAY(with_an_operation_outstanding),
    WAY(with_two_reads_outstanding),
    WAY(with_unread_bytes),
    WAY(after_the_stream_was_lost),
    WAY(after_an_operation_expired),
    WAY(inside_the_handler_of_its_own_operation),
    WAY(by_a_handler_that_throws),
    WAY(by_a_handler_that_ignores_it),
    WAY(by_cancellation_of_its_coroutine),
    WAY(by_a_coroutine_that_was_never_started),
    WAY(by_a_destroyed_frame),
    WAY(on_another_thread),
    WAY(by_a_destroyed_context),
    WAY(by_a_destroyed_context_with_frames),
    WAY(by_a_cancelled_waiter),
};
#undef WAY

/// All slots are there, and no more.
void check_capacity(fixture& f) {
  std::vector<cocp::lease> all;
  for (std::size_t i = 0; i < size; ++i) {
    all.push_back(f.pool.try_get());
    BOOST_TEST(static_cast<bool>(all.back()));
  }
  BOOST_TEST(!f.pool.try_get());
  BOOST_TEST(f.pool.stats().leased == size);
  all.clear();
  BOOST_TEST(f.pool.stats().leased == 0u);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(capacity)

BOOST_DATA_TEST_CASE(however_a_lease_ends_its_slot_comes_back_exactly_once, ways, w) {
  fixture f;
  for (int again = 0; again < 3; ++again) {
    w.end(f);
    f.advance(1s);
    BOOST_TEST(f.pool.stats().leased == 0u);
    check_capacity(f);
    f.settle();
  }
}

BOOST_DATA_TEST_CASE(however_a_lease_ends_after_close_drain_ends, ways, w) {
  fixture f;
  // The one whose end comes before or after close() is among `size` of them.
  std::vector<cocp::lease> others;
  for (std::size_t i = 0; i < size; ++i) others.push_back(f.pool.try_get());
  others.pop_back();
  w.end(f);
  const auto drained = f.watch(f.pool.drain());
  f.settle();
  BOOST_TEST(!drained->done);
  others.clear();
  f.settle();
  BOOST_TEST(drained->done);
  BOOST_TEST(drained->what == "");
  BOOST_TEST(f.net().open() == 0u);
  BOOST_TEST(f.io().stopped());
}

BOOST_AUTO_TEST_CASE(an_operation_that_waited_behind_another_does_not_run_in_the_next_lease) {
  fixture f;
  cocp::lease first = f.pool.try_get();
  std::optional<error_code> ended;
  const byte taken;
  const byte waited;
  first->async_read_some(taken.buffer(), [&first](error_code, std::size_t) { first.put(); });
  first->async_read_some(waited.buffer(), [&](error_code ec, std::size_t) { ended = ec; });
  f.send_all("1");
  f.settle();
  std::vector<cocp::lease> all;
  for (std::size_t i = 0; i < size; ++i) all.push_back(f.pool.try_get());
  f.send_all("2");
  f.settle();
  BOOST_TEST((ended == error_code(asio::error::operation_aborted)));
  BOOST_TEST(*waited.value == '\0', "it read what another lease was sent");
}

BOOST_AUTO_TEST_CASE(an_operation_that_waited_for_the_stream_does_not_run_in_the_next_lease) {
  // The lease ends after each handler of the redial.
  for (unsigned steps = 0, ended_before = 0; ended_before == 0; ++steps) {
    BOOST_REQUIRE(steps < 100u);
    fixture f;
    std::vector<cocp::lease> all;
    for (std::size_t i = 0; i < size; ++i) all.push_back(f.pool.try_get());
    read_byte(all[0]);
    for (const auto& peer : f.net().peers) peer->reset();
    while (all[0]->is_connected()) f.step();
    unsigned ended = 0;
    all[0]->async_write_some(asio::buffer("stale", 5), [&](error_code, std::size_t) { ++ended; });
    for (unsigned i = 0; i < steps && ended == 0; ++i) f.step();
    ended_before = ended;
    const std::size_t sent = f.count_received();
    all.clear();
    f.settle();
    BOOST_TEST(ended == 1u);
    BOOST_TEST(f.count_received() == sent, "it was sent after its lease had ended, after " << steps << " handlers");
  }
}

BOOST_AUTO_TEST_SUITE_END()
