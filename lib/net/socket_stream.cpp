// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/socket_stream.hpp"

#include "net/patient_handler.hpp"

#include <cocp/impl/operation.hpp>

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

#include <cerrno>
#include <chrono>
#include <mutex>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace cocp::detail {
namespace {

/// setsockopt(2) for an integer option.
error_code set_option(int descriptor, int level, int name, int value) noexcept {
  if (::setsockopt(descriptor, level, name, &value, sizeof value) == 0) return {};
  return {errno, boost::system::system_category()};
}

/// What is wrong with a connection of which Asio says that it is one.
error_code look_at_new(plain_socket& socket) {
  error_code no_local;
  error_code no_remote;
  const auto local = socket.local_endpoint(no_local);
  const auto remote = socket.remote_endpoint(no_remote);
  if (no_local) return no_local;
  const bool is_local = local.protocol().family() == AF_UNIX;
  if (no_remote == asio::error::not_connected) {
    // A Unix socket whose listener's queue is full does not connect later (connect(2), EAGAIN). Asio waits until it can
    // be written to, and that it can be; so it takes it for connected. Another has ended already, and the first look at
    // it tells how.
    return is_local ? error_code(asio::error::try_again) : error_code();
  }
  if (no_remote) return no_remote;
  // Dialling an unused port of the ephemeral range on the own host can end in a connection of the socket to itself
  // (TCP's simultaneous open, RFC 9293 section 3.5).
  if (!is_local && local == remote) return asio::error::connection_refused;
  return {};
}

}  // namespace

socket_stream::socket_stream(const asio::any_io_executor& ex, const connection_options& options)
    : socket_(ex),
      no_delay_(options.no_delay),
      keepalive_(options.tcp_keepalive),
      user_timeout_(options.tcp_user_timeout) {}

error_code socket_stream::open(const endpoint& to) {
  error_code ec;
  socket_.open(to.protocol(), ec);
  if (ec) return ec;
  descriptor_ = socket_.native_handle();
  // Asio does not ask for it: a child of the user's would keep the connection open.
  if (::fcntl(descriptor_, F_SETFD, FD_CLOEXEC) != 0) return {errno, boost::system::system_category()};
  if (!to.is_ip()) return {};
  if (no_delay_) ec = set_option(descriptor_, IPPROTO_TCP, TCP_NODELAY, 1);
  if (!ec && keepalive_) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*keepalive_).count();
    ec = set_option(descriptor_, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (!ec) ec = set_option(descriptor_, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(seconds));
  }
  if (!ec && user_timeout_) {
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(*user_timeout_).count();
    ec = set_option(descriptor_, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(milliseconds));
  }
  return ec;
}

/// Looks at the new connection, then passes on the result; runs where `handler` would.
struct socket_stream::connected_handler {
  using wrapped_handler = wait_handler;

  socket_stream& self;
  wait_handler handler;

  void operator()(error_code ec) {
    if (!ec) ec = look_at_new(self.socket_);
    // For write_now: what would block says so.
    if (!ec) self.socket_.non_blocking(true, ec);
    std::move(handler)(ec);
  }
};

template <class Handler>
auto socket_stream::patient(Handler h) {
  return patient_handler(std::move(h), asio::any_completion_executor(socket_.get_executor()));
}

void socket_stream::async_connect(const endpoint& to, wait_handler handler) {
  if (error_code ec = open(to)) {
    asio::post(socket_.get_executor(), asio::append(patient(connected_handler{*this, std::move(handler)}), ec));
    return;
  }
  socket_.async_connect(to, patient(connected_handler{*this, std::move(handler)}));
}

void socket_stream::async_read_some(asio::mutable_buffer buffer, io_handler handler) {
  socket_.async_read_some(buffer, patient(std::move(handler)));
}

void socket_stream::async_write_some(asio::const_buffer buffer, io_handler handler) {
  socket_.async_write_some(buffer, patient(std::move(handler)));
}

void socket_stream::async_shutdown_send(io_handler handler) {
  error_code ec;
  if (is_ours() && ::shutdown(descriptor_, SHUT_WR) != 0) ec = {errno, boost::system::system_category()};
  asio::post(socket_.get_executor(), asio::append(patient(std::move(handler)), ec, std::size_t{0}));
}

void socket_stream::async_wait_readable(wait_handler handler) {
  const std::lock_guard lock(waiting_mutex_);
  socket_.async_wait(plain_socket::wait_read,
                     asio::bind_cancellation_slot(stop_waiting_.slot(), patient(std::move(handler))));
}

void socket_stream::cancel_wait_readable() noexcept {
  const std::lock_guard lock(waiting_mutex_);
  stop_waiting_.emit(asio::cancellation_type::terminal);
}

peek_result socket_stream::peek(error_code& ec) noexcept {
  // One recv(2) tells all: an end (0), an error of the socket (RST, keep-alive), unread bytes, or nothing.
  char byte;
  ssize_t n = 0;
  do {
    n = ::recv(descriptor_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    ec = end_behind();
    return peek_result::unread;
  }
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return peek_result::quiet;
  ec = n == 0 ? error_code(asio::error::eof) : error_code(errno, boost::system::system_category());
  return peek_result::dead;
}

error_code socket_stream::end_behind() noexcept {
  // The peer's FIN is POLLRDHUP, for a Unix socket as well.
  pollfd look{.fd = descriptor_, .events = POLLRDHUP, .revents = 0};
  int n = 0;
  do {
    n = ::poll(&look, 1, 0);
  } while (n < 0 && errno == EINTR);
  // Of what cannot be looked at nobody knows that it has not ended.
  if (n < 0) return {errno, boost::system::system_category()};
  if (n == 0) return {};
  if (look.revents & POLLERR) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size);
    // Whoever asked before has taken it away.
    return error == 0 ? error_code(asio::error::connection_reset) : error_code(error, boost::system::system_category());
  }
  if (look.revents & (POLLHUP | POLLRDHUP)) return asio::error::eof;
  return {};
}

void socket_stream::shutdown() noexcept {
  if (is_ours()) ::shutdown(descriptor_, SHUT_RDWR);
}

endpoint socket_stream::remote_endpoint() const {
  error_code ec;
  const auto e = socket_.remote_endpoint(ec);
  return ec ? endpoint() : endpoint(e);
}

}  // namespace cocp::detail
