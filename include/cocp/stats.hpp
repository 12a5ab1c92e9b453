// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/histogram.hpp>

#include <cstddef>
#include <cstdint>

namespace cocp {

/// What a pool holds and what it has done: one consistent snapshot, taken by `pool::stats`.
struct stats {
  /// \name Gauges
  /// @{
  std::size_t size = 0;       ///< The most connections (`pool_options::size`, `pool::resize`).
  std::size_t min_size = 0;   ///< Connections kept open when nobody asks (`pool_options::min_size`).
  std::size_t waiting = 0;    ///< Calls of `get` that wait.
  std::size_t connected = 0;  ///< Connections that are up, whoever has them.

  /// Connections that the pool wants to have now. Each of them is counted once in the six below, which add up to this
  /// at every moment. Of a closed pool: those that have not ended yet.
  std::size_t wanted = 0;
  std::size_t idle = 0;        ///< Up, and wait to be leased.
  std::size_t leased = 0;      ///< Leases that are out, whether their connection is up or not.
  std::size_t hooks = 0;       ///< `pool_options::on_return` and `keepalive` have them, or are about to.
  std::size_t connecting = 0;  ///< An attempt to connect is under way.
  std::size_t queued = 0;      ///< Wait to dial: for the backoff delay, for a probe, or for others (`max_dialling`).
  std::size_t resting = 0;     ///< In between: being looked at, placed or closed.
  /// Leases that were detached and are out: none of those above.
  std::size_t detached = 0;
  /// @}
  /// \name Counters
  /// None ever decreases. A lease is counted when its user has it for good: not if the connection is found dead when it
  /// is looked at, nor if the call is cancelled while its result is on the way.
  /// @{
  std::uint64_t gets = 0;              ///< Leases given out.
  std::uint64_t waits = 0;             ///< Leases given out that had to be waited for.
  std::uint64_t timeouts = 0;          ///< Calls of `get` that ended with `errc::timed_out`.
  std::uint64_t cancelled = 0;         ///< Calls of `get` that were cancelled.
  std::uint64_t rejected = 0;          ///< Calls of `get` that ended with `errc::overloaded`.
  std::uint64_t connects = 0;          ///< Attempts to connect that succeeded.
  std::uint64_t connect_failures = 0;  ///< Attempts to connect that failed.
  std::uint64_t disconnects = 0;       ///< Connections lost while up.
  std::uint64_t replaced_dead = 0;     ///< Idle connections found dead before they were given out, or by `keepalive`.
  std::uint64_t replaced_dirty = 0;    ///< Connections replaced because their state was not known.
  std::uint64_t replaced_expired = 0;  ///< Connections replaced for their age (`pool_options::max_lifetime`).
  std::uint64_t tls_resumed = 0;       ///< Attempts that succeeded and resumed a TLS session.
  /// @}
  /// How long calls of `get` waited that have ended: as many as `gets`, and those that failed.
  histogram wait_time;
  /// How long attempts to connect took that succeeded: name lookup, connect and `on_connect`; as many as `connects`.
  histogram create_time;
  /// How long leases were held that have come back; nothing unless `pool_options::report_leases` is set.
  histogram use_time;
};

}  // namespace cocp
