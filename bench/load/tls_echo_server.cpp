// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "tls_echo_server.hpp"

#ifdef COCP_BENCH_TLS

#include "../echo_session.hpp"
#include "support/certificates.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

namespace bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

asio::awaitable<void> echo_in_tls(tcp::socket socket, asio::ssl::context& tls, std::chrono::microseconds delay) {
  asio::ssl::stream<tcp::socket> stream(std::move(socket), tls);
  co_await stream.async_handshake(asio::ssl::stream_base::server, asio::use_awaitable);
  co_await echo_session(stream, delay);
}

}  // namespace

void serve_tls_if_asked(int argc, char** argv) {
  if (argc < 5 || argc > 6 || std::strcmp(argv[1], "--serve") != 0) return;
  asio::ssl::context tls(asio::ssl::context::tls_server);
  std::optional<cocp::test::certificate_authority> authority;
  serve(argv[2], [&]() -> session {
    const bool has_files = argc == 6;
    if (!has_files) authority.emplace();
    const auto files = has_files ? cocp::test::key_pair{argv[4], argv[5]} : authority->issue({"127.0.0.1"});
    tls.use_certificate_chain_file(files.certificate);
    tls.use_private_key_file(files.key, asio::ssl::context::pem);
    const std::chrono::microseconds delay(std::stoul(argv[3]));
    return [&tls, delay](tcp::socket socket) { return echo_in_tls(std::move(socket), tls, delay); };
  });
}

}  // namespace bench

#else

namespace bench {

void serve_tls_if_asked(int, char**) {}

}  // namespace bench

#endif
