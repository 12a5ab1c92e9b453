// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/scripted_server.hpp"

#include "support/reserved_port.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

namespace cocp::test {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

// Sends a FIN, and ends a read that waits. For a socket that another thread may be using.
void send_fin(int descriptor) { ::shutdown(descriptor, SHUT_RDWR); }

// Sends an RST, and ends whatever waits on the socket, without closing it (connect(2): AF_UNSPEC dissolves the
// association; Linux tells the peer of an established one by an RST). For a socket that another thread may be using;
// ThreadSanitizer does not believe it of connect(), hence the call by number.
void send_rst(int descriptor) {
  const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
  ::syscall(SYS_connect, descriptor, &nobody, sizeof nobody);
}

// close(2) with unread bytes sends an RST instead of a FIN.
void close_with_fin(tcp::socket& socket) {
  error_code ignored;
  socket.shutdown(tcp::socket::shutdown_both, ignored);
  socket.non_blocking(true, ignored);
  std::array<char, 4096> unread;
  while (socket.read_some(asio::buffer(unread), ignored) > 0) {
  }
  socket.close(ignored);
}

void close_with_rst(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

struct session {
  explicit session(tcp::socket s) : socket(std::move(s)), gate(socket.get_executor()) {}

  // Used by the session's coroutine alone, except that others may make system calls on its descriptor while the
  // session is listed and they hold the mutex.
  tcp::socket socket;

  // Guarded by the server's mutex. A wait on `gate` is pending or about to complete while `waiting`.
  asio::steady_timer gate;
  bool waiting = false;
  bool wants_permit = false;
  bool ended = false;
};

}  // namespace

struct scripted_server::state : std::enable_shared_from_this<state> {
  state(asio::any_io_executor e, session_script s) : ex(std::move(e)), acceptor(ex), script(std::move(s)) {}

  const asio::any_io_executor ex;
  const reserved_port port;

  mutable std::mutex mutex;
  // All below is guarded by `mutex`.
  tcp::acceptor acceptor;
  session_script script;
  std::deque<session_script> scripts_once;
  std::list<session> sessions;  // open ones, in the order of their acceptance
  std::deque<session*> holding;
  std::size_t permits = 0;
  unsigned times_listened = 0;
  std::size_t accepted = 0;
  std::uint64_t received = 0;
  std::uint64_t sent = 0;

  using session_ref = std::list<session>::iterator;

  void listen() {
    std::lock_guard lock(mutex);
    if (acceptor.is_open()) return;
    acceptor.open(tcp::v4());
    acceptor.set_option(tcp::acceptor::reuse_address(true));
    acceptor.bind(port.endpoint());
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
    acceptor.async_accept([self = shared_from_this(), mine = times_listened](error_code ec, tcp::socket socket) {
      if (!ec) self->begin(std::move(socket));
      std::lock_guard lock(self->mutex);
      if (self->acceptor.is_open() && self->times_listened == mine) self->accept();
    });
  }

  void begin(tcp::socket socket) {
    session_script steps;
    session_ref s;
    {
      std::lock_guard lock(mutex);
      ++accepted;
      error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);  // else a push may wait for the peer to acknowledge an answer
      steps = script;
      if (!scripts_once.empty()) {
        steps = std::move(scripts_once.front());
        scripts_once.pop_front();
      }
      s = sessions.emplace(sessions.end(), std::move(socket));
    }
    asio::co_spawn(ex, run(shared_from_this(), s, std::move(steps)), asio::detached);
  }

  static asio::awaitable<void> run(std::shared_ptr<state> self, session_ref s, session_script steps) {
    bool by_reset = false;
    for (const session_step& step : steps) {
      const bool go_on = co_await self->take(*s, step);
      by_reset = std::holds_alternative<step::reset>(step);
      if (!go_on) break;
    }
    std::list<session> gone;  // out of reach of all others, so that its socket may be closed
    {
      std::lock_guard lock(self->mutex);
      gone.splice(gone.begin(), self->sessions, s);
    }
    by_reset ? close_with_rst(s->socket) : close_with_fin(s->socket);
  }

  // True if the session goes on with the next step.
  asio::awaitable<bool> take(session& s, const session_step& step) {
    if (const auto* echo = std::get_if<step::echo>(&step)) co_return co_await transfer(s, echo->bytes, true, false);
    if (std::holds_alternative<step::late_echo>(step))
      co_return co_await transfer(s, std::numeric_limits<std::size_t>::max(), true, true);
    if (const auto* receive = std::get_if<step::receive>(&step))
      co_return co_await transfer(s, receive->bytes, false, false);
    if (const auto* send = std::get_if<step::send>(&step)) co_return co_await write(s, asio::buffer(send->bytes));
    if (std::holds_alternative<step::hold>(step)) co_return co_await wait(s, true);
    if (std::holds_alternative<step::stall>(step)) co_return co_await wait(s, false);
    co_return false;
  }

  asio::awaitable<bool> transfer(session& s, std::size_t limit, bool answer, bool late) {
    std::array<char, 4096> bytes;
    while (limit > 0) {
      const asio::mutable_buffer room = asio::buffer(bytes, std::min(limit, bytes.size()));
      const auto [ec, n] = co_await s.socket.async_read_some(room, asio::as_tuple(asio::use_awaitable));
      count(received, n);
      if (ec) co_return ec == asio::error::eof && !has_ended(s);
      if (late && !co_await wait(s, true)) co_return false;
      if (answer && !co_await write(s, asio::buffer(bytes, n))) co_return false;
      limit -= n;
    }
    co_return true;
  }

  asio::awaitable<bool> write(session& s, asio::const_buffer bytes) {
    const auto [ec, n] = co_await asio::async_write(s.socket, bytes, asio::as_tuple(asio::use_awaitable));
    count(sent, n);
    co_return !ec;
  }

  // Waits for a permit, or for ever; false if the session was ended meanwhile.
  asio::awaitable<bool> wait(session& s, bool for_permit) {
    auto start = [this, &s, for_permit](auto handler) {
      std::lock_guard lock(mutex);
      s.wants_permit = for_permit;
      const bool pass = s.ended || (for_permit && permits > 0);
      if (pass && !s.ended) --permits;
      s.waiting = !pass;
      if (s.waiting && for_permit) holding.push_back(&s);
      s.gate.expires_at(pass ? asio::steady_timer::time_point::min() : asio::steady_timer::time_point::max());
      s.gate.async_wait(std::move(handler));
    };
    auto token = asio::as_tuple(asio::use_awaitable);
    co_await asio::async_initiate<decltype(token), void(error_code)>(start, token);
    co_return !has_ended(s);
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

  void count(std::uint64_t& counter, std::size_t n) {
    std::lock_guard lock(mutex);
    counter += n;
  }

  template <class T>
  T read(const T& counter) const {
    std::lock_guard lock(mutex);
    return counter;
  }
};

scripted_server::scripted_server(asio::any_io_executor ex, session_script script)
    : state_(std::make_shared<state>(std::move(ex), std::move(script))) {
  state_->listen();
}

scripted_server::~scripted_server() {
  state_->stop_listening();
  state_->end_all(send_rst);
}

tcp::endpoint scripted_server::endpoint() const { return state_->port.endpoint(); }
std::string scripted_server::address() const { return state_->port.address(); }

void scripted_server::behave(session_script script) {
  std::lock_guard lock(state_->mutex);
  state_->script = std::move(script);
}

void scripted_server::behave_once(session_script script) {
  std::lock_guard lock(state_->mutex);
  state_->scripts_once.push_back(std::move(script));
}

void scripted_server::stop_listening() { state_->stop_listening(); }
void scripted_server::listen_again() { state_->listen(); }
void scripted_server::release(std::size_t n) { state_->release(n); }
void scripted_server::push_all(std::string_view bytes) { state_->push_all(bytes); }
void scripted_server::close_all() { state_->end_all(send_fin); }
void scripted_server::reset_all() { state_->end_all(send_rst); }

std::size_t scripted_server::accepted() const { return state_->read(state_->accepted); }
std::uint64_t scripted_server::received() const { return state_->read(state_->received); }
std::uint64_t scripted_server::sent() const { return state_->read(state_->sent); }

std::size_t scripted_server::open() const {
  std::lock_guard lock(state_->mutex);
  return state_->sessions.size();
}

std::size_t scripted_server::held() const {
  std::lock_guard lock(state_->mutex);
  return state_->holding.size();
}

}  // namespace cocp::test
