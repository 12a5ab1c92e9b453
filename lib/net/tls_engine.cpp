// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/tls_engine.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include <openssl/bio.h>
#include <openssl/err.h>

namespace cocp::detail {
namespace {

/// The most data in a record (RFC 8446, section 5.1): OpenSSL makes no larger one.
constexpr std::size_t most_in_record = 16'384;

/// So often a look receives: a peer can have it take time, but not as much as it likes.
constexpr unsigned most_at_once = 8;

bool would_block(error_code ec) noexcept { return ec == asio::error::would_block || ec == asio::error::try_again; }

}  // namespace

tls_engine::tls_engine(SSL_CTX* context, plain_socket& socket)
    : socket_(socket), input_(new unsigned char[largest_record]), ssl_(::SSL_new(context)) {
  BIO* const below = ssl_ ? ::BIO_new(method()) : nullptr;
  if (!below) throw boost::system::system_error(asio::error::no_memory, "SSL_new");
  ::BIO_set_data(below, this);
  ::BIO_set_init(below, 1);
  ::SSL_set_bio(native(), below, below);
  ::SSL_set_mode(native(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                               SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
  ::SSL_set_connect_state(native());
}

tls_engine::outcome tls_engine::shake_hands(error_code& ec) noexcept {
  ::ERR_clear_error();
  outcome o = judge(::SSL_do_handshake(native()), ec);
  if (!output_error_) return o;
  // What the peer said before it ended, an alert, says more than that it hears nothing. No more of it is waited for.
  if (o == outcome::needs_input) {
    may_receive_ = most_at_once;
    o = judge(::SSL_do_handshake(native()), ec);
    may_receive_ = 0;
  }
  return heard(o, ec);
}

tls_engine::outcome tls_engine::read(asio::mutable_buffer to, std::size_t& n, error_code& ec) noexcept {
  n = 0;
  if (to.size() == 0) return outcome::done;
  ::ERR_clear_error();
  const outcome o = judge(::SSL_read_ex(native(), to.data(), to.size(), &n), ec);
  has_data_ = has_data_ || n != 0;
  // In the midst of an agreement the peer waits for what it does not hear.
  return o == outcome::needs_input && ::SSL_in_init(native()) == 1 ? heard(o, ec) : o;
}

tls_engine::outcome tls_engine::write(asio::const_buffer from, std::size_t& n, error_code& ec) noexcept {
  n = 0;
  ec = output_error_;
  if (ec) return outcome::failed;
  if (from.size() == 0) return outcome::done;
  ::ERR_clear_error();
  outcome o = judge(::SSL_write_ex(native(), from.data(), std::min(from.size(), most_in_record), &n), ec);
  o = heard(o, ec);
  if (o != outcome::done) n = 0;
  has_data_ = has_data_ || n != 0;
  return o;
}

tls_engine::outcome tls_engine::say_goodbye(error_code& ec) noexcept {
  ::ERR_clear_error();
  // Once: a second time would be to wait for the peer's, and that spoils the session if there are data to come
  // (SSL_shutdown(3)). 0: the peer has not said his.
  const int result = ::SSL_shutdown(native());
  const outcome o = result < 0 ? judge(result, ec) : outcome::done;
  said_all_ = o == outcome::done;
  return heard(o, ec);
}

/// What has not failed has, if what it said cannot be sent.
tls_engine::outcome tls_engine::heard(outcome o, error_code& ec) const noexcept {
  if (o == outcome::failed || !output_error_) return o;
  ec = output_error_;
  return outcome::failed;
}

tls_engine::outcome tls_engine::look(error_code& ec) noexcept {
  unsigned char byte = 0;
  std::size_t n = 0;
  may_receive_ = most_at_once;
  ::ERR_clear_error();
  const outcome o = judge(::SSL_peek_ex(native(), &byte, 1, &n), ec);
  // So much that is no data is no quiet peer.
  return std::exchange(may_receive_, 0) == 0 && o == outcome::needs_input ? outcome::done : o;
}

/// As Asio's streams have it.
tls_engine::outcome tls_engine::judge(int result, error_code& ec) const noexcept {
  const int how = ::SSL_get_error(native(), result);
  const unsigned long why = ::ERR_get_error();
  switch (how) {
    case SSL_ERROR_NONE:
      return outcome::done;
    case SSL_ERROR_WANT_READ:
      if (!input_error_) return outcome::needs_input;
      ec = input_error_;
      if (ec == asio::error::eof && (::SSL_get_shutdown(native()) & SSL_RECEIVED_SHUTDOWN) == 0) {
        ec = asio::ssl::error::stream_truncated;
      }
      return outcome::failed;
    case SSL_ERROR_ZERO_RETURN:
      ec = asio::error::eof;
      return outcome::failed;
    case SSL_ERROR_SSL:
    case SSL_ERROR_SYSCALL:
      ec = asio::ssl::error::unspecified_system_error;
      if (why != 0) ec = error_code(static_cast<int>(why), asio::error::get_ssl_category());
      return outcome::failed;
    default:
      ec = asio::ssl::error::unexpected_result;
      return outcome::failed;
  }
}

void tls_engine::received(std::size_t n, error_code ec) noexcept {
  begin_ = 0;
  end_ = n;
  if (ec != asio::error::operation_aborted) input_error_ = ec;
}

void tls_engine::receive_now() noexcept {
  error_code ec;
  std::size_t n = 0;
  do {
    n = socket_.read_some(room(), ec);
  } while (ec == asio::error::interrupted);
  if (!would_block(ec)) received(n, ec);
}

asio::const_buffer tls_engine::output() noexcept {
  if (gone_ == on_its_way_.size()) {
    on_its_way_ = std::exchange(kept_, {});
    gone_ = 0;
  }
  return asio::buffer(on_its_way_) + gone_;
}

void tls_engine::sent(std::size_t n, error_code ec) noexcept {
  gone_ += n;
  if (ec && ec != asio::error::operation_aborted) {
    output_error_ = ec;
    forget_output();
  } else if (!has_output()) {
    forget_output();
  }
}

void tls_engine::send_now() noexcept {
  while (has_output()) {
    const std::size_t n = send_some(output());
    if (output_error_) {
      forget_output();
    } else {
      sent(n, {});
      if (n == 0) return;
    }
  }
}

/// Of that, what the socket takes.
std::size_t tls_engine::send_some(asio::const_buffer from) noexcept {
  error_code ec;
  std::size_t n = 0;
  // Asio does it again after a signal only where it is asynchronous.
  do {
    n = socket_.write_some(from, ec);
  } while (ec == asio::error::interrupted);
  if (ec && !would_block(ec)) output_error_ = ec;
  return n;
}

void tls_engine::keep(asio::const_buffer what) noexcept {
  if (what.size() > most_kept - (on_its_way_.size() - gone_) - kept_.size()) {
    output_error_ = asio::error::no_buffer_space;
    return;
  }
  const auto* const from = static_cast<const unsigned char*>(what.data());
  try {
    kept_.insert(kept_.end(), from, from + what.size());
  } catch (const std::bad_alloc&) {
    output_error_ = asio::error::no_memory;
  }
}

/// With its memory: an idle connection has none of it.
void tls_engine::forget_output() noexcept {
  on_its_way_ = {};
  gone_ = 0;
  kept_ = {};
}

const BIO_METHOD* tls_engine::method() {
  // Of the process, which has few of them. What throws is tried again by the next.
  static const BIO_METHOD* const made = [] {
    BIO_METHOD* const m = ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "cocp");
    if (!m) throw boost::system::system_error(asio::error::no_memory, "BIO_meth_new");
    ::BIO_meth_set_read(m, &tls_engine::read_bio);
    ::BIO_meth_set_write(m, &tls_engine::write_bio);
    ::BIO_meth_set_ctrl(m, &tls_engine::control_bio);
    return m;
  }();
  return made;
}

int tls_engine::read_bio(BIO* b, char* to, int size) noexcept {
  auto& self = *static_cast<tls_engine*>(::BIO_get_data(b));
  ::BIO_clear_retry_flags(b);
  if (self.begin_ == self.end_ && self.may_receive_ != 0 && !self.input_error_) {
    --self.may_receive_;
    self.receive_now();
  }
  const std::size_t n = std::min(static_cast<std::size_t>(size), self.end_ - self.begin_);
  if (n == 0) {
    ::BIO_set_retry_read(b);
    return -1;
  }
  std::memcpy(to, self.input_.get() + self.begin_, n);
  self.begin_ += n;
  return static_cast<int>(n);
}

/// Takes all. What cannot be sent is known to the next who writes. Behind a close_notify comes nothing (RFC 8446,
/// section 6.1), though OpenSSL would still answer a key update.
int tls_engine::write_bio(BIO* b, const char* from, int size) noexcept {
  auto& self = *static_cast<tls_engine*>(::BIO_get_data(b));
  if (self.said_all_) return size;
  asio::const_buffer rest(from, static_cast<std::size_t>(size));
  if (!self.output_error_ && !self.has_output()) rest += self.send_some(rest);
  if (!self.output_error_ && rest.size() != 0) self.keep(rest);
  return size;
}

long tls_engine::control_bio(BIO*, int what, long, void*) noexcept { return what == BIO_CTRL_FLUSH ? 1 : 0; }

}  // namespace cocp::detail
