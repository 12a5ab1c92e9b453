// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/export.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// \namespace cocp::testing
/// For tests of programs that use cocp: a server that does as it is told, well or badly, and when it is told to.
///
/// `<cocp/testing.hpp>` is no part of `<cocp.hpp>`, and nothing of it is in the library: it is compiled where it is
/// included, which takes some seconds. Who includes it in many files defines `COCP_TESTING_SEPARATE_COMPILATION` for
/// all of them, and includes `<cocp/impl/scripted_server.hpp>` in one. It knows no test framework.
namespace cocp::testing {

/// What a session of a `scripted_server` does, one step after the other; it closes at the end of its script. A session
/// whose peer has gone ends early.
///
/// None reads further than it says: what else has come is there for the next step.
namespace step {

/// Reads these bytes. If others come, or the stream ends among them, that is a mismatch: see
/// `scripted_server::verify`. A stream that ends before the first of them ends the session, and is none. Behind a
/// mismatch the pool that is tested redials, and its `get` fails with a reset or a time-out: await `until_finished`
/// beside it, or catch that and `verify`.
struct expect {
  std::string bytes;  ///< Empty: nothing is read.
};
/// The peer ends its side, having sent no more. If anything comes, that is a mismatch.
struct expect_end {};
/// Reads and forgets so many bytes, or what comes until the peer ends its side.
struct receive {
  std::size_t bytes;  ///< How many.
};
/// Reads and forgets what comes, up to these bytes and with them; or until the peer ends its side.
struct receive_until {
  std::string bytes;  ///< As in "\r\n"; not empty.
};
/// Sends this, asked or not.
struct send {
  std::string bytes;  ///< Empty: nothing is sent.
};
/// Sends back what comes, until the peer ends its side or so many bytes were sent back.
struct echo {
  std::size_t bytes = std::numeric_limits<std::size_t>::max();  ///< How many.
};
/// As `echo`, but holds each answer until the test says `scripted_server::release`.
struct late_echo {};
/// Goes no further until the test says `scripted_server::release`.
struct hold {};
/// Reads nothing and answers nothing, until the test ends the session.
struct stall {};
/// Sends a FIN, and goes on: a half close.
struct shutdown_send {};
/// Ends the session with a FIN. What the peer sends later is answered with an RST, as every closed socket does.
struct close {};
/// Ends the session with an RST. As the first step it may come before the peer's connect has been told of. (A Unix
/// socket knows none: there it is as `close`.)
struct reset {};
struct repeat;

}  // namespace step

struct session_step;
/// As in `{step::expect{"PING\r\n"}, step::send{"+PONG\r\n"}}`, `{step::echo{10}, step::close{}}` for "closes after ten
/// bytes", or `{step::close{}}` for "accepts and closes".
using session_script = std::vector<session_step>;

/// Takes these steps again and again, each time that more has come; goes on when the peer has ended its side instead.
/// As in `step::repeat{{step::receive_until{"\r\n"}, step::send{"OK\r\n"}}}`, with two pairs of braces.
struct step::repeat {
  session_script steps;  ///< At least one of them reads something: else it would never end.
};

/// One of those in `step`.
struct session_step : std::variant<step::expect, step::expect_end, step::receive, step::receive_until, step::send,
                                   step::echo, step::late_echo, step::hold, step::stall, step::shutdown_send,
                                   step::close, step::reset, step::repeat> {
  using variant::variant;
};

/// What a `scripted_server` listens on.
enum class transport {
  tcp,         ///< A free port of 127.0.0.1.
  unix_socket  ///< A free name in Linux' abstract namespace (unix(7)).
};

/// What has come is not what a script expects. The text says in which session, at which step, what it expects and what
/// came.
class script_error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A server whose sessions do as they are told.
///
/// It runs on the test's own executor and listens when constructed. What the functions do to the network is done when
/// they return, except that sessions are accepted, and take their steps, only while the executor runs.
///
///     cocp::testing::scripted_server server(io.get_executor(), {step::expect{"PING\r\n"}, step::send{"+PONG\r\n"}});
///     cocp::pool pool(io, {.address = server.address(), .retry_min = 1ms, .retry_max = 1ms}, {.size = 1});
///     ...                          // in a coroutine: what is tested
///     co_await server.until_finished(1);
///     server.verify();             // throws what came instead, if it did
///
/// \par No test needs to sleep
/// What goes on at the server is waited for with the functions `until_...`, and what is to happen later is held
/// (`step::hold`, `step::late_echo`) until `release`. An outage is `stop_listening`, `reset_all` and, when it has
/// lasted long enough for the test, `listen_again`. What else takes real time is set by the options of the pool:
/// - `connection_options::retry_min` and `retry_max`: 1 ms, so that a pool is back at once; or, where no attempt is to
///   be made until the test says so, an hour and `pool::retry_now`.
/// - `connection_options::connect_timeout` and `connection::expires_after`: of some milliseconds where their end is
///   what is tested (`step::stall` as the server's script), and else of seconds, which a test that passes never waits
///   for.
/// - `pool_options::get_timeout`: of seconds, so that a test whose pool never gets a connection fails.
/// - `pool_options::fail_fast`: zero, to have the first failed attempt told at once.
/// - `pool_options::size`: 1, where the order of the sessions is to be that of `behave_once`; and `min_size` 0, where
///   none is to be opened before it is asked for.
/// - `pool_options::check_after`: zero, as it is by default. The end of an idle connection is then found by the next
///   `get`, without having to wait until the pool has noticed by itself.
/// - `pool_options::keepalive_interval`, `idle_timeout` and `max_lifetime`: of 1 ms where it is their effect that is
///   tested.
///
/// \par Lifetime
/// Destroyed before the execution context. Its destructor resets what is open and leaves no work behind but completions
/// that are due. Mismatches that nobody was told of (`verify`) it writes to `std::cerr`.
/// \par Thread safety
/// All of it may be called from any thread.
/// \par Exceptions
/// All may throw `std::bad_alloc`.
class scripted_server {
 public:
  /// `script` is that of all sessions for which `behave` and `behave_once` say nothing else.
  /// \throws boost::system::system_error Nothing is free to listen on, or there are too many descriptors.
  /// \throws std::invalid_argument A step of the script is not as it has to be: the text names it, and the rule.
  explicit scripted_server(boost::asio::any_io_executor ex, session_script script = {step::echo{}},
                           transport on = transport::tcp);
  ~scripted_server();
  scripted_server(const scripted_server&) = delete;
  scripted_server& operator=(const scripted_server&) = delete;

  /// For `connection_options::address`: "127.0.0.1:12345", or "unix:@name".
  std::string address() const;
  /// The same for other clients, of a server on TCP.
  /// \throws std::logic_error It is on a Unix socket.
  boost::asio::ip::tcp::endpoint endpoint() const;

  /// The script of the sessions accepted from now on.
  /// \throws std::invalid_argument As the constructor.
  void behave(session_script script);
  /// The script of one session, the next that has none yet; called again, of the one after it.
  /// \throws std::invalid_argument As the constructor.
  void behave_once(session_script script);

  /// Connects are refused from now on; those not accepted yet are reset. Sessions go on.
  void stop_listening();
  /// At the same address again.
  /// \throws boost::system::system_error There are too many descriptors.
  void listen_again();

  /// Lets `n` steps that hold go on, those that wait now first, in the order in which they came. What is over is for
  /// those that come later.
  void release(std::size_t n = 1);
  /// Sends this on every open session now, asked or not; what their sockets do not take is not sent.
  void push_all(std::string_view bytes);
  /// Ends every open session now: the FINs are on their way when this returns.
  void close_all();
  /// The same with RSTs; over Unix sockets as `close_all`.
  void reset_all();

  /// \name Counts
  /// @{
  std::size_t accepted() const;    ///< Sessions so far.
  std::size_t open() const;        ///< Sessions that have not ended.
  std::size_t ended() const;       ///< Sessions that have.
  std::size_t finished() const;    ///< Those that have at the end of their scripts: they came to its last step.
  std::size_t held() const;        ///< Sessions that wait for `release()`.
  std::uint64_t received() const;  ///< Bytes.
  std::uint64_t sent() const;      ///< Bytes.

  /// @}

  /// \name Waits
  /// For a count that is at least `n`, now or later, of the same name. They begin when they are awaited.
  /// \par Errors
  /// `script_error`, as `verify`, once there is a mismatch: so that the test does not wait in vain.
  /// `boost::asio::error::timed_out` when `limit` has passed; its text says how far each session has come. Not
  /// negative; it is for what has gone wrong, and a test that passes waits no longer than it must.
  /// `boost::asio::error::operation_aborted` when the server is destroyed.
  /// \par Cancellation
  /// That of the coroutine that awaits it.
  /// @{

  /// So many sessions were accepted.
  boost::asio::awaitable<void> until_accepted(std::size_t n, std::chrono::nanoseconds limit = std::chrono::seconds(10));
  /// So many have ended.
  boost::asio::awaitable<void> until_ended(std::size_t n, std::chrono::nanoseconds limit = std::chrono::seconds(10));
  /// So many have come to the end of their scripts.
  boost::asio::awaitable<void> until_finished(std::size_t n, std::chrono::nanoseconds limit = std::chrono::seconds(10));
  /// So many wait for `release`.
  boost::asio::awaitable<void> until_held(std::size_t n, std::chrono::nanoseconds limit = std::chrono::seconds(10));
  /// So many bytes were received.
  boost::asio::awaitable<void> until_received(std::uint64_t n,
                                              std::chrono::nanoseconds limit = std::chrono::seconds(10));
  /// @}

  /// Throws a `script_error` if in some session something else came than its script expects, whose text has all that
  /// was not told yet: each is told once, by this or by a wait. Such a session was reset at once, so that its peer does
  /// not wait for an answer.
  void verify();

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace cocp::testing

#if !defined(COCP_TESTING_SEPARATE_COMPILATION)
#include <cocp/impl/scripted_server.hpp>
#endif
