// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A key update that comes while the socket takes nothing, on a Unix socket, whose buffer is full when it says so.

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp/tls.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <linux/sock_diag.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "net/tls_stream.hpp"
#include "net/tls_transport.hpp"
#include "support/certificates.hpp"
#include "support/eventually.hpp"
#include "support/fd_check.hpp"
#include "support/system_call.hpp"
#include "support/temporary_directory.hpp"

namespace asio = boost::asio;
using asio::local::stream_protocol;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::error_code;
using cocp::detail::peek_result;

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

struct fixture {
  fd_check descriptors;
  asio::io_context io{1};

  /// Runs the context until an operation that `start(handler)` begins has ended.
  template <class Start>
  error_code finish(Start start) {
    bool done = false;
    error_code result;
    start([&](error_code ec, std::size_t = 0) {
      done = true;
      result = ec;
    });
    io.restart();
    while (!done && io.run_one_for(patience) != 0) {
    }
    BOOST_REQUIRE(done);
    return result;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(tls_transport, fixture)

BOOST_AUTO_TEST_CASE(what_the_socket_does_not_take_is_kept_and_goes_first) {
  int pair[2];
  system_call("socketpair", ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
  shrink_buffer(pair[0]);
  cocp::detail::plain_socket ours(io, {AF_UNIX, 0}, pair[0]);
  stream_protocol::socket theirs(io, stream_protocol(), pair[1]);
  ours.non_blocking(true);
  cocp::detail::tls_transport transport(ours);
  std::string sent;
  for (char c = 'a'; !is_full(pair[0]); c = c == 'z' ? 'a' : static_cast<char>(c + 1)) {
    const std::string some(100, c);
    error_code ec;
    BOOST_TEST(transport.write_some(asio::buffer(some), ec) == some.size());
    sent += some;
  }
  BOOST_TEST(transport.kept() == 0u);
  for (const std::string late : {"first ", "second "}) {
    error_code ec;
    BOOST_TEST(transport.write_some(asio::buffer(late), ec) == late.size());
    BOOST_TEST(!ec);
    sent += late;
  }
  BOOST_TEST(transport.kept() == 13u);
  std::string got(sent.size(), '\0');
  asio::async_read(theirs, asio::buffer(got), [](error_code, std::size_t) {});
  BOOST_TEST(!finish([&](auto handler) { transport.async_write_some(asio::buffer("last", 4), handler); }));
  sent += "last";
  BOOST_TEST(transport.kept() == 0u);
  io.run();
  std::string rest(sent.size() - got.size(), '\0');
  BOOST_TEST(!finish([&](auto handler) { asio::async_read(theirs, asio::buffer(rest), handler); }));
  BOOST_TEST((got + rest == sent));
}

BOOST_AUTO_TEST_CASE(what_is_kept_has_a_bound) {
  int pair[2];
  system_call("socketpair", ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
  cocp::detail::plain_socket ours(io, {AF_UNIX, 0}, pair[0]);
  stream_protocol::socket theirs(io, stream_protocol(), pair[1]);
  ours.non_blocking(true);
  cocp::detail::tls_transport transport(ours);
  const std::string some(1000, 'x');
  error_code ec;
  for (int i = 0; i < 10'000 && !ec; ++i) transport.write_some(asio::buffer(some), ec);
  BOOST_TEST(ec == asio::error::no_buffer_space);
  BOOST_TEST(transport.kept() <= cocp::detail::tls_transport::most);
  theirs.close();
  transport.write_some(asio::buffer(some), ec);
  BOOST_TEST(ec == asio::error::broken_pipe);
}

BOOST_AUTO_TEST_CASE(a_look_loses_no_answer_to_a_key_update) {
  certificate_authority authority;
  const key_pair files = authority.issue({"localhost"});
  temporary_directory directory;
  const std::string path = directory.path() / "socket";
  const int listener = system_call("socket", ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const stream_protocol::endpoint at(path);
  system_call("bind", ::bind(listener, at.data(), static_cast<socklen_t>(at.size())));
  system_call("listen", ::listen(listener, 1));

  std::atomic<bool> full{false};
  std::atomic<bool> updated{false};
  std::atomic<bool> looked{false};
  std::atomic<std::size_t> expected{0};
  std::string failure = "the server has not ended";
  std::jthread server([&] {
    asio::ssl::context context(asio::ssl::context::tlsv13_server);
    context.use_certificate_chain_file(files.certificate);
    context.use_private_key_file(files.key, asio::ssl::context::pem);
    ::SSL_CTX_set_num_tickets(context.native_handle(), 0);
    const int descriptor = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    SSL* const ssl = ::SSL_new(context.native_handle());
    ::SSL_set_fd(ssl, descriptor);
    failure = [&]() -> std::string {
      if (::SSL_accept(ssl) != 1) return "no handshake";
      if (!eventually_blocking([&] { return full.load(); })) return "the client's buffer is not full";
      if (::SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) != 1 || ::SSL_do_handshake(ssl) != 1) return "no update";
      updated = true;
      if (!eventually_blocking([&] { return looked.load(); })) return "the client does not look";
      std::size_t n = 0;
      std::vector<char> buffer(10'000);
      while (looked) {
        const int got = ::SSL_read(ssl, buffer.data(), static_cast<int>(buffer.size()));
        if (got <= 0) return "cannot read after " + std::to_string(n) + " bytes";
        n += static_cast<std::size_t>(got);
        if (n == expected) break;
      }
      return "";
    }();
    ::SSL_free(ssl);
    ::close(descriptor);
  });

  asio::ssl::context context(asio::ssl::context::tls_client);
  context.load_verify_file(authority.certificate());
  cocp::connection_options options{.address = "unix:" + path,
                                   .tls = cocp::tls_options{.context = &context, .server_name = "localhost"}};
  const auto to = cocp::detail::make_destination(options.address, options);
  {
    const auto s = cocp::detail::make_tls_stream(io.get_executor(), options, *to);
    BOOST_TEST(!finish([&](auto handler) { s->async_connect(*to->numeric, handler); }));
    BOOST_TEST(!finish([&](auto handler) { s->async_handshake(handler); }));
    const int descriptor = find_client(path);
    BOOST_REQUIRE(descriptor > 0);
    shrink_buffer(descriptor);
    const std::string some(300, 'x');
    std::size_t sent = 0;
    while (!is_full(descriptor)) {
      BOOST_TEST(!finish([&](auto handler) { s->async_write_some(asio::buffer(some), handler); }));
      sent += some.size();
    }
    full = true;
    BOOST_TEST(eventually_blocking([&] { return updated.load(); }));
    error_code ec;
    BOOST_TEST((s->peek(ec) == peek_result::quiet));
    BOOST_TEST(!ec);
    expected = sent + some.size();
    looked = true;
    BOOST_TEST(!finish([&](auto handler) { s->async_write_some(asio::buffer(some), handler); }));
    server.join();
  }
  ::close(listener);
  BOOST_TEST(failure == "");
}

BOOST_AUTO_TEST_SUITE_END()
