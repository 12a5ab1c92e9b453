// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace cocp::test {

/// What a session of a `scripted_server` does, one step after the other; it closes at the end of its script. A session
/// whose peer has gone ends early.
namespace step {

/// Sends back what comes, until the peer ends its side or `bytes` were sent back.
struct echo {
  std::size_t bytes = std::numeric_limits<std::size_t>::max();
};
/// As `echo`, but holds each answer until the test says `release()`.
struct late_echo {};
/// Reads and forgets so many bytes.
struct receive {
  std::size_t bytes;
};
/// Sends this, asked or not.
struct send {
  std::string bytes;
};
/// Goes no further until the test says `release()`.
struct hold {};
/// Reads nothing and answers nothing, until the test ends it.
struct stall {};
/// Ends the session with a FIN. What the peer sends later is answered with an RST, as every closed socket does.
struct close {};
/// Ends the session with an RST. As the first step it may come before the peer's connect has been told of.
struct reset {};

}  // namespace step

using session_step = std::variant<step::echo, step::late_echo, step::receive, step::send, step::hold, step::stall,
                                  step::close, step::reset>;
/// As in `{step::echo{10}, step::close{}}` for "closes after ten bytes", or `{step::close{}}` for "accepts and closes".
using session_script = std::vector<session_step>;

/// A TCP server on a free port of 127.0.0.1 whose sessions do as they are told.
///
/// It runs on the test's own executor and listens when constructed. What the functions do to the network is done when
/// they return, except that sessions are accepted, and take their steps, only while the executor runs.
/// \par Lifetime
/// Destroyed before the execution context. Its destructor resets what is open and leaves no work behind but completions
/// that are due.
/// \par Thread safety
/// All of it may be called from any thread.
class scripted_server {
 public:
  explicit scripted_server(boost::asio::any_io_executor ex, session_script script = {step::echo{}});
  ~scripted_server();
  scripted_server(const scripted_server&) = delete;
  scripted_server& operator=(const scripted_server&) = delete;

  boost::asio::ip::tcp::endpoint endpoint() const;
  /// As in "127.0.0.1:12345".
  std::string address() const;

  /// The script of the sessions accepted from now on.
  void behave(session_script script);
  /// The script of one session, the next that has none yet; called again, of the one after it.
  void behave_once(session_script script);

  /// Connects are refused from now on; those not accepted yet are reset. Sessions go on.
  void stop_listening();
  /// The same port again.
  void listen_again();

  /// Lets `n` steps that hold go on, those that wait now first, in the order in which they came.
  void release(std::size_t n = 1);
  /// Sends this on every open session now, asked or not.
  void push_all(std::string_view bytes);
  /// Ends every open session now: the FINs are on their way when this returns.
  void close_all();
  /// The same with RSTs.
  void reset_all();

  /// \name Counts
  /// @{
  std::size_t accepted() const;    ///< Sessions so far.
  std::size_t open() const;        ///< Sessions that have not ended.
  std::size_t held() const;        ///< Sessions that wait for `release()`.
  std::uint64_t received() const;  ///< Bytes.
  std::uint64_t sent() const;      ///< Bytes.
                                   /// @}

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace cocp::test
