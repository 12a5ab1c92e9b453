// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/pool.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <cstddef>
#include <stdexcept>
#include <utility>

namespace bench {

constexpr std::size_t message_size = 64;

/// One side of the comparison: one message there and back over a stream of one's own.
template <class Stream>
class raw_round_trip {
 public:
  explicit raw_round_trip(Stream stream) : stream_(std::move(stream)) {}

  boost::asio::awaitable<void> operator()() {
    co_await boost::asio::async_write(stream_, boost::asio::buffer(asked_), boost::asio::use_awaitable);
    co_await boost::asio::async_read(stream_, boost::asio::buffer(answer_), boost::asio::use_awaitable);
    if (answer_ != asked_) throw std::runtime_error("wrong answer");
    ++asked_[0];
  }

 private:
  Stream stream_;
  std::array<unsigned char, message_size> asked_{};
  std::array<unsigned char, message_size> answer_{};
};

/// A socket for it.
inline boost::asio::ip::tcp::socket dial_plain(boost::asio::io_context& io, unsigned short port) {
  boost::asio::ip::tcp::socket socket(io);
  socket.connect({boost::asio::ip::address_v4::loopback(), port});
  socket.set_option(boost::asio::ip::tcp::no_delay(true));
  return socket;
}

/// The other side: the same through a lease, one for all.
class held_round_trip {
 public:
  explicit held_round_trip(cocp::lease conn) : conn_(std::move(conn)) {}

  boost::asio::awaitable<void> operator()() {
    co_await conn_->write(boost::asio::buffer(asked_));
    co_await conn_->read(boost::asio::buffer(answer_));
    if (answer_ != asked_) throw std::runtime_error("wrong answer");
    ++asked_[0];
  }

 private:
  cocp::lease conn_;
  std::array<unsigned char, message_size> asked_{};
  std::array<unsigned char, message_size> answer_{};
};

/// The same with a lease of its own for each message, get and put included.
class leased_round_trip {
 public:
  /// `limit`: of the time for each message, if it is not zero.
  explicit leased_round_trip(cocp::pool& pool, cocp::duration limit = {}) : pool_(pool), limit_(limit) {}

  boost::asio::awaitable<void> operator()() {
    cocp::lease conn = co_await pool_.get();
    if (limit_ != cocp::duration::zero()) conn->expires_after(limit_);
    co_await conn->write(boost::asio::buffer(asked_));
    co_await conn->read(boost::asio::buffer(answer_));
    if (answer_ != asked_) throw std::runtime_error("wrong answer");
    ++asked_[0];
  }

 private:
  cocp::pool& pool_;
  const cocp::duration limit_;
  std::array<unsigned char, message_size> asked_{};
  std::array<unsigned char, message_size> answer_{};
};

}  // namespace bench
