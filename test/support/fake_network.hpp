// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/environment.hpp"

namespace cocp::test {

namespace asio = boost::asio;

/// The far end of a stream of the fake network.
class fake_peer {
 public:
  /// Its place in `fake_network::peers` when it was accepted, from 1.
  std::size_t number = 0;
  /// What the client has sent.
  std::string received;
  /// The address at which it was reached, as in "10.0.0.1:7".
  std::string at;
  /// True when the client has closed its end, or shut it down.
  bool gone = false;
  /// True when the client has ended its side; it may read on.
  bool halved = false;

  void send(std::string_view bytes);
  /// The client reads what was sent, then an end.
  void fin();
  /// The client reads what was sent, and then its operations fail with `connection_reset` (what is queued on a socket
  /// stays readable).
  void reset();
  /// The client reads what was sent, then fails with `ec`.
  void end_with(error_code ec);
  /// Writes of the client do not complete any more, but for the first `bytes`; a write takes what is left of them.
  void stall(std::size_t bytes = 0) { window = bytes; }
  /// They do again, for so many bytes.
  void take(std::size_t bytes);
  /// The write that is outstanding, or else the next one, fails.
  void fail_write(error_code ec);

  // For the stream.
  std::string inbox;
  error_code end;
  error_code write_failure;
  std::optional<std::size_t> window;
  std::function<void()> changed;
};

/// A network and a clock that do only what the test says: put under all that is made on an `io_context` afterwards.
/// Connects succeed at once unless told otherwise; answers to reads, writes and timers come through the context, as
/// from real ones. One thread.
class fake_network final : public detail::environment, public std::enable_shared_from_this<fake_network> {
 public:
  enum class connect_result { accepted, refused, hangs, busy };

  /// Makes one and installs it. `seed` is that of the delays' randomness.
  static std::shared_ptr<fake_network> install(asio::io_context& io, std::uint64_t seed = 1);

  /// \name What connects do
  /// @{
  connect_result default_result = connect_result::accepted;
  /// For the next attempts, before the default.
  std::deque<connect_result> next_results;
  /// For attempts at certain addresses, before all others.
  std::map<std::string, connect_result> results_at;
  /// What names mean, as addresses in order; those that are not here mean 127.0.0.1.
  std::map<std::string, std::vector<std::string>> names;
  /// How long a connect takes; none: it succeeds or is refused at once.
  std::function<duration()> connect_latency;
  /// A stream says that its remote endpoint is the number of its peer, as an address, so that streams can be told
  /// apart.
  bool numbered = false;
  /// No look-up is answered.
  bool lookups_hang = false;
  /// Called when an attempt has begun, the last of `attempts`.
  std::function<void()> on_attempt;
  /// Nobody knows any name.
  bool lookups_fail = false;
  /// Called with each peer when it was accepted.
  std::function<void(fake_peer&)> on_accept;
  /// Called with each peer when bytes have reached it.
  std::function<void(fake_peer&)> on_receive;
  /// Called before each peek at a stream.
  std::function<void()> on_peek;
  /// Called when somebody has begun to wait until a stream is readable: what runs handlers here is as quick as another
  /// thread can be.
  std::function<void()> on_watch;
  /// How far each look at the clock moves it.
  duration look_takes{};
  /// @}

  /// \name What happened
  /// @{
  /// The names that were looked up.
  std::vector<std::string> lookups;
  /// Where each attempt went.
  std::vector<std::string> attempted;
  /// When each attempt began, counted from the start.
  std::vector<duration> attempts;
  std::vector<std::shared_ptr<fake_peer>> peers;
  /// The peers that are still connected.
  std::size_t open() const;
  /// How often a stream was looked at.
  unsigned looks = 0;
  /// Streams that were destroyed while somebody read or wrote.
  unsigned destroyed_in_use = 0;
  /// Streams that have begun to connect and were not destroyed yet.
  std::size_t sockets = 0;
  /// Those of them that have not connected yet.
  std::size_t connecting = 0;
  /// The executors that were made to run one thing at a time: one for each connection.
  std::size_t strands = 0;
  /// @}

  /// The attempts that hang, in the order in which they began, by their place in `attempts`, from 1.
  std::vector<std::size_t> hanging() const;
  /// Answers the first of them.
  void answer(connect_result result);

  /// Calls it when the clock has moved so far. It starts nothing that waits for an answer of its own.
  void after(duration d, std::function<void()> what);

  /// How long it has run.
  duration elapsed() const { return now_ - start_; }
  /// Moves the clock and makes due timers go off. Runs no handler.
  void move(duration d);
  /// The time of the next timer, or of what is to be called; none if there is none, or all are set to never.
  std::optional<detail::time_point> next_timer() const;

  detail::time_point now() const noexcept override { return std::exchange(now_, now_ + look_takes); }
  std::uint64_t random() noexcept override { return random_(); }
  std::unique_ptr<detail::timer> make_timer(const asio::any_io_executor& ex) override;
  asio::any_io_executor make_serial(const asio::any_io_executor& ex) override;
  std::unique_ptr<detail::stream> make_stream(const asio::any_io_executor& ex, const connection_options& options,
                                              const detail::destination& to) override;
  /// For "unanswered" no answer comes.
  void async_resolve(const asio::any_io_executor& ex, std::string host, std::string service,
                     detail::resolve_handler handler) override;

 private:
  class timer;
  class stream;
  explicit fake_network(std::uint64_t seed) : random_(seed) {}

  const detail::time_point start_{std::chrono::hours(1)};
  mutable detail::time_point now_ = start_;
  std::mt19937_64 random_;
  std::size_t accepted_ = 0;
  /// Streams whose attempt was not answered at once, by its number.
  std::map<std::size_t, stream*> unanswered_;
  std::multimap<detail::time_point, timer*> timers_;
  std::multimap<detail::time_point, std::function<void()>> calls_;
};

}  // namespace cocp::test
