// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// TLS where its two directions meet: a read that has to answer, a write that has to read, and a socket that takes
// nothing, which is a Unix socket, whose buffer is full when it says so.

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/connection.hpp>
#include <cocp/pool.hpp>
#include <cocp/tls.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <ctime>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <linux/sock_diag.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "net/tls_engine.hpp"
#include "net/tls_sessions.hpp"
#include "net/tls_stream.hpp"
#include "support/certificates.hpp"
#include "support/eventually.hpp"
#include "support/fd_check.hpp"
#include "support/reluctant_executor.hpp"
#include "support/system_call.hpp"
#include "support/temporary_directory.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using asio::local::stream_protocol;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::error_code;
using cocp::detail::peek_result;
using cocp::detail::tls_engine;

namespace {

/// True if the socket would not take one more byte.
bool is_full(int descriptor) {
  std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t size = sizeof memory;
  system_call("getsockopt", ::getsockopt(descriptor, SOL_SOCKET, SO_MEMINFO, memory.data(), &size));
  return memory[SK_MEMINFO_WMEM_ALLOC] >= memory[SK_MEMINFO_SNDBUF];
}

void shrink_buffer(int descriptor) {
  const int small = 1;
  system_call("setsockopt", ::setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
}

/// The socket here that is connected to that path.
int find_client(const std::string& path) {
  for (int d = 3; d < 256; ++d) {
    sockaddr_un name{};
    socklen_t size = sizeof name;
    if (::getpeername(d, reinterpret_cast<sockaddr*>(&name), &size) == 0 && name.sun_family == AF_UNIX &&
        size > sizeof name.sun_family && path == name.sun_path) {
      return d;
    }
  }
  return -1;
}

/// What two threads have come to.
class stage {
 public:
  void reach(int n) { now_ = n; }
  bool has_reached(int n) const { return now_ >= n; }
  bool wait_for(int n) const {
    return eventually_blocking([&] { return has_reached(n); });
  }

 private:
  std::atomic<int> now_{0};
};

/// A server that is OpenSSL and nothing else, and has one client: behind the handshake it does what it was told, which
/// returns what went wrong.
class openssl_server {
 public:
  using script = std::function<std::string(SSL*)>;

  openssl_server(const key_pair& files, asio::ssl::context::method version, script s)
      : path_(directory_.path() / "socket"),
        listener_(system_call("socket", ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))) {
    const stream_protocol::endpoint at(path_);
    system_call("bind", ::bind(listener_, at.data(), static_cast<socklen_t>(at.size())));
    system_call("listen", ::listen(listener_, 1));
    thread_ = std::jthread([this, files, version, s = std::move(s)] { serve(files, version, s); });
  }
  ~openssl_server() {
    if (client_ >= 0) ::shutdown(client_, SHUT_RDWR);
    end();
    ::close(listener_);
    if (client_ >= 0) ::close(client_);
  }

  std::string path() const { return path_; }
  /// It has read all that the client's handshake has said: what the client's socket holds from then on is data.
  bool has_agreed() const { return agreed_; }
  /// Once it has ended; nothing if all went well.
  std::string failure() {
    end();
    return failure_;
  }

 private:
  void end() {
    ::shutdown(listener_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }

  void serve(const key_pair& files, asio::ssl::context::method version, const script& s) {
    // OpenSSL writes to a client that has gone.
    sigset_t of_sockets;
    ::sigemptyset(&of_sockets);
    ::sigaddset(&of_sockets, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &of_sockets, nullptr);
    asio::ssl::context context(version);
    context.use_certificate_chain_file(files.certificate);
    context.use_private_key_file(files.key, asio::ssl::context::pem);
    ::SSL_CTX_set_num_tickets(context.native_handle(), 0);
    client_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client_ < 0) return;
    SSL* const ssl = ::SSL_new(context.native_handle());
    ::SSL_set_fd(ssl, client_);
    if (::SSL_accept(ssl) == 1) {
      agreed_ = true;
      failure_ = s(ssl);
    } else {
      failure_ = "no handshake";
    }
    ::SSL_free(ssl);
    ::shutdown(client_, SHUT_RDWR);
  }

  temporary_directory directory_;
  const std::string path_;
  const int listener_;
  std::atomic<int> client_{-1};
  std::atomic<bool> agreed_{false};
  std::string failure_ = "nobody came";
  std::jthread thread_;
};

/// Sends a key update.
bool update_key(SSL* ssl, int answer) { return ::SSL_key_update(ssl, answer) == 1 && ::SSL_do_handshake(ssl) == 1; }

/// Has the client answer, and say that it has come so far.
std::string update_keys(SSL* ssl, int times) {
  for (int i = 0; i < times; ++i) {
    if (!update_key(ssl, SSL_KEY_UPDATE_REQUESTED)) return "no update";
  }
  return ::SSL_write(ssl, "y", 1) == 1 ? "" : "cannot write";
}

/// Appends what comes until that is so much.
std::string read_all(SSL* ssl, std::string& got, std::size_t size) {
  std::vector<char> buffer(10'000);
  while (got.size() < size) {
    const int n = ::SSL_read(ssl, buffer.data(), static_cast<int>(buffer.size()));
    if (n <= 0) {
      return "cannot read after " + std::to_string(got.size()) + " bytes: " + std::to_string(::SSL_get_error(ssl, n));
    }
    got.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return got.size() == size ? "" : "too much";
}

/// Has a client whose socket is full (1) agree anew; when its answer is kept (2), reads what it has written.
std::string ask_for_another_agreement(SSL* ssl, stage& at, std::string& got, const std::size_t& size) {
  if (!at.wait_for(1)) return "the client's buffer is not full";
  if (::SSL_renegotiate(ssl) != 1 || ::SSL_do_handshake(ssl) != 1) return "no renegotiation";
  if (!at.wait_for(2)) return "the client does not answer";
  return read_all(ssl, got, size);
}

/// True when the client has said something that has not been read.
bool has_more(SSL* ssl) {
  pollfd readable{.fd = ::SSL_get_fd(ssl), .events = POLLIN, .revents = 0};
  return ::poll(&readable, 1, static_cast<int>(std::chrono::milliseconds(patience).count())) == 1;
}

std::string read_end(SSL* ssl) {
  char byte = 0;
  const int n = ::SSL_read(ssl, &byte, 1);
  return ::SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN ? "" : "no close_notify";
}

/// What a server says is kept, to be sent in pieces.
class in_pieces {
 public:
  explicit in_pieces(SSL* ssl) : socket_(::SSL_get_fd(ssl)), said_(::BIO_new(::BIO_s_mem())) {
    ::SSL_set0_wbio(ssl, said_);
  }

  std::string take() {
    char* bytes = nullptr;
    const auto n = static_cast<std::size_t>(BIO_get_mem_data(said_, &bytes));
    std::string taken(bytes, n);
    (void)BIO_reset(said_);
    return taken;
  }
  bool send(std::string_view some) const {
    return ::send(socket_, some.data(), some.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(some.size());
  }

 private:
  const int socket_;
  BIO* const said_;
};

/// How an operation has ended, if it has.
struct outcome {
  std::optional<error_code> ec;
  std::size_t n = 0;

  auto handler() {
    return [this](error_code e, std::size_t size = 0) {
      BOOST_TEST(!ec);
      ec = e;
      n = size;
    };
  }
  bool succeeded() const { return ec && !*ec; }
};

struct fixture {
  fd_check descriptors;
  asio::io_context io{1};
  certificate_authority authority;
  const key_pair files = authority.issue({"localhost"});
  asio::ssl::context context{asio::ssl::context::tls_client};

  fixture() { context.load_verify_file(authority.certificate()); }

  /// Runs the context until so much is true.
  template <class Condition>
  bool run_until(Condition condition) {
    io.restart();
    while (!condition()) {
      if (io.run_one_for(patience) == 0) return false;
    }
    return true;
  }
  bool run_until_ended(const outcome& o) {
    return run_until([&] { return o.ec.has_value(); });
  }

  /// Runs the context until an operation that `start(handler)` begins has ended.
  template <class Start>
  error_code finish(Start start) {
    outcome o;
    start(o.handler());
    BOOST_REQUIRE(run_until_ended(o));
    return *o.ec;
  }

  cocp::connection_options options_for(const openssl_server& server) {
    return {.address = "unix:" + server.path(),
            .tls = cocp::tls_options{.context = &context, .server_name = "localhost"}};
  }

  auto destination_of(const openssl_server& server) {
    const auto options = options_for(server);
    return cocp::detail::make_destination(options.address, options);
  }

  /// A stream behind its handshake.
  std::unique_ptr<cocp::detail::stream> connect(const openssl_server& server) {
    return connect(io.get_executor(), options_for(server), *destination_of(server));
  }
  std::unique_ptr<cocp::detail::stream> connect(const asio::any_io_executor& ex,
                                                const cocp::connection_options& options,
                                                const cocp::detail::destination& to) {
    auto s = cocp::detail::make_tls_stream(ex, options, to);
    BOOST_TEST(!finish([&](auto handler) { s->async_connect(*to.numeric, handler); }));
    BOOST_TEST(!finish([&](auto handler) { s->async_handshake(handler); }));
    return s;
  }

  /// Has the client's socket take little, once nothing of the handshake is in it; returns its descriptor.
  int shrink_client(const openssl_server& server) {
    BOOST_REQUIRE(eventually_blocking([&] { return server.has_agreed(); }));
    const int descriptor = find_client(server.path());
    BOOST_REQUIRE(descriptor > 0);
    shrink_buffer(descriptor);
    return descriptor;
  }

  /// Runs the context, though it may have nothing to do, until the server has come so far.
  bool run_until_reached(const stage& at, int n) {
    return eventually_blocking([&] {
      io.restart();
      io.poll();
      return at.has_reached(n);
    });
  }

  /// Writes until the socket takes no more; returns what.
  std::string fill(cocp::detail::stream& s, const openssl_server& server) {
    const int descriptor = shrink_client(server);
    std::string sent;
    for (char letter = 'a'; !is_full(descriptor); ++letter) {
      const std::string some(300, letter);
      BOOST_TEST(!finish([&](auto handler) { s.async_write_some(asio::buffer(some), handler); }));
      sent += some;
    }
    return sent;
  }
};

/// An engine of its own, behind its handshake.
struct engine_fixture : fixture {
  std::optional<cocp::detail::plain_socket> socket;
  std::optional<tls_engine> engine;

  void connect_engine(const openssl_server& server) {
    const stream_protocol::endpoint at(server.path());
    socket.emplace(io);
    socket->connect(cocp::endpoint(at));
    socket->non_blocking(true);
    engine.emplace(context.native_handle(), *socket);
    error_code ec;
    while (engine->shake_hands(ec) == tls_engine::outcome::needs_input) receive();
    BOOST_TEST(!ec);
  }

  void receive() {
    pollfd readable{.fd = socket->native_handle(), .events = POLLIN, .revents = 0};
    system_call("poll", ::poll(&readable, 1, -1));
    error_code ec;
    const std::size_t n = socket->read_some(engine->room(), ec);
    engine->received(n, ec);
  }
};

/// A write that the socket does not take, until it is stopped.
struct unsent_write {
  const std::string some = std::string(300, 'x');
  asio::cancellation_signal stop;
  outcome end;

  explicit unsent_write(cocp::detail::stream& s) {
    s.async_write_some(asio::buffer(some), asio::bind_cancellation_slot(stop.slot(), end.handler()));
  }
};

/// For what is spawned.
auto told(outcome& o) {
  return [&o](std::exception_ptr e, auto... n) {
    o.ec = e ? error_code(asio::error::fault) : error_code();
    ((o.n = n), ...);
  };
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(directions, fixture)

BOOST_AUTO_TEST_CASE(a_look_loses_no_answer_to_a_key_update) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    if (!at.wait_for(1)) return "the client's buffer is not full";
    if (!update_key(ssl, SSL_KEY_UPDATE_REQUESTED)) return "no update";
    at.reach(2);
    if (!at.wait_for(3)) return "the client does not look";
    return read_all(ssl, got, size);
  });
  const auto s = connect(server);
  std::string sent = fill(*s, server);
  at.reach(1);
  BOOST_TEST(at.wait_for(2));
  error_code ec;
  BOOST_TEST((s->peek(ec) == peek_result::quiet));
  BOOST_TEST(!ec);
  const std::string some(300, 'x');
  sent += some;
  size = sent.size();
  at.reach(3);
  BOOST_TEST(!finish([&](auto handler) { s->async_write_some(asio::buffer(some), handler); }));
  BOOST_TEST(server.failure() == "");
  BOOST_TEST((got == sent));
}

BOOST_AUTO_TEST_CASE(what_is_kept_goes_before_the_last_words) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    if (!at.wait_for(1)) return "the client's buffer is not full";
    if (!update_key(ssl, SSL_KEY_UPDATE_REQUESTED)) return "no update";
    at.reach(2);
    if (!at.wait_for(3)) return "the client does not look";
    if (const std::string why = read_all(ssl, got, size); !why.empty()) return why;
    at.reach(4);
    return read_end(ssl);
  });
  auto s = connect(server);
  size = fill(*s, server).size();
  at.reach(1);
  BOOST_TEST(at.wait_for(2));
  error_code ec;
  BOOST_TEST((s->peek(ec) == peek_result::quiet));
  at.reach(3);
  BOOST_TEST(at.wait_for(4));
  s.reset();
  BOOST_TEST(server.failure() == "");
}

BOOST_DATA_TEST_CASE(answers_and_a_write_that_is_kept_do_not_mix, data::xrange(0, 4), updates) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    if (!at.wait_for(1)) return "the client's buffer is not full";
    if (const std::string why = update_keys(ssl, updates); !why.empty()) return why;
    if (!at.wait_for(2)) return "the client does not read";
    return read_all(ssl, got, size);
  });
  const auto s = connect(server);
  std::string sent = fill(*s, server);
  const std::string last(2'000, 'x');
  sent += last;
  outcome write;
  s->async_write_some(asio::buffer(last), write.handler());
  outcome read;
  char byte = 0;
  s->async_read_some(asio::buffer(&byte, 1), read.handler());
  at.reach(1);
  BOOST_TEST(run_until_ended(read));
  BOOST_TEST(read.succeeded());
  BOOST_TEST(!write.ec);
  const std::string more(300, 'y');
  sent += more;
  size = sent.size();
  at.reach(2);
  BOOST_TEST(run_until_ended(write));
  BOOST_TEST(write.n == last.size());
  BOOST_TEST(!finish([&](auto handler) { s->async_write_some(asio::buffer(more), handler); }));
  BOOST_TEST(server.failure() == "");
  BOOST_TEST((got == sent));
}

BOOST_DATA_TEST_CASE(answers_and_the_end_of_what_is_sent_do_not_mix, data::make({"before", "after"}), answered) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    if (!at.wait_for(1)) return "the client's buffer is not full";
    if (const std::string why = update_keys(ssl, 2); !why.empty()) return why;
    if (!at.wait_for(2)) return "the client does not read";
    if (const std::string why = read_all(ssl, got, size); !why.empty()) return why;
    return read_end(ssl);
  });
  const auto s = connect(server);
  const std::string sent = fill(*s, server);
  size = sent.size();
  outcome read;
  outcome end;
  char byte = 0;
  s->async_read_some(asio::buffer(&byte, 1), read.handler());
  if (std::string_view(answered) == "after") s->async_shutdown_send(end.handler());
  at.reach(1);
  BOOST_TEST(run_until_ended(read));
  BOOST_TEST(read.succeeded());
  if (std::string_view(answered) == "before") s->async_shutdown_send(end.handler());
  at.reach(2);
  BOOST_TEST(run_until_ended(end));
  BOOST_TEST(*end.ec == error_code());
  BOOST_TEST(server.failure() == "");
  BOOST_TEST((got == sent));
}

BOOST_AUTO_TEST_CASE(a_write_that_the_socket_does_not_take_has_not_ended) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    if (!at.wait_for(1)) return "the client's buffer is not full";
    return read_all(ssl, got, size);
  });
  std::string sent;
  {
    cocp::connection c(io, options_for(server));
    outcome ready;
    asio::co_spawn(io, c.ready(), told(ready));
    BOOST_TEST(run_until_ended(ready));
    const int descriptor = shrink_client(server);
    for (char letter = 'a'; !is_full(descriptor); ++letter) {
      const std::string some(300, letter);
      outcome write;
      asio::co_spawn(io, c.write(asio::buffer(some)), told(write));
      BOOST_TEST(run_until_ended(write));
      BOOST_TEST(write.succeeded());
      sent += some;
    }
    // Of several buffers, of which the first is taken.
    const std::string last = std::string(300, 'x') + std::string(40'000, 'y');
    const std::array parts{asio::buffer(last.data(), 300), asio::buffer(last.data() + 300, last.size() - 300)};
    outcome write;
    asio::co_spawn(io, c.write(parts), told(write));
    io.restart();
    io.poll();
    BOOST_TEST(!write.ec);
    sent += last;
    size = sent.size();
    at.reach(1);
    BOOST_TEST(run_until_ended(write));
    BOOST_TEST(write.succeeded());
    BOOST_TEST(write.n == last.size());
    BOOST_TEST(server.failure() == "");
  }
  io.restart();
  io.run_for(patience);
  BOOST_TEST((got == sent));
}

BOOST_AUTO_TEST_CASE(a_request_that_is_kept_has_its_connection_replaced_if_nobody_reads_the_answer) {
  stage at;
  std::string got;
  const std::string request(16'000, 'x');
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    return at.wait_for(1) ? read_all(ssl, got, request.size()) : "the client does not write";
  });
  {
    cocp::pool pool(io, options_for(server), {.size = 1});
    cocp::lease conn;
    pool.async_get([&](const error_code& ec, cocp::lease l) {
      BOOST_TEST(!ec);
      conn = std::move(l);
    });
    BOOST_REQUIRE(run_until([&] { return static_cast<bool>(conn); }));
    shrink_client(server);
    outcome write;
    asio::co_spawn(io, conn->write(asio::buffer(request)), told(write));
    io.restart();
    io.poll();
    BOOST_TEST(!write.ec);
    at.reach(1);
    BOOST_TEST(run_until_ended(write));
    BOOST_TEST(write.succeeded());
    conn.put();
    BOOST_TEST(pool.stats().replaced_dirty == 1u);
    BOOST_TEST(server.failure() == "");
  }
  io.restart();
  io.run_for(patience);
}

BOOST_AUTO_TEST_CASE(a_write_that_is_cancelled_says_what_was_taken) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    return at.wait_for(1) ? read_all(ssl, got, size) : "the client does not write";
  });
  const auto s = connect(server);
  std::string sent = fill(*s, server);
  unsent_write write(*s);
  write.stop.emit(asio::cancellation_type::partial);
  BOOST_TEST(run_until_ended(write.end));
  BOOST_TEST(*write.end.ec == asio::error::operation_aborted);
  BOOST_TEST(write.end.n == write.some.size());
  const std::string more(300, 'y');
  sent += write.some + more;
  size = sent.size();
  at.reach(1);
  BOOST_TEST(!finish([&](auto handler) { s->async_write_some(asio::buffer(more), handler); }));
  BOOST_TEST(server.failure() == "");
  BOOST_TEST((got == sent));
}

BOOST_AUTO_TEST_CASE(a_context_may_have_it_that_openssl_gives_up_early) {
  ::SSL_CTX_clear_mode(context.native_handle(), SSL_MODE_AUTO_RETRY);
  openssl_server server(files, asio::ssl::context::tlsv13_server,
                        [&](SSL* ssl) -> std::string { return update_keys(ssl, 2); });
  const auto s = connect(server);
  BOOST_TEST(server.failure() == "");
  // What it says has come at once, and goes through OpenSSL in parts.
  error_code ec;
  BOOST_TEST((s->peek(ec) == peek_result::unread));
  outcome read;
  char byte = 0;
  s->async_read_some(asio::buffer(&byte, 1), read.handler());
  BOOST_TEST(run_until_ended(read));
  BOOST_TEST(read.succeeded());
  BOOST_TEST(byte == 'y');
}

BOOST_AUTO_TEST_CASE(a_look_does_not_take_as_long_as_a_peer_likes) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    in_pieces pieces(ssl);
    std::string said;
    while ((said += pieces.take()).size() < 170'000) {
      if (!update_key(ssl, SSL_KEY_UPDATE_NOT_REQUESTED)) return "no update";
    }
    if (!pieces.send(said)) return "cannot send";
    at.reach(1);
    return at.wait_for(2) ? "" : "the client does not look";
  });
  const auto s = connect(server);
  BOOST_TEST(at.wait_for(1));
  error_code ec;
  BOOST_TEST((s->peek(ec) == peek_result::unread));
  at.reach(2);
}

BOOST_AUTO_TEST_CASE(a_stream_may_go_with_its_context_before_another_executor_has_its_turn) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    const bool written = ::SSL_write(ssl, "y", 1) == 1;
    at.reach(1);
    return written ? "" : "cannot write";
  });
  outcome read;
  char byte = 0;
  {
    asio::io_context own{1};
    const auto options = options_for(server);
    const auto to = cocp::detail::make_destination(options.address, options);
    auto s = cocp::detail::make_tls_stream(own.get_executor(), options, *to);
    outcome connected;
    outcome agreed;
    s->async_connect(*to->numeric, connected.handler());
    while (!connected.ec && own.run_one_for(patience) != 0) {
    }
    s->async_handshake(agreed.handler());
    own.restart();
    while (!agreed.ec && own.run_one_for(patience) != 0) {
    }
    BOOST_REQUIRE(agreed.succeeded());
    BOOST_TEST(at.wait_for(1));
    s->async_read_some(asio::buffer(&byte, 1), asio::bind_executor(io.get_executor(), read.handler()));
    own.restart();
    // Now a part of it waits to be run there.
    BOOST_TEST(own.run_one_for(patience) == 1u);
  }
  BOOST_TEST(!read.ec);
  io.restart();
  io.poll();
#ifdef BOOST_ASIO_HAS_IO_URING_AS_DEFAULT
  // There it may be something else that had its turn, and the read went with its context.
  if (!read.ec) read.ec = asio::error::operation_aborted;
#endif
  BOOST_REQUIRE(read.ec.has_value());
  BOOST_TEST(*read.ec == asio::error::operation_aborted);
  BOOST_TEST(server.failure() == "");
}

BOOST_AUTO_TEST_CASE(a_read_that_has_to_answer_does_so_when_the_socket_takes_it) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv12_server, [&](SSL* ssl) -> std::string {
    if (auto why = ask_for_another_agreement(ssl, at, got, size); !why.empty()) return why;
    if (!has_more(ssl)) return "the client does not agree anew";
    return ::SSL_write(ssl, "y", 1) == 1 ? "" : "cannot write";
  });
  const auto s = connect(server);
  size = fill(*s, server).size();
  outcome read;
  char byte = 0;
  s->async_read_some(asio::buffer(&byte, 1), read.handler());
  at.reach(1);
  BOOST_TEST(run_until([&] { return ::SSL_in_init(s->native_tls()) == 1; }));
  at.reach(2);
  BOOST_TEST(run_until_ended(read));
  BOOST_TEST(read.succeeded());
  BOOST_TEST(server.failure() == "");
}

BOOST_AUTO_TEST_CASE(a_read_that_is_cancelled_between_two_parts_ends) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    const int descriptor = ::SSL_get_fd(ssl);
    BIO* const aside = ::BIO_new(::BIO_s_mem());
    ::SSL_set0_wbio(ssl, aside);
    if (::SSL_write(ssl, "hello", 5) != 5) return "cannot write";
    char* bytes = nullptr;
    const long size = ::BIO_get_mem_data(aside, &bytes);
    if (::send(descriptor, bytes, 3, 0) != 3) return "cannot send";
    at.reach(1);
    if (!at.wait_for(2)) return "the client has not cancelled";
    return ::send(descriptor, bytes + 3, static_cast<std::size_t>(size) - 3, 0) == size - 3 ? "" : "cannot send";
  });
  const auto s = connect(server);
  BOOST_TEST(at.wait_for(1));
  asio::cancellation_signal stop;
  outcome read;
  std::array<char, 5> text{};
  s->async_read_some(asio::buffer(text), asio::bind_cancellation_slot(stop.slot(), read.handler()));
  // It has got the first bytes of a record by now, and has not been told.
  stop.emit(asio::cancellation_type::terminal);
  BOOST_TEST(run_until_ended(read));
  BOOST_TEST(*read.ec == asio::error::operation_aborted);
  at.reach(2);
  BOOST_TEST(server.failure() == "");
  // What it got is there for the next.
  outcome next;
  s->async_read_some(asio::buffer(text), next.handler());
  BOOST_TEST(run_until_ended(next));
  BOOST_TEST(std::string(text.data(), next.n) == "hello");
}

BOOST_AUTO_TEST_CASE(a_slot_may_be_used_when_the_stream_of_its_read_is_gone) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    return ::SSL_write(ssl, "y", 1) == 1 && at.wait_for(1) ? "" : "cannot write";
  });
  asio::cancellation_signal stop;
  {
    const auto s = connect(server);
    outcome read;
    char byte = 0;
    s->async_read_some(asio::buffer(&byte, 1), asio::bind_cancellation_slot(stop.slot(), read.handler()));
    BOOST_TEST(run_until_ended(read));
    BOOST_TEST(read.succeeded());
  }
  stop.emit(asio::cancellation_type::terminal);
  at.reach(1);
}

BOOST_AUTO_TEST_CASE(a_write_waits_for_what_a_read_receives) {
  stage at;
  std::string got;
  const std::string text(20'000, 'x');
  openssl_server server(files, asio::ssl::context::tlsv12_server, [&](SSL* ssl) -> std::string {
    // TLS 1.2 may agree anew at any time (RFC 5246, section 7.4.1.1).
    if (::SSL_renegotiate(ssl) != 1 || ::SSL_do_handshake(ssl) != 1) return "no renegotiation";
    at.reach(1);
    if (!at.wait_for(2)) return "the client does not write";
    if (const std::string why = read_all(ssl, got, text.size()); !why.empty()) return why;
    return ::SSL_write(ssl, "y", 1) == 1 ? "" : "cannot write";
  });
  const auto s = connect(server);
  outcome read;
  char byte = 0;
  s->async_read_some(asio::buffer(&byte, 1), read.handler());
  BOOST_TEST(at.wait_for(1));
  // It has answered, and waits for the server.
  BOOST_TEST(run_until([&] { return ::SSL_in_init(s->native_tls()) == 1; }));
  outcome write;
  s->async_write_some(asio::buffer(text), write.handler());
  io.poll();
  BOOST_TEST(!write.ec);
  at.reach(2);
  std::size_t written = 0;
  for (;;) {
    BOOST_TEST(run_until_ended(write));
    BOOST_REQUIRE(write.succeeded());
    written += write.n;
    if (written == text.size()) break;
    write = {};
    s->async_write_some(asio::buffer(text) + written, write.handler());
  }
  BOOST_TEST(run_until_ended(read));
  BOOST_TEST(read.succeeded());
  BOOST_TEST(server.failure() == "");
  BOOST_TEST((got == text));
}

BOOST_AUTO_TEST_CASE(a_write_that_waits_for_a_read_may_be_cancelled_and_a_read_may_be_so_too) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv12_server, [&](SSL* ssl) -> std::string {
    if (::SSL_renegotiate(ssl) != 1 || ::SSL_do_handshake(ssl) != 1) return "no renegotiation";
    at.reach(1);
    if (!at.wait_for(2)) return "the client does not cancel";
    std::string got;
    return read_all(ssl, got, 5);
  });
  const auto s = connect(server);
  asio::cancellation_signal stop_read;
  asio::cancellation_signal stop_write;
  outcome read;
  char byte = 0;
  s->async_read_some(asio::buffer(&byte, 1), asio::bind_cancellation_slot(stop_read.slot(), read.handler()));
  BOOST_TEST(at.wait_for(1));
  BOOST_TEST(run_until([&] { return ::SSL_in_init(s->native_tls()) == 1; }));
  outcome write;
  s->async_write_some(asio::buffer("hello", 5), asio::bind_cancellation_slot(stop_write.slot(), write.handler()));
  stop_write.emit(asio::cancellation_type::terminal);
  BOOST_TEST(run_until_ended(write));
  BOOST_TEST(*write.ec == asio::error::operation_aborted);
  BOOST_TEST(!read.ec);
  // Now the one that receives: the other does it in its place.
  write = {};
  s->async_write_some(asio::buffer("hello", 5), write.handler());
  stop_read.emit(asio::cancellation_type::terminal);
  BOOST_TEST(run_until_ended(read));
  BOOST_TEST(*read.ec == asio::error::operation_aborted);
  at.reach(2);
  BOOST_TEST(run_until_ended(write));
  BOOST_TEST(write.succeeded());
  BOOST_TEST(server.failure() == "");
}

// Nobody knows what is in a record before all of it has come. Rule 3.
BOOST_DATA_TEST_CASE(part_of_a_record_may_be_the_rest_of_an_answer, data::make({3, 5, 6, 1000, 16'000}), part) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    in_pieces pieces(ssl);
    const std::string rest(16'000, 'r');
    if (::SSL_write(ssl, "A", 1) != 1 || !pieces.send(pieces.take())) return "cannot write";
    if (::SSL_write(ssl, rest.data(), 16'000) != 16'000) return "cannot write the rest";
    const std::string record = pieces.take();
    if (!pieces.send(record.substr(0, static_cast<std::size_t>(part)))) return "cannot send a part";
    at.reach(1);
    return at.wait_for(2) ? "" : "the client does not look";
  });
  const auto s = connect(server);
  BOOST_TEST(at.wait_for(1));
  char byte = 0;
  BOOST_TEST(!finish([&](auto handler) { s->async_read_some(asio::buffer(&byte, 1), handler); }));
  BOOST_TEST(byte == 'A');
  error_code ec;
  // Of whoever looks first OpenSSL takes what has come.
  for (int i = 0; i < 2; ++i) {
    BOOST_TEST((s->peek(ec) == peek_result::unread));
    BOOST_TEST(!ec);
  }
  at.reach(2);
}

// A server speaks first: of what it says of itself, tickets, a part may be there.
BOOST_AUTO_TEST_CASE(before_there_were_data_part_of_a_record_is_none) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    in_pieces pieces(ssl);
    if (::SSL_new_session_ticket(ssl) != 1 || ::SSL_do_handshake(ssl) != 1) return "no ticket";
    const std::string ticket = pieces.take();
    if (ticket.size() < 50 || !pieces.send(ticket.substr(0, 20))) return "cannot send a part";
    at.reach(1);
    if (!at.wait_for(2)) return "the client does not look";
    if (!pieces.send(ticket.substr(20))) return "cannot send the rest";
    at.reach(3);
    return at.wait_for(4) ? "" : "the client does not look again";
  });
  const auto s = connect(server);
  error_code ec;
  for (const int step : {1, 3}) {
    BOOST_TEST(at.wait_for(step));
    BOOST_TEST((s->peek(ec) == peek_result::quiet));
    BOOST_TEST(!ec);
    at.reach(step + 1);
  }
  BOOST_TEST(server.failure() == "");
}

BOOST_AUTO_TEST_CASE(the_next_lease_reads_no_record_that_had_begun_before) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    in_pieces pieces(ssl);
    char byte = 0;
    if (::SSL_read(ssl, &byte, 1) != 1) return "nobody asks";
    const std::string rest(16'000, 'r');
    if (::SSL_write(ssl, "A", 1) != 1) return "cannot write";
    const std::string first = pieces.take();
    if (::SSL_write(ssl, rest.data(), 16'000) != 16'000) return "cannot write the rest";
    if (!pieces.send(first + pieces.take().substr(0, 15'000))) return "cannot send a part";
    at.reach(1);
    return at.wait_for(2) ? "" : "the client does not end";
  });
  cocp::pool pool(io, options_for(server), {.size = 1, .get_timeout = patience});
  auto use = [&]() -> asio::awaitable<void> {
    {
      const cocp::lease l = co_await pool.get();
      char byte = '?';
      const auto message = asio::buffer(&byte, 1);
      co_await l->write(message);
      co_await l->read(message);
      BOOST_TEST(at.wait_for(1));
    }
    // It is not given out again.
    BOOST_TEST(!pool.try_get());
  };
  outcome used;
  asio::co_spawn(io, use(), told(used));
  BOOST_TEST(run_until_ended(used));
  BOOST_TEST(used.succeeded());
  BOOST_TEST(pool.stats().replaced_dirty == 1u);
  pool.close();
  at.reach(2);
  io.run();
}

BOOST_AUTO_TEST_CASE(what_a_write_has_taken_is_sent_though_it_is_cancelled_and_nobody_else_writes) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    if (!at.wait_for(1)) return "the client does not write";
    if (auto why = read_all(ssl, got, size); !why.empty()) return why;
    return ::SSL_write(ssl, "y", 1) == 1 ? "" : "cannot write";
  });
  const auto s = connect(server);
  const std::string sent = fill(*s, server);
  outcome read;
  char byte = 0;
  s->async_read_some(asio::buffer(&byte, 1), read.handler());
  unsent_write write(*s);
  write.stop.emit(asio::cancellation_type::partial);
  BOOST_TEST(run_until_ended(write.end));
  BOOST_TEST(*write.end.ec == asio::error::operation_aborted);
  BOOST_TEST(write.end.n == write.some.size());
  size = sent.size() + write.some.size();
  at.reach(1);
  BOOST_TEST(run_until_ended(read));
  BOOST_TEST(read.succeeded());
  BOOST_TEST(server.failure() == "");
  BOOST_TEST(got == sent + write.some);
}

BOOST_AUTO_TEST_CASE(an_answer_behind_a_write_that_is_cancelled_is_sent) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv12_server, [&](SSL* ssl) -> std::string {
    if (auto why = ask_for_another_agreement(ssl, at, got, size); !why.empty()) return why;
    if (!has_more(ssl)) return "the client does not agree anew";
    return ::SSL_write(ssl, "y", 1) == 1 ? "" : "cannot write";
  });
  const auto s = connect(server);
  const std::string sent = fill(*s, server);
  outcome read;
  char byte = 0;
  s->async_read_some(asio::buffer(&byte, 1), read.handler());
  unsent_write write(*s);
  at.reach(1);
  BOOST_TEST(run_until([&] { return ::SSL_in_init(s->native_tls()) == 1; }));
  write.stop.emit(asio::cancellation_type::partial);
  BOOST_TEST(run_until_ended(write.end));
  size = sent.size() + write.end.n;
  at.reach(2);
  BOOST_TEST(run_until_ended(read));
  BOOST_TEST(read.succeeded());
  BOOST_TEST(server.failure() == "");
}

BOOST_AUTO_TEST_CASE(what_was_sent_and_not_yet_told_is_not_sent_again_at_the_end) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    if (!at.wait_for(1)) return "the client's buffer is not full";
    if (auto why = read_all(ssl, got, size); !why.empty()) return why;
    at.reach(2);
    char byte = 0;
    return ::recv(::SSL_get_fd(ssl), &byte, 1, 0) == 0 ? "" : "there is more";
  });
  asio::io_context other{1};
  outcome write;
  {
    const auto s = connect(server);
    const std::string sent = fill(*s, server);
    const std::string some(300, 'x');
    s->async_write_some(asio::buffer(some), asio::bind_executor(other.get_executor(), write.handler()));
    size = sent.size() + some.size();
    at.reach(1);
    BOOST_TEST(run_until_reached(at, 2));
    BOOST_TEST(!write.ec);
  }
  BOOST_TEST(server.failure() == "");
  // With io_uring it may not be known there yet.
  io.restart();
  io.run();
  other.run();
  BOOST_TEST(write.ec.has_value());
}

#ifndef BOOST_ASIO_HAS_IO_URING_AS_DEFAULT
// There nobody knows when its part has been performed.
BOOST_AUTO_TEST_CASE(a_read_that_its_executor_drops_ends_the_stream) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    if (::SSL_write(ssl, "y", 1) != 1) return "cannot write";
    return at.wait_for(1) ? "" : "the client does not read";
  });
  const auto s = connect(server);
  char byte = 0;
  {
    asio::io_context other{1};
    s->async_read_some(asio::buffer(&byte, 1), asio::bind_executor(other.get_executor(), [](error_code, std::size_t) {
                         BOOST_ERROR("it was dropped");
                       }));
    // Until its part is performed, and waits for its turn there.
    io.restart();
    BOOST_TEST(io.run_one_for(patience) == 1u);
  }
  const error_code ec = finish([&](auto handler) { s->async_read_some(asio::buffer(&byte, 1), handler); });
  BOOST_TEST(ec == asio::ssl::error::stream_truncated);
  at.reach(1);
}

BOOST_AUTO_TEST_CASE(a_write_that_its_executor_drops_ends_the_stream) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    if (!at.wait_for(1)) return "the client's buffer is not full";
    if (auto why = read_all(ssl, got, size); !why.empty()) return why;
    at.reach(2);
    return at.wait_for(3) ? "" : "the client does not write again";
  });
  const auto s = connect(server);
  size = fill(*s, server).size();
  const std::string some(300, 'x');
  size += some.size();
  {
    asio::io_context other{1};
    s->async_write_some(asio::buffer(some), asio::bind_executor(other.get_executor(), [](error_code, std::size_t) {
                          BOOST_ERROR("it was dropped");
                        }));
    at.reach(1);
    // Until its part is performed, and waits for its turn there.
    BOOST_TEST(run_until_reached(at, 2));
  }
  const error_code ec = finish([&](auto handler) { s->async_write_some(asio::buffer(some), handler); });
  BOOST_TEST(ec == asio::error::broken_pipe);
  at.reach(3);
}
#endif

BOOST_AUTO_TEST_CASE(a_quiet_stream_on_which_nothing_can_be_said_is_dead) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    if (!at.wait_for(1)) return "the client's buffer is not full";
    if (::shutdown(::SSL_get_fd(ssl), SHUT_RD) != 0) return "cannot shut down";
    at.reach(2);
    return at.wait_for(3) ? "" : "the client does not look";
  });
  const auto s = connect(server);
  fill(*s, server);
  unsent_write write(*s);
  write.stop.emit(asio::cancellation_type::partial);
  BOOST_TEST(run_until_ended(write.end));
  at.reach(1);
  BOOST_TEST(at.wait_for(2));
  // What is kept is tried now.
  error_code ec;
  BOOST_TEST((s->peek(ec) == peek_result::dead));
  BOOST_TEST(ec == asio::error::broken_pipe);
  at.reach(3);
}

BOOST_AUTO_TEST_CASE(who_has_read_the_peers_goodbye_or_reads_no_more_says_goodbye) {
  for (const bool ends : {false, true}) {
    openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
      if (ends) ::SSL_shutdown(ssl);
      return read_end(ssl);
    });
    {
      const auto s = connect(server);
      asio::cancellation_signal stop;
      outcome read;
      char byte = 0;
      s->async_read_some(asio::buffer(&byte, 1), asio::bind_cancellation_slot(stop.slot(), read.handler()));
      if (!ends) stop.emit(asio::cancellation_type::terminal);
      BOOST_TEST(run_until_ended(read));
      BOOST_TEST(*read.ec == (ends ? error_code(asio::error::eof) : error_code(asio::error::operation_aborted)));
    }
    BOOST_TEST(server.failure() == "");
  }
}

// RFC 4007, section 11: a zone says which of this machine's networks is meant.
BOOST_AUTO_TEST_CASE(of_an_address_to_verify_the_zone_is_left_out) {
  const cocp::connection_options options{.address = "[fe80::1%1]:443", .tls = cocp::tls_options{.context = &context}};
  const auto to = cocp::detail::make_destination(options.address, options);
  BOOST_CHECK_NO_THROW(cocp::detail::make_tls_stream(io.get_executor(), options, *to));
}

// Also one that was taken at once, and kept.
BOOST_DATA_TEST_CASE(a_write_that_has_gone_does_not_fail_for_an_answer_behind_it, data::make({false, true}), is_kept) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv12_server, [&](SSL* ssl) -> std::string {
    if (auto why = ask_for_another_agreement(ssl, at, got, size); !why.empty()) return why;
    if (::shutdown(::SSL_get_fd(ssl), SHUT_RD) != 0) return "cannot shut down";
    at.reach(3);
    return at.wait_for(4) ? "" : "the client does not end";
  });
  asio::io_context other{1};
  const auto s = connect(server);
  size = fill(*s, server).size();
  outcome read;
  char byte = 0;
  s->async_read_some(asio::buffer(&byte, 1), read.handler());
  const std::string some(300, 'x');
  size += some.size();
  outcome write;
  asio::const_buffer rest = asio::buffer(some);
  if (is_kept) {
    error_code ec;
    const cocp::detail::sent_now now = s->write_now(rest, ec);
    BOOST_TEST(!ec);
    BOOST_TEST(!now.all_gone);
    rest += now.taken;
    BOOST_TEST(rest.size() == 0u);
  }
  const std::size_t told = rest.size();
  s->async_write_some(rest, asio::bind_executor(other.get_executor(), write.handler()));
  at.reach(1);
  // The read has answered, behind what is written.
  BOOST_TEST(run_until([&] { return ::SSL_in_init(s->native_tls()) == 1; }));
  at.reach(2);
  // The server has all that is written.
  BOOST_TEST(run_until_reached(at, 3));
  BOOST_TEST(!write.ec);
  BOOST_REQUIRE(eventually_blocking([&] {
    for (asio::io_context* c : {&other, &io}) {
      c->restart();
      c->poll();
    }
    return write.ec.has_value();
  }));
  BOOST_TEST(*write.ec == error_code());
  BOOST_TEST(write.n == told);
  at.reach(4);
}

BOOST_AUTO_TEST_CASE(nothing_of_a_write_is_kept_that_finds_an_answer_before_it) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv12_server,
                        [&](SSL* ssl) { return ask_for_another_agreement(ssl, at, got, size); });
  const auto s = connect(server);
  size = fill(*s, server).size();
  outcome read;
  char byte = 0;
  s->async_read_some(asio::buffer(&byte, 1), read.handler());
  at.reach(1);
  BOOST_TEST(run_until([&] { return ::SSL_in_init(s->native_tls()) == 1; }));
  error_code ec;
  const cocp::detail::sent_now now = s->write_now(asio::buffer("x", 1), ec);
  BOOST_TEST(!ec);
  BOOST_TEST(now.taken == 0u);
  BOOST_TEST(now.all_gone);
  at.reach(2);
  BOOST_TEST(server.failure() == "");
}

// For a memory checker.
BOOST_AUTO_TEST_CASE(a_connection_may_go_with_a_handler_that_is_refused) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    return ::SSL_write(ssl, "xy", 2) == 2 && at.wait_for(1) ? "" : "cannot write";
  });
  reluctant_executor::control control{~0u, 1};
  const reluctant_executor ex(io.get_executor(), control);
  auto c = std::make_shared<cocp::connection>(asio::any_io_executor(ex), options_for(server));
  outcome ready;
  asio::co_spawn(io, c->ready(), told(ready));
  BOOST_TEST(run_until_ended(ready));
  outcome read;
  char byte = 0;
  c->async_read_some(asio::buffer(&byte, 1), read.handler());
  BOOST_TEST(run_until_ended(read));
  BOOST_TEST(byte == 'x');
  // The rest is there already, so that the next read ends at once; its handler is all that has the connection.
  control.first = control.calls + 1;
  cocp::connection& own = *c;
  auto handler = [c = std::move(c)](error_code, std::size_t) { BOOST_ERROR("it was refused"); };
  BOOST_CHECK_THROW(own.async_read_some(asio::buffer(&byte, 1), std::move(handler)), std::bad_alloc);
  BOOST_TEST(control.refused == 1u);
  at.reach(1);
  io.restart();
  io.run_for(patience);
}

BOOST_AUTO_TEST_CASE(what_is_kept_is_not_forgotten_when_its_sender_is_refused) {
  stage at;
  std::string got;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    if (!at.wait_for(1)) return "the client does not write";
    if (auto why = read_all(ssl, got, size); !why.empty()) return why;
    return ::SSL_write(ssl, "y", 1) == 1 ? "" : "cannot write";
  });
  reluctant_executor::control control{~0u, 1};
  const asio::any_io_executor ex(reluctant_executor(io.get_executor(), control));
  const auto s = connect(ex, options_for(server), *destination_of(server));
  const std::string sent = fill(*s, server);
  outcome read;
  char byte = 0;
  s->async_read_some(asio::buffer(&byte, 1), read.handler());
  unsent_write write(*s);
  write.stop.emit(asio::cancellation_type::partial);
  BOOST_TEST(run_until_ended(write.end));
  size = sent.size() + write.some.size();
  control.first = control.calls + 1;
  at.reach(1);
  BOOST_CHECK_THROW(run_until([] { return false; }), std::bad_alloc);
  // It ends, be it well or not.
  BOOST_TEST(run_until_ended(read));
}

// For a memory checker.
BOOST_DATA_TEST_CASE(a_cancellation_may_come_when_the_context_of_the_stream_has_gone, data::make({false, true}),
                     with_tls) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    if (!at.wait_for(1)) return "nobody is ready";
    const bool written = ::SSL_write(ssl, "y", 1) == 1;
    at.reach(2);
    return written ? "" : "cannot write";
  });
  asio::cancellation_signal stop;
  outcome end;
  char byte = 0;
  {
    asio::io_context own{1};
    auto options = options_for(server);
    if (!with_tls) options.tls.reset();
    cocp::connection c(own, options);
    outcome ready;
    asio::co_spawn(own, c.ready(), told(ready));
    while (!ready.ec && own.run_one_for(patience) != 0) {
    }
    BOOST_REQUIRE(ready.succeeded());
    auto handler = asio::bind_cancellation_slot(stop.slot(), asio::bind_executor(io.get_executor(), end.handler()));
    if (with_tls) {
      at.reach(1);
      BOOST_TEST(at.wait_for(2));
      c.async_read_some(asio::buffer(&byte, 1), handler);
    } else {
      c.async_write_some(asio::buffer("x", 1), handler);
    }
    // Now it, or a part of it, waits to be run there.
    own.restart();
    own.poll();
    BOOST_TEST(!end.ec);
  }
  stop.emit(asio::cancellation_type::terminal);
  io.restart();
  io.poll();
  BOOST_TEST(end.ec.has_value());
}

// A server of TLS 1.2 that agrees anew names a session before there is anything to resume.
BOOST_AUTO_TEST_CASE(half_a_session_is_not_kept) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv12_server, [&](SSL* ssl) -> std::string {
    // Else it has no name, but a ticket at the end.
    ::SSL_set_options(ssl, SSL_OP_NO_TICKET);
    if (::SSL_renegotiate(ssl) != 1 || ::SSL_do_handshake(ssl) != 1) return "no renegotiation";
    at.reach(1);
    if (!has_more(ssl)) return "the client does not agree anew";
    in_pieces pieces(ssl);
    ::fcntl(::SSL_get_fd(ssl), F_SETFL, O_NONBLOCK);
    char byte_of_data = 0;
    if (::SSL_read(ssl, &byte_of_data, 1) != -1) return "there is data";
    // The first record has the name.
    const std::string said = pieces.take();
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(said.at(i)); };
    if (!pieces.send(said.substr(0, 5 + byte(3) * 256u + byte(4)))) return "cannot send";
    at.reach(2);
    return at.wait_for(3) ? "" : "the client does not look";
  });
  const auto to = destination_of(server);
  const auto s = connect(io.get_executor(), options_for(server), *to);
  BOOST_TEST(at.wait_for(1));
  error_code ec;
  // It is asked to agree anew, and sends its answer at the next look.
  for (int i = 0; i < 2; ++i) BOOST_TEST((s->peek(ec) == peek_result::quiet));
  BOOST_TEST(at.wait_for(2));
  BOOST_TEST((s->peek(ec) == peek_result::quiet));
  BOOST_TEST(::SSL_SESSION_is_resumable(::SSL_get_session(s->native_tls())) == 1);
  // What there was before is there.
  const cocp::detail::kept_session kept = to->sessions->take(std::time(nullptr));
  BOOST_REQUIRE(kept.session);
  BOOST_TEST(::SSL_SESSION_get_master_key(kept.session.get(), nullptr, 0) != 0u);
  at.reach(3);
  BOOST_TEST(server.failure() == "");
}

// The kernel may still write to what is received into when the stream has gone with its context (io_uring(7)), and read
// what is sent.
BOOST_FIXTURE_TEST_CASE(the_bytes_of_an_operation_may_outlive_the_engine, engine_fixture) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server,
                        [&](SSL*) -> std::string { return at.wait_for(1) ? "" : "the client is not done"; });
  connect_engine(server);
  const std::string some(16'000, 'x');
  error_code ec;
  std::size_t n = 0;
  while (!engine->has_output()) {
    BOOST_REQUIRE((engine->write(asio::buffer(some), n, ec) == tls_engine::outcome::done));
  }
  const asio::mutable_buffer room = engine->room();
  const asio::const_buffer output = engine->output();
  const std::string said(static_cast<const char*>(output.data()), output.size());
  const tls_engine::buffers left = std::move(*engine).release();
  engine.reset();
  BOOST_TEST(left.input.get() == room.data());
  std::memset(room.data(), 'y', room.size());
  BOOST_TEST((std::string(static_cast<const char*>(output.data()), output.size()) == said));
  socket.reset();
  at.reach(1);
  BOOST_TEST(server.failure() == "");
}

// In TLS 1.2 it may show another certificate when it agrees anew.
BOOST_AUTO_TEST_CASE(a_session_that_was_agreed_anew_ends_with_the_certificate_that_was_shown_then) {
  const std::time_t end = std::time(nullptr) + 3600;
  const key_pair second = authority.issue_until({"localhost"}, end);
  openssl_server server(files, asio::ssl::context::tlsv12_server, [&](SSL* ssl) -> std::string {
    ::SSL_set_options(ssl, SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
    if (::SSL_use_certificate_chain_file(ssl, second.certificate.c_str()) != 1) return "no certificate";
    if (::SSL_use_PrivateKey_file(ssl, second.key.c_str(), SSL_FILETYPE_PEM) != 1) return "no key";
    if (::SSL_renegotiate(ssl) != 1 || ::SSL_do_handshake(ssl) != 1) return "no renegotiation";
    return read_end(ssl);
  });
  const auto to = destination_of(server);
  auto s = connect(io.get_executor(), options_for(server), *to);
  BOOST_TEST(to->sessions->take(std::time(nullptr)).until > end);
  BOOST_TEST(eventually_blocking([&] {
    error_code ec;
    BOOST_REQUIRE((s->peek(ec) == peek_result::quiet));
    return to->sessions->take(std::time(nullptr)).until == end;
  }));
  BOOST_TEST(to->sessions->take(end).until > end);
  s.reset();
  BOOST_TEST(server.failure() == "");
}

// A reader and a writer on strands of their own, which three threads run; each third operation of either is cancelled.
BOOST_DATA_TEST_CASE(on_two_strands_cancelled_operations_lose_no_byte, data::make({false, true}), small_buffers) {
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    std::vector<char> buffer(20'000);
    for (unsigned turn = 1;; ++turn) {
      const int n = ::SSL_read(ssl, buffer.data(), static_cast<int>(buffer.size()));
      if (n <= 0) break;
      const int answer = turn % 2 == 0 ? SSL_KEY_UPDATE_NOT_REQUESTED : SSL_KEY_UPDATE_REQUESTED;
      if (turn % 3 == 0 && !update_key(ssl, answer)) return "no update";
      if (::SSL_write(ssl, buffer.data(), n) != n) return "cannot write";
    }
    ::SSL_shutdown(ssl);
    return "";
  });
  const auto s = connect(server);
  if (small_buffers) shrink_client(server);
  std::minstd_rand chance(1);
  std::string sent(small_buffers ? 400'000 : 2'000'000, ' ');
  for (char& c : sent) c = static_cast<char>(chance() >> 8);

  auto work = asio::make_work_guard(io);
  io.restart();
  const auto readers = asio::make_strand(io);
  const auto writers = asio::make_strand(io);
  asio::cancellation_signal stop_read;
  std::minstd_rand for_reads(2);
  std::vector<char> room(50'000);
  std::string got;
  error_code read_end;
  std::function<void()> read = [&] {
    const auto some = asio::buffer(room.data(), 1 + for_reads() % room.size());
    auto then = [&](error_code ec, std::size_t n) {
      got.append(room.data(), n);
      if (!ec || ec == asio::error::operation_aborted) return read();
      read_end = ec;
      work.reset();
    };
    s->async_read_some(some, asio::bind_cancellation_slot(stop_read.slot(), asio::bind_executor(readers, then)));
    if (for_reads() % 3 == 0) asio::post(readers, [&] { stop_read.emit(asio::cancellation_type::total); });
  };
  asio::cancellation_signal stop_write;
  std::minstd_rand for_writes(3);
  std::size_t at = 0;
  error_code write_end;
  std::function<void()> write = [&] {
    if (at == sent.size()) {
      s->async_shutdown_send(asio::bind_executor(writers, [&](error_code ec, std::size_t) { write_end = ec; }));
      return;
    }
    const auto some =
        asio::buffer(sent.data() + at, std::min<std::size_t>(sent.size() - at, 1 + for_writes() % 40'000));
    auto then = [&](error_code ec, std::size_t n) {
      at += n;
      if (!ec || ec == asio::error::operation_aborted) return write();
      write_end = ec;
      s->shutdown();
    };
    s->async_write_some(some, asio::bind_cancellation_slot(stop_write.slot(), asio::bind_executor(writers, then)));
    if (for_writes() % 3 == 0) asio::post(writers, [&] { stop_write.emit(asio::cancellation_type::terminal); });
  };
  asio::post(readers, read);
  asio::post(writers, write);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&] { io.run_for(patience); });
  }
  BOOST_TEST(!write_end);
  BOOST_TEST(read_end == asio::error::eof);
  BOOST_TEST((got == sent));
  BOOST_TEST(server.failure() == "");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(engine, engine_fixture)

BOOST_AUTO_TEST_CASE(what_is_kept_has_a_bound) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server,
                        [&](SSL*) -> std::string { return at.wait_for(1) ? "" : "the client does not end"; });
  connect_engine(server);
  shrink_buffer(socket->native_handle());
  SSL* const ssl = engine->native();
  unsigned said = 0;
  while (!engine->output_error() && said < 100'000) {
    BOOST_REQUIRE(update_key(ssl, SSL_KEY_UPDATE_NOT_REQUESTED));
    ++said;
  }
  BOOST_TEST(engine->output_error() == asio::error::no_buffer_space);
  BOOST_TEST(engine->output().size() <= tls_engine::most_kept);
  error_code ec;
  std::size_t n = 0;
  BOOST_TEST((engine->write(asio::buffer("x", 1), n, ec) == tls_engine::outcome::failed));
  BOOST_TEST(ec == asio::error::no_buffer_space);
  at.reach(1);
}

// A key update is answered with the next write (TLS 1.3); a wish to agree anew at once.
BOOST_AUTO_TEST_CASE(an_answer_goes_behind_what_is_kept) {
  stage at;
  std::string got;
  std::size_t gone = 0;
  std::size_t size = 0;
  openssl_server server(files, asio::ssl::context::tlsv12_server, [&](SSL* ssl) -> std::string {
    if (!at.wait_for(1)) return "the client does not write";
    // So that the socket takes something again.
    if (auto why = read_all(ssl, got, gone); !why.empty()) return why;
    if (::SSL_renegotiate(ssl) != 1 || ::SSL_do_handshake(ssl) != 1) return "no renegotiation";
    if (auto why = read_all(ssl, got, size); !why.empty()) return why;
    return has_more(ssl) ? "" : "the client does not agree anew";
  });
  connect_engine(server);
  BOOST_REQUIRE(eventually_blocking([&] { return server.has_agreed(); }));
  shrink_buffer(socket->native_handle());
  error_code ec;
  std::size_t n = 0;
  for (; !engine->has_output(); size += n) {
    gone = size;
    BOOST_REQUIRE((engine->write(asio::buffer(std::string(300, 'x')), n, ec) == tls_engine::outcome::done));
  }
  at.reach(1);
  char byte = 0;
  for (;;) {
    BOOST_REQUIRE((engine->read(asio::buffer(&byte, 1), n, ec) == tls_engine::outcome::needs_input));
    if (::SSL_in_init(engine->native()) == 1) break;
    receive();
  }
  while (engine->has_output()) engine->send_now();
  BOOST_TEST(server.failure() == "");
  BOOST_TEST(got == std::string(size, 'x'));
}

BOOST_AUTO_TEST_CASE(what_was_said_before_the_end_is_read_though_no_answer_can_be_sent) {
  openssl_server server(files, asio::ssl::context::tlsv13_server,
                        [&](SSL* ssl) -> std::string { return update_keys(ssl, 1); });
  connect_engine(server);
  BOOST_TEST(server.failure() == "");
  char byte = 0;
  std::size_t n = 0;
  error_code ec;
  while (engine->read(asio::buffer(&byte, 1), n, ec) == tls_engine::outcome::needs_input) receive();
  BOOST_TEST(!ec);
  BOOST_TEST(byte == 'y');
  BOOST_TEST((engine->write(asio::buffer("x", 1), n, ec) == tls_engine::outcome::failed));
  BOOST_TEST(ec == asio::error::broken_pipe);
  BOOST_TEST(n == 0u);
  ec.clear();
  while (engine->read(asio::buffer(&byte, 1), n, ec) == tls_engine::outcome::needs_input) receive();
  BOOST_TEST(ec == asio::ssl::error::stream_truncated);
}

// OpenSSL answers the wish while it reads, in TLS 1.2.
BOOST_AUTO_TEST_CASE(what_came_with_a_wish_to_agree_anew_is_read_though_it_cannot_be_answered) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv12_server, [&](SSL* ssl) -> std::string {
    // So that the client receives both at once.
    if (!at.wait_for(1)) return "the client does not agree";
    if (::SSL_renegotiate(ssl) != 1 || ::SSL_do_handshake(ssl) != 1) return "no renegotiation";
    return ::SSL_write(ssl, "y", 1) == 1 ? "" : "cannot write";
  });
  connect_engine(server);
  at.reach(1);
  BOOST_TEST(server.failure() == "");
  char byte = 0;
  std::size_t n = 0;
  error_code ec;
  while (engine->read(asio::buffer(&byte, 1), n, ec) == tls_engine::outcome::needs_input) receive();
  BOOST_TEST(!ec);
  BOOST_TEST(byte == 'y');
  while (engine->read(asio::buffer(&byte, 1), n, ec) == tls_engine::outcome::needs_input) receive();
  BOOST_TEST(ec == asio::error::broken_pipe);
}

// The second key update has OpenSSL answer the first while it reads.
BOOST_AUTO_TEST_CASE(behind_a_goodbye_nothing_is_said) {
  stage at;
  openssl_server server(files, asio::ssl::context::tlsv13_server, [&](SSL* ssl) -> std::string {
    if (const std::string why = read_end(ssl); !why.empty()) return why;
    if (const std::string why = update_keys(ssl, 2); !why.empty()) return why;
    if (!at.wait_for(1)) return "the client does not read";
    char byte = 0;
    return ::recv(::SSL_get_fd(ssl), &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN ? "" : "the client says more";
  });
  connect_engine(server);
  error_code ec;
  BOOST_TEST((engine->say_goodbye(ec) == tls_engine::outcome::done));
  char byte = 0;
  std::size_t n = 0;
  while (engine->read(asio::buffer(&byte, 1), n, ec) == tls_engine::outcome::needs_input) receive();
  BOOST_TEST(!ec);
  BOOST_TEST(byte == 'y');
  at.reach(1);
  BOOST_TEST(server.failure() == "");
}

BOOST_AUTO_TEST_SUITE_END()
