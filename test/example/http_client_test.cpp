// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/certificates.hpp"
#include "support/nginx_server.hpp"
#include "support/process.hpp"
#include "support/scripted_server.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <map>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

using namespace cocp::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t connections = 4;
constexpr std::size_t requests = 40;

struct outcome {
  std::optional<int> status;
  std::vector<std::string> lines;  // of what it printed
};

// Runs the example; `io`, if there is one, meanwhile.
outcome run_client(std::vector<std::string> arguments, boost::asio::io_context* io = nullptr) {
  const auto& own = boost::unit_test::framework::master_test_suite();
  BOOST_TEST_REQUIRE(own.argc == 2, "the path of the program is wanted after `--`");
  arguments.insert(arguments.begin(), own.argv[1]);
  const temporary_directory directory;
  process program(std::move(arguments), directory.path() / "output");
  outcome end;
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (!(end.status = program.wait(io ? 0ms : 20s)) && std::chrono::steady_clock::now() < limit)
    if (io) io->run_for(5ms);
  std::ifstream output(directory.path() / "output");
  for (std::string line; std::getline(output, line);) end.lines.push_back(line);
  return end;
}

struct row {
  const char* what;
  const char* directives;
  std::size_t per_connection;  // the most requests that the server answers on one
  bool tls = false;
};

std::ostream& operator<<(std::ostream& out, const row& r) { return out << r.what; }

const row rows[] = {
    {"kept alive", "", requests},
    {"closed after 3 requests", "keepalive_requests 3;", 3},
    {"closed after each request", "keepalive_timeout 0;", 1},
    {"kept alive, with TLS", "", requests, true},
    {"closed after 3 requests, with TLS", "keepalive_requests 3;", 3, true},
};

struct last_answer {
  const char* what;
  const char* bytes;
};

std::ostream& operator<<(std::ostream& out, const last_answer& r) { return out << r.what; }

// The servers keep the connection open and never look at it again: whoever uses it waits in vain.
const last_answer last_answers[] = {
    {"the answer says so", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none"},
    {"the answer is HTTP/1.0's", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none"},
    {"more follows than was asked for",
     "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(http_client)

BOOST_DATA_TEST_CASE(requests_share_connections_for_as_long_as_the_server_keeps_them,
                     boost::unit_test::data::make(rows), row) {
  nginx_server::options options{
      .directives = std::string(row.directives) +
                    " location /page/ { return 200 \"$uri is request $connection_requests of $connection\"; }"};
  std::optional<certificate_authority> authority;
  if (row.tls) options.tls = authority.emplace().issue({"127.0.0.1"});
  const nginx_server server(options);
  std::vector<std::string> arguments;
  if (row.tls) arguments = {"--tls", authority->certificate()};
  arguments.push_back(row.tls ? server.tls_address() : server.address());
  arguments.push_back(std::to_string(connections));
  for (std::size_t n = 0; n < requests; ++n) arguments.push_back("/page/" + std::to_string(n));
  const outcome end = run_client(arguments);

  BOOST_TEST((end.status == 0));
  BOOST_TEST_REQUIRE(end.lines.size() == requests);
  std::vector<bool> answered(requests);
  std::map<std::string, std::size_t> on_connection;
  for (const std::string& line : end.lines) {
    BOOST_TEST_CONTEXT(line) {
      std::istringstream words(line);
      std::string status, target, uri, is, request, of, connection;
      std::size_t nth = 0;
      words >> status >> target >> uri >> is >> request >> nth >> of >> connection;
      BOOST_TEST(status == "200");
      BOOST_TEST(uri == target);
      BOOST_TEST(nth <= row.per_connection);
      answered.at(std::stoul(target.substr(6))) = true;
      ++on_connection[connection];
    }
  }
  BOOST_TEST(std::ranges::count(answered, true) == static_cast<std::ptrdiff_t>(requests));
  for (const auto& [connection, count] : on_connection) BOOST_TEST(count <= row.per_connection);
  if (row.per_connection == requests) BOOST_TEST(on_connection.size() <= connections);
}

BOOST_AUTO_TEST_CASE(a_server_that_proves_to_be_another_is_told_nothing) {
  certificate_authority authority;
  const nginx_server server({.tls = authority.issue({"another.test"})});
  const outcome end = run_client({"--tls", authority.certificate(), server.tls_address(), "1", "/"});
  BOOST_TEST((end.status == 1));
  BOOST_TEST_REQUIRE(end.lines.size() == 1u);
  BOOST_TEST_INFO(end.lines[0]);
  BOOST_TEST(end.lines[0].find("IP address mismatch") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_answer_in_chunks_larger_than_any_buffer_is_whole) {
  const temporary_directory root;
  const std::string page = std::string(150'000, 'a') + std::string(150'000, 'b');
  std::ofstream(root.path() / "page") << page;
  // Server-side includes leave nginx without a length to tell, so it sends chunks.
  const nginx_server server(
      {.directives = "location = /page { root " + root.path().string() + "; ssi on; ssi_types *; }"});
  const outcome end = run_client({server.address(), "1", "/page", "/page"});
  BOOST_TEST((end.status == 0));
  BOOST_TEST_REQUIRE(end.lines.size() == 2U);
  for (const std::string& line : end.lines) BOOST_TEST((line == "200 /page " + page));
}

BOOST_DATA_TEST_CASE(a_connection_is_not_used_again_if, boost::unit_test::data::make(last_answers), row) {
  boost::asio::io_context io;
  scripted_server server(io.get_executor());
  server.behave_once({step::receive{1}, step::send{row.bytes}, step::stall{}});
  server.behave_once({step::receive{1}, step::send{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"}, step::stall{}});
  const outcome end = run_client({server.address(), "1", "/1", "/2"}, &io);
  BOOST_TEST((end.status == 0));
  BOOST_TEST((end.lines == std::vector<std::string>{"200 /1 one", "200 /2 two"}));
}

BOOST_AUTO_TEST_CASE(a_server_that_is_down_is_an_error_at_once_that_names_it) {
  nginx_server server;
  server.kill();
  const outcome end = run_client({server.address(), "2", "/1", "/2"});
  BOOST_TEST((end.status == 1));
  BOOST_TEST_REQUIRE(end.lines.size() == 2U);
  BOOST_TEST_INFO(end.lines[0]);
  BOOST_TEST(end.lines[0].starts_with("/1: get: no connection to " + server.address()));
  BOOST_TEST(end.lines[0].find("Connection refused") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
