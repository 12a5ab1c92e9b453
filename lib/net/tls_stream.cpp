// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/tls_stream.hpp"

#include "net/socket_stream.hpp"
#include "net/tls_sessions.hpp"
#include "net/tls_transport.hpp"

#include <cocp/impl/waiter.hpp>
#include <cocp/tls.hpp>

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/strand.hpp>
#include <boost/system/system_error.hpp>

#include <cstddef>
#include <ctime>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

namespace cocp {
namespace {

class x509_category final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "certificate"; }
  std::string message(int value) const override { return ::X509_verify_cert_error_string(value); }
};

}  // namespace

const boost::system::error_category& certificate_category() noexcept {
  static const x509_category instance;
  return instance;
}

namespace detail {
namespace {

using tls_strand = asio::strand<asio::any_io_executor>;

/// An operation on a TLS stream, which serves one thread at a time: whatever happens in it runs on the stream's strand,
/// and its handler runs where that belongs. So a read and a write may be started by different threads, as on a socket.
///
/// Shared by those who may end it; the completion keeps the stream's user, and so the stream, until it has run.
template <class Handler, class... Results>
class engine_operation : public std::enable_shared_from_this<engine_operation<Handler, Results...>> {
 public:
  engine_operation(const tls_strand& strand, Handler&& handler)
      : strand_(strand),
        handler_(std::move(handler)),
        where_(asio::get_associated_executor(handler_, asio::any_completion_executor(strand.get_inner_executor()))) {}

  /// `start(token)` begins the operation; `finish(results...)` is called on the strand when it has ended.
  template <class Start, class Finish>
  void launch(Start start, Finish finish) {
    auto slot = asio::get_associated_cancellation_slot(handler_);
    // The slot is its user's: whatever becomes of it, this touches it once, and it finds this only while this lasts.
    if (slot.is_connected()) {
      slot.assign([weak = this->weak_from_this()](asio::cancellation_type type) {
        auto self = weak.lock();
        if (!self) return;
        asio::dispatch(self->strand_, [self, type] { self->cancel_.emit(type); });
      });
    }
    asio::dispatch(strand_, [self = this->shared_from_this(), start, finish] {
      auto ended = [self, finish](Results... results) {
        // What Asio has put there points to the socket, which a cancellation that is still on its way may outlive.
        self->cancel_.slot().clear();
        finish(results...);
        self->complete(results...);
      };
      start(asio::bind_cancellation_slot(self->cancel_.slot(), asio::bind_executor(self->strand_, std::move(ended))));
    });
  }

  void complete(Results... results) {
    asio::dispatch(where_.get_executor(), [self = this->shared_from_this(), results...]() mutable {
      Handler handler(std::move(self->handler_));
      self.reset();
      std::move(handler)(results...);
    });
  }

 private:
  tls_strand strand_;
  Handler handler_;
  expecting_executor<asio::any_completion_executor> where_;
  asio::cancellation_signal cancel_;
};

class tls_stream final : public stream {
 public:
  tls_stream(const asio::any_io_executor& ex, const connection_options& options, const destination& to)
      : lower_(ex, options),
        transport_(*lower_.plain()),
        tls_(transport_, *options.tls->context),
        engine_(tls_.native_handle()),
        strand_(ex),
        sessions_(to.sessions),
        verify_(options.tls->verify) {
    identify(options.tls->server_name.empty() ? to.host : options.tls->server_name);
    if (!may_resume()) return;
    const kept_session known = sessions_->take(std::time(nullptr));
    if (!known.session) return;
    ::SSL_set_session(engine_, known.session.get());
    until_ = known.until;
  }

  /// Tells the peer that this is an orderly end, if it is one (RFC 8446, section 6.1): as far as the socket takes it
  /// without waiting. An answer is not waited for.
  ~tls_stream() override {
    error_code ignored;
    if (orderly_ && lower_.is_ours()) tls_.shutdown(ignored);
  }

  void async_connect(const endpoint& to, wait_handler handler) override {
    lower_.async_connect(to, std::move(handler));
  }

  bool needs_handshake() const noexcept override { return true; }

  void async_handshake(wait_handler handler) override {
    is_plain_ = false;
    auto op = std::make_shared<engine_operation<wait_handler, error_code>>(strand_, std::move(handler));
    op->launch([this](auto token) { tls_.async_handshake(asio::ssl::stream_base::client, std::move(token)); },
               [this](error_code& ec) {
                 ec = why(ec);
                 orderly_ = agreed_ = !ec;
                 if (!agreed_) return;
                 // What is resumed is no better than what it was made with, however new its ticket is.
                 if (!resumed()) until_ = end_of_chain(engine_);
                 note_session();
               });
  }

  bool resumed() const noexcept override { return ::SSL_session_reused(engine_) == 1; }
  ssl_st* native_tls() noexcept override { return agreed_ ? engine_ : nullptr; }

  void async_read_some(asio::mutable_buffer buffer, io_handler handler) override {
    if (is_plain_) {
      lower_.async_read_some(buffer, std::move(handler));
      return;
    }
    auto op = std::make_shared<engine_operation<io_handler, error_code, std::size_t>>(strand_, std::move(handler));
    op->launch(
        [this, buffer](auto token) {
          if (seen_ && buffer.size() != 0) {
            asio::buffer_copy(buffer, asio::buffer(&*seen_, 1));
            seen_.reset();
            asio::post(strand_, [token = std::move(token)]() mutable { std::move(token)(error_code(), 1); });
          } else {
            tls_.async_read_some(buffer, std::move(token));
          }
        },
        [this](error_code ec, std::size_t) { note_end(ec); });
  }

  void async_write_some(asio::const_buffer buffer, io_handler handler) override {
    if (is_plain_) {
      lower_.async_write_some(buffer, std::move(handler));
      return;
    }
    auto op = std::make_shared<engine_operation<io_handler, error_code, std::size_t>>(strand_, std::move(handler));
    op->launch([this, buffer](auto token) { tls_.async_write_some(buffer, std::move(token)); },
               [this](error_code ec, std::size_t) { note_end(ec); });
  }

  void async_shutdown_send(io_handler handler) override {
    if (is_plain_) {
      lower_.async_shutdown_send(std::move(handler));
      return;
    }
    auto op = std::make_shared<engine_operation<io_handler, error_code, std::size_t>>(strand_, std::move(handler));
    op->launch(
        [this](auto token) {
          if (const error_code ec = say_goodbye()) {
            asio::post(strand_, asio::append(std::move(token), ec, std::size_t{0}));
          } else {
            transport_.async_send_kept(std::move(token));
          }
        },
        [](error_code, std::size_t) {});
  }

  void async_wait_readable(wait_handler handler) override { lower_.async_wait_readable(std::move(handler)); }
  void cancel_wait_readable() noexcept override { lower_.cancel_wait_readable(); }

  peek_result peek(error_code& ec) noexcept override {
    if (is_plain_) return lower_.peek(ec);
    if (seen_) {
      ec = lower_.end_behind();
      return peek_result::unread;
    }
    // The socket does not block, so this takes in what has come: session tickets, say, which are no data. Some may have
    // been taken from the socket before, and be in the engine.
    unsigned char byte = 0;
    error_code why_not;
    if (tls_.read_some(asio::buffer(&byte, 1), why_not) == 1) {
      seen_ = byte;
      ec = lower_.end_behind();
      return peek_result::unread;
    }
    if (why_not == asio::error::would_block || why_not == asio::error::try_again) {
      note_session();
      return peek_result::quiet;
    }
    orderly_ = false;
    ec = why_not;
    return peek_result::dead;
  }

  void shutdown() noexcept override { lower_.shutdown(); }
  endpoint remote_endpoint() const override { return lower_.remote_endpoint(); }

 private:
  /// Says whom we expect to reach, and how sure we want to be of it.
  void identify(std::string name) {
    // RFC 6066, section 3: the name without a trailing dot, and no addresses.
    if (name.ends_with('.')) name.pop_back();
    error_code not_an_address;
    asio::ip::make_address(name, not_an_address);
    if (not_an_address && !name.empty()) ::SSL_set_tlsext_host_name(engine_, name.c_str());
    tls_.set_verify_mode(verify_ ? asio::ssl::verify_peer : asio::ssl::verify_none);
    if (!verify_) return;
    X509_VERIFY_PARAM* const rules = ::SSL_get0_param(engine_);
    // RFC 6125, section 6.4.3: the wildcard is the whole of the leftmost label.
    ::X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const int done = not_an_address ? ::X509_VERIFY_PARAM_set1_host(rules, name.c_str(), name.size())
                                    : ::X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str());
    if (done != 1) throw boost::system::system_error(asio::error::no_memory, "server_name");
  }

  /// The reason for a failed handshake, as exactly as it is known.
  error_code why(error_code ec) const {
    if (!ec || !verify_) return ec;
    const long verdict = ::SSL_get_verify_result(engine_);
    return verdict == X509_V_OK ? ec : error_code(static_cast<int>(verdict), certificate_category());
  }

  /// What the context says. OpenSSL's default for it is SSL_SESS_CACHE_SERVER, which has sessions for servers only; but
  /// that is its own store, which ours is not.
  bool may_resume() const noexcept {
    const bool off = ::SSL_CTX_get_session_cache_mode(::SSL_get_SSL_CTX(engine_)) == SSL_SESS_CACHE_OFF;
    return !off && (::SSL_get_options(engine_) & SSL_OP_NO_TICKET) == 0;
  }

  /// Has OpenSSL write its close_notify, once, and keeps that for the socket. Not by Asio's shutdown, which asks
  /// OpenSSL a second time for the peer's, and that spoils the session if there is data to come (SSL_shutdown(3)); and
  /// Asio's engine sends nothing but what the call that it makes itself has written.
  error_code say_goodbye() {
    orderly_ = false;
    BIO* const below = ::SSL_get_wbio(engine_);
    BIO* const aside = ::BIO_new(::BIO_s_mem());
    if (!aside) return asio::error::no_memory;
    ::BIO_up_ref(below);
    ::SSL_set0_wbio(engine_, aside);
    ::ERR_clear_error();
    error_code ec;
    if (::SSL_shutdown(engine_) < 0) {
      const unsigned long why_not = ::ERR_get_error();
      ec = why_not == 0 ? error_code(asio::error::broken_pipe)
                        : error_code(static_cast<int>(why_not), asio::error::get_ssl_category());
    }
    char* bytes = nullptr;
    const long size = ::BIO_get_mem_data(aside, &bytes);
    if (size > 0 && !ec) ec = transport_.keep(asio::buffer(bytes, static_cast<std::size_t>(size)));
    ::SSL_set0_wbio(engine_, below);
    return ec;
  }

  void note_end(error_code ec) {
    if (ec) {
      orderly_ = false;
    } else {
      note_session();
    }
  }

  /// Keeps what can be resumed: in TLS 1.2 that is settled with the handshake, in TLS 1.3 with each ticket. A copy,
  /// because OpenSSL spoils the session of a connection that fails.
  void note_session() noexcept {
    if (!may_resume()) return;
    SSL_SESSION* const current = ::SSL_get_session(engine_);
    if (current == noted_.get() || ::SSL_SESSION_is_resumable(current) != 1) return;
    session_ptr copy(::SSL_SESSION_dup(current));
    noted_.reset(::SSL_get1_session(engine_));
    try {
      if (copy) sessions_->put({std::move(copy), until_});
    } catch (const std::bad_alloc&) {
      // Then there is one session less to resume.
    }
  }

  socket_stream lower_;
  tls_transport transport_;
  asio::ssl::stream<tls_transport&> tls_;
  /// Of `tls_`.
  SSL* const engine_;
  tls_strand strand_;
  const std::shared_ptr<tls_sessions> sessions_;
  const bool verify_;
  /// The handshake has not begun (see `tls_options::before`): what goes on is the socket's.
  bool is_plain_ = true;
  /// The handshake has succeeded.
  bool agreed_ = false;
  /// The same, and nothing has failed since.
  bool orderly_ = false;
  /// What a look found, which the next read gets.
  std::optional<unsigned char> seen_;
  /// When what can be resumed of this must be given up (see `kept_session`).
  std::time_t until_ = 0;
  /// The session that was kept last. A reference, so that no other can have its address.
  session_ptr noted_;
};

}  // namespace

void check(const tls_options& options) {
  if (!options.context) throw std::invalid_argument("tls.context: nullptr: must point to a context");
  // OpenSSL's interfaces for names end them there.
  if (const auto nul = options.server_name.find('\0'); nul != std::string::npos) {
    throw std::invalid_argument("tls.server_name: \"" + options.server_name.substr(0, nul) +
                                "\\0...\": must not have a NUL");
  }
}

std::shared_ptr<tls_sessions> make_tls_sessions() { return std::make_shared<tls_sessions>(); }

std::unique_ptr<stream> make_tls_stream(const asio::any_io_executor& ex, const connection_options& options,
                                        const destination& to) {
  return std::make_unique<tls_stream>(ex, options, to);
}

}  // namespace detail
}  // namespace cocp
