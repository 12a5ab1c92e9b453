// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/environment.hpp"
#include "net/destination.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <optional>

namespace cocp::detail {

/// Connects a new stream to the address: looks it up unless it is numeric, and races what was found (see
/// `async_connect_first`). Throws `boost::system::system_error` with the
/// last error. `reached` is set when an address has connected: what fails from then on is that one's fault. Honours
/// terminal cancellation; a lookup under way is then abandoned, not awaited. Runs on an executor that serializes (a
/// strand).
asio::awaitable<std::unique_ptr<stream>> dial(environment& env, asio::any_io_executor ex,
                                              const connection_options& options, const destination& to,
                                              std::optional<endpoint>& reached);

/// The handshake of a stream that needs one. Throws `boost::system::system_error`. Honours terminal cancellation.
asio::awaitable<void> secure(stream& s);

}  // namespace cocp::detail
