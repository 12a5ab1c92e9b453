// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// A line protocol with all that real ones have: STARTTLS, queries that are prepared once for each connection, uploads
// whose end is the end of our side of the stream, and a QUIT.
//
//   line_client ADDRESS CA_FILE
//
// The server answers each line with one line. What is kept with a connection (what was read too early, which queries
// it knows) lives with the stream in its `session`, and nobody has to drop it when that is redialled.

#include <cocp.hpp>
#include <cocp/tls.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <set>
#include <stdexcept>
#include <string>

namespace asio = boost::asio;

struct protocol {
  std::string rest;                // was read, and is of the next line
  std::set<std::string> prepared;  // what the server knows on this connection
};

asio::awaitable<std::string> command(cocp::connection& conn, std::string line) {
  std::string& rest = conn.session<protocol>().rest;
  line += '\n';
  co_await conn.write(asio::buffer(line));
  auto buffer = asio::dynamic_buffer(rest);
  const std::size_t size = co_await conn.read_until(buffer, '\n');
  std::string answer = rest.substr(0, size - 1);
  rest.erase(0, size);
  co_return answer;
}

// `tls_options::before`. What is on the socket, cocp sees; what has come into our own buffer behind the answer, nobody
// but us: it may have been put there on the way, and must not be taken for what came under TLS.
asio::awaitable<void> start_tls(cocp::connection& conn) {
  const std::string answer = co_await command(conn, "STARTTLS");
  if (answer != "ok" || !conn.session<protocol>().rest.empty()) throw std::runtime_error("STARTTLS: " + answer);
}

// `connection_options::on_close`
asio::awaitable<void> quit(cocp::connection& conn) {
  const std::string bye = co_await command(conn, "QUIT");
  static_cast<void>(bye);
}

asio::awaitable<std::string> query(cocp::connection& conn, std::string name, std::string text) {
  protocol& known = conn.session<protocol>();
  if (!known.prepared.contains(name)) {
    const std::string answer = co_await command(conn, "PREPARE " + name + ' ' + text);
    if (answer != "ok") throw std::runtime_error("PREPARE: " + answer);
    known.prepared.insert(name);
  }
  co_return co_await command(conn, "RUN " + name);
}

// The connection is replaced afterwards, of course.
asio::awaitable<std::string> upload(cocp::connection& conn, std::string data) {
  const std::string begin = "UPLOAD\n";
  co_await conn.write(asio::buffer(begin));
  co_await conn.write(asio::buffer(data));
  co_await conn.shutdown_send();
  std::string answer;
  auto buffer = asio::dynamic_buffer(answer);
  const std::size_t size = co_await conn.read_until(buffer, '\n');
  answer.resize(size - 1);
  co_return answer;
}

asio::awaitable<void> use(cocp::pool& pool) {
  std::uint64_t first = 0;
  for (int i = 0; i < 2; ++i) {
    cocp::lease conn = co_await pool.get();
    if (i == 0) {
      first = conn->id();
      const asio::ip::tcp::endpoint peer = conn->remote_endpoint();
      std::cout << "connected to " << peer.address() << " by " << ::SSL_get_version(conn->native_tls()) << std::endl;
    }
    const std::string answer = co_await query(*conn, "greeting", "hello, world");
    std::cout << answer << (conn->id() == first ? "" : " (on another stream)") << std::endl;
  }
  {
    cocp::lease conn = co_await pool.get();
    const std::string answer = co_await upload(*conn, std::string(100'000, 'x'));
    std::cout << answer << (conn.reused() ? " (by one that has served before)" : "") << std::endl;
  }
  cocp::lease conn = co_await pool.get();
  const std::string answer = co_await query(*conn, "greeting", "hello, world");
  std::cout << answer << (conn->id() == first ? "" : " (on another stream)") << std::endl;
}

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: line_client ADDRESS CA_FILE\n";
    return 2;
  }
  asio::ssl::context authorities(asio::ssl::context::tls_client);
  authorities.load_verify_file(argv[2]);
  asio::io_context io;
  cocp::connection_options server{.address = argv[1],
                                  .name = "the notes",
                                  .on_close = quit,
                                  .logger = cocp::log_to(std::clog),
                                  .tls = cocp::tls_options{.context = &authorities, .before = start_tls}};
  cocp::pool pool{io, server, {.size = 1}};
  std::exception_ptr failure;
  asio::co_spawn(io, use(pool), [&](std::exception_ptr e) {
    failure = e;
    pool.close();
  });
  io.run();
  if (failure) std::rethrow_exception(failure);
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
