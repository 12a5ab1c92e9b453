// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/endpoint.hpp>
#include <cocp/error.hpp>
#include <cocp/export.hpp>
#include <cocp/impl/channel.hpp>
#include <cocp/options.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace cocp {

namespace detail {
class lone_connection;
class slot;
class supervisor;
}  // namespace detail

/// A stream that keeps itself connected. It models Asio's AsyncReadStream and AsyncWriteStream, so every composed
/// operation works on it.
///
/// While connected, an operation goes straight to the socket. An operation that fails returns its error, with the bytes
/// transferred, to its caller; the stream is then redialled, and operations started meanwhile wait until it is up
/// again, bounded by `expires_after` and by cancellation. After `close()` every operation, waiting or new, ends with
/// `errc::closed`.
///
/// One read and one write may be outstanding at a time; a second one of a kind waits for the first.
///
/// \par Thread safety
/// As for an Asio socket: one user at a time. `close`, `is_connected`, `generation` and `last_error` may be called from
/// any thread.
/// \par Cancellation
/// Operations honour the handler's cancellation slot as Asio's sockets do, and all of its types while they wait for the
/// stream. A cancelled operation leaves the stream up.
/// \par Lifetime
/// The destructor closes. It blocks on nothing. Buffers must stay valid until the handler of the operation was called,
/// as for a socket.
class COCP_API connection {
 public:
  /// Holds any executor.
  using executor_type = boost::asio::any_io_executor;

  /// Starts dialling, as work on the executor. Succeeds while the endpoint is down.
  /// \par Exceptions
  /// `std::invalid_argument` if an option is outside its range.
  connection(executor_type ex, connection_options options);

  /// The same on the executor of an execution context.
  template <class Context>
  requires std::is_convertible_v<Context&, boost::asio::execution_context&> connection(Context& context,
                                                                                       connection_options options)
      : connection(executor_type(context.get_executor()), std::move(options)) {}

  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection();

  /// Where its own work runs, and handlers that have no executor of their own.
  executor_type get_executor() const { return channel_->get_executor(); }

  /// Reads at least one byte; `void(error_code, std::size_t)`.
  template <class MutableBufferSequence, class CompletionToken = boost::asio::deferred_t>
  auto async_read_some(const MutableBufferSequence& buffers, CompletionToken&& token = CompletionToken()) {
    return boost::asio::async_initiate<CompletionToken, void(error_code, std::size_t)>(
        initiate<detail::channel::reading>{this}, token, buffers);
  }

  /// Writes at least one byte; `void(error_code, std::size_t)`.
  template <class ConstBufferSequence, class CompletionToken = boost::asio::deferred_t>
  auto async_write_some(const ConstBufferSequence& buffers, CompletionToken&& token = CompletionToken()) {
    return boost::asio::async_initiate<CompletionToken, void(error_code, std::size_t)>(
        initiate<detail::channel::writing>{this}, token, buffers);
  }

  /// Reads at least one byte and returns how many.
  template <class MutableBufferSequence>
  boost::asio::awaitable<std::size_t> read_some(const MutableBufferSequence& buffers) {
    return async_read_some(buffers, boost::asio::use_awaitable);
  }

  /// Fills the buffers and returns their size.
  template <class MutableBufferSequence>
  boost::asio::awaitable<std::size_t> read(const MutableBufferSequence& buffers) {
    return boost::asio::async_read(*this, buffers, boost::asio::use_awaitable);
  }

  /// Sends all of the buffers and returns their size. What the socket takes at once is sent without going through the
  /// scheduler.
  template <class ConstBufferSequence>
  boost::asio::awaitable<std::size_t> write(ConstBufferSequence buffers) {
    error_code ec;
    const std::size_t sent = detail::write_now(*channel_, buffers, ec);
    if (ec) throw boost::system::system_error(ec, "write");
    const std::size_t size = boost::asio::buffer_size(buffers);
    if (sent != 0 && sent == size) co_return size;
    std::vector<boost::asio::const_buffer> rest(boost::asio::buffer_sequence_begin(buffers),
                                                boost::asio::buffer_sequence_end(buffers));
    co_await write_rest(std::move(rest), sent);
    co_return size;
  }

  /// Reads until the buffer holds the delimiter, and returns the size up to and with it;
  /// `boost::asio::async_read_until` says which buffers and delimiters there are.
  template <class DynamicBuffer, class Delimiter>
  boost::asio::awaitable<std::size_t> read_until(DynamicBuffer&& buffer, Delimiter delimiter) {
    return boost::asio::async_read_until(*this, std::forward<DynamicBuffer>(buffer), std::move(delimiter),
                                         boost::asio::use_awaitable);
  }

  /// Bounds all operations started from now on, waiting for the stream included: what is outstanding at that time fails
  /// with `errc::timed_out`, and so does, at once, what is started after it. A duration of zero or less has passed.
  /// Ends with the lease.
  void expires_after(duration d) { channel_->expires_after(d); }
  /// Takes the bound away.
  void expires_never() { channel_->expires_never(); }

  /// Waits until connected. Fails with `errc::closed` or `errc::timed_out` (`expires_after`).
  boost::asio::awaitable<void> ready();

  /// True if the stream is up, as far as is known here.
  bool is_connected() const noexcept { return channel_->is_up(); }
  /// The number of connects made so far.
  std::uint64_t generation() const noexcept { return channel_->generation(); }
  /// Why the last attempt or stream ended; empty if none has.
  error_code last_error() const { return channel_->last_error(); }
  /// The peer's address; empty while not connected.
  endpoint remote_endpoint() const { return channel_->remote_endpoint(); }

  /// Ends every operation with `errc::closed`, for good; through a lease, for that lease, and the connection is
  /// replaced when it is put back.
  void close() noexcept;

 private:
  friend detail::slot;
  friend detail::supervisor;

  template <unsigned Kind>
  struct initiate {
    using executor_type = connection::executor_type;
    connection* self;

    executor_type get_executor() const noexcept { return self->get_executor(); }

    template <class Handler, class Buffers>
    void operator()(Handler&& handler, const Buffers& buffers) const {
      detail::start_operation<Kind>(*self->channel_, buffers, std::forward<Handler>(handler));
    }
  };

  boost::asio::awaitable<void> write_rest(std::vector<boost::asio::const_buffer> buffers, std::size_t sent);

  /// A view of a channel that others own.
  explicit connection(std::shared_ptr<detail::channel> users) noexcept;

  std::shared_ptr<detail::channel> channel_;
  /// Only of a connection that stands alone.
  std::shared_ptr<detail::lone_connection> alone_;
};

}  // namespace cocp
