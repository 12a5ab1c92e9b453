// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/process.hpp"

#include <boost/asio/generic/stream_protocol.hpp>

#include <string>
#include <vector>

namespace cocp::test {

/// Waits until a server that was just started accepts connections at each of these addresses.
/// \throws std::runtime_error with what it said into the file `log`, when it has ended or takes too long
void await_listening(process& server, const std::vector<boost::asio::generic::stream_protocol::endpoint>& at,
                     const std::string& log);

}  // namespace cocp::test
