// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/event.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <optional>
#include <string>

namespace boost::asio::ssl {
class context;
}

namespace cocp {

class connection;

/// Prepares a connection for use, as a protocol's greeting or log-in does. An exception that leaves it means that
/// the connection is not usable; what it says is told to the logger, and by the errors of `pool::get`.
/// \par Lifetime
/// The connection is valid only during the call.
/// \par Cancellation
/// When the time for it is up, or the pool is closed, what it waits on is cancelled (`terminal`) and its connection
/// ends; it must then end too.
using handshake = std::function<boost::asio::awaitable<void>(connection&)>;

/// How to talk TLS (OpenSSL, through Asio). Needs `<boost/asio/ssl/context.hpp>`, which `<cocp/tls.hpp>` includes.
/// \par Sessions
/// A handshake that takes up a former session looks at no certificate: not at its dates, nor whether it was revoked,
/// nor at what the context trusts by now, and a callback of the context for verification is not called. So a session is
/// kept until the earliest end (`notAfter`) of the chain that it was made with, however often it is renewed, and until
/// `pool::readdress`. Where each connection is to be verified anew, turn resumption off: with
/// `SSL_CTX_set_session_cache_mode(context.native_handle(), SSL_SESS_CACHE_OFF)`, or
/// `context.set_options(SSL_OP_NO_TICKET)`.
struct tls_options {
  /// Protocol versions, certificates, authorities; not null. Must live until the last stream that was made with it is
  /// gone: it is safe to have it die after the execution context. Its callbacks must not throw, which ends the program,
  /// nor use the connection that they are called for. A server that has TLS 1.2 agree anew must not have data on the
  /// way while the program writes: OpenSSL then fails the connection ("unexpected record").
  boost::asio::ssl::context* context = nullptr;

  /// What the server's certificate must name, and what the server is told (server name indication, RFC 6066, for names;
  /// not for IP addresses). Empty: the host of the address; not ".".
  std::string server_name{};

  /// False: any certificate of any server will do. Whoever is on the way can then read and change everything.
  bool verify = true;

  /// Talks on the plain stream before TLS begins on it: STARTTLS, PostgreSQL's SSLRequest, a PROXY header. It is a part
  /// of the attempt, within `connect_timeout`; when it throws, the attempt has failed. It has to read all that the peer
  /// says: bytes that are left unread fail the attempt with `errc::unsolicited_data`, whatever
  /// `pool_options::allow_unread` says, since whoever is on the way can have put them there, to be taken for what came
  /// under TLS. What has come into its own buffer behind the answer, as `read_until` may bring it, it must look for
  /// itself.
  handshake before{};
};

/// How to reach the endpoint. In every optional duration `std::nullopt` means off or no limit.
/// \par Exceptions
/// The constructors that take it throw `std::invalid_argument`, naming field, value and rule, when a field is outside
/// its range.
struct connection_options {
  /// `host:port`, `host:service`, `[v6]:port`, `unix:/path`, or `unix:@name` for a name in Linux' abstract namespace
  /// (unix(7)). A numeric host is never looked up; a name is on every attempt, and the addresses found are raced
  /// (RFC 8305), those that have failed behind the others. On an `io_context` without locks
  /// (`BOOST_ASIO_CONCURRENCY_HINT_UNSAFE`) only numeric hosts and Unix sockets work; attempts at a name fail with
  /// `boost::asio::error::operation_not_supported`, as Asio's resolver does.
  std::string address{};

  /// What events as text (`operator<<`, `log_to`), metrics and the texts of errors call the endpoint, whatever
  /// `pool::readdress` makes of its address. Any text; empty: the current address.
  std::string name{};

  /// The limit of one whole attempt: name lookup, connect, TLS and `on_connect`; and of each hook of a pool. More than
  /// zero. Without it, an attempt or a hook whose peer never answers holds its place for ever.
  std::optional<duration> connect_timeout = std::chrono::seconds(5);

  /// The delay before attempt n+1 is uniform in [c/2, c], c = min(retry_max, retry_min * 2^(n-1)).
  /// More than zero.
  duration retry_min = std::chrono::milliseconds(100);
  /// What that delay grows to. Not less than `retry_min`.
  duration retry_max = std::chrono::seconds(5);

  /// Run after each connect, before anyone may use the connection. When it throws, the attempt has failed. The
  /// connection that it is given works while all other users of the stream still wait.
  handshake on_connect{};

  /// Last words, as a protocol's QUIT: run on a connection that is up, clean and unused and is about to be closed on
  /// purpose, by `close` or a destructor, `drain`, `resize`, `idle_timeout`, `max_lifetime`, `renew` or `readdress`; of
  /// one that stands alone, by its `close` or destructor. Not on one that is dirty, lost, in use, or has something
  /// unread. It has 1 s; then, and when it returns or throws, the connection is closed. What it throws is told to
  /// nobody.
  ///
  /// Users find the connection down from the beginning of it, and it is not redialled before the end. It is work on the
  /// executor, so a context runs for so much longer after `close`. A lease that comes back to a closed pool has its
  /// last words too; where nothing runs the executor any more, that connection closes when its context is destroyed.
  handshake on_close{};

  /// Told of each connect, failed attempt and loss once.
  cocp::logger logger{};

  /// TCP_NODELAY (tcp(7)): send small writes at once.
  bool no_delay = true;

  /// The idle time before the kernel probes the peer (TCP_KEEPIDLE, tcp(7)); rounded up to whole seconds.
  /// 1 s to 32,767 s.
  std::optional<duration> tcp_keepalive = std::chrono::seconds(30);

  /// Sent data that stays unacknowledged for longer fails the connection (TCP_USER_TIMEOUT, tcp(7), RFC 5482); rounded
  /// up to whole milliseconds. 1 ms to 2^31-1 ms.
  ///
  /// So does data that the peer does not take: one that is alive, and reads nothing for longer while its buffer is
  /// full, loses the connection too. Where a peer may rightly be that slow, have a longer time, or none. And it takes
  /// the place of what the kernel has for keep-alive: an idle connection without an answer fails after this time, once
  /// it was probed.
  std::optional<duration> tcp_user_timeout = std::chrono::seconds(30);

  /// Talk TLS. Sessions are resumed across all connections to the address, and across reconnects (see `tls_options`).
  std::optional<tls_options> tls{};
};

/// Asks a pool to remember who holds each lease (see `pool::leases`).
struct lease_report {
  /// A lease held for longer is told to the logger once, and once more when it comes back, unless the pool is closed by
  /// then. More than zero.
  duration held_longer_than = std::chrono::minutes(1);
};

/// How many connections, and who may have them. In every optional duration `std::nullopt` means never or no limit.
/// \par Exceptions
/// The constructor of `pool` throws `std::invalid_argument`, naming field, value and rule, when a field is outside its
/// range.
struct pool_options {
  /// The most connections; not zero.
  std::size_t size = 5;

  /// Connections kept open when nobody asks; the rest open when somebody asks whom those on their way do not cover.
  /// Not more than `size`; `std::nullopt`: `size`, whatever `pool::resize` makes of it.
  std::optional<std::size_t> min_size{};

  /// A connection above `min_size` that was not leased for longer is closed. More than zero.
  std::optional<duration> idle_timeout = std::chrono::minutes(10);

  /// A connection older than this, less a random part of up to a quarter that is drawn once per connection, is
  /// redialled in its own place once nobody uses it or waits for one; a wait holds that up for at most a quarter of
  /// this time. At most max(1, `size` / 10) places at a time, those included whose redial has not succeeded yet. More
  /// than zero.
  std::optional<duration> max_lifetime{};

  /// The longest wait in `get()`. Zero: do not wait at all. Not negative.
  std::optional<duration> get_timeout = std::chrono::seconds(30);

  /// A `get` that would have to wait behind this many fails at once with `errc::overloaded`. It is a wish for a
  /// connection all the same, as every `get`, `try_get` and `ready` is that finds none: one more is opened if fewer are
  /// on their way than would wait, and stays as long as others do (see `idle_timeout`). Of several reasons to refuse,
  /// the first of these is told: the pool is closed, the limit is zero, `fail_fast`, `max_waiting`.
  std::size_t max_waiting = std::numeric_limits<std::size_t>::max();

  /// When attempts have failed for this long, counted from the first that failed after a connection was last up,
  /// `get()` fails at once with the last connect error instead of waiting, and so do those already waiting. Zero: with
  /// the first failed attempt. The time starts anew when no connection is wanted any more: with `min_size` 0, when
  /// nobody has asked for `idle_timeout`. A `get()` that fails so is a wish all the same (see `max_waiting`). Not
  /// negative.
  std::optional<duration> fail_fast{};

  /// A connection idle at least this long is verified (one non-blocking peek) before it is given out. Zero: always.
  /// Not negative. Whatever this says, a connection on which a lease did I/O is checked once before the next lease.
  duration check_after{};

  /// True for protocols whose server may speak first or push: unread bytes do not make a connection dirty. Nor do they
  /// hide an end that came behind them: it is looked for at each check, and once a second. (With TLS, the end of the
  /// socket: a close_notify is only seen by who reads that far.)
  bool allow_unread = false;

  /// True for protocols without answers (syslog, statsd): a lease may end with a write after which nothing was read. If
  /// false, that has its connection replaced: an answer may be on its way, which the next user would take for his own.
  /// For single writes that have no answer there is `connection::no_answer`. `keepalive` need not wait for its answer,
  /// `on_return` must.
  bool one_way = false;

  /// False: a lease that started an operation and is destroyed while an exception propagates has its connection
  /// replaced, not reused.
  bool keep_on_exception = false;

  /// Run on a connection that was put back, before the next lease, to bring it into a known state. When it throws, or
  /// takes longer than `connect_timeout`, the connection is replaced. Others are leased meanwhile.
  handshake on_return{};

  /// Run on a connection that was idle for `keepalive_interval` since its last lease or keepalive, as a protocol's ping
  /// is; on at most half of the connections at a time. When it throws, or takes longer than `connect_timeout`, the
  /// connection is replaced.
  handshake keepalive{};
  /// See `keepalive`. More than zero.
  duration keepalive_interval = std::chrono::seconds(30);

  /// The most dials at once. Not zero.
  std::size_t max_dialling = 16;

  /// Remember who holds each lease. Costs a look at the clock for each lease.
  std::optional<cocp::lease_report> report_leases{};
};

/// Which requests `pool::run` may repeat on another connection, once the stream that they were on is lost.
enum class retry {
  never,   ///< None.
  unsent,  ///< Those of which no write has reported a byte: nobody can have seen them.
  /// Those besides of which nothing was read, on a stream that had served a lease before: most likely the peer had
  /// closed it by then. Only for requests that may be repeated (RFC 9110, 9.2.2). A request on a kept-alive connection
  /// that has gone stale was normally *sent*: this is what an HTTP GET wants.
  unanswered
};

/// How `pool::run` tries.
struct run_options {
  /// Of all tries together, waiting and the operations on the connection included; `expires_after` can only shorten it.
  /// Not negative; zero: only a connection that is idle. Without it `pool_options::get_timeout` bounds each wait.
  std::optional<duration> timeout{};
  /// Which requests may be repeated.
  retry again = retry::unsent;
  /// How many at most. Not zero.
  unsigned tries = 3;
};

}  // namespace cocp
