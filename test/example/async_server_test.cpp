// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/eventually.hpp"
#include "support/process.hpp"
#include "support/redis_server.hpp"
#include "support/resp.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <chrono>
#include <cstddef>
#include <fstream>
#include <future>
#include <list>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace cocp::test;
using namespace std::chrono_literals;

namespace {

// The example, which listens when this is constructed.
class running_server {
 public:
  explicit running_server(const redis_server& redis)
      : process_({program(), redis.address(), "0"}, directory_.path() / "output") {
    const std::string heading = "listening on 127.0.0.1:";
    const bool listens = eventually_blocking([&] {
      const std::string said = output();
      const std::size_t at = said.find(heading);
      const bool whole = at != std::string::npos && said.find('\n', at) != std::string::npos;
      if (whole) port_ = static_cast<unsigned short>(std::stoul(said.substr(at + heading.size())));
      return whole || process_.wait(0ms);
    });
    BOOST_TEST_REQUIRE((listens && port_ != 0), output());
  }

  tcp::endpoint endpoint() const { return {asio::ip::address_v4::loopback(), port_}; }
  bool has_ended() { return process_.wait(0ms).has_value(); }
  void terminate() { process_.signal(SIGTERM); }

  // Its exit status is zero.
  void ends_well() {
    const auto status = process_.wait(20s);
    BOOST_TEST((status == 0), "exit status " << status.value_or(-1) << ", having said: " << output());
  }

 private:
  static std::string program() {
    const auto& arguments = boost::unit_test::framework::master_test_suite();
    BOOST_TEST_REQUIRE(arguments.argc == 2, "the path of the program is wanted after `--`");
    return arguments.argv[1];
  }

  std::string output() const {
    std::ifstream file(directory_.path() / "output");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  temporary_directory directory_;
  process process_;
  unsigned short port_ = 0;
};

struct answer {
  std::string status;
  std::string head;
  std::string body;
};

// A connection whose operations block, but not for ever.
class client {
 public:
  explicit client(const tcp::endpoint& to) { finish(socket_.async_connect(to, asio::use_future)); }

  void send(const std::string& text) { finish(asio::async_write(socket_, asio::buffer(text), asio::use_future)); }

  // Whether the other side has got all that was sent.
  bool has_arrived() {
    int unacknowledged = 0;
    return ::ioctl(socket_.native_handle(), SIOCOUTQ, &unacknowledged) == 0 && unacknowledged == 0;
  }

  std::string receive_some() {
    std::string text(4096, '\0');
    text.resize(finish(socket_.async_read_some(asio::buffer(text), asio::use_future)));
    return text;
  }

  bool is_closed_by_peer() {
    try {
      return receive_some().empty();
    } catch (const boost::system::system_error& e) {
      return e.code() == asio::error::eof;
    }
  }

  void request(const std::string& method, const std::string& target, const std::string& value = {}) {
    send(method + " " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(value.size()) +
         "\r\n\r\n" + value);
  }

  answer receive() {
    answer next;
    const std::size_t head =
        finish(asio::async_read_until(socket_, asio::dynamic_buffer(received_), "\r\n\r\n", asio::use_future));
    next.head = received_.substr(0, head);
    next.status = next.head.substr(9, 3);
    received_.erase(0, head);
    const std::string length = "Content-Length: ";
    const std::size_t at = next.head.find(length);
    const std::size_t size = at == std::string::npos ? 0 : std::stoul(next.head.substr(at + length.size()));
    if (received_.size() < size) {
      const auto rest = asio::transfer_exactly(size - received_.size());
      finish(asio::async_read(socket_, asio::dynamic_buffer(received_), rest, asio::use_future));
    }
    next.body = received_.substr(0, size);
    received_.erase(0, size);
    return next;
  }

  answer ask(const std::string& method, const std::string& target, const std::string& value = {}) {
    request(method, target, value);
    return receive();
  }

 private:
  template <class Result>
  Result finish(std::future<Result> result) {
    io_.restart();
    io_.run_for(patience);
    if (result.wait_for(0s) != std::future_status::ready) throw std::runtime_error("no answer in time");
    return result.get();
  }

  asio::io_context io_;
  tcp::socket socket_{io_};
  std::string received_;
};

template <class... Words>
std::string tell(const redis_server& redis, const Words&... words) {
  client to(redis.endpoint());
  to.send(resp::command(words...));
  return to.receive_some();
}

bool has_line(const std::string& text, const std::string& line) {
  return text.find("\n" + line + "\r\n") != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(async_server)

BOOST_AUTO_TEST_CASE(what_was_put_is_got) {
  const redis_server redis;
  running_server server(redis);
  client one(server.endpoint());
  const std::string large(300'000, 'x');
  BOOST_TEST(one.ask("GET", "/key").status == "404");
  BOOST_TEST(one.ask("PUT", "/key", "a value\r\nof two lines").status == "200");
  BOOST_TEST(one.ask("PUT", "/large", large).status == "200");
  BOOST_TEST(one.ask("GET", "/key").body == "a value\r\nof two lines");
  BOOST_TEST((one.ask("GET", "/large").body == large));
  BOOST_TEST(one.ask("DELETE", "/key").status == "405");
  BOOST_TEST(tell(redis, "LPUSH", "list", "element").starts_with(":1"));
  const answer of_wrong_type = one.ask("GET", "/list");
  BOOST_TEST(of_wrong_type.status == "503");
  BOOST_TEST(of_wrong_type.body.starts_with("redis: WRONGTYPE"));
  BOOST_TEST(one.ask("GET", "/key").status == "200");
}

BOOST_AUTO_TEST_CASE(a_scraper_reads_what_the_pool_has_done) {
  const redis_server redis;
  running_server server(redis);
  client one(server.endpoint());
  BOOST_TEST(one.ask("GET", "/key").status == "404");
  const answer metrics = one.ask("GET", "/metrics");
  BOOST_TEST(metrics.status == "200");
  BOOST_TEST(metrics.body.find("\ncocp_gets_total{db_client_connection_pool_name=\"" + redis.address() + "\"} 1\n") !=
             std::string::npos);
  BOOST_TEST(metrics.body.ends_with("# EOF\n"));
}

BOOST_AUTO_TEST_CASE(many_clients_at_once_get_their_own_answers) {
  const redis_server redis;
  running_server server(redis);
  std::vector<std::future<std::string>> clients;
  for (std::size_t n = 0; n < 20; ++n) {
    clients.push_back(std::async(std::launch::async, [&, n]() -> std::string {
      client one(server.endpoint());
      for (std::size_t exchange = 0; exchange < 20; ++exchange) {
        const std::string key = "/" + std::to_string(n) + ":" + std::to_string(exchange);
        const std::string value = "value of " + key;
        const answer put = one.ask("PUT", key, value);
        if (put.status != "200") return key + " was not put: " + put.head + put.body;
        const answer got = one.ask("GET", key);
        if (got.body != value) return key + " was not got: " + got.head + got.body;
      }
      return {};
    }));
  }
  for (auto& each : clients) BOOST_TEST(each.get() == "");
  server.terminate();
  server.ends_well();
}

BOOST_AUTO_TEST_CASE(while_redis_is_down_it_answers_why_and_it_lives_on) {
  redis_server redis;
  redis.kill();
  running_server server(redis);
  client one(server.endpoint());
  // At first it may have met a redis-server that was about to die.
  const auto is_unavailable = [&] {
    answer why;
    const bool tells = eventually_blocking([&] {
      why = one.ask("GET", "/key");
      BOOST_TEST(why.status == "503");
      return why.body.starts_with("get: no connection to " + redis.address()) &&
             why.body.find("Connection refused") != std::string::npos;
    });
    BOOST_TEST(tells, why.body);
  };
  const auto is_available = [&] {
    BOOST_TEST(eventually_blocking([&] { return one.ask("PUT", "/key", "value").status == "200"; }));
    BOOST_TEST(one.ask("GET", "/key").status == "200");
  };
  is_unavailable();
  redis.start();
  is_available();
  redis.kill();
  is_unavailable();
  redis.start();
  is_available();
  server.terminate();
  server.ends_well();
}

BOOST_AUTO_TEST_CASE(terminated_it_answers_what_it_was_asked_and_leaves_nothing) {
  const redis_server redis;
  running_server server(redis);
  client idle(server.endpoint());
  BOOST_TEST(idle.ask("GET", "/key").status == "404");
  // More clients than connections to redis, which holds their commands back: some wait for it, others for a lease.
  std::list<client> clients;
  for (int n = 0; n < 20; ++n) BOOST_TEST(clients.emplace_back(server.endpoint()).ask("GET", "/key").status == "404");
  BOOST_TEST(tell(redis, "CLIENT", "PAUSE", "60000", "WRITE") == "+OK\r\n");
  for (client& each : clients) each.request("PUT", "/key", "value");
  for (client& each : clients) BOOST_TEST(eventually_blocking([&] { return each.has_arrived(); }));
  BOOST_TEST(eventually_blocking([&] { return has_line(tell(redis, "INFO", "clients"), "blocked_clients:8"); }));

  server.terminate();
  BOOST_TEST(idle.is_closed_by_peer());
  BOOST_CHECK_THROW(client(server.endpoint()), boost::system::system_error);
  BOOST_TEST(!server.has_ended());
  BOOST_TEST(tell(redis, "CLIENT", "UNPAUSE") == "+OK\r\n");
  for (client& each : clients) {
    const answer last = each.receive();
    BOOST_TEST(last.status == "200");
    BOOST_TEST(has_line(last.head, "Connection: close"));
    BOOST_TEST(each.is_closed_by_peer());
  }
  server.ends_well();
  BOOST_TEST(eventually_blocking([&] { return has_line(tell(redis, "INFO", "clients"), "connected_clients:1"); }));
}

BOOST_AUTO_TEST_SUITE_END()
