// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/process.hpp"

#include <boost/system/system_error.hpp>
#include <boost/test/unit_test.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <thread>

using namespace cocp::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(process_)

BOOST_AUTO_TEST_CASE(its_exit_status_is_reported) {
  process p({"sh", "-c", "exit 7"});
  BOOST_TEST((p.wait(20s) == 7));
  BOOST_TEST((p.wait(0s) == 7));
}

BOOST_AUTO_TEST_CASE(the_signal_that_ended_it_is_reported) {
  process killed({"sleep", "60"});
  BOOST_TEST(!killed.wait(0ms));
  killed.kill();
  BOOST_TEST((killed.wait(0ms) == -SIGKILL));

  process terminated({"sleep", "60"});
  terminated.signal(SIGTERM);
  BOOST_TEST((terminated.wait(20s) == -SIGTERM));
}

BOOST_AUTO_TEST_CASE(a_program_that_does_not_exist_is_an_error) {
  BOOST_CHECK_EXCEPTION(process({"cocp-no-such-program"}), boost::system::system_error,
                        [](const auto& e) { return e.code() == boost::system::errc::no_such_file_or_directory; });
}

BOOST_AUTO_TEST_CASE(it_ends_with_the_object) {
  pid_t id = 0;
  {
    process p({"sleep", "60"});
    id = p.id();
    BOOST_TEST(::kill(id, 0) == 0);
  }
  BOOST_TEST(::kill(id, 0) == -1);
}

BOOST_AUTO_TEST_CASE(it_ends_with_the_thread_that_started_it) {
  std::optional<process> p;
  std::thread([&] { p.emplace(std::vector<std::string>{"sleep", "60"}); }).join();
  BOOST_TEST((p->wait(20s) == -SIGKILL));
}

BOOST_AUTO_TEST_CASE(it_inherits_no_descriptor) {
  const int inheritable = ::fcntl(STDIN_FILENO, F_DUPFD, 100);
  const std::string look = "test ! -e /proc/self/fd/" + std::to_string(inheritable);
  process p({"sh", "-c", look});
  BOOST_TEST((p.wait(20s) == 0));
  ::close(inheritable);
}

BOOST_AUTO_TEST_SUITE_END()
