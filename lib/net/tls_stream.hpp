// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "net/destination.hpp"

#include <cocp/impl/stream.hpp>
#include <cocp/options.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <memory>

// Implemented by tls_stream.cpp, or by no_tls.cpp where there is no OpenSSL.

namespace cocp::detail {

/// Throws `std::invalid_argument` unless there can be such streams.
void check(const tls_options& options);

std::shared_ptr<tls_sessions> make_tls_sessions();

/// A stream that talks TLS. `options.tls` is set, and `to` was made with it.
std::unique_ptr<stream> make_tls_stream(const asio::any_io_executor& ex, const connection_options& options,
                                        const destination& to);

}  // namespace cocp::detail
