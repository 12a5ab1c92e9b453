// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/error.hpp>
#include <cocp/impl/stream.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace cocp::detail {

/// The stream itself, for the parts of an operation that has begun; an AsyncReadStream and AsyncWriteStream.
///
/// It is of a channel, whose word says who may touch it: one reader and one writer while the stream is up, and nobody
/// else; and, to put a stream here and to take it, under the channel's mutex, whoever finds the word down and drained.
class raw_stream {
 public:
  using executor_type = asio::any_io_executor;

  explicit raw_stream(executor_type ex) noexcept : ex_(std::move(ex)) {}
  raw_stream(const raw_stream&) = delete;
  raw_stream& operator=(const raw_stream&) = delete;

  /// Empty when the context has gone.
  const executor_type& get_executor() const noexcept { return ex_; }

  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler);
  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler);
  /// Sends what the stream takes without waiting; returns how much.
  template <class Buffers>
  std::size_t send_now(const Buffers& buffers, error_code& ec);
  /// Who writes: whether the stream has kept some of that. It goes with the next write, be that one of nothing.
  bool has_kept() const noexcept { return has_kept_; }
  /// The same of the operation that ends.
  bool take_kept() noexcept { return std::exchange(has_kept_, false); }

  /// Who reads: whether the operation that has begun has read from the stream, and not only from what was read before.
  bool has_read() const noexcept { return has_read_; }
  void starts_reading() noexcept { has_read_ = false; }
  /// Who reads: there is nothing more to be read.
  void note_end() noexcept { read_all_ = true; }

  /// The number of streams that were put here so far. Any thread.
  std::uint64_t generation() const noexcept { return generation_.load(std::memory_order_relaxed); }
  /// Null if there is none.
  stream* get() const noexcept { return stream_.get(); }
  void put(std::unique_ptr<stream> s) noexcept {
    stream_ = std::move(s);
    socket_ = stream_->plain();
    read_all_ = false;
    has_kept_ = false;
    generation_.fetch_add(1, std::memory_order_relaxed);
  }
  std::unique_ptr<stream> take() noexcept {
    socket_ = nullptr;
    return std::move(stream_);
  }
  /// The context is going away.
  void forget_executor() noexcept { ex_ = executor_type(); }

 private:
  /// `send_now` where there is no plain socket.
  COCP_API std::size_t send_otherwise(const std::vector<asio::const_buffer>& buffers, error_code& ec);

  /// Of `stream_`, if that is nothing but a socket.
  plain_socket* socket_ = nullptr;
  std::unique_ptr<stream> stream_;
  std::atomic<std::uint64_t> generation_{0};
  /// Touched only by who reads.
  bool has_read_ = false;
  /// A read has found the end of the stream. Likewise, until `put`.
  bool read_all_ = false;
  /// Touched only by who writes.
  bool has_kept_ = false;
  executor_type ex_;
};

/// The first buffer that is not empty, or an empty one.
template <class Buffer, class Buffers>
Buffer first_buffer(const Buffers& buffers) noexcept {
  const auto end = asio::buffer_sequence_end(buffers);
  for (auto it = asio::buffer_sequence_begin(buffers); it != end; ++it) {
    if (Buffer b(*it); b.size() != 0) return b;
  }
  return {};
}

template <class Buffers, class Handler>
void raw_stream::async_read_some(const Buffers& buffers, Handler&& handler) {
  // Asio's async_read_until reads nothing, in order to complete later, if it has found what it looks for.
  if (asio::buffer_size(buffers) != 0) {
    has_read_ = true;
    if (read_all_ && stream_) [[unlikely]] {
      // Behind its end a socket has nothing more to tell Asio's reactor: another read might wait for ever.
      const error_code end = asio::error::eof;
      asio::post(ex_, asio::append(std::forward<Handler>(handler), end, std::size_t{0}));
      return;
    }
  }
  if (plain_socket* s = socket_) [[likely]] {
    s->async_read_some(buffers, std::forward<Handler>(handler));
  } else if (stream* other = stream_.get()) {
    other->async_read_some(first_buffer<asio::mutable_buffer>(buffers), std::forward<Handler>(handler));
  } else {
    // The channel's context is gone, so this is no initiating function, but comes after another part or a wait, on an
    // executor that outlives it.
    std::forward<Handler>(handler)(error_code(asio::error::operation_aborted), std::size_t{0});
  }
}

template <class Buffers, class Handler>
void raw_stream::async_write_some(const Buffers& buffers, Handler&& handler) {
  if (plain_socket* s = socket_) [[likely]] {
    s->async_write_some(buffers, std::forward<Handler>(handler));
  } else if (stream* other = stream_.get()) {
    other->async_write_some(first_buffer<asio::const_buffer>(buffers), std::forward<Handler>(handler));
  } else {
    std::forward<Handler>(handler)(error_code(asio::error::operation_aborted), std::size_t{0});
  }
}

template <class Buffers>
std::size_t raw_stream::send_now(const Buffers& buffers, error_code& ec) {
  plain_socket* const s = socket_;
  if (!s) [[unlikely]]
    return send_otherwise({asio::buffer_sequence_begin(buffers), asio::buffer_sequence_end(buffers)}, ec);
  // The socket is non-blocking (see socket_stream).
  const std::size_t sent = s->write_some(buffers, ec);
  if (!ec) [[likely]]
    return sent;
  // None of them says anything of the stream. What is asynchronous Asio does again after a signal.
  if (ec == asio::error::would_block || ec == asio::error::try_again || ec == asio::error::interrupted) ec = {};
  return sent;
}

}  // namespace cocp::detail
