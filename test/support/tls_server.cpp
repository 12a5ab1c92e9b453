// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/tls_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <list>
#include <utility>

namespace cocp::test {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto token = asio::as_tuple(asio::use_awaitable);
// A server that runs for long is not to grow by what it has counted.
constexpr std::size_t most_names = 1000;

asio::ssl::context::method method_of(tls_version v) {
  switch (v) {
    case tls_version::tls_1_2:
      return asio::ssl::context::tlsv12_server;
    case tls_version::tls_1_3:
      return asio::ssl::context::tlsv13_server;
    case tls_version::any:
      break;
  }
  return asio::ssl::context::tls_server;
}

}  // namespace

struct tls_server::state {
  using session = asio::ssl::stream<tcp::socket>;

  state(asio::any_io_executor ex, const key_pair& files, tls_version version, plain_words said)
      : before(std::move(said)),
        context(method_of(version)),
        acceptor(ex, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0)) {
    context.use_certificate_chain_file(files.certificate);
    context.use_private_key_file(files.key, asio::ssl::context::pem);
    // Without it a server resumes nothing that a client was asked to identify itself for; it does no harm here.
    static constexpr unsigned char id[] = "cocp";
    ::SSL_CTX_set_session_id_context(context.native_handle(), id, sizeof id - 1);
  }

  static asio::awaitable<void> accept(std::shared_ptr<state> self) {
    for (;;) {
      auto [ec, socket] = co_await self->acceptor.async_accept(token);
      if (ec) co_return;
      asio::co_spawn(self->acceptor.get_executor(), serve(self, std::move(socket)), asio::detached);
    }
  }

  static asio::awaitable<void> serve(std::shared_ptr<state> self, tcp::socket socket) {
    if (!self->before.ask.empty()) {
      std::string asked(self->before.ask.size(), '\0');
      auto in = asio::buffer(asked);
      auto [not_read, n] = co_await asio::async_read(socket, in, token);
      if (not_read || asked != self->before.ask) co_return;
      auto out = asio::buffer(self->before.answer);
      auto [not_answered, m] = co_await asio::async_write(socket, out, token);
      if (not_answered) co_return;
    }
    const auto s = std::make_shared<session>(std::move(socket), self->context);
    auto [failed] = co_await s->async_handshake(asio::ssl::stream_base::server, token);
    if (failed) {
      ++self->counted.failed;
      co_return;
    }
    ++self->counted.sessions;
    ++self->counted.open;
    if (::SSL_session_reused(s->native_handle()) == 1) ++self->counted.resumed;
    const char* const name = ::SSL_get_servername(s->native_handle(), TLSEXT_NAMETYPE_host_name);
    if (self->counted.names.size() < most_names) self->counted.names.emplace_back(name ? name : "");
    const auto place = self->open.insert(self->open.end(), s);
    std::array<char, 4096> buffer;
    for (;;) {
      auto [ended, n] = co_await s->async_read_some(asio::buffer(buffer), token);
      if (ended) {
        ++(ended == asio::error::eof ? self->counted.said_goodbye : self->counted.cut_off);
        break;
      }
      auto answer = asio::buffer(buffer, n);
      auto [not_sent, sent] = co_await asio::async_write(*s, answer, token);
      self->counted.echoed += sent;
      if (not_sent) break;
    }
    --self->counted.open;
    self->open.erase(place);
  }

  const plain_words before;
  asio::ssl::context context;
  tcp::acceptor acceptor;
  std::list<std::shared_ptr<session>> open;
  counts counted;
};

tls_server::tls_server(asio::any_io_executor ex, const key_pair& files, tls_version version, plain_words before)
    : state_(std::make_shared<state>(ex, files, version, std::move(before))) {
  asio::co_spawn(ex, state::accept(state_), asio::detached);
}

tls_server::~tls_server() {
  error_code ignored;
  state_->acceptor.close(ignored);
  close_all();
}

std::string tls_server::port() const { return std::to_string(state_->acceptor.local_endpoint().port()); }

void tls_server::close_all() {
  for (const auto& s : state_->open) {
    error_code ignored;
    s->lowest_layer().shutdown(tcp::socket::shutdown_both, ignored);
  }
}

void tls_server::say_goodbye_to_all() {
  for (const auto& s : state_->open) {
    s->async_shutdown([s](error_code) {});
  }
}

void tls_server::push_all(std::string_view bytes) {
  for (const auto& s : state_->open) {
    const auto text = std::make_shared<std::string>(bytes);
    asio::async_write(*s, asio::buffer(*text), [s, text](error_code, std::size_t) {});
  }
}

const tls_server::counts& tls_server::seen() const { return state_->counted; }

}  // namespace cocp::test
