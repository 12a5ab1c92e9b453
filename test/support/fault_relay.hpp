// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace cocp::test {

/// What befalls what goes one way through a `fault_relay`. All of it composes.
struct way_faults {
  /// Each piece comes so much later,
  std::chrono::nanoseconds latency{};
  /// and up to this later still, as is drawn for each. The order stays.
  std::chrono::nanoseconds jitter{};
  /// Bytes per second.
  std::optional<std::uint64_t> bandwidth{};
  /// Nothing comes through, an end of file neither. What was sent meanwhile comes when it is over.
  bool stalled = false;
  /// An end of file comes so much later than it would.
  std::chrono::nanoseconds late_close{};
  /// The share of pieces that reset the connection, and do not come through. A piece is what was read at once: of the
  /// way to the server nearly always a request, of the other one an answer.
  double resets = 0;
};

/// What becomes of a connect.
enum class arrival {
  served,
  /// By an RST: nobody listens.
  refused,
  /// It hangs: nobody accepts, and the backlog is full, so that Linux drops the SYN (listen(2)).
  ignored,
};

struct relay_faults {
  arrival connects = arrival::served;
  /// The share of connections that are reset as soon as they are accepted.
  double resets = 0;
  /// A connection is reset when so many bytes have come through it, both ways together.
  std::optional<std::size_t> reset_after{};
  way_faults to_server{};
  way_faults to_client{};

  /// The same both ways.
  static relay_faults both_ways(const way_faults& w) { return {.to_server = w, .to_client = w}; }
  /// Connects succeed, and nothing moves.
  static relay_faults black_hole() { return both_ways({.stalled = true}); }
};

/// A bad network in front of a stream server: a listener on a port of 127.0.0.1 that passes on what comes, with faults
/// that can be changed while it runs.
///
/// New faults are for all connections, and for what is under way on them. Resets are real: an RST, behind which the
/// peer can still read what came before. It is a network that loses no bytes but by a reset, as TCP is.
/// \par Lifetime
/// Destroyed before the execution context. Its destructor resets what is open, and leaves no work behind but
/// completions that are due.
/// \par Thread safety
/// All of it may be called from any thread. What it does to connects is done when it returns; what it does to
/// connections is done on the executor.
class fault_relay {
 public:
  /// `server` is where it connects to for each connection, as in `server.endpoint()`, or one of
  /// `asio::local::stream_protocol`. All that is drawn is drawn from `seed`.
  /// \throws boost::system::system_error
  fault_relay(boost::asio::any_io_executor ex, boost::asio::generic::stream_protocol::endpoint server,
              relay_faults faults = {}, std::uint64_t seed = 1);
  ~fault_relay();
  fault_relay(const fault_relay&) = delete;
  fault_relay& operator=(const fault_relay&) = delete;

  boost::asio::ip::tcp::endpoint endpoint() const;
  /// As in "127.0.0.1:12345".
  std::string address() const;

  /// \throws boost::system::system_error if it does not listen any more
  void set(const relay_faults& faults);
  relay_faults faults() const;
  /// Both ways are stalled for so long from now on, whatever the faults say. It ends by itself.
  void stall_for(std::chrono::nanoseconds time);
  /// Ends every open connection by an RST.
  void reset_all();
  /// Ends every open connection by a FIN to both sides; what is under way is lost.
  void close_all();

  /// Of all connections so far.
  struct counts {
    std::size_t accepted = 0;
    std::size_t open = 0;
    /// Ended by an RST that was drawn, or is for `reset_after`.
    std::size_t reset = 0;
    /// Bytes that have come through.
    std::uint64_t to_server = 0;
    std::uint64_t to_client = 0;
  };
  counts seen() const;

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace cocp::test
