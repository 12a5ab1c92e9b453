// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/eventually.hpp"
#include "support/program.hpp"
#include "support/redis_server.hpp"
#include "support/resp.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <cstddef>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace asio = boost::asio;
using namespace cocp::test;

namespace {

// The first line of redis' answer: all of it, where that is a number.
template <class... Words>
std::string tell(const redis_server& redis, const Words&... words) {
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  socket.connect(redis.endpoint());
  asio::write(socket, asio::buffer(resp::command(words...)));
  std::string answer;
  const std::size_t line = asio::read_until(socket, asio::dynamic_buffer(answer), "\r\n");
  return answer.substr(0, line - 2);
}

// The example, with four workers.
class running_worker : public program {
 public:
  running_worker(const redis_server& redis, const std::string& limit)
      : program({path(), redis.address(), "queue", "me", "4", limit}) {}

  // The jobs that it has done.
  std::multiset<std::string> done() const {
    std::multiset<std::string> jobs;
    std::istringstream lines(said());
    const std::string heading = "done ";
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with(heading)) jobs.insert(line.substr(heading.size()));
    return jobs;
  }

  bool has_done(std::size_t n) const {
    return eventually_blocking([&] { return done().size() >= n; });
  }

  void ends_well(const std::string& last_word) {
    signal(SIGTERM);
    const auto status = wait();
    BOOST_TEST((status == 0), "exit status " << status.value_or(-1) << ", having said: " << said());
    BOOST_TEST(said().ends_with(last_word), said());
  }

 private:
  static std::string path() {
    const auto& arguments = boost::unit_test::framework::master_test_suite();
    BOOST_TEST_REQUIRE(arguments.argc == 2, "the path of the program is wanted after `--`");
    return arguments.argv[1];
  }
};

bool is_empty(const redis_server& redis) {
  for (const char* list : {"queue", "queue:me:0", "queue:me:1", "queue:me:2", "queue:me:3"})
    if (tell(redis, "LLEN", list) != ":0") return false;
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(redis_worker)

BOOST_AUTO_TEST_CASE(no_job_is_lost_by_a_restart_of_redis_or_of_the_workers) {
  // What a command has changed is in the file's pages before it is answered, and those outlive a SIGKILL.
  redis_server redis({"--appendonly", "yes", "--appendfsync", "no"});
  const std::size_t count = 400;
  std::set<std::string> jobs;
  for (std::size_t n = 0; n < count; ++n) {
    const std::string job = "job" + std::to_string(n);
    jobs.insert(job);
    tell(redis, "LPUSH", "queue", "2 " + job);
  }
  running_worker first(redis, "60");
  BOOST_TEST(first.has_done(100));
  redis.kill();
  redis.start();
  BOOST_TEST(first.has_done(200));
  first.ends_well("stopped, 0 unfinished\n");
  BOOST_TEST(!is_empty(redis));

  running_worker second(redis, "60");
  BOOST_TEST(eventually_blocking([&] { return is_empty(redis); }));
  // Each waits for a job by now, which is ended at once; with a limit of a minute this would be over before that.
  second.ends_well("stopped, 0 unfinished\n");
  std::set<std::string> done;
  for (const running_worker* each : {&first, &second})
    for (const std::string& job : each->done()) done.insert(job);
  BOOST_TEST((done == jobs));
  // None was cut short, so none was done twice.
  BOOST_TEST(first.done().size() + second.done().size() == count);
}

BOOST_AUTO_TEST_CASE(a_job_that_is_cut_short_is_begun_again) {
  const redis_server redis;
  tell(redis, "LPUSH", "queue", "3600000 long");
  tell(redis, "LPUSH", "queue", "0 short");
  {
    running_worker first(redis, "0");
    BOOST_TEST(first.has_done(1));
    first.ends_well(" unfinished\n");
  }
  BOOST_TEST(tell(redis, "LLEN", "queue") == ":0");
  BOOST_TEST(!is_empty(redis));
  running_worker second(redis, "0");
  tell(redis, "LPUSH", "queue", "0 another");
  BOOST_TEST(second.has_done(1));
  second.ends_well(" unfinished\n");
}

BOOST_AUTO_TEST_SUITE_END()
