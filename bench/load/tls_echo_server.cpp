// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "tls_echo_server.hpp"

#ifdef COCP_BENCH_TLS

#include "../echo_session.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstring>
#include <utility>

namespace bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

asio::awaitable<void> echo_in_tls(tcp::socket socket, asio::ssl::context& tls) {
  asio::ssl::stream<tcp::socket> stream(std::move(socket), tls);
  co_await stream.async_handshake(asio::ssl::stream_base::server, asio::use_awaitable);
  co_await echo_session(stream, {});
}

}  // namespace

void serve_tls_if_asked(int argc, char** argv) {
  if (argc != 6 || std::strcmp(argv[1], "--serve") != 0) return;
  asio::ssl::context tls(asio::ssl::context::tls_server);
  serve(argv[2], [&]() -> session {
    tls.use_certificate_chain_file(argv[4]);
    tls.use_private_key_file(argv[5], asio::ssl::context::pem);
    return [&tls](tcp::socket socket) { return echo_in_tls(std::move(socket), tls); };
  });
}

}  // namespace bench

#else

namespace bench {

void serve_tls_if_asked(int, char**) {}

}  // namespace bench

#endif
