// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/impl/reserved_port.hpp>
#include <cocp/testing.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <iostream>
#include <list>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <utility>

#if defined(COCP_TESTING_SEPARATE_COMPILATION)
#define COCP_TESTING_DECL
#else
#define COCP_TESTING_DECL inline
#endif

/// What `scripted_server` is made of.
namespace cocp::testing::detail {

namespace asio = boost::asio;
using asio::generic::stream_protocol;
using asio::ip::tcp;
using boost::system::error_code;

/// Sends a FIN, and ends a read that waits. For a socket that another thread may be using.
inline void send_fin(int descriptor) { ::shutdown(descriptor, SHUT_RDWR); }

/// Sends an RST, and ends whatever waits on the socket, without closing it (connect(2): AF_UNSPEC dissolves the
/// association; Linux tells the peer of an established one by an RST). For a socket that another thread may be using;
/// ThreadSanitizer does not believe it of connect(), hence the call by number. A Unix socket knows none.
inline void send_rst(int descriptor) {
  const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
  if (::syscall(SYS_connect, descriptor, &nobody, sizeof nobody) != 0) send_fin(descriptor);
}

/// close(2) with unread bytes sends an RST instead of a FIN.
inline void close_with_fin(stream_protocol::socket& socket) {
  error_code ignored;
  socket.shutdown(asio::socket_base::shutdown_both, ignored);
  socket.non_blocking(true, ignored);
  std::array<char, 4096> unread;
  while (socket.read_some(asio::buffer(unread), ignored) > 0) {
  }
  socket.close(ignored);
}

inline void close_with_rst(stream_protocol::socket& socket) {
  error_code ignored;
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

/// As in a source of C++, and no longer than can be read.
inline std::string as_literal(std::string_view bytes) {
  constexpr std::size_t most = 200;
  constexpr char digits[] = "0123456789abcdef";
  std::string text = "\"";
  for (const char c : bytes.substr(0, most)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\r') text += "\\r";
    if (c == '\n') text += "\\n";
    if (c == '"' || c == '\\') text += '\\';
    if (byte >= 0x20 && byte < 0x7f) text += c;
    if ((byte < 0x20 && c != '\r' && c != '\n') || byte >= 0x7f)
      ((text += "\\x") += digits[byte / 16]) += digits[byte % 16];
  }
  return text + (bytes.size() > most ? "\"... (" + std::to_string(bytes.size()) + " bytes)" : "\"");
}

inline std::string describe(const session_step& step) {
  if (const auto* expect = std::get_if<step::expect>(&step)) return "expect " + as_literal(expect->bytes);
  if (const auto* receive = std::get_if<step::receive>(&step)) return "receive " + std::to_string(receive->bytes);
  if (const auto* until = std::get_if<step::receive_until>(&step)) return "receive_until " + as_literal(until->bytes);
  if (const auto* send = std::get_if<step::send>(&step)) return "send " + as_literal(send->bytes);
  constexpr std::array names{"expect", "expect_end", "receive",       "receive_until", "send",  "echo",  "late_echo",
                             "hold",   "stall",      "shutdown_send", "close",         "reset", "repeat"};
  static_assert(names.size() == std::variant_size_v<session_step::variant>);
  return names[step.index()];
}

/// It takes no time: what is made of such steps alone is made at once, again and again.
inline bool is_instant(const session_step& step) {
  if (const auto* expect = std::get_if<step::expect>(&step)) return expect->bytes.empty();
  if (const auto* receive = std::get_if<step::receive>(&step)) return receive->bytes == 0;
  if (const auto* echo = std::get_if<step::echo>(&step)) return echo->bytes == 0;
  return std::holds_alternative<step::send>(step) || std::holds_alternative<step::shutdown_send>(step);
}

/// Throws if the script cannot be followed.
inline void check(const session_script& script) {
  for (const session_step& step : script) {
    if (const auto* until = std::get_if<step::receive_until>(&step); until && until->bytes.empty()) {
      throw std::invalid_argument("receive_until.bytes: \"\": must not be empty");
    }
    const auto* repeat = std::get_if<step::repeat>(&step);
    if (!repeat) continue;
    if (std::all_of(repeat->steps.begin(), repeat->steps.end(), is_instant)) {
      throw std::invalid_argument("repeat.steps: " + std::to_string(repeat->steps.size()) +
                                  " of them: must read something");
    }
    check(repeat->steps);
  }
}

/// Where a server listens: the address is its own for as long as this lives.
class listening_place {
 public:
  explicit listening_place(transport on) {
    if (on == transport::tcp) {
      port_.emplace();
    } else {
      // Nothing holds a name whose socket is closed, but nobody else comes upon one like this.
      std::random_device random;
      name_ = "cocp-" + std::to_string(::getpid()) + '-' + std::to_string(random()) + std::to_string(random());
    }
  }

  std::string address() const { return port_ ? port_->address() : "unix:@" + name_; }
  stream_protocol::endpoint endpoint() const {
    if (port_) return port_->endpoint();
    return asio::local::stream_protocol::endpoint('\0' + name_);
  }
  tcp::endpoint tcp_endpoint() const {
    if (!port_) throw std::logic_error("this scripted_server is on a Unix socket");
    return port_->endpoint();
  }

 private:
  std::optional<cocp::detail::reserved_port> port_;
  std::string name_;
};

struct session {
  session(stream_protocol::socket s, std::size_t n) : number(n), socket(std::move(s)), gate(socket.get_executor()) {}

  const std::size_t number;  // from 1

  // Used by the session's coroutine alone, except that others may make system calls on its descriptor while the
  // session is listed and they hold the mutex.
  stream_protocol::socket socket;

  // Guarded by the server's mutex. A wait on `gate` is pending or about to complete while `waiting`.
  asio::steady_timer gate;
  bool waiting = false;
  bool wants_permit = false;
  bool ended = false;
  // Where it is: the number of a step, from 1, and within a `repeat` that of one of its steps, and so on; that step;
  // and what has come of what it expects.
  std::vector<std::size_t> place;
  const session_step* now = nullptr;
  std::string came;

  std::string whereabouts() const {
    std::string text = "session " + std::to_string(number);
    const char* before = ", step ";
    for (const std::size_t n : place) text += std::exchange(before, ".") + std::to_string(n);
    return text + (now ? ", " + describe(*now) : "");
  }
};

/// How a step ends.
enum class outcome {
  done,     // with the next
  left,     // early: the session is over, since its peer has gone or it was ended
  finished  // as the script wants it
};

/// What a wait can be for.
enum class counter { accepted, ended, finished, held, received };

}  // namespace cocp::testing::detail

namespace cocp::testing {

struct scripted_server::state : std::enable_shared_from_this<state> {
  using session = detail::session;
  using outcome = detail::outcome;
  using counter = detail::counter;
  using error_code = boost::system::error_code;
  using session_ref = std::list<session>::iterator;

  state(boost::asio::any_io_executor e, session_script s, transport on)
      : ex(std::move(e)), place(on), acceptor(ex), script(std::move(s)) {}

  const boost::asio::any_io_executor ex;
  const detail::listening_place place;

  /// Somebody who waits; in the list of those from beginning to end.
  struct watcher {
    watcher(state& owner, counter w, std::uint64_t n) : of(owner), what(w), least(n), timer(owner.ex) {
      std::lock_guard lock(of.mutex);
      self = of.watchers.insert(of.watchers.end(), this);
    }
    ~watcher() {
      std::lock_guard lock(of.mutex);
      of.watchers.erase(self);
    }
    watcher(const watcher&) = delete;
    watcher& operator=(const watcher&) = delete;

    state& of;
    const counter what;
    const std::uint64_t least;
    // Guarded by the mutex of the server.
    boost::asio::steady_timer timer;
    bool due = false;
    // The count was that high, be it lower by now.
    bool reached = false;
    std::list<watcher*>::iterator self;
  };

  mutable std::mutex mutex;
  // All below is guarded by `mutex`.
  boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol> acceptor;
  session_script script;
  std::deque<session_script> scripts_once;
  std::list<session> sessions;  // open ones, in the order of their acceptance
  std::deque<session*> holding;
  std::list<watcher*> watchers;
  std::size_t permits = 0;
  unsigned times_listened = 0;
  std::size_t accepted = 0;
  std::size_t ended = 0;
  std::size_t finished = 0;
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
  std::vector<std::string> mismatches;  // that nobody was told of, the first of them
  std::size_t more_mismatches = 0;      // a pool redials after each, soon
  std::string last_left;                // where the last session was that ended early
  bool is_gone = false;

  void listen() {
    std::lock_guard lock(mutex);
    if (acceptor.is_open()) return;
    const auto endpoint = place.endpoint();
    acceptor.open(endpoint.protocol());
    acceptor.set_option(boost::asio::socket_base::reuse_address(true));
    acceptor.bind(endpoint);
    acceptor.listen();
    ++times_listened;
    accept();
  }

  void stop_listening() {
    std::lock_guard lock(mutex);
    if (!acceptor.is_open()) return;
    // Closing alone leaves it listening while another thread is in accept(2).
    ::shutdown(acceptor.native_handle(), SHUT_RDWR);
    error_code ignored;
    acceptor.close(ignored);
  }

  // Needs the mutex. An acceptor that was opened again has an accept of its own.
  void accept() {
    acceptor.async_accept([self = shared_from_this(), mine = times_listened](
                              error_code ec, boost::asio::generic::stream_protocol::socket socket) {
      const auto listens = [&self, mine] { return self->acceptor.is_open() && self->times_listened == mine; };
      if (!ec) {
        std::unique_lock lock(self->mutex);
        if (!listens()) {
          // It was taken from the backlog before: one that was not accepted yet.
          detail::send_rst(socket.native_handle());
          return;
        }
        // Under the same lock: who stops listening finds it among the sessions.
        self->begin(std::move(socket), std::move(lock));
      }
      std::lock_guard lock(self->mutex);
      if (listens()) self->accept();
    });
  }

  void begin(boost::asio::generic::stream_protocol::socket socket, std::unique_lock<std::mutex> lock) {
    ++accepted;
    error_code ignored;
    // Else a push may wait for the peer to acknowledge an answer.
    socket.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
    session_script steps = script;
    if (!scripts_once.empty()) {
      steps = std::move(scripts_once.front());
      scripts_once.pop_front();
    }
    const session_ref s = sessions.emplace(sessions.end(), std::move(socket), accepted);
    tell();
    lock.unlock();
    boost::asio::co_spawn(ex, run(shared_from_this(), s, std::move(steps)), boost::asio::detached);
  }

  static boost::asio::awaitable<void> run(std::shared_ptr<state> self, session_ref s, session_script steps) {
    const outcome end = co_await self->take_all(*s, steps);
    // Its last step, if it has come to one: that of a `repeat` too.
    const bool by_reset = s->now && std::holds_alternative<step::reset>(*s->now);
    std::list<session> gone;  // out of reach of all others, so that its socket may be closed
    {
      std::lock_guard lock(self->mutex);
      if (end == outcome::left) self->last_left = s->whereabouts();
      gone.splice(gone.begin(), self->sessions, s);
    }
    by_reset ? detail::close_with_rst(s->socket) : detail::close_with_fin(s->socket);
    std::lock_guard lock(self->mutex);
    ++self->ended;
    if (end != outcome::left) ++self->finished;
    self->tell();
  }

  boost::asio::awaitable<outcome> take_all(session& s, const session_script& steps) {
    std::size_t number = 0;
    for (const session_step& step : steps) {
      {
        std::lock_guard lock(mutex);
        s.place.push_back(++number);
        s.now = &step;
        s.came.clear();
      }
      const outcome end = co_await take(s, step);
      if (end != outcome::done) co_return end;
      std::lock_guard lock(mutex);
      s.place.pop_back();
    }
    co_return outcome::done;
  }

  boost::asio::awaitable<outcome> take(session& s, const session_step& step) {
    constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
    if (const auto* expect = std::get_if<step::expect>(&step)) co_return co_await compare(s, expect->bytes);
    if (std::holds_alternative<step::expect_end>(step)) co_return co_await compare(s, {});
    if (const auto* receive = std::get_if<step::receive>(&step))
      co_return co_await transfer(s, receive->bytes, false, false);
    if (const auto* until = std::get_if<step::receive_until>(&step)) co_return co_await skip(s, until->bytes);
    if (const auto* send = std::get_if<step::send>(&step)) co_return co_await write(s, send->bytes);
    if (const auto* echo = std::get_if<step::echo>(&step)) co_return co_await transfer(s, echo->bytes, true, false);
    if (std::holds_alternative<step::late_echo>(step)) co_return co_await transfer(s, all, true, true);
    if (std::holds_alternative<step::hold>(step)) co_return co_await wait(s, true);
    if (std::holds_alternative<step::stall>(step)) co_return co_await wait(s, false);
    if (std::holds_alternative<step::shutdown_send>(step)) {
      error_code ec;
      s.socket.shutdown(boost::asio::socket_base::shutdown_send, ec);
      co_return ec ? outcome::left : outcome::done;
    }
    if (const auto* repeat = std::get_if<step::repeat>(&step))
      co_return co_await take_repeatedly(s, step, repeat->steps);
    co_return outcome::finished;
  }

  boost::asio::awaitable<outcome> take_repeatedly(session& s, const session_step& repeat, const session_script& steps) {
    while (true) {
      {
        std::lock_guard lock(mutex);
        s.now = &repeat;
      }
      // Until there is something to read, or the end.
      const auto [ec] = co_await s.socket.async_wait(boost::asio::socket_base::wait_read,
                                                     boost::asio::as_tuple(boost::asio::use_awaitable));
      if (ec) co_return outcome::left;
      char byte;
      error_code failed;
      s.socket.receive(boost::asio::buffer(&byte, 1), boost::asio::socket_base::message_peek, failed);
      if (failed == boost::asio::error::eof && !has_ended(s)) co_return outcome::done;
      if (failed) co_return outcome::left;
      const outcome end = co_await take_all(s, steps);
      if (end != outcome::done) co_return end;
    }
  }

  boost::asio::awaitable<std::pair<error_code, std::size_t>> read(session& s, boost::asio::mutable_buffer room) {
    const auto [ec, n] = co_await s.socket.async_read_some(room, boost::asio::as_tuple(boost::asio::use_awaitable));
    std::lock_guard lock(mutex);
    received += n;
    tell();
    co_return std::pair(ec, n);
  }

  // Nothing: the end of the stream.
  boost::asio::awaitable<outcome> compare(session& s, const std::string& expected) {
    const bool is_end = std::holds_alternative<step::expect_end>(*s.now);
    std::array<char, 4096> bytes;
    std::string came;
    while (is_end || came.size() < expected.size()) {
      const std::size_t wanted = is_end ? 1 : std::min(expected.size() - came.size(), bytes.size());
      const auto [ec, n] = co_await read(s, boost::asio::buffer(bytes.data(), wanted));
      if (ec) {
        if (ec != boost::asio::error::eof || has_ended(s)) co_return outcome::left;
        if (is_end) co_return outcome::done;
        if (!came.empty()) fail(s, detail::as_literal(came) + ", and the end");
        co_return outcome::left;
      }
      came.append(bytes.data(), n);
      if (!expected.starts_with(came)) {
        // The more of it is told, the better.
        error_code ignored;
        s.socket.non_blocking(true, ignored);
        came.append(bytes.data(), s.socket.read_some(boost::asio::buffer(bytes), ignored));
        fail(s, detail::as_literal(came));
        co_return outcome::left;
      }
      std::lock_guard lock(mutex);
      s.came = came;
    }
    co_return outcome::done;
  }

  // Byte by byte, so as to read none too many.
  boost::asio::awaitable<outcome> skip(session& s, const std::string& end) {
    std::string last;
    while (!last.ends_with(end)) {
      if (last.size() == end.size()) last.erase(0, 1);
      char byte;
      const auto [ec, n] = co_await read(s, boost::asio::buffer(&byte, 1));
      if (ec) co_return ec == boost::asio::error::eof && !has_ended(s) ? outcome::done : outcome::left;
      last += byte;
    }
    co_return outcome::done;
  }

  boost::asio::awaitable<outcome> transfer(session& s, std::size_t limit, bool answer, bool late) {
    std::array<char, 4096> bytes;
    while (limit > 0) {
      const auto [ec, n] = co_await read(s, boost::asio::buffer(bytes, std::min(limit, bytes.size())));
      if (ec) co_return ec == boost::asio::error::eof && !has_ended(s) ? outcome::done : outcome::left;
      if (late && co_await wait(s, true) != outcome::done) co_return outcome::left;
      if (answer && co_await write(s, std::string_view(bytes.data(), n)) != outcome::done) co_return outcome::left;
      limit -= n;
    }
    co_return outcome::done;
  }

  boost::asio::awaitable<outcome> write(session& s, std::string_view bytes) {
    const auto [ec, n] = co_await boost::asio::async_write(s.socket, boost::asio::buffer(bytes),
                                                           boost::asio::as_tuple(boost::asio::use_awaitable));
    std::lock_guard lock(mutex);
    sent += n;
    co_return ec ? outcome::left : outcome::done;
  }

  // Waits for a permit, or for ever.
  boost::asio::awaitable<outcome> wait(session& s, bool for_permit) {
    auto start = [this, &s, for_permit](auto handler) {
      std::lock_guard lock(mutex);
      s.wants_permit = for_permit;
      const bool pass = s.ended || (for_permit && permits > 0);
      if (pass && !s.ended) --permits;
      s.waiting = !pass;
      if (s.waiting && for_permit) {
        holding.push_back(&s);
        tell();
      }
      s.gate.expires_at(pass ? boost::asio::steady_timer::time_point::min()
                             : boost::asio::steady_timer::time_point::max());
      s.gate.async_wait(std::move(handler));
    };
    auto token = boost::asio::as_tuple(boost::asio::use_awaitable);
    co_await boost::asio::async_initiate<decltype(token), void(error_code)>(start, token);
    co_return has_ended(s) ? outcome::left : outcome::done;
  }

  // Needs the mutex.
  void open_gate(session& s) {
    if (!s.waiting) return;
    s.waiting = false;
    s.gate.cancel();
  }

  void release(std::size_t n) {
    std::lock_guard lock(mutex);
    for (; n > 0 && !holding.empty(); --n) {
      open_gate(*holding.front());
      holding.pop_front();
    }
    permits += n;
  }

  void end_all(void (*end)(int descriptor)) {
    std::lock_guard lock(mutex);
    for (session& s : sessions) {
      s.ended = true;
      end(s.socket.native_handle());
      open_gate(s);
    }
    holding.clear();
  }

  void push_all(std::string_view bytes) {
    std::lock_guard lock(mutex);
    for (session& s : sessions) {
      const auto n = ::send(s.socket.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) sent += static_cast<std::uint64_t>(n);
    }
  }

  bool has_ended(const session& s) const {
    std::lock_guard lock(mutex);
    return s.ended;
  }

  // The peer learns of it at once.
  void fail(session& s, std::string came) {
    std::lock_guard lock(mutex);
    constexpr std::size_t enough = 8;
    if (mismatches.size() < enough) {
      mismatches.push_back(s.whereabouts() + ": came " + std::move(came));
    } else {
      ++more_mismatches;
    }
    s.ended = true;
    detail::send_rst(s.socket.native_handle());
    tell();
  }

  template <class T>
  T read_count(const T& count) const {
    std::lock_guard lock(mutex);
    return count;
  }

  // Needs the mutex.
  std::uint64_t value(counter what) const {
    switch (what) {
      case counter::accepted:
        return accepted;
      case counter::ended:
        return ended;
      case counter::finished:
        return finished;
      case counter::held:
        return holding.size();
      case counter::received:
        break;
    }
    return received;
  }

  // Needs the mutex. Wakes those whom a change concerns.
  void tell() {
    for (watcher* const w : watchers) {
      if (w->due || !is_due(*w)) continue;
      w->due = true;
      w->reached = value(w->what) >= w->least;
      w->timer.cancel();
    }
  }

  // Needs the mutex.
  bool is_due(const watcher& w) const { return is_gone || !mismatches.empty() || value(w.what) >= w.least; }

  // Needs the mutex.
  void throw_mismatches() {
    if (mismatches.empty()) return;
    std::string text;
    for (const std::string& one : take_mismatches()) text += (text.empty() ? "" : "\n") + one;
    throw script_error(text);
  }

  // Needs the mutex.
  std::vector<std::string> take_mismatches() {
    std::vector<std::string> all = std::exchange(mismatches, {});
    if (more_mismatches != 0) all.push_back("and " + std::to_string(std::exchange(more_mismatches, 0)) + " more");
    return all;
  }

  // Needs the mutex.
  std::string whereabouts() const {
    std::string text = std::to_string(accepted) + " accepted, " + std::to_string(ended) + " ended, " +
                       std::to_string(finished) + " finished, " + std::to_string(holding.size()) + " held";
    for (const session& s : sessions) {
      text += "; " + s.whereabouts();
      if (!s.came.empty()) text += ", of which " + detail::as_literal(s.came) + " came";
    }
    if (!last_left.empty()) text += "; ended early: " + last_left;
    return text;
  }

  // The coroutine keeps what it uses of a server that is destroyed meanwhile.
  static boost::asio::awaitable<void> until(std::shared_ptr<state> self, counter what, const char* name,
                                            std::uint64_t n, std::chrono::nanoseconds limit) {
    watcher w(*self, what, n);
    const auto deadline =
        boost::asio::steady_timer::clock_type::now() + std::min<std::chrono::nanoseconds>(limit, std::chrono::years(1));
    auto start = [&w, deadline](auto handler) {
      std::lock_guard lock(w.of.mutex);
      w.due = w.of.is_due(w);
      w.reached = w.of.value(w.what) >= w.least;
      w.timer.expires_at(w.due ? boost::asio::steady_timer::time_point::min() : deadline);
      w.timer.async_wait(std::move(handler));
    };
    auto token = boost::asio::as_tuple(boost::asio::use_awaitable);
    const auto [ec] = co_await boost::asio::async_initiate<decltype(token), void(error_code)>(start, token);
    std::lock_guard lock(self->mutex);
    if (self->is_gone) throw boost::system::system_error(boost::asio::error::operation_aborted, "scripted_server");
    self->throw_mismatches();
    if (w.reached || self->value(what) >= n) co_return;
    if (w.due) throw script_error("a mismatch, of which another was told");
    if (ec) throw boost::system::system_error(ec, "scripted_server");
    throw boost::system::system_error(
        boost::asio::error::timed_out,
        std::string("scripted_server: until_") + name + '(' + std::to_string(n) + "): " + self->whereabouts());
  }
};

COCP_TESTING_DECL scripted_server::scripted_server(boost::asio::any_io_executor ex, session_script script, transport on)
    : state_((detail::check(script), std::make_shared<state>(std::move(ex), std::move(script), on))) {
  state_->listen();
}

COCP_TESTING_DECL scripted_server::~scripted_server() {
  state_->stop_listening();
  state_->end_all(detail::send_rst);
  std::lock_guard lock(state_->mutex);
  for (const std::string& one : state_->take_mismatches()) std::cerr << "scripted_server: " << one << '\n';
  state_->is_gone = true;
  state_->tell();
}

COCP_TESTING_DECL std::string scripted_server::address() const { return state_->place.address(); }
COCP_TESTING_DECL boost::asio::ip::tcp::endpoint scripted_server::endpoint() const {
  return state_->place.tcp_endpoint();
}

COCP_TESTING_DECL void scripted_server::behave(session_script script) {
  detail::check(script);
  std::lock_guard lock(state_->mutex);
  state_->script = std::move(script);
}

COCP_TESTING_DECL void scripted_server::behave_once(session_script script) {
  detail::check(script);
  std::lock_guard lock(state_->mutex);
  state_->scripts_once.push_back(std::move(script));
}

COCP_TESTING_DECL void scripted_server::stop_listening() { state_->stop_listening(); }
COCP_TESTING_DECL void scripted_server::listen_again() { state_->listen(); }
COCP_TESTING_DECL void scripted_server::release(std::size_t n) { state_->release(n); }
COCP_TESTING_DECL void scripted_server::push_all(std::string_view bytes) { state_->push_all(bytes); }
COCP_TESTING_DECL void scripted_server::close_all() { state_->end_all(detail::send_fin); }
COCP_TESTING_DECL void scripted_server::reset_all() { state_->end_all(detail::send_rst); }

COCP_TESTING_DECL std::size_t scripted_server::accepted() const { return state_->read_count(state_->accepted); }
COCP_TESTING_DECL std::size_t scripted_server::ended() const { return state_->read_count(state_->ended); }
COCP_TESTING_DECL std::size_t scripted_server::finished() const { return state_->read_count(state_->finished); }
COCP_TESTING_DECL std::uint64_t scripted_server::received() const { return state_->read_count(state_->received); }
COCP_TESTING_DECL std::uint64_t scripted_server::sent() const { return state_->read_count(state_->sent); }

COCP_TESTING_DECL std::size_t scripted_server::open() const {
  std::lock_guard lock(state_->mutex);
  return state_->accepted - state_->ended;
}

COCP_TESTING_DECL std::size_t scripted_server::held() const {
  std::lock_guard lock(state_->mutex);
  return state_->holding.size();
}

COCP_TESTING_DECL boost::asio::awaitable<void> scripted_server::until_accepted(std::size_t n,
                                                                               std::chrono::nanoseconds limit) {
  return state::until(state_, detail::counter::accepted, "accepted", n, limit);
}
COCP_TESTING_DECL boost::asio::awaitable<void> scripted_server::until_ended(std::size_t n,
                                                                            std::chrono::nanoseconds limit) {
  return state::until(state_, detail::counter::ended, "ended", n, limit);
}
COCP_TESTING_DECL boost::asio::awaitable<void> scripted_server::until_finished(std::size_t n,
                                                                               std::chrono::nanoseconds limit) {
  return state::until(state_, detail::counter::finished, "finished", n, limit);
}
COCP_TESTING_DECL boost::asio::awaitable<void> scripted_server::until_held(std::size_t n,
                                                                           std::chrono::nanoseconds limit) {
  return state::until(state_, detail::counter::held, "held", n, limit);
}
COCP_TESTING_DECL boost::asio::awaitable<void> scripted_server::until_received(std::uint64_t n,
                                                                               std::chrono::nanoseconds limit) {
  return state::until(state_, detail::counter::received, "received", n, limit);
}

COCP_TESTING_DECL void scripted_server::verify() {
  std::lock_guard lock(state_->mutex);
  state_->throw_mismatches();
}

}  // namespace cocp::testing
