// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "book.hpp"

#include "support/fake_network.hpp"

#include <boost/asio/awaitable.hpp>
#include <cocp/connection.hpp>
#include <cocp/lease.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace cocp::test::sim {

class simulation;

/// The number of the peer that a connection of a numbered network has; 0 while it is down.
inline book::stream peer_of(const connection& c) {
  const auto at = c.remote_endpoint();
  return at.address().is_v4() ? at.address().to_v4().to_uint() : 0;
}

/// What is kept with a stream in a simulation: which it is of.
struct keepsake {
  keepsake() { ++alive; }
  ~keepsake() {
    --alive;
    of = 0;
  }
  keepsake(const keepsake&) = delete;
  keepsake& operator=(const keepsake&) = delete;

  static inline int alive = 0;
  book::stream of = 0;
};

/// What one who has a stream does with it, and what the rules make of that.
class usage {
 public:
  usage(simulation& s, connection& c, book::role who, bool strictly);
  /// Of a connection that stands alone.
  usage(simulation& s, connection& c);
  /// If it has not ended, nobody knows what was left on the stream.
  ~usage() { end(false, true); }
  usage(const usage&) = delete;
  usage& operator=(const usage&) = delete;

  /// One exchange, or something like it, drawn at random. Throws what the operations throw.
  boost::asio::awaitable<void> step(std::uint64_t seed);
  /// A request and its answer. `both`: at once.
  boost::asio::awaitable<void> exchange(std::uint64_t seed);
  /// The one half of it and the other, by two who know nothing of each other.
  boost::asio::awaitable<void> ask(std::uint64_t seed);
  boost::asio::awaitable<void> hear(std::uint64_t seed);
  /// Of `expires_after`; none: no limit.
  void limit_time(std::optional<duration> d);
  /// True if the last read has failed, and nothing else: then he may go on, and what he writes still goes to the same
  /// stream, if anywhere.
  bool goes_on_after_loss();
  /// Of a connection that stands alone: its stream was lost, and what was asked on it is answered nowhere.
  void forget();
  /// It cannot have another stream from now on, and nobody has this one after him.
  void detach();
  /// The end. `exception`: by one; `replaced`: it is given back for replacement.
  void end(bool exception, bool replaced);
  book::stream its_stream() const { return stream_; }
  /// A write has ended well on the stream that he has; and a read has brought something.
  bool has_sent() const { return sent_; }
  bool has_got() const { return got_; }
  bool has_ended() const { return ended_; }
  /// An answer, or the rest of a line, is on its way, and only its user knows of it.
  bool is_to_be_discarded() const;

 private:
  class operation;
  struct waiting;
  struct text {
    std::uint32_t request = 0;
    std::string bytes;
    std::uint32_t answers = 0;
  };

  boost::asio::awaitable<void> write(std::string bytes, std::size_t way);
  /// Until so many lines of answers were read in all, and what was pushed in between.
  boost::asio::awaitable<void> read(std::size_t enough, std::size_t way);
  boost::asio::awaitable<void> read_some_lines(std::size_t lines, std::size_t way);
  boost::asio::awaitable<void> read_one_line();
  boost::asio::awaitable<void> ready();
  boost::asio::awaitable<void> shutdown_send();
  /// A stream is his, from now on.
  void look_at_stream(bool is_new);
  /// What is kept with it is as he left it.
  void look_at_session() const;
  boost::asio::awaitable<void> pause(std::size_t how);
  /// Asio's parallel_group keeps its handler, and all that this owns, for ever where it runs out of memory.
  bool may_do_both() const;
  text draw_request(std::uint64_t seed, bool answered = true);
  void took(std::string_view bytes);
  const char* dirt() const;

  simulation& sim_;
  connection& conn_;
  book::stream stream_;
  book::holder holder_;
  bool started_ = false;
  bool failed_ = false;
  bool asked_ = false;
  bool write_failed_ = false;
  bool is_lost_ = false;
  bool halved_ = false;
  bool detached_ = false;
  bool sent_ = false;
  bool got_ = false;
  /// What is kept with his stream; null if that was down when he came, or if his connection stands alone.
  keepsake* kept_ = nullptr;
  unsigned outstanding_ = 0;
  bool ended_ = false;
  /// Lines of answers that were asked for, and read, on this stream.
  std::size_t owed_ = 0;
  std::size_t answered_ = 0;
  /// What was read of a line.
  std::string rest_;
};

/// A lease with what its user does.
struct tenure {
  tenure(simulation& s, lease l, bool strictly);
  ~tenure();
  tenure(const tenure&) = delete;
  tenure& operator=(const tenure&) = delete;

  /// Keeps the connection, and leaves its place in the pool.
  void detach();
  void put();
  void discard();

  lease held;
  usage use;
  simulation& sim;

 private:
  /// Before it is given back.
  void end(bool exception, bool replaced);

  bool detached_ = false;
};

}  // namespace cocp::test::sim
