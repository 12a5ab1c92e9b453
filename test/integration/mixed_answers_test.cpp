// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// The answer to a question that was abandoned must not be read by the next user of the connection, as it was in
// https://github.com/redis-rs/redis-rs/issues/1252. The pools have one connection, so that the next user gets that one.

#include "support/eventually.hpp"
#include "support/late_server.hpp"
#include "support/socket_fixture.hpp"
#include "support/steps.hpp"

#include <cocp.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <exception>
#include <memory>
#include <ostream>
#include <string>

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace asio::experimental::awaitable_operators;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;

namespace {

enum class way { expired, cancelled, thrown, discarded, dropped };

/// How the first user abandons his question.
struct abandonment {
  const char* name;
  way how;

  friend std::ostream& operator<<(std::ostream& out, const abandonment& a) { return out << a.name; }
};

const abandonment abandonments[] = {{"its read expires", way::expired},
                                    {"its read is cancelled", way::cancelled},
                                    {"an exception ends its lease", way::thrown},
                                    {"its lease is discarded", way::discarded},
                                    {"its lease is dropped with a read outstanding", way::dropped}};
const char* const moments[] = {"answered before the next user asks", "answered after the next user has asked"};
const char* const next_users[] = {"the next user waits already", "the next user comes later"};

struct abandoned : std::exception {};

asio::awaitable<void> ask(cocp::lease& lease, late_server& server) {
  const std::string question = server.late_question();
  const auto out = asio::buffer(question);
  co_await lease->write(out);
  auto arrived = [&] { return server.has_question(); };
  co_await until(arrived);
}

asio::awaitable<void> ask_and_abandon(cocp::lease given, late_server& server, way how) {
  cocp::lease lease = std::move(given);
  co_await ask(lease, server);
  const auto bytes = std::make_shared<std::array<char, 100>>();
  const auto in = asio::buffer(*bytes);
  switch (how) {
    case way::expired: {
      error_code ec;
      auto token = asio::redirect_error(asio::use_awaitable, ec);
      lease->expires_after(5ms);
      co_await lease->async_read_some(in, token);
      BOOST_TEST((ec == errc::timed_out));
      break;
    }
    case way::cancelled: {
      asio::steady_timer patience_of_the_user(co_await asio::this_coro::executor, 5ms);
      auto reading = lease->read_some(in);
      auto waiting = patience_of_the_user.async_wait(asio::use_awaitable);
      const auto first = co_await (std::move(reading) || std::move(waiting));
      BOOST_TEST(first.index() == 1u);
      break;
    }
    case way::thrown:
      throw abandoned();
    case way::discarded:
      lease.discard();
      break;
    case way::dropped:
      lease->async_read_some(in, [bytes](error_code, std::size_t) {});
  }
}

/// What comes of the user after the one who has abandoned the connection, for whom the server has another answer.
struct next_user {
  std::string wanted;
  std::string answer;
  std::uint64_t generation = 0;
  bool done = false;
};

asio::awaitable<void> ask_as_next(cocp::pool& pool, late_server& server, bool then_answer_the_first, next_user& seen) {
  const cocp::lease lease = co_await pool.get();
  seen.generation = lease->generation();
  const std::string question = server.question();
  const auto out = asio::buffer(question);
  lease->expires_after(patience);
  co_await lease->write(out);
  if (then_answer_the_first) server.answer_late_question();
  seen.wanted = server.answer();
  seen.answer.resize(seen.wanted.size());
  const auto in = asio::buffer(seen.answer);
  co_await lease->read(in);
}

struct fixture : socket_fixture {
  /// The next user, as a coroutine beside the test's.
  void start(cocp::pool& pool, late_server& server, bool then_answer_the_first, next_user& seen) {
    asio::co_spawn(io, ask_as_next(pool, server, then_answer_the_first, seen), [&](std::exception_ptr e) {
      seen.done = true;
      if (e) std::rethrow_exception(e);
    });
  }
  /// Checks what came of him.
  static asio::awaitable<void> finish(cocp::pool& pool, next_user& seen) {
    auto over = [&] { return seen.done; };
    co_await until(over);
    BOOST_TEST(seen.answer == seen.wanted);
    BOOST_TEST(seen.generation == 2u);
    const cocp::stats s = pool.stats();
    BOOST_TEST(s.replaced_dirty == 1u);
    BOOST_TEST(s.connects == 2u);
    BOOST_TEST(s.gets == 2u);
    BOOST_TEST(s.idle == 1u);
  }

  static cocp::connection_options at(const late_server& server) {
    return {.address = server.address(), .retry_min = 1ms, .retry_max = 20ms};
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(mixed_answers, fixture)

BOOST_DATA_TEST_CASE(the_answer_to_an_abandoned_question_reaches_nobody,
                     data::make(late_server::kinds) * data::make(abandonments) * data::make(moments) *
                         data::make(next_users),
                     kind, how, moment, next) {
  const bool early = moment == moments[0];
  const bool waits = next == next_users[0];
  run([&]() -> asio::awaitable<void> {
    const auto server = late_server::make(kind, io);
    cocp::pool pool(io, at(*server), {.size = 1});
    cocp::lease lease = co_await pool.get();
    next_user seen;
    if (waits) {
      start(pool, *server, !early, seen);
      auto queued = [&] { return pool.stats().waiting == 1; };
      co_await until(queued);
    }
    try {
      auto first_user = ask_and_abandon(std::move(lease), *server, how.how);
      co_await std::move(first_user);
    } catch (const abandoned&) {
    }
    if (early) server->answer_late_question();
    if (!waits) start(pool, *server, !early, seen);
    co_await finish(pool, seen);
  });
}

BOOST_DATA_TEST_CASE(an_answer_read_by_half_reaches_nobody_else,
                     data::make(late_server::kinds) * data::make(next_users), kind, next) {
  const bool waits = next == next_users[0];
  run([&]() -> asio::awaitable<void> {
    const auto server = late_server::make(kind, io);
    cocp::pool pool(io, at(*server), {.size = 1});
    cocp::lease lease = co_await pool.get();
    next_user seen;
    if (waits) start(pool, *server, false, seen);
    co_await ask(lease, *server);
    server->answer_late_question();
    std::string half(server->late_answer().size() / 2, '\0');
    const auto in = asio::buffer(half);
    co_await lease->read(in);
    BOOST_TEST(server->late_answer().starts_with(half));
    lease.put();
    if (!waits) start(pool, *server, false, seen);
    co_await finish(pool, seen);
  });
}

BOOST_DATA_TEST_CASE(an_answer_that_comes_between_put_and_get_reaches_nobody, data::make(late_server::kinds), kind) {
  run([&]() -> asio::awaitable<void> {
    const auto server = late_server::make(kind, io);
    cocp::pool pool(io, at(*server), {.size = 1});
    cocp::lease lease = co_await pool.get();
    co_await ask(lease, *server);
    lease.put();
    server->answer_late_question();
    // In the same turn of the loop: only the look at what is given out can find it.
    lease = pool.try_get();
    BOOST_TEST(!lease);
    next_user seen;
    start(pool, *server, false, seen);
    co_await finish(pool, seen);
  });
}

BOOST_DATA_TEST_CASE(an_answer_that_comes_while_idle_has_the_connection_replaced_before_anybody_asks,
                     data::make(late_server::kinds) * data::make({0ms, 200ms}), kind, idle_before) {
  run([&]() -> asio::awaitable<void> {
    const auto server = late_server::make(kind, io);
    cocp::pool pool(io, at(*server), {.size = 1});
    cocp::lease lease = co_await pool.get();
    co_await ask(lease, *server);
    lease.put();
    // The pool watches what was idle for a while; that cannot be seen from outside.
    asio::steady_timer idling(io, idle_before);
    co_await idling.async_wait(asio::use_awaitable);
    server->answer_late_question();
    auto replaced = [&] { return pool.stats().replaced_dirty == 1 && pool.stats().idle == 1; };
    co_await until(replaced);
    next_user seen;
    start(pool, *server, false, seen);
    co_await finish(pool, seen);
  });
}

BOOST_AUTO_TEST_SUITE_END()
