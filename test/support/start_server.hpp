// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/process.hpp"

#include <boost/asio/generic/stream_protocol.hpp>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

namespace cocp::test {

/// Runs a server's program, and waits until it accepts connections at each of `at`. What it prints goes to the file
/// `log`; `last_signal` is as of `process`. \throws std::exception when there is no such program in PATH, or it does
/// not come up; with what it has printed
std::unique_ptr<process> start_server(std::vector<std::string> argv,
                                      const std::vector<boost::asio::generic::stream_protocol::endpoint>& at,
                                      const std::string& log, int last_signal = SIGKILL);

}  // namespace cocp::test
