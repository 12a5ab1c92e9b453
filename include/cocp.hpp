// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/connection.hpp>
#include <cocp/error.hpp>
#include <cocp/event.hpp>
#include <cocp/lease.hpp>
#include <cocp/openmetrics.hpp>
#include <cocp/options.hpp>
#include <cocp/pool.hpp>
#include <cocp/pools.hpp>
#include <cocp/stats.hpp>

/// \namespace cocp
/// Streams that keep themselves connected, and pools of them, for coroutines on Boost.Asio. `<cocp.hpp>` includes all
/// of it but `<cocp/tls.hpp>`.
