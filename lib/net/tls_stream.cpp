// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/tls_stream.hpp"

#include "net/patient_handler.hpp"
#include "net/socket_stream.hpp"
#include "net/tls_engine.hpp"
#include "net/tls_sessions.hpp"

#include <cocp/impl/operation.hpp>
#include <cocp/tls.hpp>

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>

#include <cstddef>
#include <ctime>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

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

/// So many are sent at once before others have their turn: to make a record takes time.
constexpr unsigned most_records = 16;

/// The handler of a handshake, as one of a transfer of nothing.
struct handshake_handler {
  using wrapped_handler = wait_handler;

  wait_handler handler;

  void operator()(error_code ec, std::size_t) { std::move(handler)(ec); }
};

class tls_stream;

/// By what a part of an operation that runs on another executor finds the stream, which goes with its own context: that
/// may be before.
struct tls_door {
  /// Guards the stream, but for its socket: a read and a write may be started by different threads, as on a socket.
  std::mutex mutex;
  /// Null when it has gone.
  tls_stream* stream;
  /// Then: what the kernel may still write to, and read (io_uring(7)). It goes with the last part.
  tls_engine::buffers buffers;
};

/// An operation on its way. It runs where its handler belongs, as what is made of several of Asio's does.
template <class Work>
class tls_step;

class tls_stream final : public stream {
 public:
  tls_stream(const asio::any_io_executor& ex, const connection_options& options, const destination& to)
      : lower_(ex, options),
        socket_(*lower_.plain()),
        engine_(options.tls->context->native_handle(), socket_),
        door_(std::make_shared<tls_door>()),
        own_executor_(ex),
        sessions_(to.sessions),
        verify_(options.tls->verify) {
    door_->stream = this;
    identify(options.tls->server_name.empty() ? to.host : options.tls->server_name);
    if (!may_resume()) return;
    const kept_session known = sessions_->take(std::time(nullptr));
    if (!known.session) return;
    ::SSL_set_session(engine_.native(), known.session.get());
    until_ = known.until;
  }

  /// Tells the peer that this is an orderly end, if it is one (RFC 8446, section 6.1): as far as the socket takes it
  /// without waiting. An answer is not waited for.
  ~tls_stream() override {
    const std::lock_guard lock(door_->mutex);
    door_->stream = nullptr;
    // Of what somebody sends nobody knows how much has gone.
    if (orderly_ && !sending_ && lower_.is_ours()) {
      error_code ignored;
      engine_.send_now();
      engine_.say_goodbye(ignored);
    }
    // With its context it goes before they have ended.
    if (receiving_ || sending_) door_->buffers = std::move(engine_).release();
  }

  void async_connect(const endpoint& to, wait_handler handler) override {
    lower_.async_connect(to, std::move(handler));
  }

  bool needs_handshake() const noexcept override { return true; }
  void async_handshake(wait_handler handler) override;
  bool resumed() const noexcept override { return ::SSL_session_reused(engine_.native()) == 1; }
  ssl_st* native_tls() noexcept override { return agreed_ ? engine_.native() : nullptr; }

  void async_read_some(asio::mutable_buffer buffer, io_handler handler) override;
  void async_write_some(asio::const_buffer buffer, io_handler handler) override;
  sent_now write_now(asio::const_buffer buffer, error_code& ec) override;
  void async_shutdown_send(io_handler handler) override;

  void async_wait_readable(wait_handler handler) override { lower_.async_wait_readable(std::move(handler)); }
  void cancel_wait_readable() noexcept override { lower_.cancel_wait_readable(); }

  peek_result peek(error_code& ec) noexcept override {
    if (is_plain_) return lower_.peek(ec);
    const std::lock_guard lock(door_->mutex);
    if (!sending_) engine_.send_now();
    if (engine_.is_dry()) {
      const peek_result below = lower_.peek(ec);
      if (below == peek_result::quiet) return without_data(ec);
      if (below == peek_result::dead && ec != asio::error::eof) {
        // The socket says so once.
        orderly_ = false;
        return below;
      }
      ec.clear();
    }
    // What has come may be no data: session tickets, say.
    switch (engine_.look(ec)) {
      case tls_engine::outcome::done:
        ec = lower_.end_behind();
        return peek_result::unread;
      case tls_engine::outcome::needs_input:
        note_session();
        return without_data(ec);
      default:
        orderly_ = false;
        return peek_result::dead;
    }
  }

  void shutdown() noexcept override { lower_.shutdown(); }
  endpoint remote_endpoint() const override { return lower_.remote_endpoint(); }

 private:
  template <class Work>
  friend class tls_step;

  struct reading {
    static constexpr bool writes = false;
    using may_be_cancelled = asio::enable_total_cancellation;
    asio::mutable_buffer to;

    tls_engine::outcome operator()(tls_stream& s, std::size_t& n, error_code& ec) const {
      return s.engine_.read(to, n, ec);
    }
    static void ended(tls_stream& s, error_code& ec) { s.note_end_of_read(ec); }
  };

  struct writing {
    static constexpr bool writes = true;
    using may_be_cancelled = asio::enable_partial_cancellation;
    asio::const_buffer from;

    tls_engine::outcome operator()(tls_stream& s, std::size_t& n, error_code& ec) const {
      return s.engine_.write(from, n, ec);
    }
    static void ended(tls_stream& s, error_code& ec) { s.note_end(ec); }
  };

  struct ending {
    static constexpr bool writes = true;
    using may_be_cancelled = asio::enable_partial_cancellation;

    tls_engine::outcome operator()(tls_stream& s, std::size_t&, error_code& ec) const {
      s.orderly_ = false;
      const tls_engine::outcome o = s.engine_.say_goodbye(ec);
      if (o != tls_engine::outcome::needs_input) return o;
      ec = asio::error::broken_pipe;
      return tls_engine::outcome::failed;
    }
    static void ended(tls_stream&, error_code&) {}
  };

  struct shaking_hands {
    static constexpr bool writes = true;
    using may_be_cancelled = asio::enable_partial_cancellation;

    tls_engine::outcome operator()(tls_stream& s, std::size_t&, error_code& ec) const {
      return s.engine_.shake_hands(ec);
    }
    static void ended(tls_stream& s, error_code& ec) {
      ec = s.why(ec);
      s.orderly_ = s.agreed_ = !ec;
      if (ec) return;
      s.note_session();
    }
  };

  template <class Work>
  void start(Work work, io_handler handler);

  /// What a stream is that has no data for who reads: quiet, unless nothing can be said on it any more, or what has
  /// come of a record may be data.
  peek_result without_data(error_code& ec) noexcept {
    if (engine_.may_be_in_answer()) {
      ec = lower_.end_behind();
      return peek_result::unread;
    }
    ec = engine_.output_error();
    if (!ec) return peek_result::quiet;
    orderly_ = false;
    return peek_result::dead;
  }

  /// Sends what was left when the socket takes it. One that is dropped, by an executor say, ends the stream: nobody
  /// else would send it, and the peer may wait for it.
  class later_sender {
   public:
    explicit later_sender(std::shared_ptr<tls_door> door) noexcept : door_(std::move(door)) {}
    later_sender(later_sender&&) = default;
    ~later_sender() {
      if (!door_ || being_started) return;
      const std::lock_guard lock(door_->mutex);
      if (!door_->stream) return;
      door_->stream->waits_to_send_ = false;
      if (!door_->stream->sending_ && door_->stream->engine_.has_output()) door_->stream->drop_sender();
    }

    void operator()(error_code ec) {
      const auto door = std::move(door_);
      const std::lock_guard lock(door->mutex);
      if (!door->stream) return;
      door->stream->waits_to_send_ = false;
      if (!ec) door->stream->send_later();
    }

    /// By this thread, which has the mutex.
    inline static thread_local bool being_started = false;

   private:
    std::shared_ptr<tls_door> door_;
  };

  /// For who holds the mutex: waits until somebody else has received.
  template <class Handler>
  void async_wait_for_input(Handler&& handler) {
    if (!turn_) turn_.emplace(socket_.get_executor());
    turn_->expires_at(asio::steady_timer::time_point::max());
    turn_->async_wait(std::forward<Handler>(handler));
  }
  void end_wait_for_input() {
    if (turn_) turn_->expires_at(asio::steady_timer::time_point::min());
  }
  /// The same: sends what was left when the socket takes it, if nobody writes by then. The peer may wait for it.
  void send_later() {
    if (!sending_) engine_.send_now();
    if (!engine_.has_output() || sending_ || waits_to_send_) return;
    later_sender::being_started = true;
    try {
      socket_.async_wait(plain_socket::wait_write, later_sender(door_));
      waits_to_send_ = true;
    } catch (const std::bad_alloc&) {
      // Then it goes with the next write, or the next read tries again.
    }
    later_sender::being_started = false;
  }

  /// The same: who receives will not come back, and nobody knows what he has received.
  void drop_receiver() noexcept {
    engine_.received(0, asio::ssl::error::stream_truncated);
    end_wait_for_input();
  }
  /// The same: who sends will not come back, and nobody knows what has gone. So `sending_` stays.
  void drop_sender() noexcept {
    orderly_ = false;
    lower_.shutdown();
  }

  bool was_wait_cancelled() const { return turn_->expiry() != asio::steady_timer::time_point::min(); }

  /// Says whom we expect to reach, and how sure we want to be of it.
  void identify(std::string name) {
    // RFC 6066, section 3: the name without a trailing dot, and no addresses.
    if (name.ends_with('.')) name.pop_back();
    error_code not_an_address;
    asio::ip::make_address(name, not_an_address);
    if (not_an_address && !name.empty()) ::SSL_set_tlsext_host_name(engine_.native(), name.c_str());
    SSL* const ssl = engine_.native();
    ::SSL_set_verify(ssl, verify_ ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, ::SSL_get_verify_callback(ssl));
    if (!verify_) return;
    X509_VERIFY_PARAM* const rules = ::SSL_get0_param(ssl);
    // RFC 6125, section 6.4.3: the wildcard is the whole of the leftmost label.
    ::X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    // Of an address the zone (RFC 4007, section 11) is this machine's affair.
    const int done = not_an_address ? ::X509_VERIFY_PARAM_set1_host(rules, name.c_str(), name.size())
                                    : ::X509_VERIFY_PARAM_set1_ip_asc(rules, name.substr(0, name.find('%')).c_str());
    if (done != 1) throw boost::system::system_error(asio::error::no_memory, "server_name");
  }

  /// The reason for a failed handshake, as exactly as it is known.
  error_code why(error_code ec) const {
    if (!ec || !verify_) return ec;
    const long verdict = ::SSL_get_verify_result(engine_.native());
    return verdict == X509_V_OK ? ec : error_code(static_cast<int>(verdict), certificate_category());
  }

  /// What the context says. OpenSSL's default for it is SSL_SESS_CACHE_SERVER, which has sessions for servers only; but
  /// that is its own store, which ours is not.
  bool may_resume() const noexcept {
    SSL* const ssl = engine_.native();
    const bool off = ::SSL_CTX_get_session_cache_mode(::SSL_get_SSL_CTX(ssl)) == SSL_SESS_CACHE_OFF;
    return !off && (::SSL_get_options(ssl) & SSL_OP_NO_TICKET) == 0;
  }

  /// Who is told that the peer has said goodbye, or who does not want to read any more, has lost nothing.
  void note_end_of_read(error_code ec) {
    if (ec != asio::error::eof && ec != asio::error::operation_aborted) note_end(ec);
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
    // Who agrees anew in TLS 1.2 has one with a name, and nothing to resume in it yet.
    if (::SSL_in_init(engine_.native()) == 1) return;
    SSL_SESSION* const current = ::SSL_get_session(engine_.native());
    if (current == noted_.get() || !may_resume() || ::SSL_SESSION_is_resumable(current) != 1) return;
    // What is resumed is no better than what it was made with, however new its ticket is. Who agrees anew may show
    // other certificates.
    if (!resumed()) until_ = end_of_chain(engine_.native());
    session_ptr copy(::SSL_SESSION_dup(current));
    noted_.reset(::SSL_get1_session(engine_.native()));
    try {
      if (copy) sessions_->put({std::move(copy), until_});
    } catch (const std::bad_alloc&) {
      // Then there is one session less to resume.
    }
  }

  socket_stream lower_;
  /// Its.
  plain_socket& socket_;
  tls_engine engine_;
  const std::shared_ptr<tls_door> door_;
  /// Somebody receives what OpenSSL needs.
  bool receiving_ = false;
  /// Somebody sends what is kept; and somebody will, when the socket takes it.
  bool sending_ = false;
  bool waits_to_send_ = false;
  /// Of who needs that too (only where a write does: TLS 1.2 agrees anew in the middle of it).
  std::optional<asio::steady_timer> turn_;
  /// Where handlers run that have no executor of their own.
  const asio::any_completion_executor own_executor_;
  const std::shared_ptr<tls_sessions> sessions_;
  const bool verify_;
  /// The handshake has not begun (see `tls_options::before`): what goes on is the socket's.
  bool is_plain_ = true;
  /// The handshake has succeeded.
  bool agreed_ = false;
  /// The same, and nothing has failed since.
  bool orderly_ = false;
  /// When what can be resumed of this must be given up (see `kept_session`).
  std::time_t until_ = 0;
  /// The session that was kept last. A reference, so that no other can have its address.
  session_ptr noted_;
};

template <class Work>
class tls_step {
 public:
  using cancellation_slot_type = asio::cancellation_slot;

  tls_step(tls_stream& s, Work work, io_handler&& handler)
      : door_(s.door_),
        work_(work),
        handler_(std::move(handler)),
        cancellation_(asio::get_associated_cancellation_slot(handler_), typename Work::may_be_cancelled()) {
    where_ = place_of(handler_, s.own_executor_);
  }

  tls_step(tls_step&&) = default;
  /// One whose part is dropped, by an executor say, or could not be started.
  ~tls_step() {
    if (!door_ || (at_ != part::receive && at_ != part::send)) return;
    const std::lock_guard lock(door_->mutex);
    if (!door_->stream) return;
    if (at_ == part::receive) {
      door_->stream->drop_receiver();
    } else {
      door_->stream->drop_sender();
    }
  }

  cancellation_slot_type get_cancellation_slot() const noexcept { return cancellation_.slot(); }

  /// The next part; the first is started by who starts the operation.
  void operator()(error_code ec = {}, std::size_t n = 0) {
    const auto door = door_;
    const part ended = std::exchange(at_, part::start);
    std::unique_lock lock(door->mutex);
    if (!door->stream) {
      lock.unlock();
      tell(asio::error::operation_aborted, 0);
      return;
    }
    tls_stream& s = *door->stream;
    switch (ended) {
      case part::start:
        // What was kept is sent, and nothing else.
        if constexpr (std::is_same_v<Work, tls_stream::writing>) {
          result_ = work_.from.size() == 0 && !s.engine_.output_error();
        }
        break;
      case part::receive:
        s.receiving_ = false;
        s.engine_.received(n, ec);
        s.end_wait_for_input();
        // What has ended the input OpenSSL is to say.
        if (ec != asio::error::operation_aborted) ec.clear();
        break;
      case part::send:
        s.sending_ = false;
        s.engine_.sent(n, ec);
        has_gone_ = result_ && !s.engine_.is_sending();
        // What the peer has said before it ended is more than that it cannot be told anything.
        if (std::is_same_v<Work, tls_stream::shaking_hands> && ec != asio::error::operation_aborted) ec.clear();
        break;
      case part::wait:
        if (!s.was_wait_cancelled()) ec.clear();
        break;
    }
    if (ec) {
      end(s, lock, ec);
    } else {
      go_on(s, lock);
    }
  }

 private:
  enum class part : unsigned char { start, receive, send, wait };

  /// Also when a part had ended by then: what is complete is told as that, and nothing more is begun.
  bool is_cancelled() const noexcept { return cancellation_.cancelled() != asio::cancellation_type::none; }

  void go_on(tls_stream& s, std::unique_lock<std::mutex>& lock) {
    for (;;) {
      if (Work::writes && s.engine_.has_output() && !has_gone_) {
        if (is_cancelled()) break;
        send(s, lock);
        return;
      }
      if (result_) {
        end(s, lock, ec_);
        return;
      }
      const tls_engine::outcome o = work_(s, n_, ec_);
      if (o != tls_engine::outcome::needs_input) {
        result_ = true;
        // What is left to be said nobody waits for then.
        if (o == tls_engine::outcome::failed || !Work::writes) {
          if (!Work::writes) s.send_later();
          end(s, lock, ec_);
          return;
        }
      } else if (!Work::writes || !s.engine_.has_output()) {
        if (is_cancelled()) break;
        if (!Work::writes) s.send_later();
        receive(s, lock);
        return;
      }
    }
    end(s, lock, asio::error::operation_aborted);
  }

  void send(tls_stream& s, std::unique_lock<std::mutex>& lock) {
    const asio::const_buffer some = s.engine_.output();
    at_ = part::send;
    s.sending_ = true;
    lock.unlock();
    start_part([&s, some](auto& step) { s.socket_.async_write_some(some, std::move(step)); });
  }

  void receive(tls_stream& s, std::unique_lock<std::mutex>& lock) {
    if (s.receiving_) {
      at_ = part::wait;
      // Under the mutex, which who receives takes to end the wait.
      start_part([&s, &lock](auto& step) {
        try {
          s.async_wait_for_input(std::move(step));
        } catch (const std::bad_alloc&) {
          // Before the step goes, and the handler with it.
          lock.unlock();
          throw;
        }
      });
      return;
    }
    const asio::mutable_buffer room = s.engine_.room();
    at_ = part::receive;
    s.receiving_ = true;
    lock.unlock();
    start_part([&s, room](auto& step) { s.socket_.async_read_some(room, std::move(step)); });
  }

  /// `start` moves on what it is given; if it throws, that goes behind it.
  template <class Start>
  void start_part(Start start) {
    is_first_ = false;
    if (where_) {
      auto where = where_;
      patient_handler step(std::move(*this), std::move(where));
      start(step);
    } else {
      tls_step step(std::move(*this));
      start(step);
    }
  }

  void end(tls_stream& s, std::unique_lock<std::mutex>& lock, error_code ec) {
    // Of who is cancelled the record is on its way, or is kept and goes before the next.
    const std::size_t n = !ec || (result_ && ec == asio::error::operation_aborted) ? n_ : 0;
    Work::ended(s, ec);
    // What this one was cancelled before others had counted on it to send.
    if (Work::writes) s.send_later();
    lock.unlock();
    if (!is_first_) {
      tell(ec, n);
      return;
    }
    asio::get_associated_cancellation_slot(handler_).clear();
    try {
      asio::post(s.socket_.get_executor(),
                 asio::append(patient_handler(std::move(handler_), std::move(where_)), ec, n));
    } catch (...) {
      // What was read or written nobody knows of. With the handler the stream may have gone.
      const std::lock_guard again(door_->mutex);
      if (door_->stream) door_->stream->lower_.shutdown();
      throw;
    }
  }

  void tell(error_code ec, std::size_t n) {
    // Of what is there some points to the socket, and the slot may outlive it.
    asio::get_associated_cancellation_slot(handler_).clear();
    io_handler handler(std::move(handler_));
    std::move(handler)(ec, n);
  }

  std::shared_ptr<tls_door> door_;
  Work work_;
  io_handler handler_;
  /// Kept in the handler's slot.
  asio::cancellation_state cancellation_;
  /// See `place_of`.
  std::optional<asio::any_completion_executor> where_;
  part at_ = part::start;
  bool is_first_ = true;
  /// There is one: `ec_` and `n_`.
  bool result_ = false;
  /// What it has said has been sent: what is kept behind it others have said, and is no affair of this one's.
  bool has_gone_ = false;
  error_code ec_;
  std::size_t n_ = 0;
};

template <class Work>
void tls_stream::start(Work work, io_handler handler) {
  tls_step<Work> step(*this, work, std::move(handler));
  step();
}

void tls_stream::async_handshake(wait_handler handler) {
  is_plain_ = false;
  start(shaking_hands(), handshake_handler{std::move(handler)});
}

void tls_stream::async_read_some(asio::mutable_buffer buffer, io_handler handler) {
  if (is_plain_) {
    lower_.async_read_some(buffer, std::move(handler));
  } else {
    start(reading{buffer}, std::move(handler));
  }
}

void tls_stream::async_write_some(asio::const_buffer buffer, io_handler handler) {
  if (is_plain_) {
    lower_.async_write_some(buffer, std::move(handler));
  } else {
    start(writing{buffer}, std::move(handler));
  }
}

sent_now tls_stream::write_now(asio::const_buffer buffer, error_code& ec) {
  sent_now sent;
  if (is_plain_) return sent;
  const std::lock_guard lock(door_->mutex);
  for (unsigned i = 0; i < most_records && sent.taken < buffer.size(); ++i) {
    engine_.send_now();
    if (engine_.has_output()) break;
    std::size_t n = 0;
    const tls_engine::outcome o = engine_.write(buffer + sent.taken, n, ec);
    sent.taken += n;
    if (o == tls_engine::outcome::failed) orderly_ = false;
    if (o != tls_engine::outcome::done) break;
  }
  // An answer of the reader's may be kept, on which it has waited.
  sent.all_gone = sent.taken == 0 || !engine_.has_output();
  return sent;
}

void tls_stream::async_shutdown_send(io_handler handler) {
  if (is_plain_) {
    lower_.async_shutdown_send(std::move(handler));
  } else {
    start(ending(), std::move(handler));
  }
}

}  // namespace

void check(const tls_options& options) {
  if (!options.context) throw std::invalid_argument("tls.context: nullptr: must point to a context");
  // OpenSSL's interfaces for names end them there.
  if (const auto nul = options.server_name.find('\0'); nul != std::string::npos) {
    throw std::invalid_argument("tls.server_name: \"" + options.server_name.substr(0, nul) +
                                "\\0...\": must not have a NUL");
  }
  if (options.server_name == ".") throw std::invalid_argument("tls.server_name: \".\": must name a host");
}

std::shared_ptr<tls_sessions> make_tls_sessions() { return std::make_shared<tls_sessions>(); }

std::unique_ptr<stream> make_tls_stream(const asio::any_io_executor& ex, const connection_options& options,
                                        const destination& to) {
  return std::make_unique<tls_stream>(ex, options, to);
}

}  // namespace detail
}  // namespace cocp
