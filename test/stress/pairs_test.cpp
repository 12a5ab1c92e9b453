// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Every public function of a pool, a connection and a lease on two threads against every other, and pools that threads
// close, drain and destroy in turn: for ThreadSanitizer and AddressSanitizer.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp.hpp>

#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/eventually.hpp"
#include "support/fd_check.hpp"
#include "support/runner.hpp"
#include "support/scripted_server.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;

namespace {

cocp::connection_options at(const scripted_server& server) {
  return {.address = server.address(), .connect_timeout = 1s, .retry_min = 1ms, .retry_max = 5ms};
}

void ignore(std::exception_ptr) {}

/// What two threads share.
struct subject {
  subject(asio::io_context& context, const scripted_server& s, const scripted_server& o)
      : io(context), server(s), other(o), pool(std::make_shared<cocp::pool>(context, at(s), options())) {}

  static cocp::pool_options options() {
    return {.size = 2,
            .idle_timeout = 2ms,
            .max_lifetime = 5ms,
            .get_timeout = 50ms,
            .report_leases = cocp::lease_report{}};
  }

  asio::io_context& io;
  const scripted_server& server;
  const scripted_server& other;
  std::shared_ptr<cocp::pool> pool;
};

asio::awaitable<void> get_and_ask(std::shared_ptr<cocp::pool> p) {
  cocp::lease conn = co_await p->get();
  const auto out = asio::buffer("ping", 4);
  co_await conn->write(out);
  char answer[4];
  const auto in = asio::buffer(answer);
  co_await conn->read(in);
}

asio::awaitable<void> get_briefly(std::shared_ptr<cocp::pool> p) { cocp::lease conn = co_await p->get(100us); }
asio::awaitable<void> be_ready(std::shared_ptr<cocp::pool> p) { co_await p->ready(); }
asio::awaitable<void> drain(std::shared_ptr<cocp::pool> p) { co_await p->drain(); }
asio::awaitable<void> drain_briefly(std::shared_ptr<cocp::pool> p) { co_await p->drain(1ms); }

asio::awaitable<void> ask(cocp::lease& conn) {
  conn->session<int>() += 1;
  const auto out = asio::buffer("ping", 4);
  co_await conn->write(out);
  char answer[4];
  const auto in = asio::buffer(answer);
  co_await conn->read(in);
}
asio::awaitable<void> run(std::shared_ptr<cocp::pool> p) {
  const cocp::run_options options{.timeout = 20ms, .again = cocp::retry::unanswered};
  co_await p->run(ask, options);
}
asio::awaitable<void> get_and_detach(std::shared_ptr<cocp::pool> p) {
  cocp::lease conn = co_await p->get();
  conn.detach();
  co_await ask(conn);
}

struct action {
  const char* name;
  void (*run)(subject&);
};

/// A get that is cancelled on its strand, by a signal that dies before the handler has run.
void get_and_cancel(subject& s) {
  const auto strand = asio::make_strand(s.io);
  asio::post(strand, [p = s.pool, strand] {
    auto signal = std::make_shared<asio::cancellation_signal>();
    auto done = asio::bind_executor(strand, [](error_code, cocp::lease) {});
    p->async_get(asio::bind_cancellation_slot(signal->slot(), std::move(done)));
    asio::post(strand, [signal] { signal->emit(asio::cancellation_type::terminal); });
  });
}

void try_get_and_leave_a_read(subject& s) {
  cocp::lease l = s.pool->try_get();
  if (!l) return;
  const auto byte = std::make_shared<char>();
  l->expires_after(1ms);
  l->async_read_some(asio::buffer(byte.get(), 1), [byte](error_code, std::size_t) {});
}

const action of_pools[] = {
    {"get", [](subject& s) { asio::co_spawn(s.io, get_and_ask(s.pool), ignore); }},
    {"get(timeout)", [](subject& s) { asio::co_spawn(s.io, get_briefly(s.pool), ignore); }},
    {"async_get", [](subject& s) { s.pool->async_get([](error_code, cocp::lease) {}); }},
    {"async_get(timeout)", [](subject& s) { s.pool->async_get(0s, [](error_code, cocp::lease) {}); }},
    {"cancelled get", get_and_cancel},
    {"try_get, put", [](subject& s) { s.pool->try_get().put(); }},
    {"try_get, discard", [](subject& s) { s.pool->try_get().discard(); }},
    {"try_get, read", try_get_and_leave_a_read},
    {"ready", [](subject& s) { asio::co_spawn(s.io, be_ready(s.pool), ignore); }},
    {"resize", [](subject& s) { s.pool->resize(1), s.pool->resize(3); }},
    {"readdress", [](subject& s) { s.pool->readdress(s.other.address()), s.pool->readdress(s.server.address()); }},
    {"renew", [](subject& s) { s.pool->renew(); }},
    {"retry_now", [](subject& s) { s.pool->retry_now(); }},
    {"leases", [](subject& s) { s.pool->leases(); }},
    {"stats", [](subject& s) { s.pool->stats(); }},
    {"openmetrics",
     [](subject& s) {
       std::ostringstream out;
       cocp::openmetrics(out, *s.pool);
     }},
    {"get_executor", [](subject& s) { s.pool->get_executor(); }},
    {"close", [](subject& s) { s.pool->close(); }},
    {"drain", [](subject& s) { asio::co_spawn(s.io, drain(s.pool), ignore); }},
    {"drain(limit)", [](subject& s) { asio::co_spawn(s.io, drain_briefly(s.pool), ignore); }},
    {"run", [](subject& s) { asio::co_spawn(s.io, run(s.pool), ignore); }},
    {"detach", [](subject& s) { asio::co_spawn(s.io, get_and_detach(s.pool), ignore); }},
    {"try_get, detach",
     [](subject& s) {
       cocp::lease l = s.pool->try_get();
       if (l) l.detach();
     }},
};

/// Of one connection: what any thread may call, and one user's operations beside it.
struct lone {
  lone(asio::io_context& context, const scripted_server& s)
      : io(context), strand(asio::make_strand(context)), conn(std::make_shared<cocp::connection>(context, at(s))) {}

  asio::io_context& io;
  asio::strand<asio::io_context::executor_type> strand;
  std::shared_ptr<cocp::connection> conn;
};

asio::awaitable<void> connection_ready(std::shared_ptr<cocp::connection> c) { co_await c->ready(); }
asio::awaitable<void> connection_write(std::shared_ptr<cocp::connection> c) {
  const auto out = asio::buffer("ping", 4);
  co_await c->write(out);
}
asio::awaitable<void> connection_read(std::shared_ptr<cocp::connection> c) {
  char bytes[4];
  const auto in = asio::buffer(bytes);
  co_await c->read_some(in);
}

struct lone_action {
  const char* name;
  void (*run)(lone&);
};

const lone_action of_connections[] = {
    {"ready", [](lone& l) { asio::co_spawn(l.strand, connection_ready(l.conn), ignore); }},
    {"write", [](lone& l) { asio::co_spawn(l.strand, connection_write(l.conn), ignore); }},
    {"read", [](lone& l) { asio::co_spawn(l.strand, connection_read(l.conn), ignore); }},
    {"expires_after", [](lone& l) { asio::post(l.strand, [c = l.conn] { c->expires_after(1ms); }); }},
    {"expires_never", [](lone& l) { asio::post(l.strand, [c = l.conn] { c->expires_never(); }); }},
    {"id", [](lone& l) { (void)l.conn->id(); }},
    {"is_connected", [](lone& l) { (void)l.conn->is_connected(); }},
    {"generation", [](lone& l) { (void)l.conn->generation(); }},
    {"last_error", [](lone& l) { (void)l.conn->last_error(); }},
    {"remote_endpoint", [](lone& l) { (void)l.conn->remote_endpoint(); }},
    {"get_executor", [](lone& l) { (void)l.conn->get_executor(); }},
    {"close", [](lone& l) { l.conn->close(); }},
};

/// Two threads that begin each turn together; the second ends first.
class duo {
 public:
  duo() : second_([this] { work(); }) {}
  ~duo() {
    stop_ = true;
    both_.arrive_and_wait();
    second_.join();
  }
  /// Runs both, and returns when both have ended.
  template <class First, class Second>
  void run(First first, Second second) {
    task_ = second;
    both_.arrive_and_wait();
    first();
    both_.arrive_and_wait();
    task_ = nullptr;
  }

 private:
  void work() {
    for (;;) {
      both_.arrive_and_wait();
      if (stop_) return;
      task_();
      both_.arrive_and_wait();
    }
  }

  std::barrier<> both_{2};
  std::function<void()> task_;
  bool stop_ = false;
  std::thread second_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(pairs)

BOOST_AUTO_TEST_CASE(every_function_of_a_pool_against_every_other_and_its_end) {
  const fd_check descriptors;
  runner servers(1);
  scripted_server server(servers.io.get_executor());
  scripted_server other(servers.io.get_executor());
  runner both(2);
  duo threads;
  constexpr int turns = 3;
  for (const action& a : of_pools) {
    for (const action& b : of_pools) {
      subject s(both.io, server, other);
      // In the first turn nothing is up yet.
      for (int i = 0; i < turns; ++i) {
        threads.run([&] { a.run(s); }, [&] { b.run(s); });
        if (i == 0) std::this_thread::sleep_for(1ms);
      }
      // The last of its users destroys it.
      auto mine = s.pool;
      threads.run([&] { mine.reset(); }, [&] { s.pool.reset(); });
    }
  }
  both.finish();
  BOOST_TEST(eventually_blocking([&] { return server.open() == 0u && other.open() == 0u; }));
}

BOOST_AUTO_TEST_CASE(every_function_of_a_connection_against_every_other_and_its_end) {
  const fd_check descriptors;
  runner servers(1);
  scripted_server server(servers.io.get_executor());
  runner both(2);
  duo threads;
  for (const lone_action& a : of_connections) {
    for (const lone_action& b : of_connections) {
      lone l(both.io, server);
      for (int i = 0; i < 3; ++i) {
        threads.run([&] { a.run(l); }, [&] { b.run(l); });
        if (i == 0) std::this_thread::sleep_for(1ms);
      }
      l.conn->close();
      auto mine = l.conn;
      threads.run([&] { mine.reset(); }, [&] { l.conn.reset(); });
    }
  }
  both.finish();
  BOOST_TEST(eventually_blocking([&] { return server.open() == 0u; }));
}

BOOST_AUTO_TEST_CASE(leases_end_on_two_threads_while_their_pool_does) {
  const fd_check descriptors;
  runner servers(1);
  scripted_server server(servers.io.get_executor());
  runner both(2);
  duo threads;
  for (int round = 0; round < 300; ++round) {
    auto p = std::make_shared<cocp::pool>(both.io, at(server), cocp::pool_options{.size = 2, .get_timeout = 20s});
    cocp::lease first = p->async_get(asio::use_future).get();
    cocp::lease second = p->async_get(asio::use_future).get();
    p->async_get([](error_code, const cocp::lease&) {});
    switch (round % 3) {
      case 0:
        threads.run([&] { first.put(); }, [&] { second.discard(); });
        threads.run([&] { p->close(); }, [&] { p->try_get().put(); });
        break;
      case 1:
        threads.run([&] { p.reset(); }, [&] { first = std::move(second); });
        first.put();
        break;
      default:
        asio::co_spawn(both.io, drain(p), ignore);
        threads.run([&] { first.put(); }, [&] { second.put(); });
    }
  }
  both.finish();
  BOOST_TEST(eventually_blocking([&] { return server.open() == 0u; }));
}

// The handler of the last operation is another context's, and nobody else has the connection any more.
BOOST_AUTO_TEST_CASE(the_last_operation_of_a_connection_ends_while_its_context_does) {
  const fd_check descriptors;
  runner servers(1);
  scripted_server server(servers.io.get_executor());
  duo threads;
  for (int round = 0; round < 300; ++round) {
    auto own = std::make_unique<asio::io_context>(1);
    asio::io_context other(1);
    unsigned told = 0;
    char byte = 0;
    {
      cocp::connection c(*own, {.address = server.address()});
      while (!c.is_connected()) BOOST_REQUIRE(own->run_one_for(20s) == 1u);
      c.async_read_some(asio::buffer(&byte, 1), asio::bind_executor(other, [&](error_code, std::size_t) { ++told; }));
      c.close();
    }
    own->restart();
    own->run();
    threads.run([&] { other.run(); }, [&] { own.reset(); });
    BOOST_TEST(told == 1u);
  }
  BOOST_TEST(eventually_blocking([&] { return server.open() == 0u; }));
}

namespace {

/// Makes pools and shares each with the next: who drains one last destroys it.
asio::awaitable<void> drain_and_let_go(std::shared_ptr<cocp::pool> p) {
  const auto mine = std::move(p);
  co_await mine->drain();
}

}  // namespace

// On a strand a drain cannot end before the call that began it has returned. Without one it can, and while it has no
// cancellation slot what began it still keeps the pool's core; with one, nobody does.
BOOST_DATA_TEST_CASE(threads_that_close_drain_and_destroy_pools_in_turn,
                     data::make({"on strands", "on no strand", "on no strand, with slots"}), how) {
  const fd_check descriptors;
  runner servers(1);
  scripted_server server(servers.io.get_executor());
  runner six(6);
  const auto end = std::chrono::steady_clock::now() + 500ms;
  unsigned pools = 0;
  std::atomic<unsigned> drained{0};
  const auto start_drain = [&, how = std::string(how)](std::shared_ptr<cocp::pool> p) {
    auto done = [&](std::exception_ptr e) { drained += !e; };
    if (how == "on strands") {
      asio::co_spawn(asio::make_strand(six.io), drain_and_let_go(std::move(p)), done);
    } else if (how == "on no strand") {
      asio::co_spawn(six.io, drain_and_let_go(std::move(p)), done);
    } else {
      auto signal = std::make_unique<asio::cancellation_signal>();
      const auto slot = signal->slot();
      auto keep = [done, kept = std::move(signal)](std::exception_ptr e) { done(e); };
      asio::co_spawn(six.io, drain_and_let_go(std::move(p)), asio::bind_cancellation_slot(slot, std::move(keep)));
    }
  };
  while (std::chrono::steady_clock::now() < end) {
    auto p = std::make_shared<cocp::pool>(six.io, at(server), cocp::pool_options{.size = 1});
    ++pools;
    for (int i = 0; i < 6; ++i) start_drain(p);
    p->close();
    p.reset();
    // Not more than the machine can have at once.
    while (drained + 600 < 6 * pools) std::this_thread::yield();
  }
  six.finish();
  BOOST_TEST(drained == 6 * pools);
}

BOOST_AUTO_TEST_SUITE_END()
