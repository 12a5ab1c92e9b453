// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/program.hpp"
#include "support/reserved_port.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <cstddef>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;

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
    "--mode own-connection --fault none",
    "--mode dial-each --coroutines 2",
    "--mode locked --protocol http",
    "--rate 2000",
    "--rate 500 --bytes 1..65536",
    "--think 10ms",
    "--threads 2",
    "--threads 2 --contexts each --mode locked --fault none",
    "--compare --rounds 2",
    "--duration 400ms --fault 50ms:stall=50ms --fault 150ms:latency=5ms --fault 200ms:latency=0 --fault "
    "250ms:reset=10%",
    "--compare=locked,pool --rounds 1 --rate 1000 --fault 30ms:kill --fault 50ms:restart",
#ifdef COCP_BENCH_TLS
    "--tls --coroutines 4 --duration 600ms",
    "--tls --mode own-connection --protocol http --coroutines 4 --fault none --duration 500ms",
#endif
};

BOOST_DATA_TEST_CASE(each_mode_and_each_protocol_runs, data::make(runs)) {
  std::string options = sample;
  if (options.find("--duration") == std::string::npos) options += " --duration 200ms";
  const ended e = load(options);
  BOOST_TEST(e.status == 0, e.said);
}

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++n;
  return n;
}

struct shown_page {
  const char* options;
  std::size_t charts;

  friend std::ostream& operator<<(std::ostream& out, const shown_page& p) { return out << p.options; }
};

const shown_page pages[] = {
    {"--duration 1s", 4},
    {"--compare --duration 100ms --rounds 2", 6},
};

BOOST_DATA_TEST_CASE(a_browser_draws_all_curves_of_the_page_and_complains_of_nothing, data::make(pages)) {
  const temporary_directory directory;
  const std::string page = directory.path() / "page.html";
  const std::string json = directory.path() / "run.json";
  const ended e = load(std::string(sample.options) + " --report " + page + " --json " + json);
  BOOST_TEST_REQUIRE(e.status == 0, e.said);

  program browser({"chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
                   "--user-data-dir=" + (directory.path() / "profile").string(), "--dump-dom", "file://" + page});
  // For the first time since it was installed it reads a lot from the disk.
  BOOST_TEST(browser.wait(2min).value_or(-1) == 0);
  const std::string said = browser.said();
  BOOST_TEST(count_of(said, "<canvas ") == sample.charts, said.substr(0, 2000));
  BOOST_TEST(count_of(said, "data-inked=\"true\"") == sample.charts);
  BOOST_TEST(count_of(said, "data-points=\"0\"") == 0u);
  // As in [1:2:date/time:INFO:CONSOLE:1] "Uncaught ...", source: file:///page.html (1)
  BOOST_TEST(count_of(said, ":CONSOLE") == 0u, said.substr(0, 2000));

  // The run's figures are those of the page.
  const ended again = load("--duration 100ms --baseline " + json);
  BOOST_TEST(again.said.find("beside the baseline of 2") != std::string::npos, again.said);
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_written_is_named_before_anything_is_measured) {
  const ended e = load("--json /nowhere/run.json");
  BOOST_TEST(e.status == 1);
  BOOST_TEST(e.said == "cocp-load: /nowhere/run.json cannot be written\n");
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
