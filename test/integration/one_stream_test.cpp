// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Rules 3, 13 and 14 on real sockets: what a user still gets of a stream that is lost, what is left in the middle of a
// message, and what completes at once.

#include "support/eventually.hpp"
#include "support/fd_check.hpp"
#include "support/run.hpp"
#include "support/scripted_server.hpp"
#include "support/steps.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <iterator>
#include <limits>
#include <new>
#include <optional>
#include <string>

namespace asio = boost::asio;
namespace http = boost::beast::http;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::errc;
using cocp::error_code;

namespace {

/// More than the sockets of both sides take.
constexpr std::size_t large = 20'000'000;

struct fixture {
  fd_check descriptors;
  asio::io_context io{1};
  scripted_server server{io.get_executor()};

  /// With a lease of a pool of one.
  template <class Body>
  void with_lease(Body body, cocp::pool_options options = {.size = 1}) {
    auto all = [&]() -> asio::awaitable<void> {
      cocp::pool pool(io, {.address = server.address(), .retry_min = 1ms, .retry_max = 20ms}, options);
      {
        cocp::lease conn = co_await pool.get();
        co_await body(pool, conn);
      }
      co_await pool.drain();
      server.stop_listening();
      server.reset_all();
    };
    run(io, all());
  }
};

/// What an awaitable threw.
template <class T>
asio::awaitable<error_code> failure(asio::awaitable<T> body) {
  try {
    co_await std::move(body);
  } catch (const boost::system::system_error& e) {
    co_return e.code();
  }
  co_return error_code();
}

/// A buffer that can be looked at only so many times, as if memory had run out then.
class fragile_buffers {
 public:
  using value_type = asio::const_buffer;
  class const_iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = asio::const_buffer;
    using difference_type = std::ptrdiff_t;
    using pointer = const value_type*;
    using reference = const value_type&;

    const_iterator() = default;
    const_iterator(pointer at, int* left) : at_(at), left_(left) {}
    reference operator*() const {
      if (--*left_ < 0) throw std::bad_alloc();
      return *at_;
    }
    const_iterator& operator++() { return ++at_, *this; }
    const_iterator operator++(int) { return {at_++, left_}; }
    const_iterator& operator--() { return --at_, *this; }
    const_iterator operator--(int) { return {at_--, left_}; }
    bool operator==(const const_iterator& other) const { return at_ == other.at_; }

   private:
    pointer at_ = nullptr;
    int* left_ = nullptr;
  };

  fragile_buffers(asio::const_buffer b, int& left) : buffer_(b), left_(&left) {}
  const_iterator begin() const { return {&buffer_, left_}; }
  const_iterator end() const { return {&buffer_ + 1, left_}; }

 private:
  asio::const_buffer buffer_;
  int* left_;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(one_stream, fixture)

BOOST_AUTO_TEST_CASE(an_answer_that_came_before_the_request_was_sent_is_read_by_who_sent_it) {
  // As a server does that closes with unread bytes (RFC 1122, 4.2.2.13).
  server.behave_once({step::receive{1}, step::send{"too large\n"}, step::reset{}});
  with_lease([&](cocp::pool& pool, cocp::lease& conn) -> asio::awaitable<void> {
    const std::string body(large, 'x');
    const error_code failed = co_await failure(conn->write(asio::buffer(body)));
    BOOST_TEST(bool(failed));
    std::string answer;
    co_await conn->read_until(asio::dynamic_buffer(answer), '\n');
    BOOST_TEST(answer == "too large\n");
    char more = 0;
    for (int i = 0; i < 3; ++i) BOOST_TEST((co_await failure(conn->read_some(asio::buffer(&more, 1)))) == failed);
    BOOST_TEST((co_await failure(conn->write(asio::buffer("x", 1)))) == failed);
    BOOST_TEST(pool.stats().disconnects == 1u);
    BOOST_TEST(conn->generation() == 1u);
    co_await conn->ready();
    BOOST_TEST(conn->generation() == 2u);
    co_await echo(*conn, "again");
  });
  BOOST_TEST(server.accepted() == 2u);
}

BOOST_AUTO_TEST_CASE(so_it_is_with_beast) {
  server.behave_once(
      {step::receive{1}, step::send{"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"}, step::reset{}});
  with_lease([&](cocp::pool&, cocp::lease& conn) -> asio::awaitable<void> {
    http::request<http::string_body> request{http::verb::post, "/", 11};
    request.body().assign(large, 'x');
    request.prepare_payload();
    BOOST_TEST(bool(co_await failure(http::async_write(*conn, request, asio::use_awaitable))));
    boost::beast::flat_buffer buffer;
    http::response<http::string_body> response;
    co_await http::async_read(*conn, buffer, response, asio::use_awaitable);
    BOOST_TEST(response.result_int() == 413u);
    BOOST_TEST(conn->generation() == 1u);
  });
}

// A socket tells of its end once.
BOOST_AUTO_TEST_CASE(whatever_waits_behind_a_read_is_told_of_the_end_too) {
  server.behave_once({step::receive{1}, step::close{}});
  with_lease([&](cocp::pool& pool, cocp::lease& conn) -> asio::awaitable<void> {
    pool.close();
    std::array<char, 2> in{};
    std::array<std::optional<error_code>, 2> ended;
    for (std::size_t i = 0; i < 2; ++i) {
      conn->async_read_some(asio::buffer(&in[i], 1), [&ended, i](error_code ec, std::size_t) { ended[i] = ec; });
    }
    co_await conn->write(asio::buffer("x", 1));
    co_await until([&] { return ended[0] && ended[1]; });
    for (const auto& ec : ended) BOOST_TEST((ec == asio::error::eof));
  });
}

// Until it takes no more (shutdown(2) of its sending half).
BOOST_AUTO_TEST_CASE(a_peer_that_has_sent_its_last_still_gets_what_is_written) {
  asio::ip::tcp::acceptor listener(io, {asio::ip::address_v4::loopback(), 0});
  std::string got(5, '\0');
  auto peer = [&]() -> asio::awaitable<void> {
    auto socket = co_await listener.async_accept(asio::use_awaitable);
    co_await asio::async_read(socket, asio::buffer(got, 1), asio::use_awaitable);
    socket.shutdown(asio::ip::tcp::socket::shutdown_send);
    co_await asio::async_read(socket, asio::buffer(got) + 1, asio::use_awaitable);
  };
  bool served = false;
  asio::co_spawn(io, peer(), [&](std::exception_ptr e) { served = !e; });
  auto user = [&]() -> asio::awaitable<void> {
    cocp::pool pool(io, "127.0.0.1:" + std::to_string(listener.local_endpoint().port()), {.size = 1});
    cocp::lease conn = co_await pool.get();
    co_await conn->write(asio::buffer("1", 1));
    char b = 0;
    BOOST_TEST((co_await failure(conn->read_some(asio::buffer(&b, 1)))) == asio::error::eof);
    co_await conn->write(asio::buffer("more", 4));
    BOOST_TEST((co_await failure(conn->read_some(asio::buffer(&b, 1)))) == asio::error::eof);
    co_await until([&] { return served; });
    BOOST_TEST(got == "1more");
    BOOST_TEST(conn->generation() == 1u);
    conn.put();
    co_await pool.drain();
    server.stop_listening();
  };
  run(io, user());
}

BOOST_AUTO_TEST_CASE(of_two_pumps_neither_goes_on_in_another_stream) {
  server.behave_once({step::receive{1}, step::reset{}});
  with_lease([&](cocp::pool&, cocp::lease& conn) -> asio::awaitable<void> {
    auto pump = [](cocp::connection& c) -> asio::awaitable<void> {
      for (const std::string text(1000, 'x');;) co_await c.write(asio::buffer(text));
    };
    std::optional<error_code> ended;
    asio::co_spawn(io, failure(pump(*conn)), [&](std::exception_ptr, error_code ec) { ended = ec; });
    std::array<char, 100> in{};
    const error_code end = co_await failure(conn->read_some(asio::buffer(in)));
    BOOST_TEST(bool(end));
    co_await until([&] { return ended.has_value(); });
    BOOST_TEST(bool(*ended));
    BOOST_TEST(conn->generation() == 1u);
    BOOST_TEST(server.accepted() == 1u);
  });
}

BOOST_AUTO_TEST_CASE(a_request_that_was_left_behind_is_answered_to_nobody) {
  with_lease([&](cocp::pool& pool, cocp::lease& conn) -> asio::awaitable<void> {
    co_await conn->write(asio::buffer("mine", 4));
    conn.put();
    cocp::lease next = co_await pool.get();
    co_await echo(*next, "other");
    BOOST_TEST(pool.stats().replaced_dirty == 1u);
  });
}

BOOST_AUTO_TEST_CASE(a_write_that_runs_out_of_memory_behind_its_first_part_leaves_the_lease_dirty) {
  server.behave({step::stall{}});
  with_lease([&](cocp::pool& pool, cocp::lease& conn) -> asio::awaitable<void> {
    const std::string body(large, 'x');
    // At each step (the first look, which may not fail, apart): before the first part, behind it; at last it does not.
    unsigned thrown = 0;
    for (int steps = 1;; ++steps) {
      int left = steps;
      conn->expires_after(50ms);
      bool ran_out = false;
      const fragile_buffers buffers(asio::buffer(body), left);
      try {
        co_await conn->write(buffers);
      } catch (const std::bad_alloc&) {
        ran_out = true;
      } catch (const boost::system::system_error& e) {
        BOOST_TEST((e.code() == errc::timed_out));
      }
      if (!ran_out) break;
      ++thrown;
      conn->no_answer();
      conn.put();
      conn = co_await pool.get();
      BOOST_TEST(pool.stats().replaced_dirty == thrown);
    }
    BOOST_TEST(thrown >= 2u);
  });
}

// A peer that takes all that is sent must not keep everything else from running.
BOOST_AUTO_TEST_CASE(writes_that_complete_at_once_let_others_run) {
  server.behave({step::receive{std::numeric_limits<std::size_t>::max()}});
  with_lease(
      [&](cocp::pool&, cocp::lease& conn) -> asio::awaitable<void> {
        unsigned others = 0;
        unsigned most = 0;
        unsigned in_a_row = 0;
        bool done = false;
        bool gone = false;
        auto other = [&]() -> asio::awaitable<void> {
          while (!done) {
            ++others;
            in_a_row = 0;
            co_await asio::post(asio::use_awaitable);
          }
          gone = true;
        };
        asio::co_spawn(io, other(), [](std::exception_ptr) {});
        for (int i = 0; i < 10'000; ++i) {
          co_await conn->write(asio::buffer("x", 1));
          most = std::max(most, ++in_a_row);
        }
        done = true;
        co_await until([&] { return gone; });
        BOOST_TEST(most <= 64u);
        BOOST_TEST(others >= 10'000u / 64);
      },
      {.size = 1, .one_way = true});
}

BOOST_AUTO_TEST_CASE(writes_that_complete_at_once_expire) {
  server.behave({step::receive{std::numeric_limits<std::size_t>::max()}});
  with_lease([&](cocp::pool&, cocp::lease& conn) -> asio::awaitable<void> {
    // So soon that the socket's buffer, which has an end, plays no part.
    conn->expires_after(1ms);
    const auto limit = std::chrono::steady_clock::now() + 1ms;
    unsigned late = 0;
    error_code ec;
    while (!ec) {
      const bool is_late = std::chrono::steady_clock::now() > limit;
      ec = co_await failure(conn->write(asio::buffer("x", 1)));
      if (!ec && is_late) ++late;
    }
    BOOST_TEST((ec == errc::timed_out));
    BOOST_TEST(late <= 64u);
  });
}

BOOST_AUTO_TEST_SUITE_END()
