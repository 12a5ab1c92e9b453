// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/eventually.hpp"
#include "support/haproxy.hpp"
#include "support/program.hpp"
#include "support/redis_server.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <cstdint>
#include <string>

namespace asio = boost::asio;
using namespace cocp::test;

namespace {

// The size of the program's pool, of which it has more users.
constexpr std::uint64_t connections = 4;

// How many requests a server has been sent.
long requests(const redis_server& server) {
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  socket.connect(server.endpoint());
  asio::write(socket, asio::buffer("INCRBY requests 0\r\n", 19));
  std::string answer;
  asio::read_until(socket, asio::dynamic_buffer(answer), "\r\n");
  return std::stol(answer.substr(1));
}

struct example {
  redis_server first;
  redis_server second;
  haproxy balancer{{first.endpoint(), second.endpoint()}};

  program start(const char* lifetime) const {
    const auto& arguments = boost::unit_test::framework::master_test_suite();
    BOOST_TEST_REQUIRE(arguments.argc == 2, "the path of the program is wanted after `--`");
    return program({arguments.argv[1], balancer.address(), lifetime});
  }

  std::uint64_t sessions_of(const char* server) const { return balancer.sessions_of(server).now; }

  // Traffic goes on, for a while that is measured in traffic.
  static bool goes_on(const redis_server& server) {
    const long before = requests(server);
    return eventually_blocking([&] { return requests(server) >= before + 500; });
  }

  static void check_end(program& traffic, std::uint64_t failures) {
    traffic.signal(SIGTERM);
    BOOST_TEST((traffic.wait() == 0));
    const std::string said = traffic.said();
    BOOST_TEST_INFO(said);
    BOOST_TEST(said.ends_with(" answered, " + std::to_string(failures) + " failed\n"));
  }
};

const char* const a_minute = "60000";
const char* const soon = "200";

}  // namespace

BOOST_FIXTURE_TEST_SUITE(behind_haproxy, example)

BOOST_AUTO_TEST_CASE(a_server_that_is_drained_before_it_is_killed_costs_no_request) {
  program traffic = start(soon);
  BOOST_TEST(eventually_blocking([&] { return sessions_of("s1") > 0 && sessions_of("s2") > 0; }));
  BOOST_TEST(goes_on(first));

  balancer.set_state("s1", "drain");
  const std::uint64_t sent_to_first = balancer.sessions_of("s1").total;
  BOOST_TEST(eventually_blocking([&] { return sessions_of("s1") == 0 && sessions_of("s2") >= connections; }));
  BOOST_TEST(balancer.sessions_of("s1").total == sent_to_first);
  first.kill();

  // Connections that are replaced after that go where there is a server.
  const std::uint64_t sent_to_second = balancer.sessions_of("s2").total;
  BOOST_TEST(eventually_blocking([&] { return balancer.sessions_of("s2").total >= sent_to_second + connections; }));
  BOOST_TEST(goes_on(second));
  check_end(traffic, 0);
}

BOOST_AUTO_TEST_CASE(a_server_that_joins_gets_its_share_of_the_connections) {
  balancer.set_state("s2", "drain");
  program traffic = start(soon);
  BOOST_TEST(eventually_blocking([&] { return sessions_of("s1") >= connections; }));
  BOOST_TEST(goes_on(first));
  BOOST_TEST(balancer.sessions_of("s2").total == 0U);

  balancer.set_state("s2", "ready");
  BOOST_TEST(eventually_blocking([&] { return sessions_of("s2") >= connections / 2; }));
  BOOST_TEST(goes_on(second));
  check_end(traffic, 0);
}

BOOST_AUTO_TEST_CASE(a_server_that_is_killed_costs_what_was_in_flight_there) {
  program traffic = start(a_minute);
  BOOST_TEST(eventually_blocking([&] { return sessions_of("s1") + sessions_of("s2") == connections; }));
  BOOST_TEST(goes_on(first));

  // One that answers nothing any more soon has a request in flight on each of its connections.
  const std::uint64_t in_flight = sessions_of("s1");
  first.freeze();
  BOOST_TEST(goes_on(second));
  first.kill();

  BOOST_TEST(eventually_blocking([&] { return sessions_of("s2") == connections; }));
  BOOST_TEST(goes_on(second));
  BOOST_TEST(in_flight == connections / 2);
  check_end(traffic, in_flight);
}

BOOST_AUTO_TEST_SUITE_END()
