// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/start_server.hpp"

#include "support/eventually.hpp"
#include "support/system_call.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace cocp::test {
namespace {

bool accepts(const boost::asio::generic::stream_protocol::endpoint& at) {
  const int client = system_call("socket", ::socket(at.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const bool connected = ::connect(client, at.data(), static_cast<socklen_t>(at.size())) == 0;
  ::close(client);
  return connected;
}

}  // namespace

std::unique_ptr<process> start_server(std::vector<std::string> argv,
                                      const std::vector<boost::asio::generic::stream_protocol::endpoint>& at,
                                      const std::string& log, int last_signal) {
  const std::string name = argv.front();
  auto started = std::make_unique<process>(std::move(argv), log, last_signal);
  const auto limit = std::chrono::steady_clock::now() + patience;
  for (const auto& each : at) {
    while (!accepts(each)) {
      const bool ended = started->wait(std::chrono::milliseconds(5)).has_value();
      if (!ended && std::chrono::steady_clock::now() < limit) continue;
      std::ostringstream said;
      said << std::ifstream(log).rdbuf();
      throw std::runtime_error(name + " does not come up: " + said.str());
    }
  }
  return started;
}

}  // namespace cocp::test
