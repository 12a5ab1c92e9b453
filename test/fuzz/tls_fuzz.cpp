// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A TLS session whose records are cut, glued and held back between client and server as the bytes say, are spoilt, and
// end in the middle. What the client reads is what the server said, from its first byte to where it fails; it fails
// with an error, and never hangs; and the session after it, which nobody touches, is a good one.

#include "support/certificates.hpp"

#include "fuzz/require.hpp"

#include <cocp/connection.hpp>
#include <cocp/tls.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using cocp::error_code;
using socket_type = asio::local::stream_protocol::socket;

/// The client has no limits of time, since the machine may be busy with others. It hangs if nothing has moved in so
/// many turns, in each of which a millisecond is waited for something.
constexpr unsigned patience = 3000;

struct papers {
  cocp::test::certificate_authority authority;
  cocp::test::key_pair files = authority.issue({"localhost"});
  asio::ssl::context client{asio::ssl::context::tls_client};
  asio::ssl::context server{asio::ssl::context::tls_server};

  papers() {
    client.load_verify_file(authority.certificate());
    server.use_certificate_chain_file(files.certificate);
    server.use_private_key_file(files.key, asio::ssl::context::pem);
    static constexpr unsigned char id[] = "fuzz";
    ::SSL_CTX_set_session_id_context(server.native_handle(), id, sizeof id - 1);
  }

  static papers& get() {
    static papers all;
    return all;
  }
};

/// The server's end of a stream: an echo server that does what it can do with the bytes that have come to it.
class far_end {
 public:
  explicit far_end(socket_type socket)
      : socket_(std::move(socket)), ssl_(::SSL_new(papers::get().server.native_handle())) {
    ::SSL_set_bio(ssl_, ::BIO_new(::BIO_s_mem()), ::BIO_new(::BIO_s_mem()));
    ::SSL_set_accept_state(ssl_);
    socket_.non_blocking(true);
  }
  ~far_end() { ::SSL_free(ssl_); }
  far_end(const far_end&) = delete;
  far_end& operator=(const far_end&) = delete;

  /// Takes from the network what is there. True if anything was, or if the client has ended.
  bool listen() {
    std::array<char, 65536> bytes;
    error_code ec;
    const std::size_t n = ended_ ? 0 : socket_.read_some(asio::buffer(bytes), ec);
    to_server_.append(bytes.data(), n);
    const bool has_ended = !ended_ && ec && ec != asio::error::would_block;
    ended_ = ended_ || has_ended;
    return n != 0 || has_ended;
  }

  /// False if there is nothing to pass on, or it does not go.
  bool pass_to_server(std::size_t most) {
    const std::size_t n = std::min(most, to_server_.size());
    if (n == 0) return false;
    ::BIO_write(::SSL_get_rbio(ssl_), to_server_.data(), static_cast<int>(n));
    to_server_.erase(0, n);
    work();
    return true;
  }
  bool pass_to_client(std::size_t most) {
    const std::size_t n = std::min(most, to_client_.size());
    if (n == 0 || ended_) return false;
    error_code ec;
    const std::size_t passed = socket_.write_some(asio::buffer(to_client_, n), ec);
    to_client_.erase(0, passed);
    if (ec && ec != asio::error::would_block) ended_ = true;
    return passed != 0;
  }
  bool pass_all() {
    const bool one = pass_to_server(to_server_.size());
    const bool other = pass_to_client(to_client_.size());
    if (to_client_.empty() && (broken_ || spoilt_)) end();
    return one || other;
  }

  void spoil_to_client(std::size_t at) { spoil(to_client_, at); }
  void spoil_to_server(std::size_t at) { spoil(to_server_, at); }
  void say_goodbye() {
    if (::SSL_is_init_finished(ssl_)) ::SSL_shutdown(ssl_);
    collect();
  }
  void change_key() {
    if (::SSL_is_init_finished(ssl_) && ::SSL_version(ssl_) == TLS1_3_VERSION) {
      ::SSL_key_update(ssl_, SSL_KEY_UPDATE_REQUESTED);
    }
  }
  /// A FIN.
  void end() {
    error_code ignored;
    socket_.shutdown(socket_type::shutdown_both, ignored);
    ended_ = true;
  }
  bool has_ended() const { return ended_; }

  void tell(std::ostream& out) const {
    out << "; " << to_server_.size() << " bytes for the server, " << to_client_.size() << " for the client"
        << (ended_ ? ", ended" : "") << (broken_ ? ", broken" : "") << (spoilt_ ? ", spoilt" : "")
        << ", server: " << ::SSL_state_string_long(ssl_);
  }

 private:
  void spoil(std::string& bytes, std::size_t at) {
    if (bytes.empty()) return;
    bytes[at % bytes.size()] ^= static_cast<char>(1 << at % 8);
    spoilt_ = true;
  }

  void work() {
    std::array<char, 16384> bytes;
    for (;;) {
      const int n = ::SSL_read(ssl_, bytes.data(), static_cast<int>(bytes.size()));
      if (n <= 0) {
        const int why = ::SSL_get_error(ssl_, n);
        broken_ = broken_ || (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE);
        break;
      }
      if (::SSL_write(ssl_, bytes.data(), n) != n) {
        broken_ = true;
        break;
      }
    }
    ::ERR_clear_error();
    collect();
  }

  void collect() {
    std::array<char, 65536> bytes;
    for (int n = 0; (n = ::BIO_read(::SSL_get_wbio(ssl_), bytes.data(), static_cast<int>(bytes.size()))) > 0;) {
      to_client_.append(bytes.data(), static_cast<std::size_t>(n));
    }
  }

  socket_type socket_;
  SSL* ssl_;
  std::string to_server_;
  std::string to_client_;
  bool ended_ = false;
  /// The server has given up; it may have an alert to send.
  bool broken_ = false;
  bool spoilt_ = false;
};

class session_fuzz {
 public:
  explicit session_fuzz(std::span<const std::uint8_t> tape) : tape_(tape) {
    const unsigned how = next();
    static constexpr std::array<std::size_t, 8> sizes{1, 2, 100, 5'000, 16'384, 16'385, 40'000, 70'000};
    size_ = sizes[how % sizes.size()];
    const bool is_old = how & 8;
    const std::string name = "cocp-tls-fuzz-" + std::to_string(::getpid());
    acceptor_.emplace(io_, asio::local::stream_protocol::endpoint(std::string(1, '\0') + name));
    acceptor_->non_blocking(true);
    ::SSL_CTX_set_max_proto_version(papers::get().server.native_handle(), is_old ? TLS1_2_VERSION : 0);
    client_.emplace(io_, cocp::connection_options{
                             .address = "unix:@" + name,
                             .connect_timeout = std::nullopt,
                             .retry_min = 1us,
                             .retry_max = 1us,
                             .tls = cocp::tls_options{.context = &papers::get().client, .server_name = "localhost"}});
  }

  void run() {
    asio::co_spawn(io_, talk(), [this](std::exception_ptr e) {
      require(!e, "it fails with what is no error of the system");
      done_ = true;
    });
    while (!done_) take_turn();
    client_->close();
    client_.reset();
    io_.restart();
    io_.run_for(1min);
    require(io_.stopped(), "something is left to do");
  }

 private:
  std::uint8_t next() {
    if (tape_.empty()) return 0;
    const std::uint8_t b = tape_.front();
    tape_ = tape_.subspan(1);
    return b;
  }

  void take_turn() {
    bool moved = run_client(tape_.empty() ? 1000 : 1);
    if (!server_ || server_->has_ended()) {
      error_code ec;
      socket_type socket(io_);
      acceptor_->accept(socket, ec);
      if (!ec) {
        server_.emplace(std::move(socket));
        // Whatever is left was for the first.
        if (++sessions_ > 1) tape_ = {};
        moved = true;
      }
    }
    if (server_) {
      moved = server_->listen() || moved;
      moved = (tape_.empty() ? server_->pass_all() : obey()) || moved;
    }
    io_.restart();
    moved = moved || io_.run_one_for(1ms) != 0;
    idle_turns_ = moved ? 0 : idle_turns_ + 1;
    if (idle_turns_ < patience) return;
    tell();
    require(false, "it hangs");
  }

  bool obey() {
    const std::uint8_t b = next();
    const std::size_t n = (b >> 3) + 1U;
    switch (b & 7) {
      case 0:
        return server_->pass_to_server(n);
      case 1:
        return server_->pass_to_client(n);
      case 2:
        return server_->pass_to_server(64 * n);
      case 3:
        return server_->pass_to_client(64 * n);
      case 4:
        return run_client(n);
      case 5:
        // Behind a second byte, or most would spoil all that they do.
        if (const std::uint8_t at = next(); n > 16) {
          n > 24 ? server_->spoil_to_client(at) : server_->spoil_to_server(at);
        }
        return true;
      case 6:
        if (n == 32) server_->end();
        if (n == 31) server_->say_goodbye();
        if (n == 30) server_->change_key();
        return true;
      default:
        return server_->pass_to_server(100'000) || server_->pass_to_client(4096 * n);
    }
  }

  bool run_client(std::size_t handlers) {
    io_.restart();
    bool any = false;
    for (; handlers != 0 && io_.poll_one() != 0; --handlers) any = true;
    return any;
  }

  /// Where it hangs.
  void tell() const {
    std::cerr << "in session " << sessions_ << ", " << tape_.size() << " bytes left; the client "
              << (client_->is_connected() ? "is connected" : "is not connected: ") << client_->last_error().message();
    if (server_) server_->tell(std::cerr);
    std::cerr << std::endl;
  }

  asio::awaitable<void> talk() {
    for (int n = 0; n < 6; ++n) {
      // Of what is written down the rest is not needed.
      if (n == 3) tape_ = {};
      const bool untouched = tape_.empty() && (sessions_ > 1 || n > 3);
      const bool good = co_await exchange(static_cast<char>('a' + n));
      if (good && untouched) co_return;
      // What was spoilt before may be found out now.
      require(n < 5, "good sessions do not serve");
    }
  }

  /// What comes back is what was sent, or the beginning of it.
  asio::awaitable<bool> exchange(char first) {
    std::string text(size_, first);
    for (std::size_t i = 0; i < text.size(); i += 97) text[i] = static_cast<char>('0' + i / 97 % 10);
    std::size_t got = 0;
    std::array<char, 3000> bytes;
    try {
      const auto out = asio::buffer(text);
      co_await client_->write(out);
      while (got < text.size()) {
        const auto in = asio::buffer(bytes);
        const std::size_t n = co_await client_->read_some(in);
        require(n != 0, "nothing is read, without an error");
        require(text.compare(got, n, bytes.data(), n) == 0, "what is read is not what was sent");
        got += n;
      }
    } catch (const boost::system::system_error& e) {
      require(bool(e.code()), "it fails without a reason");
      co_return false;
    }
    co_return true;
  }

  std::span<const std::uint8_t> tape_;
  std::size_t size_ = 0;
  asio::io_context io_{1};
  std::optional<asio::local::stream_protocol::acceptor> acceptor_;
  std::optional<cocp::connection> client_;
  std::optional<far_end> server_;
  unsigned sessions_ = 0;
  unsigned idle_turns_ = 0;
  bool done_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  session_fuzz s(std::span(data, size));
  s.run();
  return 0;
}
