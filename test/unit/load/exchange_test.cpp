// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "../bench/load/exchange.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace data = boost::unit_test::data;
using bench::protocol;

std::unique_ptr<bench::exchange> make(protocol p, bench::byte_range bytes = {5, 5}) {
  bench::load_options options;
  options.speak = p;
  options.bytes = bytes;
  return bench::make_exchange(options, "key:");
}

/// True if `bytes`, coming in pieces of at most `piece`, complete the answer, and nothing less does.
bool answer(bench::exchange& what, std::string_view bytes, std::size_t piece) {
  while (!bytes.empty()) {
    const auto room = what.room();
    const std::size_t n = std::min({piece, bytes.size(), room.size()});
    std::copy_n(bytes.begin(), n, room.begin());
    bytes.remove_prefix(n);
    if (what.take(n)) return bytes.empty();
  }
  return false;
}

const std::size_t pieces[] = {1, 7, 1000};

BOOST_DATA_TEST_CASE(an_echo_is_what_was_sent, data::make(pieces)) {
  const auto what = make(protocol::echo);
  for (int i = 0; i < 3; ++i) {
    const std::string asked(what->begin());
    BOOST_TEST(asked.size() == 5u);
    BOOST_TEST(answer(*what, asked, sample));
    BOOST_TEST(what->next().empty());
  }
}

BOOST_AUTO_TEST_CASE(sizes_are_drawn) {
  const auto what = make(protocol::echo, {1, 100});
  std::vector<std::size_t> sizes;
  for (int i = 0; i < 100; ++i) sizes.push_back(what->begin().size());
  BOOST_TEST(std::ranges::min(sizes) < 30u);
  BOOST_TEST(std::ranges::max(sizes) > 70u);
  BOOST_TEST(std::ranges::max(sizes) <= 100u);
}

BOOST_DATA_TEST_CASE(a_value_is_stored_in_redis_fetched_and_deleted, data::make(pieces)) {
  const auto what = make(protocol::redis);
  for (const char* const key : {"key:0", "key:1"}) {
    const std::string set(what->begin());
    const std::string head = "*5\r\n$3\r\nSET\r\n$5\r\n" + std::string(key) + "\r\n$5\r\n";
    BOOST_TEST(set.substr(0, head.size()) == head);
    const std::string value = set.substr(head.size(), 5);
    BOOST_TEST(answer(*what, "+OK\r\n", sample));
    BOOST_TEST(what->next() ==
               "*2\r\n$3\r\nGET\r\n$5\r\n" + std::string(key) + "\r\n*2\r\n$3\r\nDEL\r\n$5\r\n" + key + "\r\n");
    BOOST_TEST(answer(*what, "$5\r\n" + value + "\r\n:1\r\n", sample));
    BOOST_TEST(what->next().empty());
  }
}

BOOST_DATA_TEST_CASE(a_value_is_stored_in_memcached_fetched_and_deleted, data::make(pieces)) {
  const auto what = make(protocol::memcached);
  const std::string set(what->begin());
  const std::string head = "set key:0 0 60 5\r\n";
  BOOST_TEST(set.substr(0, head.size()) == head);
  BOOST_TEST(answer(*what, "STORED\r\n", sample));
  BOOST_TEST(what->next() == "get key:0\r\ndelete key:0\r\n");
  BOOST_TEST(answer(*what, "VALUE key:0 0 5\r\n" + set.substr(head.size(), 5) + "\r\nEND\r\nDELETED\r\n", sample));
  BOOST_TEST(what->next().empty());
}

BOOST_DATA_TEST_CASE(a_part_of_a_page_is_fetched, data::make(pieces)) {
  const auto what = make(protocol::http);
  for (const char* const range : {"0-4", "1-5"}) {
    BOOST_TEST(what->begin() ==
               "GET /payload HTTP/1.1\r\nHost: localhost\r\nRange: bytes=" + std::string(range) + "\r\n\r\n");
    const std::string part = bench::http_payload().substr(static_cast<std::size_t>(range[0] - '0'), 5);
    BOOST_TEST(answer(*what, "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\n" + part, sample));
    BOOST_TEST(what->keeps_open());
    BOOST_TEST(what->next().empty());
  }
}

BOOST_AUTO_TEST_CASE(a_web_server_may_end_the_connection) {
  const auto what = make(protocol::http);
  what->begin();
  BOOST_TEST(answer(*what,
                    "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: 5\r\n\r\n" +
                        bench::http_payload().substr(0, 5),
                    1000));
  BOOST_TEST(!what->keeps_open());
}

struct strange_answer {
  protocol asked;
  const char* answer;
  const char* text;  ///< At the end of what is said of it.

  friend std::ostream& operator<<(std::ostream& out, const strange_answer& s) { return out << s.text; }
};

const strange_answer strange[] = {
    {protocol::redis, "-ERR no\r\n", "expected \"+OK\\x0d\\x0a\", got \"-ERR \""},
    {protocol::redis, "HTTP/1.1 400 Bad Request\r\n", "expected \"+OK\\x0d\\x0a\", got \"HTTP/\""},
    {protocol::memcached, "ERROR\r\n", "expected \"STORED\\x0d\\x0a\", got \"ERROR\\x0d\\x0a\""},
    {protocol::http, "+OK and then some\r\n",
     "not an answer of a web server (bad version): \"+OK and then some\\x0d\\x0a\""},
    {protocol::http, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "got status 404"},
    {protocol::http, "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nabcde",
     "another part of /payload than was asked for"},
};

BOOST_DATA_TEST_CASE(another_answer_is_told_from_the_right_one, data::make(strange)) {
  const auto what = make(sample.asked);
  what->begin();
  BOOST_CHECK_EXCEPTION(answer(*what, sample.answer, 1000), bench::wrong_answer, [&](const bench::wrong_answer& e) {
    const std::string_view said = e.what();
    BOOST_TEST(said.ends_with(sample.text), said);
    return true;
  });
}

}  // namespace
