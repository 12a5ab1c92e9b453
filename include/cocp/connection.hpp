// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/endpoint.hpp>
#include <cocp/error.hpp>
#include <cocp/export.hpp>
#include <cocp/impl/channel.hpp>
#include <cocp/impl/operation.hpp>
#include <cocp/options.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace cocp {

class lease;

namespace detail {
class lone_connection;
class slot;
class supervisor;
}  // namespace detail

/// A stream that keeps itself connected. It models Asio's AsyncReadStream and AsyncWriteStream, so every composed
/// operation works on it.
///
/// While connected, an operation goes straight to the socket.
///
/// **By itself**: an operation that fails returns its error, with the bytes transferred, to its caller. Operations that
/// are started then wait until the stream was redialled, bounded by `expires_after` and by cancellation; the redial
/// begins once none is outstanding. One that ends well although its stream is already down reports the loss together
/// with its bytes: so no operation has parts on two streams, if each part of it is started in the handler of the one
/// before, as Asio's and Beast's are.
///
/// **Through a lease**, and in `on_connect`, `on_return` and `keepalive`: one stream from the beginning to the end. An
/// end of file ends reads only; writes go on until they fail. After any other failure reads still deliver what had
/// arrived; then they, and writes at once, fail with the loss's error. Nothing waits for another stream but `ready()`.
///
/// One read and one write may be outstanding at a time. A second one of a kind waits for the first, and fails with the
/// loss's error if the stream is lost meanwhile. `read`, `read_until` and `write` are one operation each from their
/// first byte to their last; of a composed operation from elsewhere each part is one, so that the parts of two that
/// write at once may mix, as on a socket.
///
/// After `close()` every operation, waiting or new, ends with `errc::closed`.
///
/// What the awaitables throw is a `boost::system::system_error` whose text names the operation and the endpoint, as in
/// "read localhost:7: End of file".
///
/// \par Thread safety
/// As for an Asio socket: one user at a time. `close`, `is_connected`, `generation`, `id` and `last_error` may be
/// called from any thread.
/// \par Cancellation
/// Operations honour the handler's cancellation slot as Asio's sockets do, and all of its types while they wait. A
/// cancelled operation leaves the stream up, and a lease dirty. The slot may go before the operation has ended, or
/// serve another operation: then this one cannot be cancelled any more.
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
  requires boost::asio::is_mutable_buffer_sequence<MutableBufferSequence>::value auto async_read_some(
      const MutableBufferSequence& buffers, CompletionToken&& token = CompletionToken()) {
    return boost::asio::async_initiate<CompletionToken, void(error_code, std::size_t)>(
        initiate{this}, token, detail::read_some_of(buffers), detail::told_by_code());
  }

  /// Writes at least one byte; `void(error_code, std::size_t)`.
  template <class ConstBufferSequence, class CompletionToken = boost::asio::deferred_t>
  requires boost::asio::is_const_buffer_sequence<ConstBufferSequence>::value auto async_write_some(
      const ConstBufferSequence& buffers, CompletionToken&& token = CompletionToken()) {
    return boost::asio::async_initiate<CompletionToken, void(error_code, std::size_t)>(
        initiate{this}, token, detail::write_some_of(buffers), detail::told_by_code());
  }

  /// Reads at least one byte and returns how many.
  template <class MutableBufferSequence>
  requires boost::asio::is_mutable_buffer_sequence<MutableBufferSequence>::value boost::asio::awaitable<std::size_t>
  read_some(const MutableBufferSequence& buffers) {
    return await("read_some", detail::read_some_of(buffers));
  }

  /// Fills the buffers and returns their size.
  template <class MutableBufferSequence>
  requires boost::asio::is_mutable_buffer_sequence<MutableBufferSequence>::value boost::asio::awaitable<std::size_t>
  read(const MutableBufferSequence& buffers) {
    return await("read", detail::read_all_of(buffers));
  }

  /// Sends all of the buffers and returns their size. What the socket takes at once is sent without going through the
  /// scheduler, 64 times in a row at most.
  template <class ConstBufferSequence>
  requires boost::asio::is_const_buffer_sequence<ConstBufferSequence>::value boost::asio::awaitable<std::size_t> write(
      ConstBufferSequence buffers) {
    const std::size_t size = boost::asio::buffer_size(buffers);
    auto op = detail::operation<detail::channel::writing>::try_begin(*channel_);
    std::size_t sent = 0;
    if (op && !channel_->is_greedy()) {
      error_code ec;
      sent = channel_->raw().send_now(buffers, ec);
      if (ec || (sent == size && sent != 0 && !channel_->raw().has_kept())) {
        detail::endpoint_label who;
        op.end(ec, sent, &who);
        if (ec) std::rethrow_exception(detail::make_failure("write", who, ec));
        co_return size;
      }
    }
    if (sent != 0) channel_->note_sent();
    std::vector<boost::asio::const_buffer> rest(boost::asio::buffer_sequence_begin(buffers),
                                                boost::asio::buffer_sequence_end(buffers));
    // If nothing is left, for what is kept.
    co_await write_rest(std::move(op), std::move(rest), sent);
    co_return size;
  }

  /// Reads until the buffer holds the delimiter, and returns the size up to and with it;
  /// `boost::asio::async_read_until` says which buffers and delimiters there are.
  template <class DynamicBuffer, class Delimiter>
  boost::asio::awaitable<std::size_t> read_until(DynamicBuffer&& buffer, Delimiter delimiter) {
    return await("read_until", detail::read_up_to(std::forward<DynamicBuffer>(buffer), std::move(delimiter)));
  }

  /// Ends our side of the stream, behind what was written before: FIN, and with TLS close_notify. Reads go on, until
  /// the peer ends its side too; a peer with TLS 1.2 must answer by closing (RFC 5246, section 7.2.1), with TLS 1.3 it
  /// may go on (RFC 8446, section 6.1).
  ///
  /// An operation of the write kind. What is written from then on fails with `broken_pipe`. The connection is not
  /// reused: when the lease ends it is replaced, an `on_connect` that did this has failed, and a connection that stands
  /// alone is redialled when a read has met the peer's end.
  boost::asio::awaitable<void> shutdown_send();

  /// What was written last has no answer (NATS PUB, MQTT with QoS 0, memcached's noreply): a lease may end behind it.
  /// As `pool_options::one_way`, for that alone.
  void no_answer() noexcept { channel_->note_no_answer(); }

  /// Bounds all operations started from now on, waiting for the stream included: what is outstanding at that time fails
  /// with `errc::timed_out`, and so does, at once, what is started after it. A duration of zero or less has passed.
  /// Ends with the lease.
  void expires_after(duration d) { channel_->expires_after(d); }
  /// Takes the bound away.
  void expires_never() { channel_->expires_never(); }

  /// Waits until connected. In a lease it is also the consent to go on with another stream, if the lease's own is lost:
  /// that is given up, and when no operation of the lease is outstanding it is redialled. The lease then goes on with
  /// the new stream, clean, with a new `generation()`. Until then its operations fail with the loss's error.
  /// \par Errors
  /// `errc::timed_out` (`expires_after`), `operation_aborted`; `errc::closed` after `close()`, in a lease also after
  /// the pool's. In a hook, which has only one stream, the loss's error.
  boost::asio::awaitable<void> ready();

  /// What this protocol keeps with the stream: prepared statements, a read buffer. There is one of each type, made with
  /// its default constructor when it is first asked for. It is the same in `on_connect`, in leases and in hooks, and no
  /// other stream has it: behind a redial there is another. While the stream is down it is that of the last one, and
  /// before the first connect one of its own.
  ///
  /// A type that is hidden in each of several shared libraries (as with `-fvisibility=hidden`) is another type in each.
  /// \par Lifetime
  /// Destroyed with the stream, the youngest first: on the executor, by whoever keeps the stream connected, under no
  /// lock. With the context if that ends first, and, where there is no memory to hand it over, where the stream ends.
  /// A reference holds until the lease ends or `ready()` returns without an error, in a hook until that returns; of a
  /// connection that stands alone until the next `session()` behind a redial.
  /// \par Exceptions
  /// What the constructor throws, and `std::bad_alloc`: then there is none, and the next call tries again.
  template <class T>
  T& session() {
    static_assert(std::is_object_v<T> && std::is_same_v<T, std::remove_cv_t<T>>, "a session is an object of its own");
    static_assert(std::is_nothrow_destructible_v<T>, "a session goes with its stream, and nobody is there to catch");
    const void* const key = &detail::session_key<T>;
    if (void* const known = channel_->find_session(key)) return *static_cast<T*>(known);
    auto made = std::make_unique<detail::session_of<T>>();
    T& value = made->value;
    channel_->keep_session(std::move(made));
    return value;
  }

  /// True if the stream is up, as far as is known here; in a lease, if it may be used.
  bool is_connected() const noexcept { return channel_->is_usable(); }
  /// The number of connects made so far.
  std::uint64_t generation() const noexcept { return channel_->generation(); }
  /// The number of the stream among all that this process has dialled, from 1: the same in `on_connect`, leases, hooks,
  /// `lease_info` and events. No other stream has it before or afterwards. 0 while down.
  std::uint64_t id() const noexcept { return channel_->id(); }
  /// OpenSSL's handle of the stream, to ask what was agreed on: the peer's certificate, the version, the protocol
  /// (ALPN). Null without TLS, before its handshake (see `tls_options::before`), and while down.
  /// \par Lifetime
  /// As the stream: until the lease ends, `ready()` is called, or an operation has failed.
  /// \par Thread safety
  /// OpenSSL serves one thread at a time: only for `on_connect`, other hooks and the holder of the lease, and only
  /// while no operation is outstanding.
  ssl_st* native_tls() const noexcept { return channel_->native_tls(); }
  /// Why the last attempt or stream ended; empty if none has.
  error_code last_error() const { return channel_->last_error(); }
  /// The peer's address; empty while not connected.
  endpoint remote_endpoint() const { return channel_->remote_endpoint(); }

  /// Ends every operation with `errc::closed`, for good; through a lease, for that lease, and the connection is
  /// replaced when it is put back.
  void close() noexcept;

 private:
  friend detail::slot;
  friend lease;
  friend detail::supervisor;

  /// \cond
  struct initiate {
    using executor_type = connection::executor_type;
    connection* self;

    executor_type get_executor() const noexcept { return self->get_executor(); }

    template <class Handler, class Work, class Told>
    void operator()(Handler&& handler, Work work, Told told) const {
      detail::start_operation(*self->channel_, std::move(work), told, std::forward<Handler>(handler));
    }
  };
  /// \endcond

  template <class Work>
  boost::asio::awaitable<std::size_t> await(const char* what, Work work) {
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(std::exception_ptr, std::size_t)>(
        initiate{this}, boost::asio::use_awaitable, std::move(work), detail::told_by_exception{what});
  }

  boost::asio::awaitable<void> write_rest(detail::operation<detail::channel::writing> op,
                                          std::vector<boost::asio::const_buffer> buffers, std::size_t sent);

  /// A view of a channel that others own.
  explicit connection(std::shared_ptr<detail::channel> users) noexcept;

  std::shared_ptr<detail::channel> channel_;
  /// Only of a connection that stands alone.
  std::shared_ptr<detail::lone_connection> alone_;
};

}  // namespace cocp
