// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/program.hpp"
#include "support/reserved_port.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;

struct ended {
  int status = -1;
  std::string said;
};

/// It follows `--` on this program's command line.
std::string path_of_load() {
  const auto& master = boost::unit_test::framework::master_test_suite();
  BOOST_REQUIRE_GE(master.argc, 2);
  return master.argv[1];
}

ended load(const std::string& options) {
  std::vector<std::string> argv{path_of_load()};
  std::istringstream words(options);
  for (std::string word; words >> word;) argv.push_back(word);
  program p(argv);
  const std::optional<int> status = p.wait();
  BOOST_REQUIRE_MESSAGE(status, options << " does not end");
  return {*status, p.said()};
}

const char* const runs[] = {
    "--duration 1500ms",
    "--protocol redis",
    "--protocol memcached --bytes 10..5000",
    "--protocol http",
    "--mode own-connection",
    "--mode dial-each --coroutines 2",
    "--mode locked --protocol http",
    "--rate 2000",
    "--rate 500 --bytes 1..65536",
    "--think 10ms",
    "--threads 2",
    "--threads 2 --contexts each --mode locked",
    "--compare --rounds 2",
    "--compare=locked,pool --rounds 1 --rate 1000 --fault 30ms:kill --fault 50ms:restart",
#ifdef COCP_BENCH_TLS
    "--tls",
    "--tls --mode own-connection --protocol http",
#endif
};

BOOST_DATA_TEST_CASE(each_mode_and_each_protocol_runs, data::make(runs)) {
  std::string options = sample;
  if (options.find("--duration") == std::string::npos) options += " --duration 200ms";
  const ended e = load(options);
  BOOST_TEST(e.status == 0, e.said);
}

BOOST_AUTO_TEST_CASE(one_line_says_what_is_wrong_with_an_option) {
  const ended e = load("--size 0");
  BOOST_TEST(e.status == 2);
  BOOST_TEST(e.said == "cocp-load: --size is 0; it must be a whole number from 1 to 10000 (see --help)\n");
}

/// Somebody's server, of which the harness is told that it speaks Redis's protocol.
struct strange_server {
  asio::io_context io;
  asio::ip::tcp::acceptor acceptor{io, {asio::ip::address_v4::loopback(), 0}};
  std::string address = "127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
};

BOOST_FIXTURE_TEST_CASE(a_server_that_says_nothing_is_no_riddle, strange_server) {
  const ended e = load("--protocol redis --connect " + address);
  BOOST_TEST(e.status == 1);
  BOOST_TEST(e.said == "cocp-load: " + address + " was asked in redis: no answer within 3s; does it speak that?\n");
}

BOOST_FIXTURE_TEST_CASE(a_server_that_says_something_else_is_quoted, strange_server) {
  program p({path_of_load(), "--protocol", "redis", "--connect", address});
  asio::ip::tcp::socket session = acceptor.accept();
  asio::write(session, asio::buffer("HTTP/1.1 400 Bad Request\r\n", 26));
  BOOST_TEST(p.wait().value_or(-1) == 1);
  BOOST_TEST(p.said().starts_with("cocp-load: " + address + " was asked in redis: asked \"*5"), p.said());
  BOOST_TEST(p.said().ends_with("and expected \"+OK\\x0d\\x0a\", got \"HTTP/\"\n"), p.said());
}

BOOST_AUTO_TEST_CASE(nobody_there_is_said) {
  const reserved_port port;
  const ended e = load("--connect " + port.address());
  BOOST_TEST(e.status == 1);
  BOOST_TEST(e.said == "cocp-load: " + port.address() + " was asked in echo: Connection refused\n");
}

}  // namespace
