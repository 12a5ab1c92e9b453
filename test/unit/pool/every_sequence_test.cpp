// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Every sequence of so many events that can happen to a small pool, each from the start on a pool of its own, the
// shorter ones first. The rules are checked after each event, and the end that follows the last one; see `ruled_pool`.
// Those that are shorter by one also with their last two events in one instant, before any handler has run.
//
// `-- depth 7` has longer ones. A sequence that breaks a rule is printed; `-- START EVENT...` goes through that one
// alone, and prints what comes of each event (`a+b` are two in one instant).

#include "support/ruled_pool.hpp"
#include "support/sanitized.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace cocp::test;

namespace {

#if defined(COCP_TEST_SANITIZED)
constexpr std::size_t default_depth = 4;
#else
constexpr std::size_t default_depth = 6;
#endif

const ruled_pool::start starts[] = {{"one", 1, {}, false},
                                    {"two", 2, {}, false},
                                    {"one_up", 1, {}, true},
                                    {"two_up", 2, {}, true},
                                    {"two_on_demand", 2, 0, false}};

/// Four bits for each event, the last one in the lowest.
class sequence {
 public:
  sequence() = default;
  sequence then(pool_event e) const { return {events_ << 4 | static_cast<std::uint64_t>(e), size_ + 1, false}; }
  /// In the same instant as the last one.
  sequence at_once(pool_event e) const { return {then(e).events_, size_ + 1, true}; }

  std::size_t size() const { return size_; }
  pool_event operator[](std::size_t i) const { return pool_event(events_ >> 4 * (size_ - 1 - i) & 15); }
  /// It begins in the instant of the one before it.
  bool joins(std::size_t i) const { return hurried_ && i + 1 == size_; }

 private:
  sequence(std::uint64_t events, std::size_t size, bool hurried) : events_(events), size_(size), hurried_(hurried) {}

  std::uint64_t events_ = 0;
  std::size_t size_ = 0;
  bool hurried_ = false;
};
constexpr std::size_t deepest = 16;

std::ostream& operator<<(std::ostream& out, const sequence& s) {
  for (std::size_t i = 0; i < s.size(); ++i) out << (i == 0 ? "" : s.joins(i) ? "+" : " ") << to_string(s[i]);
  return out;
}

std::vector<std::string> own_arguments() {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  return {suite.argv + 1, suite.argv + suite.argc};
}

std::size_t depth() {
  const auto args = own_arguments();
  if (args.size() != 2 || args[0] != "depth") return default_depth;
  return std::min<std::size_t>(std::stoul(args[1]), deepest);
}

std::vector<pool_event> possible(const ruled_pool& p) {
  std::vector<pool_event> found;
  for (std::size_t e = 0; e < pool_events; ++e) {
    if (p.may(pool_event(e))) found.push_back(pool_event(e));
  }
  return found;
}

/// Goes through a sequence to its end; what can happen behind it, and in the same instant as its last event.
struct passage {
  std::vector<pool_event> next;
  std::vector<pool_event> at_once;

  passage(const ruled_pool::start& from, const sequence& events) {
    try {
      ruled_pool p(from);
      for (std::size_t i = 0; i < events.size(); ++i) {
        p.begin(events[i]);
        if (i + 1 == events.size()) at_once = possible(p);
        if (!events.joins(i + 1)) p.settle_all();
      }
      next = possible(p);
      p.end();
    } catch (const ruled_pool::broken& b) {
      std::ostringstream out;
      out << b.what << "; again with: -- " << from << ' ' << events;
      throw std::runtime_error(out.str());
    }
  }
};

struct numbers {
  /// Of each length, from 0.
  std::vector<std::size_t> sequences;
  std::size_t at_once = 0;
};

numbers go_through_all(const ruled_pool::start& from, std::size_t length) {
  numbers n;
  std::vector<sequence> now(1);
  for (std::size_t size = 0; size <= length; ++size) {
    std::vector<sequence> longer;
    for (const sequence& s : now) {
      const passage p(from, s);
      if (size == length) continue;
      for (const pool_event e : p.next) longer.push_back(s.then(e));
      if (size + 2 > length) continue;
      for (const pool_event e : p.at_once) passage(from, s.at_once(e));
      n.at_once += p.at_once.size();
    }
    n.sequences.push_back(now.size());
    now = std::move(longer);
  }
  return n;
}

/// The one on the command line.
void trace(const std::vector<std::string>& args) {
  const auto from = std::ranges::find_if(starts, [&](const auto& s) { return s.name == args[0]; });
  BOOST_REQUIRE_MESSAGE(from != std::end(starts), "there is no start " << args[0]);
  ruled_pool p(*from);
  std::cout << p << '\n';
  try {
    for (std::size_t i = 1; i < args.size(); ++i) {
      std::cout << args[i] << ": " << std::flush;
      std::istringstream at_once(args[i]);
      for (std::string name; std::getline(at_once, name, '+');) {
        const auto e = pool_event_of(name);
        BOOST_REQUIRE_MESSAGE(e && p.may(*e), name << " cannot happen");
        p.begin(*e);
      }
      p.settle_all();
      std::cout << p << '\n';
    }
    std::cout << "end: " << std::flush;
    p.end();
    std::cout << p << '\n';
  } catch (const ruled_pool::broken& b) {
    std::cout << p << '\n';
    BOOST_ERROR(b.what);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(every_sequence)

BOOST_DATA_TEST_CASE(keeps_all_rules_and_ends_well, boost::unit_test::data::make(starts), from) {
  const auto args = own_arguments();
  if (!args.empty() && args[0] != "depth") {
    if (args[0] == from.name) trace(args);
    return;
  }
  const auto begun = std::chrono::steady_clock::now();
  numbers n;
  try {
    n = go_through_all(from, depth());
  } catch (const std::runtime_error& e) {
    BOOST_FAIL(e.what());
  }
  BOOST_TEST(n.sequences.size() == depth() + 1);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  std::ostringstream out;
  for (std::size_t i = 1; i < n.sequences.size(); ++i) out << n.sequences[i] << " of " << i << ", ";
  BOOST_TEST_MESSAGE("from " << from << ", sequences of events: " << out.str() << "with the last two at once "
                             << n.at_once << "; in " << took.count() << " s");
}

BOOST_AUTO_TEST_SUITE_END()
