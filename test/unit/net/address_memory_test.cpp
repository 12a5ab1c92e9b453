// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/address_memory.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using cocp::detail::address_memory;
using failure = address_memory::failure;
using texts = std::vector<std::string>;

namespace {

cocp::endpoint at(const std::string& text) {
  return cocp::endpoint(asio::ip::tcp::endpoint(asio::ip::make_address(text), 7));
}

const cocp::detail::time_point start{std::chrono::hours(1)};

/// As addresses; with a * if it is to be tried alone.
texts order(const address_memory& memory, const texts& found) {
  std::vector<cocp::endpoint> endpoints;
  for (const auto& f : found) endpoints.push_back(at(f));
  texts result;
  for (const auto& c : memory.in_order(endpoints)) {
    result.push_back(c.at.address().to_string() + (c.alone ? "*" : ""));
  }
  return result;
}

struct row {
  texts found;
  texts failed;  // in this order; with a * if behind its connect
  texts order;

  friend std::ostream& operator<<(std::ostream& out, const row& r) {
    for (const auto& f : r.found) out << f << ' ';
    out << "failed:";
    for (const auto& f : r.failed) out << ' ' << f;
    return out;
  }
};

const row rows[] = {
    {{}, {"1.0.0.1"}, {}},
    {{"1.0.0.1"}, {"1.0.0.1"}, {"1.0.0.1"}},
    {{"1.0.0.1", "1.0.0.2"}, {}, {"1.0.0.1", "1.0.0.2"}},
    {{"1.0.0.1", "1.0.0.2"}, {"1.0.0.1"}, {"1.0.0.2", "1.0.0.1"}},
    {{"1.0.0.1", "1.0.0.2"}, {"1.0.0.3"}, {"1.0.0.1", "1.0.0.2"}},
    // What failed first comes first, however the resolver shuffles.
    {{"1.0.0.1", "1.0.0.2", "1.0.0.3"}, {"1.0.0.2", "1.0.0.1"}, {"1.0.0.3", "1.0.0.2", "1.0.0.1"}},
    {{"1.0.0.3", "1.0.0.1", "1.0.0.2"}, {"1.0.0.2", "1.0.0.1"}, {"1.0.0.3", "1.0.0.2", "1.0.0.1"}},
    {{"1.0.0.1", "1.0.0.2"}, {"1.0.0.1", "1.0.0.2", "1.0.0.1"}, {"1.0.0.2", "1.0.0.1"}},
    // Families take turns among those that have not failed.
    {{"::1", "::2", "::3", "1.0.0.1", "1.0.0.2"}, {"::1"}, {"::2", "1.0.0.1", "::3", "1.0.0.2", "::1"}},
    {{"::1", "::2", "1.0.0.1"}, {"::1", "::2"}, {"1.0.0.1", "::1", "::2"}},
    {{"1.0.0.1", "1.0.0.2"}, {"1.0.0.1*"}, {"1.0.0.2", "1.0.0.1*"}},
    {{"1.0.0.1", "1.0.0.2"}, {"1.0.0.1*", "1.0.0.2"}, {"1.0.0.1*", "1.0.0.2"}},
    // The last failure counts.
    {{"1.0.0.1", "1.0.0.2"}, {"1.0.0.1*", "1.0.0.1"}, {"1.0.0.2", "1.0.0.1"}},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(addresses)

BOOST_DATA_TEST_CASE(that_failed_are_tried_behind_those_that_did_not, rows, r) {
  address_memory memory;
  for (std::string f : r.failed) {
    const bool behind = f.back() == '*';
    if (behind) f.pop_back();
    memory.failed(at(f), behind ? failure::connected : failure::connecting, start);
  }
  BOOST_TEST(order(memory, r.found) == r.order, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(that_serve_again_are_as_good_as_new) {
  address_memory memory;
  memory.failed(at("1.0.0.1"), failure::connecting, start);
  memory.succeeded(at("1.0.0.1"), start);
  BOOST_TEST(order(memory, {"1.0.0.1", "1.0.0.2"}) == (texts{"1.0.0.1", "1.0.0.2"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(that_failed_long_ago_are_forgotten_once_another_one_serves) {
  address_memory memory;
  memory.failed(at("1.0.0.1"), failure::connecting, start);
  const texts found{"1.0.0.1", "1.0.0.2"};
  const texts behind{"1.0.0.2", "1.0.0.1"};
  memory.succeeded(at("1.0.0.2"), start + 9min);
  BOOST_TEST(order(memory, found) == behind, boost::test_tools::per_element());
  // In an outage nothing is forgotten, so all addresses get their turn.
  memory.failed(at("1.0.0.3"), failure::connecting, start + 1h);
  BOOST_TEST(order(memory, found) == behind, boost::test_tools::per_element());
  memory.succeeded(at("1.0.0.2"), start + 1h);
  BOOST_TEST(order(memory, found) == found, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(are_not_remembered_without_bound) {
  address_memory memory;
  const auto number = [](std::size_t i) {
    return asio::ip::address_v4(static_cast<unsigned>(0x0a000000 + i)).to_string();
  };
  for (std::size_t i = 0; i <= address_memory::most; ++i) memory.failed(at(number(i)), failure::connecting, start);
  BOOST_TEST(order(memory, {number(1), number(0)}) == (texts{number(0), number(1)}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
