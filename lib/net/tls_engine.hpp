// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/impl/stream.hpp>

#include <boost/asio/buffer.hpp>

#include <cstddef>
#include <memory>
#include <vector>

#include <openssl/ssl.h>

namespace cocp::detail {

/// A client's side of TLS, which is OpenSSL's, and what is between OpenSSL and a socket that does not block: bytes that
/// have come and that OpenSSL has not taken, and bytes that OpenSSL has said and the socket has not taken. It waits for
/// nothing; who uses it does.
///
/// The socket has one writer. What OpenSSL says goes there at once, if all before it has gone; the rest is kept, in
/// order, and sent by who writes (`output`), or when the socket takes it (`send_now`). Who reads does not wait until it
/// is gone. Nor does a read fail because of what cannot be sent, unless the peer waits for that: what the peer has said
/// before is read first.
///
/// One caller at a time. The bytes that `room` and `output` name are his who receives and sends until `received` and
/// `sent`, whatever others call meanwhile.
class tls_engine {
 public:
  enum class outcome { done, needs_input, failed };

  /// RFC 5246, section 6.2.3.
  static constexpr std::size_t largest_record = 16'384 + 2'048 + 5;
  /// The most that is kept: a record, and as much of answers. A peer that reads nothing, and asks for more, is not
  /// well.
  static constexpr std::size_t most_kept = 2 * largest_record;

  /// The context outlives it, and so does the socket. Throws `system_error`.
  tls_engine(SSL_CTX* context, plain_socket& socket);
  tls_engine(const tls_engine&) = delete;
  tls_engine& operator=(const tls_engine&) = delete;

  SSL* native() const noexcept { return ssl_.get(); }

  outcome shake_hands(error_code& ec) noexcept;
  outcome read(asio::mutable_buffer to, std::size_t& n, error_code& ec) noexcept;
  /// Makes one record of what there is, or of the first of it. All that is kept has to be gone; the record may be kept.
  /// After `needs_input` it is to be called again with the same bytes, or more (SSL_write(3)).
  outcome write(asio::const_buffer from, std::size_t& n, error_code& ec) noexcept;
  /// Says that nothing more will be written (close_notify).
  outcome say_goodbye(error_code& ec) noexcept;
  /// Takes in what has come, and what comes of it that is no data; `done` if there are data to read, or so much else
  /// that it is not to be waited for.
  outcome look(error_code& ec) noexcept;

  /// Nothing has come that has not been given out, as far as is known here.
  bool is_dry() const noexcept { return begin_ == end_ && !input_error_ && ::SSL_has_pending(native()) == 0; }
  /// After `needs_input`: some of a record has come, and not all, on a stream on which there were data before: nobody
  /// knows yet what is in it, and it may be the rest of an answer.
  bool may_be_in_answer() const noexcept {
    // SSL_rstate_string(3): the header has been read, and the body has not. Part of a header, or of a body, is pending.
    return has_data_ && (::SSL_has_pending(native()) == 1 || ::SSL_rstate_string(native())[1] == 'B');
  }
  /// The same: where to put what comes next.
  asio::mutable_buffer room() noexcept { return asio::buffer(input_.get(), largest_record); }
  void received(std::size_t n, error_code ec) noexcept;

  /// Something is kept.
  bool has_output() const noexcept { return gone_ != on_its_way_.size() || !kept_.empty(); }
  /// Only if there is some; behind it `sent`, before it is asked for again.
  asio::const_buffer output() noexcept;
  void sent(std::size_t n, error_code ec) noexcept;
  /// Of what `output` has named there is a rest.
  bool is_sending() const noexcept { return gone_ != on_its_way_.size(); }
  /// The same as far as the socket takes it now.
  void send_now() noexcept;
  /// Why nothing that is said will be heard any more, if it is so.
  error_code output_error() const noexcept { return output_error_; }

  /// The bytes that `room` and `output` have named.
  struct buffers {
    std::unique_ptr<unsigned char[]> input;
    std::vector<unsigned char> output;
  };
  /// For who receives or sends when this goes: with it nothing may be called any more.
  buffers release() && noexcept { return {std::move(input_), std::move(on_its_way_)}; }

 private:
  struct ssl_deleter {
    void operator()(SSL* s) const noexcept { ::SSL_free(s); }
  };

  static const BIO_METHOD* method();
  static int read_bio(BIO* b, char* to, int size) noexcept;
  static int write_bio(BIO* b, const char* from, int size) noexcept;
  static long control_bio(BIO* b, int what, long number, void* pointer) noexcept;

  void receive_now() noexcept;
  std::size_t send_some(asio::const_buffer from) noexcept;
  void keep(asio::const_buffer what) noexcept;
  void forget_output() noexcept;
  outcome judge(int result, error_code& ec) const noexcept;
  outcome heard(outcome o, error_code& ec) const noexcept;

  plain_socket& socket_;
  /// What has come: from `begin_` to `end_`.
  std::unique_ptr<unsigned char[]> input_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  /// How it has ended.
  error_code input_error_;
  /// So often OpenSSL's wish for input goes to the socket.
  unsigned may_receive_ = 0;
  /// What is sent now, of which some has gone, and what is kept behind it: that may grow meanwhile.
  std::vector<unsigned char> on_its_way_;
  std::size_t gone_ = 0;
  std::vector<unsigned char> kept_;
  error_code output_error_;
  bool said_all_ = false;
  /// Data went, or came. Before that a server says something of its own accord, which may be here in part: tickets.
  bool has_data_ = false;
  /// Calls the others while it goes.
  std::unique_ptr<SSL, ssl_deleter> ssl_;
};

}  // namespace cocp::detail
