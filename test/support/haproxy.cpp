// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/haproxy.hpp"

#include "support/eventually.hpp"
#include "support/start_server.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace asio = boost::asio;

namespace cocp::test {

haproxy::haproxy(const std::vector<asio::ip::tcp::endpoint>& servers) {
  const std::string configuration = directory_.path() / "configuration";
  std::ofstream file(configuration);
  // Without `maxconn` it makes room for as many connections as it may have descriptors, be they a thousand million.
  file << "global\n"
          "  maxconn 256\n"
          "  nbthread 1\n"
          "  stats socket "
       << admin_ << " level admin\n";
  // A connection that is refused by one server goes to another at once.
  file << "listen pool\n"
          "  bind "
       << port_.address()
       << "\n"
          "  mode tcp\n"
          "  balance leastconn\n"
          "  option redispatch 1\n"
          "  timeout connect 5s\n"
          "  timeout client 1m\n"
          "  timeout server 1m\n"
          "  default-server check inter 1s fastinter 50ms\n";
  std::size_t number = 0;
  for (const auto& server : servers) file << "  server s" << ++number << " " << server << "\n";
  file.close();
  process_ = start_server({"haproxy", "-db", "-f", configuration}, {port_.endpoint()}, directory_.path() / "log");
  // It listens there last.
  const bool listens = eventually_blocking([&] {
    asio::io_context io;
    boost::system::error_code error;
    return !asio::local::stream_protocol::socket(io).connect(admin_, error);
  });
  if (!listens) throw std::runtime_error("haproxy does not listen at " + admin_);
}

std::string haproxy::ask(const std::string& command) const {
  asio::io_context io;
  asio::local::stream_protocol::socket socket(io);
  socket.connect(admin_);
  asio::write(socket, asio::buffer(command + "\n"));
  std::string answer;
  boost::system::error_code end;
  asio::read(socket, asio::dynamic_buffer(answer), end);
  if (end != asio::error::eof) throw boost::system::system_error(end, "haproxy: " + command);
  return answer;
}

void haproxy::set_state(std::string_view server, std::string_view state) {
  const std::string answer = ask("set server pool/" + std::string(server) + " state " + std::string(state));
  if (answer != "\n") throw std::runtime_error("haproxy: " + answer);
}

haproxy::sessions haproxy::sessions_of(std::string_view server) const {
  // Comma separated: the proxy, the server, two of a queue, the sessions now, two limits, all sessions, ...
  std::istringstream lines(ask("show stat"));
  const std::string wanted = "pool," + std::string(server) + ",";
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(wanted)) continue;
    std::istringstream fields(line);
    std::vector<std::string> field;
    for (std::string text; std::getline(fields, text, ',');) field.push_back(text);
    return {.now = std::stoull(field.at(4)), .total = std::stoull(field.at(7))};
  }
  throw std::runtime_error("haproxy does not know " + std::string(server));
}

}  // namespace cocp::test
