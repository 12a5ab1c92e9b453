// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/environment.hpp"
#include "net/address_memory.hpp"
#include "net/destination.hpp"

#include <boost/asio/any_completion_handler.hpp>

#include <memory>
#include <vector>

namespace cocp::detail {

/// The order in which to try addresses: families take turns, beginning with that of the first, each in the order given
/// (RFC 8305, section 4).
std::vector<endpoint> interleave_families(const std::vector<endpoint>& found);

/// The pause before the next address is tried while the one before has not answered (RFC 8305, section 5: the
/// Connection Attempt Delay).
constexpr duration connection_attempt_delay = std::chrono::milliseconds(250);

/// How long an address that fails behind its connect is held back for another one under way, if nothing limits the
/// attempt: as long as one takes by default.
constexpr duration longest_alone = std::chrono::seconds(5);

/// The pauses before a Unix socket whose listener's queue is full (connect(2), EAGAIN) is tried again: the first, and
/// what doubling it leads to. The server is there and has no time: that is no failure.
constexpr duration first_busy_pause = std::chrono::milliseconds(1);
constexpr duration longest_busy_pause = std::chrono::milliseconds(50);

/// The last argument is the address of the one that has connected.
using race_handler = asio::any_completion_handler<void(error_code, std::unique_ptr<stream>, endpoint)>;

/// Connects to one of the addresses: begins with the first, and goes on to the next when one fails or after
/// `connection_attempt_delay`, but not to one that is to be tried alone; the first to connect wins, and the others are
/// closed. Fails with the last error when all have failed. Honours terminal cancellation. All of it runs on `serial`,
/// which serializes; so must the caller.
///
/// Notes in `to.memory` which addresses have failed; of those without an answer, all when it is cancelled, and those
/// that began before the winner when there is one.
void async_connect_first(environment& env, asio::any_io_executor ex, asio::any_io_executor serial,
                         const connection_options& options, const destination& to, std::vector<candidate> candidates,
                         race_handler handler);

}  // namespace cocp::detail
