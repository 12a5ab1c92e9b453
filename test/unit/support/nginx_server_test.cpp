// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/nginx_server.hpp"
#include "support/eventually.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <csignal>
#include <string>

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;

namespace {

// The whole answer to a request, until the server closes.
template <class Socket>
std::string fetch(const typename Socket::endpoint_type& from, const std::string& target) {
  asio::io_context io;
  Socket socket(io);
  socket.connect(from);
  asio::write(socket, asio::buffer("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  std::string answer;
  boost::system::error_code end;
  asio::read(socket, asio::dynamic_buffer(answer), end);
  return answer;
}

std::string fetch(const nginx_server& server, const std::string& target) {
  const std::string address = server.address();
  const auto port = static_cast<unsigned short>(std::stoi(address.substr(address.find(':') + 1)));
  return fetch<asio::ip::tcp::socket>({asio::ip::make_address("127.0.0.1"), port}, target);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(nginx)

BOOST_AUTO_TEST_CASE(it_answers_on_a_tcp_port_and_on_a_unix_socket) {
  const nginx_server server;
  BOOST_TEST(fetch(server, "/here").ends_with("\r\n\r\nGET /here"));
  BOOST_TEST(fetch<asio::local::stream_protocol::socket>(server.unix_address().substr(5), "/there")
                 .ends_with("\r\n\r\nGET /there"));
}

BOOST_AUTO_TEST_CASE(it_shows_its_certificate_to_those_who_speak_tls) {
  certificate_authority authority;
  certificate_authority another;
  const nginx_server server({.tls = authority.issue({"localhost"})});
  const auto shakes_hands = [&](const certificate_authority& trusted, const std::string& name) {
    const temporary_directory quiet;
    process client({"sh", "-c",
                    "echo | openssl s_client -verify_return_error -no-CApath -no-CAstore -CAfile " +
                        trusted.certificate() + " -verify_hostname " + name + " -connect " + server.tls_address()},
                   quiet.path() / "said");
    return client.wait(20s) == 0;
  };
  BOOST_TEST(shakes_hands(authority, "localhost"));
  BOOST_TEST(!shakes_hands(authority, "elsewhere"));
  BOOST_TEST(!shakes_hands(another, "localhost"));
}

BOOST_AUTO_TEST_CASE(it_follows_directives) {
  const nginx_server server({.directives = "location = /secret { return 403; }"});
  BOOST_TEST(fetch(server, "/secret").starts_with("HTTP/1.1 403 "));
  BOOST_TEST(fetch(server, "/public").starts_with("HTTP/1.1 200 "));
}

BOOST_AUTO_TEST_CASE(it_comes_back_at_the_same_addresses) {
  nginx_server server;
  server.kill();
  BOOST_CHECK_THROW(fetch(server, "/"), boost::system::system_error);
  server.start();
  BOOST_TEST(fetch(server, "/").ends_with("\r\n\r\nGET /"));
  BOOST_TEST(
      fetch<asio::local::stream_protocol::socket>(server.unix_address().substr(5), "/").ends_with("\r\n\r\nGET /"));
}

BOOST_AUTO_TEST_CASE(reloaded_it_has_another_worker_and_killed_none) {
  nginx_server server({.directives = "location = /worker { return 200 $pid; }", .worker = true});
  const auto worker = [&] {
    const std::string answer = fetch(server, "/worker");
    return std::stoi(answer.substr(answer.find("\r\n\r\n") + 4));
  };
  const auto is_gone = [](int id) { return eventually_blocking([id] { return ::kill(id, 0) == -1; }); };
  const int first = worker();
  server.reload();
  BOOST_TEST(eventually_blocking([&] { return worker() != first; }));
  BOOST_TEST(is_gone(first));
  const int second = worker();
  server.kill();
  BOOST_TEST(is_gone(second));
}

BOOST_AUTO_TEST_CASE(a_directive_that_nginx_does_not_know_is_an_error_that_says_so) {
  BOOST_CHECK_EXCEPTION(nginx_server({.directives = "no_such_thing on;"}), std::runtime_error,
                        [](const auto& e) { return std::string(e.what()).find("no_such_thing") != std::string::npos; });
}

BOOST_AUTO_TEST_SUITE_END()
