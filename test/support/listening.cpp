// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/listening.hpp"

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

void await_listening(process& server, const std::vector<boost::asio::generic::stream_protocol::endpoint>& at,
                     const std::string& log) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (const auto& each : at) {
    while (!accepts(each)) {
      const bool ended = server.wait(std::chrono::milliseconds(5)).has_value();
      if (!ended && std::chrono::steady_clock::now() < limit) continue;
      std::ostringstream said;
      said << "the server " << (ended ? "has ended" : "does not come up") << ": " << std::ifstream(log).rdbuf();
      throw std::runtime_error(said.str());
    }
  }
}

}  // namespace cocp::test
