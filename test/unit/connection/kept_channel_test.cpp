// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What only a channel has: completions that were refused, and its lifetime. The rest is tested where it is.

#include "connection/kept_channel.hpp"
#include "net/context_service.hpp"
#include "support/reluctant_executor.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace asio = boost::asio;
using cocp::errc;
using cocp::error_code;
using cocp::detail::channel;
using cocp::detail::channel_use;
using cocp::detail::kept_channel;
using cocp::test::reluctant_executor;

namespace {

struct fake_stream final : cocp::detail::stream {
  explicit fake_stream(unsigned& counter) : streams(counter) { ++streams; }
  ~fake_stream() override { --streams; }
  void async_connect(const cocp::endpoint&, cocp::detail::wait_handler) override {}
  void async_read_some(asio::mutable_buffer, cocp::detail::io_handler) override {}
  void async_write_some(asio::const_buffer, cocp::detail::io_handler) override {}
  void async_shutdown_send(cocp::detail::io_handler) override {}
  void async_wait_readable(cocp::detail::wait_handler) override {}
  void cancel_wait_readable() noexcept override {}
  cocp::detail::peek_result peek(error_code&) noexcept override { return {}; }
  void shutdown() noexcept override {}
  cocp::endpoint remote_endpoint() const override { return {}; }

  unsigned& streams;
};

struct fixture : cocp::detail::channel_owner {
  void on_channel_changed() noexcept override { ++told; }

  /// One that waits for the stream, on the executor that refuses.
  void wait() {
    auto handler = asio::bind_executor(reluctant_executor(io.get_executor(), control),
                                       [this, own = kept](error_code ec) { error = ec; });
    using op = cocp::detail::wait_op<cocp::detail::channel_waiter, decltype(handler)>;
    c->wait(*op::create(std::move(handler), c->get_executor(), c, *c, 0u));
  }
  void open() {
    std::unique_ptr<cocp::detail::stream> s = std::make_unique<fake_stream>(streams);
    BOOST_TEST(c->open(s, std::make_shared<const std::string>("another")));
  }
  void run() {
    io.restart();
    io.poll();
  }

  unsigned streams = 0;
  asio::io_context io;
  reluctant_executor::control control{1, 2};
  unsigned told = 0;
  /// Held by handlers.
  std::shared_ptr<int> kept = std::make_shared<int>();
  std::optional<error_code> error;
  std::shared_ptr<kept_channel> c =
      kept_channel::make(io.get_executor(), cocp::detail::context_service::of(io.get_executor()).environment(), this,
                         channel_use::alone, std::make_shared<const std::string>("one"));
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(kept_channel_, fixture)

BOOST_AUTO_TEST_CASE(who_was_refused_by_his_executor_is_told_as_soon_as_that_agrees) {
  wait();
  BOOST_TEST(told == 0u);
  c->retire();
  BOOST_TEST(control.refused == 1u);
  // Its owner is to try again.
  BOOST_TEST(told == 1u);
  BOOST_TEST(!c->try_again());
  BOOST_TEST(control.refused == 2u);
  run();
  BOOST_TEST(!error.has_value());
  BOOST_TEST(c->try_again());
  run();
  BOOST_TEST((error == errc::closed));
  BOOST_TEST(kept.use_count() == 1);
  BOOST_TEST(c->try_again());
}

BOOST_AUTO_TEST_CASE(who_was_refused_when_the_stream_came_up_is_told_so) {
  wait();
  open();
  BOOST_TEST(told == 1u);
  BOOST_TEST(!c->try_again());
  BOOST_TEST(c->try_again());
  run();
  BOOST_TEST((error == error_code()));
}

BOOST_AUTO_TEST_CASE(who_was_refused_goes_with_the_context) {
  wait();
  c->retire();
  control.times = ~0u;
  c->shutdown();
  BOOST_TEST(kept.use_count() == 1);
  BOOST_TEST(!error.has_value());
}

BOOST_AUTO_TEST_CASE(who_was_refused_goes_with_the_channel) {
  wait();
  c->retire();
  c.reset();
  BOOST_TEST(kept.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(without_an_owner_the_last_operation_deletes_it) {
  open();
  channel* const users = c.get();
  BOOST_TEST(users->begin(channel::reading));
  BOOST_TEST(users->begin(channel::writing));
  c.reset();
  BOOST_TEST(streams == 1u);
  error_code ec;
  users->end(channel::reading, ec, true);
  // It ended well, and yet the stream is gone.
  BOOST_TEST(ec == asio::error::operation_aborted);
  BOOST_TEST(streams == 1u);
  ec = {};
  users->end(channel::writing, ec, true);
  BOOST_TEST(streams == 0u);
}

BOOST_AUTO_TEST_CASE(once_it_is_closed_a_stream_is_not_taken_in) {
  c->close();
  std::unique_ptr<cocp::detail::stream> s = std::make_unique<fake_stream>(streams);
  BOOST_TEST(!c->open(s, std::make_shared<const std::string>("another")));
  BOOST_TEST(bool(s));
}

BOOST_AUTO_TEST_CASE(who_closes_it_while_it_is_used_has_its_stream_closed_by_the_last_operation) {
  open();
  BOOST_TEST(c->begin(channel::reading));
  c->close();
  BOOST_TEST(!c->take());
  error_code ec = asio::error::eof;
  c->end(channel::reading, ec, false);
  BOOST_TEST((ec == errc::closed));
  BOOST_TEST(streams == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
