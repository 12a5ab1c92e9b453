// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "book.hpp"
#include "dice.hpp"

#include "support/fake_network.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>

namespace cocp::test::sim {

/// The servers behind all addresses: they answer each request with as many lines as it asks for, in the order of
/// asking, and have good and bad days.
class server {
 public:
  /// How they behave. All percentages are drawn for each connection, or each answer.
  struct manners {
    unsigned closes_at_once = 0;
    unsigned speaks_first = 0;
    /// How many connections there may be; more are closed at once.
    std::size_t most = static_cast<std::size_t>(-1);
    unsigned never_answers = 0;
    /// Ends, or resets, in the middle of an answer.
    unsigned breaks_off = 0;
    unsigned ends_after = 0;
    /// Sends something more.
    unsigned chatters = 0;
    /// Answers in pieces.
    unsigned in_pieces = 0;
    duration slowest{};
    /// Takes only so many bytes at a time, at intervals.
    unsigned takes_slowly = 0;
  };

  server(fake_network& net, book& b, std::uint64_t seed);
  ~server();

  manners how;

  /// Something happens to a connection, as far as there is one.
  void lose_one(dice& d);
  /// The connection of that number takes a part of what is written next, and has ended in the instant before.
  void lose_within_a_write(std::size_t number, dice& d);
  void push_one(dice& d);

 private:
  void accepted(fake_peer& p);
  void received(fake_peer& p);
  void answer(const std::shared_ptr<fake_peer>& p, const label& to);
  void send_later(const std::shared_ptr<fake_peer>& p, std::string bytes, duration d);
  void end_later(const std::shared_ptr<fake_peer>& p, bool reset, duration d);
  void take_more(const std::weak_ptr<fake_peer>& p, std::size_t times);
  std::shared_ptr<fake_peer> shared(const fake_peer& p) const;
  std::shared_ptr<fake_peer> any_open(dice& d) const;
  void forget_gone();

  void push(fake_peer& p);

  fake_network& net_;
  book& book_;
  dice dice_;
  /// Until when a stream has an answer on its way.
  std::map<std::size_t, duration> free_at_;
  /// Whose client has ended his side.
  std::set<std::size_t> halved_;
};

}  // namespace cocp::test::sim
