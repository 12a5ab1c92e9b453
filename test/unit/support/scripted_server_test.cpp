// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/scripted_server.hpp"

#include "support/eventually.hpp"
#include "support/plain_talk.hpp"
#include "support/socket_fixture.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace {

asio::awaitable<error_code> connect_error(asio::ip::tcp::endpoint to) {
  asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
  auto [ec] = co_await socket.async_connect(to, asio::as_tuple(asio::use_awaitable));
  co_return ec;
}

// What has come without being waited for.
std::size_t available(plain_connection& c) { return c.socket.available(); }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(scripted_server_, socket_fixture)

BOOST_AUTO_TEST_CASE(it_echoes_until_the_peer_ends_its_side) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    co_await ask(c, "hello");
    co_await ask(c, "world");
    BOOST_TEST(server.accepted() == 1u);
    BOOST_TEST(server.open() == 1u);
    BOOST_TEST(server.received() == 10u);
    BOOST_TEST(server.sent() == 10u);
    c.socket.shutdown(asio::ip::tcp::socket::shutdown_send);
    BOOST_TEST(co_await end_of(c) == asio::error::eof);
    BOOST_TEST(server.open() == 0u);
  });
}

BOOST_AUTO_TEST_CASE(an_answer_larger_than_its_buffer_comes_back_whole) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    co_await ask(c, std::string(100'000, 'x'));
  });
}

BOOST_AUTO_TEST_CASE(it_accepts_and_closes) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::close{}});
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    BOOST_TEST(co_await end_of(c) == asio::error::eof);
  });
}

BOOST_AUTO_TEST_CASE(it_accepts_and_resets) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::reset{}});
    plain_connection c(io.get_executor());
    auto [ec] = co_await c.socket.async_connect(server.endpoint(), asio::as_tuple(asio::use_awaitable));
    if (!ec) ec = co_await end_of(c);
    BOOST_TEST(ec == asio::error::connection_reset);
  });
}

BOOST_AUTO_TEST_CASE(it_closes_after_n_bytes_with_a_fin_though_more_was_sent) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::echo{3}, step::close{}});
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    co_await c.write(asio::buffer("abcdef", 6));
    co_await expect(c, "abc");
    BOOST_TEST(co_await end_of(c) == asio::error::eof);
  });
}

BOOST_AUTO_TEST_CASE(it_resets_in_the_middle_of_an_answer) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::receive{6}, step::send{"abc"}, step::hold{}, step::reset{}});
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    co_await c.write(asio::buffer("abcdef", 6));
    co_await expect(c, "abc");
    server.release();
    BOOST_TEST(co_await end_of(c) == asio::error::connection_reset);
  });
}

BOOST_AUTO_TEST_CASE(a_stalled_session_reads_and_answers_nothing) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::stall{}});
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    co_await c.write(asio::buffer("hello", 5));
    co_await eventually([&] { return server.accepted() == 1; });
    server.release();
    BOOST_TEST(server.received() == 0u);
    BOOST_TEST(server.open() == 1u);
    server.close_all();
    BOOST_TEST(co_await end_of(c) == asio::error::eof);
  });
}

BOOST_AUTO_TEST_CASE(a_late_answer_comes_when_it_is_released) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::late_echo{}});
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    co_await c.write(asio::buffer("one", 3));
    BOOST_TEST(co_await eventually([&] { return server.held() == 1; }));
    BOOST_TEST(server.received() == 3u);
    BOOST_TEST(available(c) == 0u);
    server.release();
    co_await expect(c, "one");
    BOOST_TEST(server.held() == 0u);
    // A release that comes first is not lost.
    server.release();
    co_await ask(c, "two");
  });
}

BOOST_AUTO_TEST_CASE(held_answers_are_released_in_order) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::late_echo{}});
    plain_connection first(io.get_executor()), second(io.get_executor());
    co_await first.connect(server.endpoint());
    co_await second.connect(server.endpoint());
    co_await first.write(asio::buffer("1", 1));
    BOOST_TEST(co_await eventually([&] { return server.held() == 1; }));
    co_await second.write(asio::buffer("2", 1));
    BOOST_TEST(co_await eventually([&] { return server.held() == 2; }));
    server.release();
    co_await expect(first, "1");
    BOOST_TEST(server.held() == 1u);
    BOOST_TEST(available(second) == 0u);
    server.release();
    co_await expect(second, "2");
  });
}

BOOST_AUTO_TEST_CASE(it_pushes_bytes_unasked) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::send{"220 ready"}, step::echo{}});
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    co_await expect(c, "220 ready");
    co_await ask(c, "hello");
    server.push_all("push");
    co_await expect(c, "push");
    BOOST_TEST(server.sent() == 18u);
  });
}

BOOST_AUTO_TEST_CASE(each_session_has_the_script_of_its_turn) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    server.behave_once({step::close{}});
    server.behave_once({step::receive{1}, step::reset{}});
    plain_connection first(io.get_executor()), second(io.get_executor()), third(io.get_executor());
    co_await first.connect(server.endpoint());
    BOOST_TEST(co_await end_of(first) == asio::error::eof);
    co_await second.connect(server.endpoint());
    co_await second.write(asio::buffer("x", 1));
    BOOST_TEST(co_await end_of(second) == asio::error::connection_reset);
    co_await third.connect(server.endpoint());
    co_await ask(third, "hello");
    server.behave({step::close{}});
    co_await ask(third, "still echoed");
  });
}

BOOST_AUTO_TEST_CASE(all_sessions_are_closed_or_reset_at_once) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    for (const bool by_reset : {false, true}) {
      plain_connection a(io.get_executor()), b(io.get_executor());
      co_await a.connect(server.endpoint());
      co_await b.connect(server.endpoint());
      co_await ask(a, "a");
      co_await ask(b, "b");
      by_reset ? server.reset_all() : server.close_all();
      // No turn of the context is needed for it.
      for (plain_connection* c : {&a, &b}) {
        char byte;
        error_code ec;
        c->socket.non_blocking(false);
        c->socket.read_some(asio::buffer(&byte, 1), ec);
        BOOST_TEST(ec == (by_reset ? error_code(asio::error::connection_reset) : error_code(asio::error::eof)));
      }
      BOOST_TEST(co_await eventually([&] { return server.open() == 0; }));
    }
    BOOST_TEST(server.accepted() == 4u);
  });
}

BOOST_AUTO_TEST_CASE(connects_are_refused_while_it_does_not_listen_and_the_port_stays_its_own) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    plain_connection before(io.get_executor());
    co_await before.connect(server.endpoint());
    co_await ask(before, "hello");
    for (int round = 0; round < 3; ++round) {
      server.stop_listening();
      server.stop_listening();
      BOOST_TEST(co_await connect_error(server.endpoint()) == asio::error::connection_refused);
      server.listen_again();
      server.listen_again();
      plain_connection after(io.get_executor());
      co_await after.connect(server.endpoint());
      co_await ask(after, "back");
    }
    co_await ask(before, "sessions go on");
    BOOST_TEST(server.accepted() == 4u);
  });
}

// What a script expects, what a peer sends instead, and whether it ends its side then.
struct surprise {
  const char* expected;
  const char* sent;
  bool ends;
  const char* told;

  friend std::ostream& operator<<(std::ostream& out, const surprise& s) { return out << s.told; }
};

const surprise surprises[] = {
    {"PING\r\n", "PONG\r\n", false, "session 1, step 1, expect \"PING\\r\\n\": came \"PONG\\r\\n\""},
    {"PING\r\n", "PIN\r\n", false, "session 1, step 1, expect \"PING\\r\\n\": came \"PIN\\r\\n\""},
    {"PING\r\n", "PING", true, "session 1, step 1, expect \"PING\\r\\n\": came \"PING\", and the end"},
    {"\"\x01", "\"\xff\\", false, "session 1, step 1, expect \"\\\"\\x01\": came \"\\\"\\xff\\\\\""},
};

BOOST_DATA_TEST_CASE_F(socket_fixture, what_comes_instead_of_what_is_expected_is_told_once, surprises, surprise) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::expect{surprise.expected}, step::send{"never"}});
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    co_await c.write(asio::buffer(std::string_view(surprise.sent)));
    if (surprise.ends) c.socket.shutdown(asio::ip::tcp::socket::shutdown_send);
    BOOST_TEST(co_await end_of(c) == asio::error::connection_reset);
    const auto told = [&](const script_error& error) { return error.what() == std::string(surprise.told); };
    BOOST_CHECK_EXCEPTION(server.verify(), script_error, told);
    server.verify();
    BOOST_TEST(server.finished() == 0u);
  });
}

BOOST_AUTO_TEST_CASE(of_many_surprises_the_first_are_told_and_how_many_more_there_were) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::expect{"PING"}});
    for (int i = 0; i < 10; ++i) {
      plain_connection c(io.get_executor());
      co_await c.connect(server.endpoint());
      co_await c.write(asio::buffer("x", 1));
      const error_code end = co_await end_of(c);
      BOOST_TEST(end == asio::error::connection_reset);
    }
    std::string told;
    try {
      server.verify();
    } catch (const script_error& error) {
      told = error.what();
    }
    BOOST_TEST(std::count(told.begin(), told.end(), '\n') == 8);
    BOOST_TEST(told.starts_with("session 1, step 1"));
    BOOST_TEST(told.ends_with("\nand 2 more"));
    server.verify();
  });
}

BOOST_AUTO_TEST_CASE(what_is_expected_may_come_in_pieces_and_more_behind_it) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(),
                           {step::expect{"PING\r\n"}, step::send{"PONG"}, step::receive_until{"\r\n"},
                            step::expect{"QUIT"}, step::send{"BYE"}, step::expect_end{}});
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    co_await c.write(asio::buffer("PI", 2));
    co_await server.until_received(2);
    co_await c.write(asio::buffer("NG\r\nany line\r\r\nQUIT", 19));
    co_await expect(c, "PONGBYE");
    c.socket.shutdown(asio::ip::tcp::socket::shutdown_send);
    co_await server.until_finished(1);
    BOOST_TEST(co_await end_of(c) == asio::error::eof);
    server.verify();
  });
}

BOOST_AUTO_TEST_CASE(more_where_the_end_is_expected_is_a_mismatch) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::expect{"QUIT"}, step::expect_end{}});
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    co_await c.write(asio::buffer("QUIT again", 10));
    BOOST_CHECK_THROW(co_await server.until_finished(1), script_error);
  });
}

BOOST_AUTO_TEST_CASE(a_peer_that_leaves_instead_of_asking_is_no_mismatch) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::expect{"PING"}});
    {
      plain_connection c(io.get_executor());
      co_await c.connect(server.endpoint());
    }
    co_await server.until_ended(1);
    server.verify();
    BOOST_TEST(server.finished() == 0u);
    BOOST_TEST(server.ended() == 1u);
    BOOST_TEST(server.open() == 0u);
  });
}

BOOST_AUTO_TEST_CASE(steps_are_repeated_until_the_peer_ends_its_side) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(),
                           {step::repeat{{step::expect{"PING"}, step::send{"PONG"}}}, step::send{"BYE"}});
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    for (int n = 0; n < 3; ++n) {
      co_await c.write(asio::buffer("PING", 4));
      co_await expect(c, "PONG");
    }
    c.socket.shutdown(asio::ip::tcp::socket::shutdown_send);
    co_await expect(c, "BYE");
    BOOST_TEST(co_await end_of(c) == asio::error::eof);
    co_await server.until_finished(1);
  });
}

BOOST_AUTO_TEST_CASE(a_repetition_ends_with_a_step_that_ends_the_session) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::repeat{{step::receive{1}, step::reset{}}}});
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    co_await c.write(asio::buffer("x", 1));
    BOOST_TEST(co_await end_of(c) == asio::error::connection_reset);
    BOOST_TEST(server.finished() == 1u);
  });
}

BOOST_AUTO_TEST_CASE(it_reads_on_when_it_has_ended_its_side) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::send{"all"}, step::shutdown_send{}, step::expect{"thanks"}});
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    co_await expect(c, "all");
    BOOST_TEST(co_await end_of(c) == asio::error::eof);
    co_await c.write(asio::buffer("thanks", 6));
    co_await server.until_finished(1);
  });
}

// Asio takes the next from the backlog before it says so.
BOOST_AUTO_TEST_CASE(who_was_not_accepted_yet_is_reset_when_it_does_not_listen_any_more) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    plain_connection first(io.get_executor());
    plain_connection second(io.get_executor());
    first.socket.connect(server.endpoint());
    second.socket.connect(server.endpoint());
    co_await server.until_accepted(1);
    server.stop_listening();
    server.reset_all();
    BOOST_TEST(co_await end_of(first) == asio::error::connection_reset);
    BOOST_TEST(co_await end_of(second) == asio::error::connection_reset);
    BOOST_TEST(server.accepted() == 1u);
  });
}

BOOST_AUTO_TEST_CASE(a_mismatch_ends_each_wait_and_none_as_if_it_had_its_count) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::expect{"PING"}});
    unsigned failed = 0;
    for (int i = 0; i < 2; ++i) {
      asio::co_spawn(io, server.until_finished(1), [&failed](std::exception_ptr e) { failed += e ? 1u : 0u; });
    }
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    const auto out = asio::buffer("x", 1);
    co_await asio::async_write(c.socket, out, asio::use_awaitable);
    BOOST_TEST(co_await end_of(c) == asio::error::connection_reset);
    co_await asio::post(asio::use_awaitable);
    BOOST_TEST(failed == 2u);
  });
}

BOOST_AUTO_TEST_CASE(it_listens_on_a_unix_socket_too) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::echo{}}, transport::unix_socket);
    BOOST_CHECK_THROW(server.endpoint(), std::logic_error);
    const auto connect = [&](asio::local::stream_protocol::socket& socket) {
      error_code ec;
      socket.connect('\0' + server.address().substr(6), ec);
      return ec;
    };
    for (int round = 0; round < 2; ++round) {
      asio::local::stream_protocol::socket socket(io);
      BOOST_TEST(!connect(socket));
      co_await asio::async_write(socket, asio::buffer("hello", 5), asio::use_awaitable);
      std::string answer(5, '\0');
      co_await asio::async_read(socket, asio::buffer(answer), asio::use_awaitable);
      BOOST_TEST(answer == "hello");
      server.reset_all();
      const auto [ended, n] =
          co_await socket.async_read_some(asio::buffer(answer), asio::as_tuple(asio::use_awaitable));
      BOOST_TEST(ended == asio::error::eof);
      server.stop_listening();
      asio::local::stream_protocol::socket refused(io);
      BOOST_TEST(connect(refused) == asio::error::connection_refused);
      server.listen_again();
    }
    BOOST_TEST(server.accepted() == 2u);
  });
}

// No time needs to pass.
BOOST_AUTO_TEST_CASE(a_wait_that_is_too_long_says_how_far_each_session_has_come) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::send{"220"}, step::repeat{{step::expect{"PING"}}}});
    server.behave_once({step::expect{"QUIT"}});
    {
      plain_connection c(io.get_executor());
      co_await c.connect(server.endpoint());
    }
    co_await server.until_ended(1);
    plain_connection c(io.get_executor());
    co_await c.connect(server.endpoint());
    co_await c.write(asio::buffer("PI", 2));
    co_await server.until_received(2);
    std::string why;
    try {
      co_await server.until_held(1, 0s);
    } catch (const boost::system::system_error& error) {
      BOOST_TEST(error.code() == asio::error::timed_out);
      why = error.what();
    }
    BOOST_TEST(why.starts_with("scripted_server: until_held(1): 2 accepted, 1 ended, 0 finished, 0 held; "
                               "session 2, step 2.1, expect \"PING\", of which \"PI\" came; "
                               "ended early: session 1, step 1, expect \"QUIT\""),
               why);
  });
}

BOOST_AUTO_TEST_CASE(all_who_wait_for_a_count_are_told_though_the_first_has_it_fall) {
  run([&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor(), {step::hold{}});
    plain_connection c(io.get_executor());
    const auto first = [&]() -> asio::awaitable<void> {
      co_await server.until_held(1);
      server.release(1);
    };
    const auto connect = [&]() -> asio::awaitable<void> { co_await c.connect(server.endpoint()); };
    using namespace asio::experimental::awaitable_operators;
    co_await (first() && server.until_held(1) && connect());
    BOOST_TEST(server.held() == 0u);
  });
}

BOOST_AUTO_TEST_CASE(a_wait_ends_when_it_is_cancelled_or_the_server_is_gone) {
  run([&]() -> asio::awaitable<void> {
    std::optional<scripted_server> server(std::in_place, io.get_executor());
    asio::cancellation_signal signal;
    error_code cancelled, gone;
    const auto into = [](error_code& ec) {
      return [&ec](std::exception_ptr error) {
        try {
          if (error) std::rethrow_exception(error);
        } catch (const boost::system::system_error& e) {
          ec = e.code();
        }
      };
    };
    asio::co_spawn(io, server->until_accepted(1), asio::bind_cancellation_slot(signal.slot(), into(cancelled)));
    asio::co_spawn(io, server->until_accepted(1, std::chrono::nanoseconds::max()), into(gone));
    co_await asio::post(io, asio::use_awaitable);
    co_await asio::post(io, asio::use_awaitable);
    signal.emit(asio::cancellation_type::terminal);
    BOOST_TEST(co_await eventually([&] { return cancelled == asio::error::operation_aborted; }));
    BOOST_TEST(!gone);
    server.reset();
    BOOST_TEST(co_await eventually([&] { return gone == asio::error::operation_aborted; }));
  });
}

BOOST_AUTO_TEST_CASE(its_destructor_resets_what_is_open_and_leaves_no_work) {
  run([&]() -> asio::awaitable<void> {
    std::optional<scripted_server> server(std::in_place, io.get_executor(), session_script{step::stall{}});
    plain_connection c(io.get_executor());
    co_await c.connect(server->endpoint());
    BOOST_TEST(co_await eventually([&] { return server->open() == 1; }));
    server.reset();
    BOOST_TEST(co_await end_of(c) == asio::error::connection_reset);
  });
}

BOOST_AUTO_TEST_CASE(the_context_may_be_destroyed_in_the_middle_of_a_session) {
  std::optional<asio::io_context> other(std::in_place, 1);
  std::optional<scripted_server> server(std::in_place, other->get_executor(), session_script{step::late_echo{}});
  plain_connection c(other->get_executor());
  asio::co_spawn(*other, c.connect(server->endpoint()), asio::detached);
  while (server->open() == 0) other->run_one();
  server.reset();
  c.socket = asio::ip::tcp::socket(io);
  other.reset();
}

BOOST_AUTO_TEST_CASE(it_may_be_used_from_any_thread) {
  constexpr std::size_t clients = 8, requests = 50;
  scripted_server server(io.get_executor());
  auto guard = asio::make_work_guard(io);
  std::vector<std::thread> threads;
  for (int n = 0; n < 2; ++n) threads.emplace_back([&] { io.run(); });

  auto client = [&]() -> asio::awaitable<void> {
    for (std::size_t answered = 0; answered < requests;) {
      plain_connection c(co_await asio::this_coro::executor);
      try {
        co_await c.connect(server.endpoint());
        char byte = 'x';
        co_await c.write(asio::buffer(&byte, 1));
        co_await c.read(asio::buffer(&byte, 1));
        ++answered;
      } catch (const boost::system::system_error&) {
        // Refused, reset, closed; not for ever.
      }
    }
  };
  std::vector<std::future<void>> done;
  for (std::size_t n = 0; n < clients; ++n) done.push_back(asio::co_spawn(io, client(), asio::use_future));
  for (int n = 0; n < 20; ++n) {
    server.push_all("y");
    n % 2 == 0 ? server.close_all() : server.reset_all();
    server.stop_listening();
    server.listen_again();
    std::this_thread::yield();
  }
  for (auto& d : done) d.get();
  server.stop_listening();
  guard.reset();
  for (auto& t : threads) t.join();
  BOOST_TEST(server.open() == 0u);
}

BOOST_AUTO_TEST_CASE(a_script_that_would_never_end_is_refused) {
  const auto says = [](const char* text) {
    return [text](const std::invalid_argument& e) { return std::string_view(e.what()) == text; };
  };
  scripted_server server(io.get_executor());
  const session_script spins{step::repeat{{step::send{"x"}, step::receive{0}}}};
  const auto why = says("repeat.steps: 2 of them: must read something");
  BOOST_CHECK_EXCEPTION(server.behave(spins), std::invalid_argument, why);
  BOOST_CHECK_EXCEPTION(server.behave_once(spins), std::invalid_argument, why);
  BOOST_CHECK_EXCEPTION(scripted_server(io.get_executor(), spins), std::invalid_argument, why);
  const session_script within{step::repeat{{step::expect{"x"}, step::repeat{{}}}}};
  BOOST_CHECK_EXCEPTION(server.behave(within), std::invalid_argument,
                        says("repeat.steps: 0 of them: must read something"));
  BOOST_CHECK_EXCEPTION(server.behave({step::receive_until{""}}), std::invalid_argument,
                        says("receive_until.bytes: \"\": must not be empty"));
}

BOOST_AUTO_TEST_SUITE_END()
