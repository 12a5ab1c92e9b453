// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/certificates.hpp"
#include "support/program.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <map>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace cocp::test;

namespace {

/// The server's side of the protocol, on a thread of its own.
class line_server {
 public:
  explicit line_server(const key_pair& files) {
    context_.use_certificate_chain_file(files.certificate);
    context_.use_private_key_file(files.key, asio::ssl::context::pem);
    asio::co_spawn(io_, accept(), asio::detached);
    thread_ = std::thread([this] { io_.run(); });
  }
  ~line_server() {
    io_.stop();
    thread_.join();
  }
  std::string address() const { return "localhost:" + std::to_string(acceptor_.local_endpoint().port()); }
  /// Of all connections, in order. Not before the client has ended.
  std::vector<std::string> lines;

 private:
  asio::awaitable<void> accept() {
    for (;;) {
      tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
      asio::co_spawn(io_, serve(std::move(socket)), asio::detached);
    }
  }

  template <class Stream>
  asio::awaitable<std::string> read_line(Stream& stream, std::string& rest) {
    auto buffer = asio::dynamic_buffer(rest);
    const std::size_t n = co_await asio::async_read_until(stream, buffer, '\n', asio::use_awaitable);
    std::string line = rest.substr(0, n - 1);
    rest.erase(0, n);
    lines.push_back(line);
    co_return line;
  }

  asio::awaitable<void> serve(tcp::socket socket) {
    std::string rest;
    co_await read_line(socket, rest);
    auto ok = asio::buffer("ok\n", 3);
    co_await asio::async_write(socket, ok, asio::use_awaitable);
    asio::ssl::stream<tcp::socket> secure(std::move(socket), context_);
    co_await secure.async_handshake(asio::ssl::stream_base::server, asio::use_awaitable);
    std::map<std::string, std::string> known;
    for (;;) {
      const std::string line = co_await read_line(secure, rest);
      std::string answer = "ok";
      if (line.starts_with("PREPARE ")) {
        const auto end = line.find(' ', 8);
        known[line.substr(8, end - 8)] = line.substr(end + 1);
      } else if (line.starts_with("RUN ")) {
        answer = known.at(line.substr(4));
      } else if (line == "UPLOAD") {
        boost::system::error_code ec;
        auto to_the_end = asio::dynamic_buffer(rest);
        auto token = asio::redirect_error(asio::use_awaitable, ec);
        co_await asio::async_read(secure, to_the_end, token);
        answer = std::to_string(rest.size()) + " bytes" + (ec == asio::error::eof ? "" : ", cut off");
      }
      answer += '\n';
      auto out = asio::buffer(answer);
      co_await asio::async_write(secure, out, asio::use_awaitable);
      if (line == "QUIT" || line == "UPLOAD") co_return;
    }
  }

  asio::io_context io_;
  asio::ssl::context context_{asio::ssl::context::tls_server};
  tcp::acceptor acceptor_{io_, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0)};
  std::thread thread_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(line_client)

BOOST_AUTO_TEST_CASE(it_prepares_once_for_each_stream_and_takes_its_leave) {
  const auto& arguments = boost::unit_test::framework::master_test_suite();
  BOOST_TEST_REQUIRE(arguments.argc == 2, "the path of the program is wanted after `--`");
  certificate_authority authority;
  const key_pair files = authority.issue({"localhost"});
  line_server server(files);
  program client({arguments.argv[1], server.address(), authority.certificate()});
  BOOST_TEST((client.wait() == 0));
  const std::string said = client.said();
  BOOST_TEST_INFO(said);
  for (const char* line :
       {"connected to 127.0.0.1 by TLSv1.3\n", "hello, world\n", "100000 bytes (by one that has served before)\n",
        "hello, world (on another stream)\n", "info connected the notes (attempt 1)\n",
        "info replaced the notes: its sending side was shut down\n", "debug closed the notes\n"}) {
    BOOST_TEST(said.find(line) != std::string::npos, line);
  }
  const std::vector<std::string> lines = {
      "STARTTLS", "PREPARE greeting hello, world", "RUN greeting", "RUN greeting", "UPLOAD",
      "STARTTLS", "PREPARE greeting hello, world", "RUN greeting", "QUIT"};
  BOOST_TEST(server.lines == lines, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
