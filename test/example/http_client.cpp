// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// HTTP/1.1 with Boost.Beast over leased connections, which are kept alive from one request to the next.
//
//   http_client [--tls CA_FILE] ADDRESS CONNECTIONS TARGET...
//
// asks for all targets at once, as in `http_client localhost:80 4 / /index.html`; with TLS, if the server's certificate
// is signed by an authority in CA_FILE and names the host of the address. A lease's connection is a stream as
// Beast wants it, so `http::async_write` and `http::async_read` take it as it is; `request` below is all that it takes.

#include <cocp.hpp>
#include <cocp/tls.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using namespace std::chrono_literals;

using answer_t = http::response<http::string_body>;

asio::awaitable<answer_t> exchange(cocp::lease& connection, http::request<http::string_body>& asked) {
  co_await http::async_write(*connection, asked, asio::use_awaitable);

  http::response_parser<http::string_body> answer;
  answer.skip(asked.method() == http::verb::head);  // its answer tells the length of a body that does not come
  beast::flat_buffer buffer;
  co_await http::async_read(*connection, buffer, answer, asio::use_awaitable);

  // The server will close the connection, or has sent more than it was asked for, which is nobody's answer. cocp looks
  // for bytes that nobody has read, but cannot see those that have gone into our buffer.
  if (!answer.keep_alive() || buffer.size() != 0) connection.discard();
  co_return answer.release();
}

// Throws what `cocp::pool::get` and Beast throw; the connection is then replaced, since nobody knows what is still to
// come on it. Where the server has closed an idle connection at that very moment, the request is repeated on another if
// that may be (RFC 9110, 9.2.2).
asio::awaitable<answer_t> request(cocp::pool& pool, http::request<http::string_body> asked) {
  auto once = [&asked](cocp::lease& connection) { return exchange(connection, asked); };
  const bool is_safe = asked.method() == http::verb::get || asked.method() == http::verb::head;
  const cocp::run_options options{.timeout = 30s, .again = is_safe ? cocp::retry::unanswered : cocp::retry::unsent};
  co_return co_await pool.run(once, options);
}

asio::awaitable<void> fetch(cocp::pool& pool, std::string host, std::string target) {
  http::request<http::string_body> asked{http::verb::get, target, 11};
  asked.set(http::field::host, host);
  const answer_t answer = co_await request(pool, std::move(asked));
  std::cout << answer.result_int() << ' ' << target << ' ' << answer.body() << std::endl;
}

int main(int argc, char** argv) try {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  asio::ssl::context authorities(asio::ssl::context::tls_client);
  const bool tls = arguments.size() > 1 && arguments[0] == "--tls";
  if (tls) {
    authorities.load_verify_file(arguments[1]);
    arguments.erase(arguments.begin(), arguments.begin() + 2);
  }
  if (arguments.size() < 3) {
    std::cerr << "usage: http_client [--tls CA_FILE] ADDRESS CONNECTIONS TARGET...\n";
    return 2;
  }
  const std::string address = arguments[0];
  cocp::connection_options server{.address = address};
  if (tls) server.tls = cocp::tls_options{.context = &authorities};
  asio::io_context io;
  // A person waits for the answers: `fail_fast` tells them at once that the server is down.
  cocp::pool pool{io, server, {.size = std::stoul(arguments[1]), .fail_fast = 0s}};
  std::size_t left = arguments.size() - 2;
  int failed = 0;
  for (std::size_t n = 2; n < arguments.size(); ++n) {
    asio::co_spawn(io, fetch(pool, address, arguments[n]), [&, n](std::exception_ptr error) {
      try {
        if (error) std::rethrow_exception(error);
      } catch (const std::exception& e) {
        std::cerr << arguments[n] << ": " << e.what() << std::endl;
        ++failed;
      }
      if (--left == 0) pool.close();  // the open pool is all that keeps io.run()
    });
  }
  io.run();
  return failed == 0 ? 0 : 1;
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 2;
}
