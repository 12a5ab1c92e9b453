// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/export.hpp>
#include <cocp/pool.hpp>

#include <array>
#include <concepts>
#include <iosfwd>
#include <span>
#include <string_view>

namespace cocp {

class pools;

/// A pool, and what to call it in `openmetrics`.
struct named_pool {
  /// Only looked at during the call. Empty: what its `connection_options::name` says,
  /// or else its current address. What is not UTF-8 is printed as U+FFFD.
  std::string_view name;
  /// Must live until the call has returned.
  const cocp::pool& pool;
};

/// Prints the `stats` of pools in the OpenMetrics text format 1.0.0, as the answer to a scraper whose `Content-Type` is
/// `application/openmetrics-text; version=1.0.0; charset=utf-8`. It is a whole answer, with `# EOF` at its end: one
/// call prints all pools of a program. Without pools it is that line alone.
///
/// Where OpenTelemetry has a name (`db.client.connection.*`, written as its rules for Prometheus say), that is used:
///
/// | family                                    | type      | of `stats`                                             |
/// |-------------------------------------------|-----------|--------------------------------------------------------|
/// | `db_client_connection_count`              | gauge     | `idle`, `leased`; see below                            |
/// | `db_client_connection_max`                | gauge     | `size`                                                 |
/// | `db_client_connection_idle_min`           | gauge     | `min_size`; it counts leased connections too           |
/// | `db_client_connection_pending_requests`   | gauge     | `waiting`                                              |
/// | `db_client_connection_timeouts`           | counter   | `timeouts`                                             |
/// | `db_client_connection_create_time_seconds`| histogram | `create_time`                                          |
/// | `db_client_connection_wait_time_seconds`  | histogram | `wait_time`; calls that failed are in it               |
/// | `db_client_connection_use_time_seconds`   | histogram | `use_time`; only of pools that report their leases     |
/// | `cocp_connected`                          | gauge     | `connected`                                            |
/// | `cocp_connecting`                         | gauge     | `connecting`                                           |
/// | `cocp_detached`                           | gauge     | `detached`                                             |
/// | `cocp_hooks`                              | gauge     | `hooks`                                                |
/// | `cocp_queued`                             | gauge     | `queued`                                               |
/// | `cocp_resting`                            | gauge     | `resting`                                              |
/// | `cocp_wanted`                             | gauge     | `wanted`                                               |
/// | `cocp_gets`                               | counter   | `gets`                                                 |
/// | `cocp_waits`                              | counter   | `waits`                                                |
/// | `cocp_cancelled`                          | counter   | `cancelled`                                            |
/// | `cocp_rejected`                           | counter   | `rejected`                                             |
/// | `cocp_connects`                           | counter   | `connects`                                             |
/// | `cocp_connect_failures`                   | counter   | `connect_failures`                                     |
/// | `cocp_tls_resumed`                        | counter   | `tls_resumed`                                          |
/// | `cocp_disconnects`                        | counter   | `disconnects`                                          |
/// | `cocp_replaced`                           | counter   | `replaced_dead`, `_dirty`, `_expired`; see below       |
///
/// The samples of counters end in `_total`. All have the label `db_client_connection_pool_name`;
/// `db_client_connection_count` also `db_client_connection_state`, which is `idle` or `used` (leased), and
/// `cocp_replaced` also `cause`, which is `dead`, `dirty` or `expired`.
///
/// \par Names of pools
/// A pool is called what its `named_pool` says, or else its `connection_options::name`, or else its current address.
/// The second pool of a call that has the same name gets `#2` after it, the third `#3` and so on (the next number if
/// there is a pool of that name too), so that no series is there twice. Pools that share an address are better named:
/// the number depends on their order.
///
/// Of `pools` each address is a pool of that name. Those that were removed are together one more, "(removed)", once
/// there was one: so the sum of a counter over all names never goes back.
///
/// \par Buckets
/// A bucket's `le` is 2^n - 1 ns in seconds, n being 16 to 35 (66 us to 34 s): these are ends of buckets of
/// `histogram`, so that the counts are exact and not those of a rounded bound. `wait_time` also has `le="0.0"`, those
/// that did not have to wait.
///
/// \par Thread safety
/// Any thread, also while others use the pools. Each pool's values are one consistent snapshot.
/// \par Errors
/// All is written with one `out.write`, whatever the stream's locale and format flags are; failing is the stream's
/// affair. May throw `std::bad_alloc`, and has then written nothing.
COCP_API void openmetrics(std::ostream& out, std::span<const named_pool> pools);

/// The same, and behind them the pools of many addresses. No pointer is null.
COCP_API void openmetrics(std::ostream& out, std::span<const named_pool> single, std::span<const pools* const> many);

/// The same for the pools of many addresses alone.
COCP_API void openmetrics(std::ostream& out, const pools& many);

/// The same, each with its own name, or its address. No pointer is null.
COCP_API void openmetrics(std::ostream& out, std::span<const pool* const> pools);

/// The same for pools as they are: `openmetrics(std::cout, users, orders)`.
template <std::same_as<pool>... Pools>
COCP_API void openmetrics(std::ostream& out, const Pools&... pools) {
  const std::array<const pool*, sizeof...(Pools)> all{&pools...};
  openmetrics(out, std::span<const pool* const>(all));
}

}  // namespace cocp
