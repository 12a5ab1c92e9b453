// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/redis_server.hpp"

#include "support/start_server.hpp"

#include <utility>

namespace cocp::test {

redis_server::redis_server(std::vector<std::string> settings) : settings_(std::move(settings)) { start(); }

void redis_server::kill() { process_.reset(); }

void redis_server::start() {
  std::vector<std::string> argv{"redis-server",
                                "--port",
                                std::to_string(port_.number()),
                                "--bind",
                                "127.0.0.1",
                                "--protected-mode",
                                "no",
                                "--save",
                                "",
                                "--appendonly",
                                "no",
                                "--dir",
                                directory_.path()};
  argv.insert(argv.end(), settings_.begin(), settings_.end());
  process_ = start_server(std::move(argv), {port_.endpoint()}, directory_.path() / "log");
}

}  // namespace cocp::test
