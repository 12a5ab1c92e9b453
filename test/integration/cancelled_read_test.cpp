// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/eventually.hpp"
#include "support/run.hpp"
#include "support/scripted_server.hpp"

#include <cocp.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/test/unit_test.hpp>

#include <optional>
#include <string>

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;

// The whole answer is "firstFIRST". Half of it is in the socket when the read is started, so that its first part
// completes at once; the composed read is cancelled before that completion has run, and ends with operation_aborted.
BOOST_AUTO_TEST_CASE(a_composed_read_that_was_cancelled_between_its_parts_has_the_connection_replaced) {
  asio::io_context io;
  auto body = [&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    server.behave_once({step::receive{4}, step::send{"first"}, step::hold{}, step::send{"FIRST"}, step::echo{}});
    cocp::pool pool(io, {.address = server.address(), .retry_min = 1ms}, {.size = 1});
    cocp::lease lease = co_await pool.get();
    const auto ask = asio::buffer("ask!", 4);
    co_await lease->write(ask);
    auto sent = [&] { return server.sent() == 5; };
    const bool half_is_there = co_await eventually(sent);
    BOOST_REQUIRE(half_is_there);
    std::string answer(10, '\0');
    asio::cancellation_signal cancel;
    std::optional<cocp::error_code> ended;
    asio::async_read(
        *lease, asio::buffer(answer),
        asio::bind_cancellation_slot(cancel.slot(), [&](cocp::error_code ec, std::size_t) { ended = ec; }));
    cancel.emit(asio::cancellation_type::terminal);
    auto over = [&] { return ended.has_value(); };
    const bool is_over = co_await eventually(over);
    BOOST_REQUIRE(is_over);
    BOOST_TEST((*ended == asio::error::operation_aborted));
    lease.put();
    lease = co_await pool.get();
    BOOST_TEST(lease->generation() == 2u);
    BOOST_TEST(pool.stats().replaced_dirty == 1u);
    const auto out = asio::buffer("mine!", 5);
    co_await lease->write(out);
    server.release();
    std::string mine(5, '\0');
    const auto in = asio::buffer(mine);
    co_await lease->read(in);
    BOOST_TEST(mine == "mine!");
  };
  run(io, body());
}
