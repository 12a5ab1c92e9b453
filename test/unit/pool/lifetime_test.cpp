// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// No destruction order is wrong (rule 10). Every scenario is destroyed after each of its handlers, in each order, and
// afterwards nothing that holds its mark may be left.

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "support/world.hpp"

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;
using cocp::event_kind;
using result = fake_network::connect_result;

namespace {

/// Held by whatever must be gone at the end: by the logger, and so by what a pool or a connection consists of, by
/// handlers and by coroutine frames. It counts the coroutines that have not begun: until then they need their pool.
using mark = std::shared_ptr<int>;

cocp::connection_options marked(const mark& m) {
  return {.address = "10.0.0.1:7", .connect_timeout = 300ms, .logger = [m](const cocp::event&) {}};
}

/// Starts a coroutine that may fail.
void start(world& w, asio::awaitable<void> body) {
  asio::co_spawn(w.io(), std::move(body), [](std::exception_ptr) {});
}

template <class T>
asio::awaitable<void> begin_with(mark m, asio::awaitable<T> body) {
  const mark kept = std::move(m);
  --*kept;
  (void)co_await std::move(body);
}

template <class T>
asio::awaitable<void> holding(const mark& m, asio::awaitable<T> body) {
  ++*m;
  return begin_with(m, std::move(body));
}

void let_begin(world& w, const mark& m) {
  while (*m != 0) BOOST_REQUIRE(w.step());
}

asio::awaitable<void> close_after(fake_network& net, cocp::pool& p, cocp::duration d) {
  const auto ex = co_await asio::this_coro::executor;
  const auto timer = net.make_timer(ex);
  timer->expires_at(net.now() + d);
  auto wait = [&timer](auto handler) { timer->async_wait(std::move(handler)); };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void(error_code)>(wait, asio::use_awaitable);
  p.close();
}

void read_one(cocp::connection& c, const mark& m) {
  auto byte = std::make_shared<char>();
  auto buffer = asio::buffer(byte.get(), 1);
  c.async_read_some(buffer, [byte, m](error_code, std::size_t) {});
}

void write_one(cocp::connection& c, const mark& m) {
  auto buffer = asio::buffer("x", 1);
  c.async_write_some(buffer, [m](error_code, std::size_t) {});
}

/// What a scenario keeps alive; the leases go first.
struct things {
  std::unique_ptr<cocp::pool> pool;
  std::vector<cocp::lease> leases;

  things(world& w, cocp::connection_options connection, cocp::pool_options options)
      : pool(std::make_unique<cocp::pool>(w.io(), std::move(connection), options)) {}
};

/// The same; the pool goes first.
struct pool_first {
  std::vector<cocp::lease> leases;
  std::unique_ptr<cocp::pool> pool;

  explicit pool_first(things t) : leases(std::move(t.leases)), pool(std::move(t.pool)) {}
};

things dialling(world& w, const mark& m) {
  w.net().next_results = {result::accepted, result::refused, result::hangs, result::accepted};
  return {w, marked(m), {.size = 4}};
}

void start_waiters(world& w, cocp::pool& pool, const mark& m) {
  start(w, holding(m, pool.get()));
  start(w, holding(m, pool.get(200ms)));
  start(w, holding(m, pool.ready()));
  pool.async_get([m](error_code, cocp::lease) {});
  pool.async_get(400ms, [m](error_code, cocp::lease) {});
}

things waited_for(world& w, const mark& m) {
  w.net().default_result = result::hangs;
  things t(w, marked(m), {.size = 2, .get_timeout = 500ms});
  start_waiters(w, *t.pool, m);
  return t;
}

/// The waiters get a connection, one after the other.
things handed_on(world& w, const mark& m) {
  things t(w, marked(m), {.size = 1});
  start_waiters(w, *t.pool, m);
  return t;
}

things on_a_strand(world& w, const mark& m) {
  things t(w, marked(m), {});
  t.pool = std::make_unique<cocp::pool>(asio::make_strand(w.io()), marked(m), cocp::pool_options{.size = 2});
  start_waiters(w, *t.pool, m);
  return t;
}

/// All connections are leased, with a read, a second read that waits for the first, a write and a limit of time.
things leased(world& w, const mark& m) {
  things t(w, marked(m), {.size = 3, .get_timeout = 500ms});
  w.settle();
  for (const auto& peer : w.net().peers) peer->stall();
  for (int i = 0; i < 3; ++i) t.leases.push_back(t.pool->try_get());
  read_one(*t.leases[0], m);
  read_one(*t.leases[0], m);
  write_one(*t.leases[0], m);
  t.leases[1]->expires_after(100ms);
  read_one(*t.leases[1], m);
  start_waiters(w, *t.pool, m);
  return t;
}

/// A lease's stream is lost, and the redial hangs: its operations wait.
things lost(world& w, const mark& m) {
  things t(w, marked(m), {.size = 2, .get_timeout = 500ms});
  w.settle();
  t.leases.push_back(t.pool->try_get());
  w.net().default_result = result::hangs;
  read_one(*t.leases[0], m);
  for (const auto& peer : w.net().peers) peer->reset();
  w.settle();
  t.leases[0]->expires_after(200ms);
  read_one(*t.leases[0], m);
  write_one(*t.leases[0], m);
  start(w, holding(m, t.leases[0]->ready()));
  start_waiters(w, *t.pool, m);
  return t;
}

asio::awaitable<void> shake_hands(mark m, cocp::connection& c) {
  const mark kept = std::move(m);
  auto hello = asio::buffer("hello", 5);
  co_await c.write(hello);
  c.expires_after(200ms);
  std::array<char, 2> answer;
  auto buffer = asio::buffer(answer);
  co_await c.read(buffer);
}

/// The first server says nothing, the second half of it, the third all.
things shaking_hands(world& w, const mark& m) {
  w.net().on_accept = [n = 0](fake_peer& p) mutable {
    p.send(std::string_view("ok").substr(0, static_cast<std::size_t>(n++)));
  };
  auto options = marked(m);
  options.on_connect = [m](cocp::connection& c) { return shake_hands(m, c); };
  things t(w, options, {.size = 1});
  start_waiters(w, *t.pool, m);
  return t;
}

/// drain() waits for two leases, one with operations outstanding.
things draining(world& w, const mark& m) {
  things t(w, marked(m), {.size = 3});
  w.settle();
  t.leases.push_back(t.pool->try_get());
  t.leases.push_back(t.pool->try_get());
  read_one(*t.leases[0], m);
  start_waiters(w, *t.pool, m);
  start(w, holding(m, t.pool->drain()));
  start(w, holding(m, t.pool->drain()));
  return t;
}

/// Idle connections that are watched; one dies.
things watched(world& w, const mark& m) {
  things t(w, marked(m), {.size = 3});
  w.advance(200ms);
  w.net().peers.front()->fin();
  return t;
}

things looking_up(world& w, const mark& m) {
  auto options = marked(m);
  options.address = "unanswered:7";
  things t(w, options, {.size = 2, .get_timeout = 500ms});
  start_waiters(w, *t.pool, m);
  return t;
}

struct scenario {
  const char* name;
  things (*make)(world&, const mark&);

  friend std::ostream& operator<<(std::ostream& out, const scenario& s) { return out << s.name; }
};

#define SCENARIO(name) \
  scenario { #name, name }
const scenario scenarios[] = {
    SCENARIO(dialling), SCENARIO(waited_for),    SCENARIO(handed_on), SCENARIO(on_a_strand), SCENARIO(leased),
    SCENARIO(lost),     SCENARIO(shaking_hands), SCENARIO(draining),  SCENARIO(watched),     SCENARIO(looking_up),
};
#undef SCENARIO

/// Destroys what `make(world, mark)` returns before and after the context, after each handler.
template <class Make>
void nothing_is_left_of(Make make) {
  for (const bool objects_first : {false, true}) {
    const auto m = std::make_shared<int>();
    destroy_at_every_step(
        [&](world& w) {
          BOOST_REQUIRE_MESSAGE(m.use_count() == 1, "something was left");
          *m = 0;
          return make(w, m);
        },
        objects_first);
    BOOST_TEST(m.use_count() == 1);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lifetime)

BOOST_DATA_TEST_CASE(leases_then_pool_go_before_or_after_the_context, scenarios, s) {
  nothing_is_left_of([&](world& w, const mark& m) {
    things t = s.make(w, m);
    start(w, close_after(w.net(), *t.pool, 1s));
    return t;
  });
}

BOOST_DATA_TEST_CASE(the_pool_then_its_leases_go_before_or_after_the_context, scenarios, s) {
  nothing_is_left_of([&](world& w, const mark& m) {
    things t = s.make(w, m);
    start(w, close_after(w.net(), *t.pool, 1s));
    return pool_first(std::move(t));
  });
}

BOOST_DATA_TEST_CASE(when_pool_and_leases_are_gone_what_is_left_ends_without_time_passing, scenarios, s) {
  // The fake resolver keeps a lookup, as the real one keeps its thread.
  if (s.make == looking_up) return;
  for (const bool leases_first : {false, true}) {
    for (unsigned steps = 0, ended = 0; ended == 0; ++steps) {
      const auto m = std::make_shared<int>();
      world w;
      things t = s.make(w, m);
      const auto end = w.net().elapsed() + 1s;
      for (unsigned i = 0; i < steps && ended == 0; ++i) ended = !w.step() || w.net().elapsed() > end;
      let_begin(w, m);
      if (leases_first) t.leases.clear();
      t.pool.reset();
      t.leases.clear();
      w.settle();
      BOOST_TEST(w.io().stopped());
      BOOST_TEST(w.net().open() == 0u);
      w.net().on_accept = nullptr;
      BOOST_REQUIRE_MESSAGE(m.use_count() == 1, "something was left after " << steps << " handlers");
    }
  }
}

namespace {

using own_pool = std::shared_ptr<cocp::pool>;

asio::awaitable<void> get_from_own(own_pool p) { auto lease = co_await p->get(); }
asio::awaitable<void> get_in_time_from_own(own_pool p) { auto lease = co_await p->get(1h); }
asio::awaitable<void> await_own(own_pool p) { co_await p->ready(); }
asio::awaitable<void> drain_own(own_pool p, cocp::lease held) {
  const auto kept = std::move(held);
  co_await p->drain();
}

struct own_connection {
  own_connection(world& w, const mark& m) : conn(w.io(), marked(m)) {}
  cocp::connection conn;
  std::array<char, 4> bytes;
};
using own_conn = std::shared_ptr<own_connection>;

asio::awaitable<void> read_own(own_conn c) {
  auto buffer = asio::buffer(c->bytes);
  co_await c->conn.read(buffer);
}
asio::awaitable<void> write_own(own_conn c) {
  auto buffer = asio::buffer(c->bytes);
  co_await c->conn.write(buffer);
}
asio::awaitable<void> await_own_connection(own_conn c) { co_await c->conn.ready(); }

}  // namespace

BOOST_AUTO_TEST_CASE(a_pool_owned_only_by_frames_that_wait_in_it_is_freed_with_the_context) {
  for (const auto endpoint : {result::hangs, result::refused, result::accepted}) {
    nothing_is_left_of([&](world& w, const mark& m) {
      w.net().default_result = endpoint;
      auto p = std::make_shared<cocp::pool>(w.io(), marked(m), cocp::pool_options{.size = 2, .get_timeout = 1s});
      start(w, get_from_own(p));
      start(w, get_from_own(p));
      start(w, get_in_time_from_own(p));
      start(w, await_own(p));
      p->async_get([p](error_code, cocp::lease) {});
      // Somebody's end closes it: nobody else knows the pool.
      start(w, [](own_pool own) -> asio::awaitable<void> {
        try {
          co_await own->ready(2);
          auto lease = co_await own->get();
        } catch (const std::exception&) {
        }
        own->close();
      }(p));
      return 0;
    });
  }
}

BOOST_AUTO_TEST_CASE(a_pool_owned_only_by_frames_that_drain_it_is_freed_with_the_context) {
  nothing_is_left_of([&](world& w, const mark& m) {
    auto p = std::make_shared<cocp::pool>(w.io(), marked(m), cocp::pool_options{.size = 2});
    w.settle();
    start(w, drain_own(p, p->try_get()));
    start(w, drain_own(p, p->try_get()));
    return 0;
  });
}

BOOST_AUTO_TEST_CASE(a_connection_owned_only_by_frames_that_use_it_is_freed_with_the_context) {
  for (const auto endpoint : {result::hangs, result::refused, result::accepted}) {
    nothing_is_left_of([&](world& w, const mark& m) {
      w.net().default_result = endpoint;
      w.net().on_accept = [](fake_peer& p) { p.stall(); };
      auto c = std::make_shared<own_connection>(w, m);
      c->conn.expires_after(1s);
      start(w, read_own(c));
      start(w, read_own(c));
      start(w, write_own(c));
      start(w, await_own_connection(c));
      return 0;
    });
  }
}

BOOST_AUTO_TEST_CASE(a_context_that_never_ran_is_destroyed_before_or_after_its_pools) {
  const auto m = std::make_shared<int>();
  for (const bool context_first : {false, true}) {
    auto io = std::make_unique<asio::io_context>();
    std::vector<std::unique_ptr<cocp::pool>> pools;
    for (int i = 0; i < 20; ++i) pools.push_back(std::make_unique<cocp::pool>(*io, marked(m)));
    cocp::connection alone(*io, marked(m));
    for (const auto& p : pools) {
      p->async_get([m](error_code, cocp::lease) {});
      asio::co_spawn(*io, holding(m, p->ready()), [](std::exception_ptr) {});
    }
    read_one(alone, m);
    if (context_first) io.reset();
    pools.clear();
  }
  BOOST_TEST(m.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(many_pools_live_and_die_on_one_context) {
  nothing_is_left_of([](world& w, const mark& m) {
    std::vector<std::unique_ptr<cocp::pool>> pools;
    for (std::size_t i = 1; i <= 8; ++i) {
      pools.push_back(std::make_unique<cocp::pool>(w.io(), marked(m), cocp::pool_options{.size = i}));
      start_waiters(w, *pools.back(), m);
      let_begin(w, m);
      if (i % 3 == 0) pools[i / 2].reset();
      if (i % 4 == 0) w.advance(10ms);
    }
    start(w, holding(m, pools.back()->drain()));
    return pools;
  });
}

BOOST_AUTO_TEST_CASE(a_waiting_operation_on_another_executor_outlives_its_connection) {
  asio::io_context other;
  world w;
  char first = 0;
  char second = 0;
  std::vector<error_code> ended;
  auto keep = [&](error_code ec, std::size_t) { ended.push_back(ec); };
  {
    cocp::connection c{w.io(), {.address = "10.0.0.1:7"}};
    w.settle();
    c.async_read_some(asio::buffer(&first, 1), keep);
    c.async_read_some(asio::buffer(&second, 1), asio::bind_executor(other, keep));
  }
  w.settle();
  other.run();
  BOOST_TEST(ended.size() == 2u);
  for (const auto& ec : ended) BOOST_TEST(ec == errc::closed);
}

// Who has his lease, and destroys the pool, may be all that still runs.
BOOST_AUTO_TEST_CASE(a_coroutine_that_has_waited_keeps_nothing_of_the_pool) {
  world w;
  asio::io_context other;
  auto mark = std::make_shared<int>();
  auto pool = std::make_unique<cocp::pool>(
      w.io(), cocp::connection_options{.address = "10.0.0.1:7", .logger = [mark](const cocp::event&) {}},
      cocp::pool_options{.size = 1});
  bool done = false;
  auto use = [&]() -> asio::awaitable<void> {
    cocp::lease l = co_await pool->get();
    l.put();
    pool.reset();
    w.settle();
    BOOST_TEST(mark.use_count() == 1);
    done = true;
  };
  asio::co_spawn(other, use(), [](std::exception_ptr e) { BOOST_TEST(!e); });
  other.poll();
  w.settle();
  other.restart();
  other.poll();
  BOOST_TEST(done);
}

BOOST_AUTO_TEST_SUITE(pool_destroyed_inside)

BOOST_DATA_TEST_CASE(its_own_logger, boost::unit_test::data::make({0, 1, 2, 3, 4}), number) {
  const auto kind = static_cast<event_kind>(number);
  const auto m = std::make_shared<int>();
  {
    world w;
    std::unique_ptr<cocp::pool> p;
    bool told = false;
    auto options = marked(m);
    options.logger = [&, m](const cocp::event& e) {
      if (e.kind != kind) return;
      told = true;
      p.reset();
    };
    if (kind == event_kind::connect_failed) w.net().default_result = result::refused;
    p = std::make_unique<cocp::pool>(w.io(), options, cocp::pool_options{.size = 2});
    start_waiters(w, *p, m);
    w.settle();
    if (kind == event_kind::disconnected) w.advance(200ms), w.net().peers.front()->fin();
    if (kind == event_kind::replaced) p->try_get().discard();
    if (kind == event_kind::closed) p->close();
    w.settle();
    BOOST_TEST(told);
    BOOST_TEST(!p);
    BOOST_TEST(w.net().open() == 0u);
    BOOST_TEST(w.io().stopped());
  }
  BOOST_TEST(m.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(its_own_handshake) {
  const auto m = std::make_shared<int>();
  {
    world w;
    std::unique_ptr<cocp::pool> p;
    auto options = marked(m);
    options.on_connect = [&](cocp::connection& c) {
      p.reset();
      return shake_hands(m, c);
    };
    p = std::make_unique<cocp::pool>(w.io(), options, cocp::pool_options{.size = 1});
    start_waiters(w, *p, m);
    w.settle();
    BOOST_TEST(!p);
    BOOST_TEST(w.net().open() == 0u);
  }
  BOOST_TEST(m.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(the_handler_of_its_own_get_and_of_an_operation) {
  const auto m = std::make_shared<int>();
  {
    world w;
    auto p = std::make_unique<cocp::pool>(w.io(), marked(m), cocp::pool_options{.size = 1});
    cocp::lease kept;
    std::optional<error_code> waiter;
    std::optional<error_code> read;
    char byte = 0;
    p->async_get([&](error_code, cocp::lease got) {
      p.reset();
      kept = std::move(got);
      kept->async_read_some(asio::buffer(&byte, 1), [&](error_code ec, std::size_t) {
        read = ec;
        kept.put();
      });
    });
    p->async_get([&](error_code ec, cocp::lease) { waiter = ec; });
    w.settle();
    BOOST_TEST((waiter == error_code(errc::closed)));
    BOOST_REQUIRE(kept);
    w.net().peers.front()->send("x");
    w.settle();
    BOOST_TEST((read == error_code()), "a leased connection stays usable without its pool");
    BOOST_TEST(w.net().open() == 0u);
  }
  BOOST_TEST(m.use_count() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
