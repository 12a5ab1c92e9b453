// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/session_keep.hpp"

#include <boost/test/unit_test.hpp>

#include <memory>
#include <string>

namespace asio = boost::asio;
using cocp::error_code;
using cocp::detail::session_keep;
using cocp::detail::session_key;
using cocp::detail::session_list;
using cocp::detail::session_of;

namespace {

struct fake_stream final : cocp::detail::stream {
  void async_connect(const cocp::endpoint&, cocp::detail::wait_handler) override {}
  void async_read_some(asio::mutable_buffer, cocp::detail::io_handler) override {}
  void async_write_some(asio::const_buffer, cocp::detail::io_handler) override {}
  void async_shutdown_send(cocp::detail::io_handler) override {}
  void async_wait_readable(cocp::detail::wait_handler) override {}
  void cancel_wait_readable() noexcept override {}
  cocp::detail::peek_result peek(error_code&) noexcept override { return {}; }
  void shutdown() noexcept override {}
  cocp::endpoint remote_endpoint() const override { return {}; }
};

int& number(session_list& where) {
  if (void* const known = where.find(&session_key<int>)) return *static_cast<int*>(known);
  auto made = std::make_unique<session_of<int>>();
  int& value = made->value;
  where.add(std::move(made));
  return value;
}

struct fixture {
  session_keep keep;
  fake_stream first;
  fake_stream second;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(session_keep_, fixture)

BOOST_AUTO_TEST_CASE(there_is_one_of_each_type) {
  session_list all;
  number(all) = 7;
  all.add(std::make_unique<session_of<std::string>>());
  BOOST_TEST(number(all) == 7);
  BOOST_TEST(all.find(&session_key<std::string>) != nullptr);
  BOOST_TEST(all.find(&session_key<char>) == nullptr);
}

BOOST_AUTO_TEST_CASE(what_is_kept_with_a_stream_goes_with_it) {
  number(keep.seen(&first)) = 7;
  BOOST_TEST(number(first.sessions()) == 7);
  BOOST_TEST(number(keep.seen(&second)) == 0);
}

BOOST_AUTO_TEST_CASE(a_user_keeps_what_he_knows_until_he_goes_on) {
  number(keep.seen(&first)) = 7;
  keep.stream_goes(first.sessions(), true);
  BOOST_TEST(!keep.has_remains());
  // It is there, and not his.
  number(second.sessions()) = 8;
  BOOST_TEST(number(keep.seen(&second)) == 7);
  keep.go_on();
  BOOST_TEST(number(keep.seen(&second)) == 8);
  session_list remains = keep.take_remains();
  BOOST_TEST(number(remains) == 7);
  BOOST_TEST(!keep.has_remains());
}

BOOST_AUTO_TEST_CASE(what_he_has_never_seen_does_not_wait_for_him) {
  keep.stream_goes(first.sessions(), true);
  number(second.sessions()) = 8;
  keep.stream_goes(second.sessions(), true);
  BOOST_TEST(keep.has_remains());
}

BOOST_AUTO_TEST_CASE(without_a_user_it_is_among_the_remains) {
  number(keep.seen(&first)) = 7;
  keep.stream_goes(first.sessions(), false);
  session_list remains = keep.take_remains();
  BOOST_TEST(number(remains) == 7);
  BOOST_TEST(keep.seen(&second).empty());
}

BOOST_AUTO_TEST_CASE(what_is_made_while_there_is_no_stream_is_of_none) {
  number(keep.seen(nullptr)) = 7;
  BOOST_TEST(number(keep.seen(&first)) == 7);
  keep.go_on();
  BOOST_TEST(number(keep.seen(&first)) == 0);
  BOOST_TEST(keep.has_remains());
}

BOOST_AUTO_TEST_SUITE_END()
