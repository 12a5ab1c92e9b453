// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/redis_server.hpp"

#include "support/system_call.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace cocp::test {
namespace {

bool accepts(const boost::asio::ip::tcp::endpoint& at) {
  const int client = system_call("socket", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
  const bool connected = ::connect(client, at.data(), static_cast<socklen_t>(at.size())) == 0;
  ::close(client);
  return connected;
}

}  // namespace

redis_server::redis_server() { start(); }

void redis_server::kill() { process_.reset(); }

void redis_server::start() {
  const std::string log = directory_.path() / "log";
  process_.emplace(std::vector<std::string>{"redis-server", "--port", std::to_string(port_.number()), "--bind",
                                            "127.0.0.1", "--protected-mode", "no", "--save", "", "--appendonly", "no",
                                            "--dir", directory_.path()},
                   log);
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!accepts(port_.endpoint())) {
    const bool ended = process_->wait(std::chrono::milliseconds(5)).has_value();
    if (!ended && std::chrono::steady_clock::now() < limit) continue;
    std::ostringstream said;
    said << std::ifstream(log).rdbuf();
    throw std::runtime_error("redis-server does not come up: " + said.str());
  }
}

}  // namespace cocp::test
