// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "tls_echo_server.hpp"

#ifdef COCP_BENCH_TLS

#include "../echo_session.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <string>
#include <utility>

namespace bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

asio::awaitable<void> echo_in_tls(tcp::socket socket, asio::ssl::context& tls) {
  try {
    socket.set_option(tcp::no_delay(true));
    asio::ssl::stream<tcp::socket> stream(std::move(socket), tls);
    co_await stream.async_handshake(asio::ssl::stream_base::server, asio::use_awaitable);
    co_await echo_session(stream, {});
  } catch (const boost::system::system_error&) {
    // The client has gone; that is how every session ends.
  }
}

asio::awaitable<void> accept_tls(tcp::acceptor acceptor, asio::ssl::context& tls) {
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    asio::co_spawn(acceptor.get_executor(), echo_in_tls(std::move(socket), tls), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
  }
}

void serve_tls(const std::string& port, const std::string& certificate, const std::string& key) {
  asio::io_context io{1};
  asio::ssl::context tls(asio::ssl::context::tls_server);
  tls.use_certificate_chain_file(certificate);
  tls.use_private_key_file(key, asio::ssl::context::pem);
  tcp::acceptor acceptor(
      io, tcp::endpoint(asio::ip::address_v4::loopback(), static_cast<unsigned short>(std::stoul(port))));
  const std::chrono::nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
  std::cout << "listening since " << now.count() << std::endl;
  asio::co_spawn(io, accept_tls(std::move(acceptor), tls), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  io.run();
}

}  // namespace

void serve_tls_if_asked(int argc, char** argv) {
  if (argc != 6 || std::strcmp(argv[1], "--serve") != 0) return;
  try {
    serve_tls(argv[2], argv[4], argv[5]);
  } catch (const std::exception& e) {
    std::cout << "echo server: " << e.what() << std::endl;
  }
  std::exit(1);
}

}  // namespace bench

#else

namespace bench {

void serve_tls_if_asked(int, char**) {}

}  // namespace bench

#endif
