// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/leftover.hpp"

#include "support/print_leftover.hpp"

#include <cocp/impl/stream_word.hpp>

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <ostream>
#include <string_view>

using cocp::detail::judge;
using cocp::detail::leftover;
using word = cocp::detail::stream_word;

namespace {

struct row {
  const char* rule;
  unsigned word;
  leftover left;
  std::string_view spoilt;
  cocp::detail::lease_end how = {};

  friend std::ostream& operator<<(std::ostream& out, const row& r) { return out << r.rule; }
};

constexpr unsigned fine = word::up | word::used | word::answered;

const row rows[] = {
    {"a stream on which nothing was started is unused", word::up | word::touched, leftover::unused, {}},
    {"all has ended well", fine, leftover::used, {}},
    {"a stream that is down is down, whatever else",
     word::used | word::asked | word::dirty,
     leftover::down,
     {},
     {true}},
    {"what the peer has ended is down", fine | word::ended, leftover::down, {}},
    {"what has failed is down", fine | word::broken, leftover::down, {}},
    {"a lease may be discarded, used or not", word::up, leftover::dirty, "the lease was discarded", {.unwanted = true}},
    {"a read is outstanding", fine | word::reading, leftover::dirty, "an operation was left outstanding"},
    {"a write is outstanding", fine | word::writing, leftover::dirty, "an operation was left outstanding"},
    {"an operation waits to start", fine, leftover::dirty, "an operation was left outstanding", {.queued = true}},
    {"an operation was cancelled", fine | word::dirty, leftover::dirty, "an operation was cancelled"},
    {"our side was ended", fine | word::halved, leftover::dirty, "its sending side was shut down", {.one_way = true}},
    {"an exception may have come between",
     fine,
     leftover::dirty,
     "the lease was ended by an exception",
     {.spoiled = true}},
    {"an exception harms no stream on which nothing was started", word::up, leftover::unused, {}, {.spoiled = true}},
    {"an answer may be on its way", fine | word::asked, leftover::dirty,
     "nothing was read after the last write: an answer may be on its way"},
    {"there are no answers", fine | word::asked, leftover::used, {}, {.one_way = true}},
    {"who was cancelled may have asked nobody",
     fine | word::dirty,
     leftover::dirty,
     "an operation was cancelled",
     {.one_way = true}},
    {"a limit that has passed harms nothing", fine | word::timed | word::expired, leftover::used, {}},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(leftover_)

BOOST_DATA_TEST_CASE(a_lease_leaves, boost::unit_test::data::make(rows), r) {
  const auto found = judge(r.word, r.how);
  BOOST_TEST(found.left == r.left);
  BOOST_TEST((found.spoilt ? std::string_view(found.spoilt) : std::string_view()) == r.spoilt);
}

// The quick way (`kept_channel::end_use`) and this agree on all words there are.
BOOST_AUTO_TEST_CASE(what_the_word_lets_go_at_once_is_fine) {
  unsigned at_once = 0;
  for (unsigned w = 0; w < 131072; ++w) {
    for (const bool one_way : {false, true}) {
      const bool unused = word::is_unused(w);
      if (!unused && !word::leave(w, one_way)) continue;
      ++at_once;
      const leftover left = judge(w, {.one_way = one_way}).left;
      if (left != (w & word::used ? leftover::used : leftover::unused)) BOOST_ERROR("word " << w);
    }
  }
  BOOST_TEST(at_once > 0u);
}

BOOST_AUTO_TEST_SUITE_END()
