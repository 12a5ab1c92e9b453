// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Each event as one thread meets it. What threads do to each other is in stream_word_test.cpp, what users see in
// stream_model_test.cpp.

#include "connection/stream_state.hpp"

#include "support/print_leftover.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <initializer_list>
#include <memory>
#include <utility>

namespace asio = boost::asio;
using cocp::errc;
using cocp::error_code;
using cocp::detail::channel_use;
using cocp::detail::ending;
using cocp::detail::leftover;
using cocp::detail::wait_list;
using word = cocp::detail::stream_word;

namespace {

constexpr unsigned up = 0;
constexpr unsigned reading = word::reading;
constexpr unsigned writing = word::writing;
const error_code closed = errc::closed;
const error_code timed_out = errc::timed_out;
const error_code eof = asio::error::eof;
const error_code reset = asio::error::connection_reset;
const error_code aborted = asio::error::operation_aborted;

struct fake_stream final : cocp::detail::stream {
  explicit fake_stream(unsigned& counter) : shutdowns(counter) {}
  void async_connect(const cocp::endpoint&, cocp::detail::wait_handler) override {}
  void async_read_some(asio::mutable_buffer, cocp::detail::io_handler) override {}
  void async_write_some(asio::const_buffer, cocp::detail::io_handler) override {}
  void async_shutdown_send(cocp::detail::io_handler) override {}
  void async_wait_readable(cocp::detail::wait_handler) override {}
  void cancel_wait_readable() noexcept override {}
  cocp::detail::peek_result peek(error_code&) noexcept override { return {}; }
  void shutdown() noexcept override { ++shutdowns; }
  cocp::endpoint remote_endpoint() const override { return {}; }

  unsigned& shutdowns;
};

struct wait final : cocp::detail::stream_waiter {
  using stream_waiter::stream_waiter;
  void complete() override {}
  void complete_at_once() override {}
  void destroy() noexcept override {}
  bool belongs_to(const asio::execution_context&) const noexcept override { return false; }
};

/// A channel's parts, as it has them.
class parts final : cocp::detail::channel_owner {
 public:
  explicit parts(channel_use use) : state(w, raw, this, use) {}
  ~parts() {
    state.shut_down(ended);
    ended.clear();
  }

  void open() {
    std::unique_ptr<cocp::detail::stream> s = std::make_unique<fake_stream>(shutdowns);
    state.open(s, ended);
  }
  /// What a user is told whose operation ends like this.
  error_code end(unsigned operation, error_code ec = {}) {
    state.end(operation, ec, !ec, ended);
    return ec;
  }
  leftover end_use() { return state.end_use({.one_way = true}, ended).left; }
  /// One comes that waits.
  void add(wait& x) {
    x.error = state.refusal(x.operation());
    if (!x.error) state.wait(x, ended);
  }
  /// Whether exactly these came out.
  bool have_ended(std::initializer_list<const wait*> who) {
    auto i = who.begin();
    bool same = ended.size() == who.size();
    for (const auto& x : ended) same = same && *i++ == &x;
    ended.clear();
    return same;
  }
  bool is(unsigned bits) const { return (w.load() & bits) == bits; }

  unsigned shutdowns = 0;
  /// How often the owner was told.
  unsigned told = 0;
  asio::io_context io;
  word w;
  cocp::detail::raw_stream raw{io.get_executor()};
  wait_list ended;
  cocp::detail::stream_state state;

 private:
  void on_channel_changed() noexcept override { ++told; }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_state_)

BOOST_AUTO_TEST_CASE(alone_a_stream_that_is_lost_is_down_and_who_comes_then_waits_for_the_next) {
  parts p(channel_use::alone);
  p.open();
  BOOST_TEST(p.w.begin(reading));
  BOOST_TEST(p.end(reading, reset) == reset);
  BOOST_TEST(!p.is(word::up));
  BOOST_TEST(p.told > 0u);
  wait next(reading);
  p.add(next);
  BOOST_TEST(next.waiting);
  BOOST_TEST(bool(p.state.take()));
  p.open();
  BOOST_TEST(p.have_ended({&next}));
  BOOST_TEST(next.begun);
  BOOST_TEST(next.generation == 2u);
}

BOOST_AUTO_TEST_CASE(alone_what_is_outstanding_ends_with_the_loss_before_the_stream_can_be_taken) {
  parts p(channel_use::alone);
  p.open();
  p.w.begin(reading);
  p.w.begin(writing);
  p.end(writing, reset);
  BOOST_TEST(p.shutdowns == 1u);
  BOOST_TEST(!p.state.take());
  // Also one that ended well.
  BOOST_TEST(p.end(reading) == reset);
  BOOST_TEST(bool(p.state.take()));
}

BOOST_AUTO_TEST_CASE(in_a_lease_the_peers_end_ends_reads_alone) {
  parts p(channel_use::leased);
  p.open();
  p.w.begin(reading);
  BOOST_TEST(p.end(reading, eof) == eof);
  BOOST_TEST(p.is(word::up | word::ended));
  BOOST_TEST(p.shutdowns == 0u);
  BOOST_TEST(p.w.begin(writing));
  BOOST_TEST(!p.end(writing));
  // Until one fails; then each knows its own reason.
  p.w.begin(writing);
  BOOST_TEST(p.end(writing, reset) == reset);
  BOOST_TEST(p.shutdowns == 1u);
  BOOST_TEST(p.state.refusal(writing) == reset);
  BOOST_TEST(!p.state.refusal(reading));
  BOOST_TEST(p.state.losses().last().cause == eof);
  BOOST_TEST(p.end_use() == leftover::down);
  BOOST_TEST(bool(p.state.take()));
}

BOOST_AUTO_TEST_CASE(in_a_lease_a_failure_leaves_what_had_arrived_and_refuses_writes) {
  parts p(channel_use::leased);
  p.open();
  p.w.begin(writing);
  wait second(writing);
  p.add(second);
  BOOST_TEST(p.end(writing, reset) == reset);
  BOOST_TEST(p.have_ended({&second}));
  BOOST_TEST(second.error == reset);
  BOOST_TEST(p.w.begin(reading));
  BOOST_TEST(!p.end(reading));
}

BOOST_AUTO_TEST_CASE(a_lease_that_agrees_has_the_next_stream_when_its_wait_is_told_of_it) {
  parts p(channel_use::leased);
  p.open();
  p.w.begin(reading);
  p.end(reading, reset);
  wait ready(up);
  p.add(ready);
  BOOST_TEST(ready.waiting);
  BOOST_TEST(!p.is(word::up));
  BOOST_TEST(p.state.refusal(reading) == reset);
  p.state.take();
  p.open();
  BOOST_TEST(p.have_ended({&ready}));
  BOOST_TEST(!p.w.begin(reading));
  // Of a stream that is not there any more.
  p.state.consent(ready.generation - 1);
  BOOST_TEST(!p.w.begin(reading));
  p.state.consent(ready.generation);
  BOOST_TEST(p.w.begin(reading));
  p.end(reading);
}

BOOST_AUTO_TEST_CASE(a_hook_cannot_wait_for_another_stream) {
  for (const channel_use use : {channel_use::leased, channel_use::once_only}) {
    parts p(use);
    p.open();
    p.state.set_hooked(use == channel_use::leased);
    p.state.bring_down({reset, {}, ending::dirty}, {}, p.ended);
    BOOST_TEST(p.state.refusal(up) == reset);
  }
}

BOOST_AUTO_TEST_CASE(a_full_buffer_says_nothing_of_the_stream) {
  parts p(channel_use::leased);
  p.open();
  p.w.begin(reading);
  BOOST_TEST(p.end(reading, asio::error::not_found) == asio::error::not_found);
  BOOST_TEST(p.end_use() == leftover::used);
}

BOOST_AUTO_TEST_CASE(a_cancelled_operation_makes_the_lease_dirty) {
  parts p(channel_use::leased);
  p.open();
  p.w.begin(reading);
  wait second(reading);
  p.add(second);
  p.state.cancel(second, p.ended);
  BOOST_TEST(p.have_ended({&second}));
  BOOST_TEST(second.error == aborted);
  p.end(reading);
  BOOST_TEST(p.end_use() == leftover::dirty);
  BOOST_TEST(!p.is(word::up));
}

BOOST_AUTO_TEST_CASE(what_a_lease_left_outstanding_is_aborted) {
  parts p(channel_use::leased);
  p.open();
  p.w.begin(reading);
  wait second(reading);
  p.add(second);
  BOOST_TEST(p.end_use() == leftover::dirty);
  BOOST_TEST(p.have_ended({&second}));
  BOOST_TEST(second.error == aborted);
  BOOST_TEST(p.shutdowns == 1u);
  BOOST_TEST(p.end(reading) == aborted);
  BOOST_TEST(bool(p.state.take()));
}

BOOST_AUTO_TEST_CASE(the_next_lease_starts_afresh) {
  parts p(channel_use::leased);
  p.open();
  p.w.begin(writing);
  p.end(writing);
  p.w.set(word::timed | word::expired);
  BOOST_TEST(p.end_use() == leftover::used);
  BOOST_TEST(p.w.load() == (word::up | word::touched));
}

BOOST_AUTO_TEST_CASE(when_time_is_up_all_that_is_outstanding_and_waits_has_timed_out) {
  parts p(channel_use::leased);
  p.open();
  p.w.begin(reading);
  wait second(reading);
  p.add(second);
  p.w.set(word::timed);
  p.state.expire(p.ended);
  BOOST_TEST(p.have_ended({&second}));
  BOOST_TEST(second.error == timed_out);
  BOOST_TEST(p.shutdowns == 1u);
  BOOST_TEST(p.end(reading, eof) == timed_out);
  BOOST_TEST(p.state.refusal(reading) == timed_out);
}

BOOST_AUTO_TEST_CASE(when_time_is_up_and_nothing_was_outstanding_the_stream_is_as_it_was) {
  parts p(channel_use::leased);
  p.open();
  p.w.set(word::timed);
  p.state.expire(p.ended);
  BOOST_TEST(p.w.load() == (word::up | word::timed | word::expired));
  BOOST_TEST(p.shutdowns == 0u);
  BOOST_TEST(p.state.refusal(0) == timed_out);
  BOOST_TEST(p.end_use() == leftover::unused);
  BOOST_TEST(p.is(word::up));
}

// It may be a later part of a composed operation, whose first ones have gone out.
BOOST_AUTO_TEST_CASE(an_operation_that_comes_when_time_is_up_leaves_the_stream_to_nobody_else) {
  parts p(channel_use::leased);
  p.open();
  p.w.set(word::timed);
  p.state.expire(p.ended);
  BOOST_TEST(p.state.refusal(writing) == timed_out);
  BOOST_TEST(p.end_use() == leftover::dirty);
}

// The same of one that waits for the stream, and has not begun.
BOOST_AUTO_TEST_CASE(an_operation_that_waits_when_time_is_up_leaves_the_next_stream_to_nobody_else) {
  parts p(channel_use::alone);
  wait first(writing);
  p.add(first);
  p.w.set(word::timed);
  p.state.expire(p.ended);
  BOOST_TEST(p.have_ended({&first}));
  BOOST_TEST(first.error == timed_out);
  BOOST_TEST(p.is(word::dirty));
}

BOOST_AUTO_TEST_CASE(a_limit_that_its_lease_has_left_behind_is_nobodys) {
  parts p(channel_use::leased);
  p.open();
  p.w.begin(reading);
  p.state.expire(p.ended);
  BOOST_TEST(p.w.load() == (word::up | reading | word::used));
  BOOST_TEST(p.shutdowns == 0u);
}

BOOST_AUTO_TEST_CASE(a_user_who_closes_ends_his_lease_and_not_the_channel) {
  parts p(channel_use::leased);
  p.open();
  p.state.close_use(p.ended);
  BOOST_TEST(p.state.refusal(reading) == closed);
  BOOST_TEST(p.end_use() == leftover::down);
  BOOST_TEST(!p.is(word::closed));
  BOOST_TEST(bool(p.state.take()));
}

BOOST_AUTO_TEST_CASE(what_is_closed_for_good_stays_closed) {
  parts p(channel_use::leased);
  p.open();
  p.state.close(p.ended);
  p.end_use();
  BOOST_TEST(p.is(word::closed));
  BOOST_TEST(p.state.is_closed());
}

BOOST_AUTO_TEST_CASE(nobody_waits_for_a_stream_that_nobody_opens) {
  parts p(channel_use::alone);
  wait x(reading);
  p.add(x);
  p.state.retire(p.ended);
  BOOST_TEST(p.have_ended({&x}));
  BOOST_TEST(x.error == closed);
  BOOST_TEST(p.state.refusal(up) == closed);
}

BOOST_AUTO_TEST_CASE(a_stream_is_passed_on_only_if_nothing_is_outstanding) {
  parts p(channel_use::once_only);
  p.open();
  p.w.begin(reading);
  BOOST_TEST(!p.state.release());
  p.end(reading);
  BOOST_TEST(bool(p.state.release()));
  BOOST_TEST(!p.is(word::up));
}

BOOST_AUTO_TEST_CASE(without_an_owner_the_last_end_says_that_nobody_is_left) {
  parts p(channel_use::leased);
  p.open();
  p.w.begin(reading);
  p.w.begin(writing);
  p.state.orphan(p.ended);
  const unsigned told = p.told;
  error_code ec = aborted;
  BOOST_TEST(!word::is_abandoned(p.state.end(reading, ec, false, p.ended)));
  BOOST_TEST(word::is_abandoned(p.state.end(writing, ec, false, p.ended)));
  BOOST_TEST(p.told == told);
}

BOOST_AUTO_TEST_SUITE_END()
