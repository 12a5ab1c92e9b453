// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/loss.hpp"

#include <cocp/impl/stream_word.hpp>

#include <boost/asio/error.hpp>
#include <boost/test/unit_test.hpp>

namespace asio = boost::asio;
using cocp::errc;
using cocp::error_code;
using cocp::detail::ending;
using cocp::detail::loss_record;
using word = cocp::detail::stream_word;

namespace {

const error_code eof = asio::error::eof;
const error_code reset = asio::error::connection_reset;
const error_code refused = asio::error::connection_refused;

const error_code closed = errc::closed;
const error_code timed_out = errc::timed_out;

constexpr unsigned nothing = 0;

}  // namespace

BOOST_AUTO_TEST_SUITE(loss_record_)

BOOST_AUTO_TEST_CASE(what_comes_too_late_is_told_why_the_stream_was_lost) {
  loss_record r;
  r.note({eof, {}, ending::lost}, word::up);
  for (const unsigned operation : {nothing, word::reading + 0u, word::writing + 0u}) {
    BOOST_TEST(r.error_of(operation) == eof);
  }
  BOOST_TEST(r.last_error() == eof);
}

BOOST_AUTO_TEST_CASE(where_nothing_is_known_it_is_closed) {
  const loss_record r;
  BOOST_TEST(r.error_of(word::reading) == closed);
  BOOST_TEST(!r.last_error());
}

BOOST_AUTO_TEST_CASE(what_we_took_down_ends_with_the_verdict_whatever_was_the_cause) {
  loss_record r;
  r.note({eof, {}, ending::lost}, word::up);
  r.note_failed_write(reset);
  r.set_verdict(errc::timed_out);
  BOOST_TEST(r.error_of(word::reading) == timed_out);
  BOOST_TEST(r.error_of(word::writing) == timed_out);
}

BOOST_AUTO_TEST_CASE(a_write_that_failed_behind_the_peers_end_says_so_for_writes_alone) {
  loss_record r;
  r.note({eof, {}, ending::lost}, word::up);
  r.note_failed_write(reset);
  BOOST_TEST(r.error_of(word::reading) == eof);
  BOOST_TEST(r.error_of(word::writing) == reset);
  BOOST_TEST(r.error_of(nothing) == eof);
  BOOST_TEST(r.last_error() == eof);
}

BOOST_AUTO_TEST_CASE(of_one_stream_nothing_is_said_of_the_next) {
  loss_record r;
  r.note({eof, {}, ending::lost}, word::up);
  r.note_failed_write(reset);
  r.set_verdict(errc::timed_out);
  r.note_open();
  BOOST_TEST(!r.verdict());
  r.note({refused, {}, ending::lost}, word::up);
  BOOST_TEST(r.error_of(word::writing) == refused);
}

BOOST_AUTO_TEST_CASE(what_is_given_up_leaves_the_last_error_as_it_was) {
  loss_record r;
  r.note_attempt(refused);
  r.note({{}, "discarded", ending::dirty}, word::up);
  BOOST_TEST(r.last_error() == refused);
  BOOST_TEST(r.error_of(word::reading) == closed);
}

BOOST_AUTO_TEST_CASE(it_remembers_what_had_been_done_with_the_stream) {
  loss_record r;
  r.note({eof, "why", ending::lost}, word::up);
  BOOST_TEST(!r.last().answered);
  BOOST_TEST(!r.last().touched);
  BOOST_TEST(r.last().reason == "why");
  r.note({eof, {}, ending::lost}, word::up | word::answered | word::touched);
  BOOST_TEST(r.last().answered);
  BOOST_TEST(r.last().touched);
  r.note({eof, {}, ending::lost}, word::up | word::used);
  BOOST_TEST(!r.last().answered);
  BOOST_TEST(r.last().touched);
}

BOOST_AUTO_TEST_SUITE_END()
