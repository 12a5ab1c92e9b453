// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/impl/stream.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/write.hpp>

#include <cstddef>
#include <new>
#include <utility>
#include <vector>

namespace cocp::detail {

/// What TLS runs on: the socket, and what OpenSSL had to say when nobody could wait until the socket takes it.
///
/// A look at an idle stream reads without waiting, and OpenSSL may want to answer what it finds: a key update (RFC
/// 8446, section 4.6.3), which has to go before the next data and no sooner. Asio has taken that from OpenSSL by then,
/// and drops what the socket does not take. So it is kept here, and goes first.
class tls_transport {
 public:
  using lowest_layer_type = plain_socket::lowest_layer_type;
  using executor_type = plain_socket::executor_type;

  /// The most that is kept. A peer that does not read, and asks for more, is not well.
  static constexpr std::size_t most = 16'384;

  explicit tls_transport(plain_socket& socket) : socket_(socket) {}

  executor_type get_executor() { return socket_.get_executor(); }
  lowest_layer_type& lowest_layer() { return socket_.lowest_layer(); }
  const lowest_layer_type& lowest_layer() const { return socket_.lowest_layer(); }
  /// Bytes that the socket has not taken yet.
  std::size_t kept() const noexcept { return late_.size(); }

  template <class Buffers>
  std::size_t read_some(const Buffers& buffers, error_code& ec) {
    return unless_interrupted([&] { return socket_.read_some(buffers, ec); }, ec);
  }
  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    socket_.async_read_some(buffers, std::forward<Handler>(handler));
  }

  /// Takes all, and never fails because the socket would block.
  template <class Buffers>
  std::size_t write_some(const Buffers& buffers, error_code& ec) {
    ec = {};
    while (!late_.empty() && !ec) drop(send(asio::buffer(late_), ec));
    std::size_t n = 0;
    if (!ec) n = send(buffers, ec);
    if (ec != asio::error::would_block && ec != asio::error::try_again) return n;
    ec = keep(buffers);
    return ec ? 0 : asio::buffer_size(buffers);
  }

  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    if (late_.empty()) [[likely]] {
      socket_.async_write_some(buffers, std::forward<Handler>(handler));
      return;
    }
    const auto where = asio::get_associated_executor(handler, get_executor());
    const auto slot = asio::get_associated_cancellation_slot(handler);
    auto then = [this, buffers, h = std::forward<Handler>(handler)](error_code ec, std::size_t n) mutable {
      drop(n);
      if (ec) {
        std::move(h)(ec, std::size_t{0});
      } else {
        socket_.async_write_some(buffers, std::move(h));
      }
    };
    asio::async_write(socket_, asio::buffer(late_),
                      asio::bind_cancellation_slot(slot, asio::bind_executor(where, std::move(then))));
  }

  /// Behind what is kept.
  template <class Buffers>
  error_code keep(const Buffers& buffers) {
    const std::size_t before = late_.size();
    const std::size_t more = asio::buffer_size(buffers);
    if (more > most - before) return asio::error::no_buffer_space;
    try {
      late_.resize(before + more);
    } catch (const std::bad_alloc&) {
      return asio::error::no_memory;
    }
    asio::buffer_copy(asio::buffer(late_) + before, buffers);
    return {};
  }

  /// Sends what is kept; completes with no bytes.
  template <class Handler>
  void async_send_kept(Handler&& handler) {
    const auto where = asio::get_associated_executor(handler, get_executor());
    const auto slot = asio::get_associated_cancellation_slot(handler);
    auto then = [this, h = std::forward<Handler>(handler)](error_code ec, std::size_t n) mutable {
      drop(n);
      std::move(h)(ec, std::size_t{0});
    };
    asio::async_write(socket_, asio::buffer(late_),
                      asio::bind_cancellation_slot(slot, asio::bind_executor(where, std::move(then))));
  }

 private:
  void drop(std::size_t n) { late_.erase(late_.begin(), late_.begin() + static_cast<std::ptrdiff_t>(n)); }

  /// Does it again where a signal came in between, which Asio does only for what is asynchronous.
  template <class F>
  static std::size_t unless_interrupted(F f, const error_code& ec) {
    std::size_t n = 0;
    do {
      n = f();
    } while (ec == asio::error::interrupted);
    return n;
  }

  template <class Buffers>
  std::size_t send(const Buffers& buffers, error_code& ec) {
    return unless_interrupted([&] { return socket_.write_some(buffers, ec); }, ec);
  }

  plain_socket& socket_;
  std::vector<unsigned char> late_;
};

}  // namespace cocp::detail
