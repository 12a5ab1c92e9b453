// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/connection.hpp>
#include <cocp/export.hpp>

#include <boost/assert.hpp>

#include <chrono>
#include <cstdint>
#include <source_location>
#include <utility>

namespace cocp {

namespace detail {
class pool_core;
}  // namespace detail

/// Who holds a lease (see `pool::leases`).
struct lease_info {
  /// The call of `get`, `async_get` or `try_get` that it came from.
  std::source_location where;
  /// When it was given out.
  std::chrono::steady_clock::time_point since;
  /// How long it was out when this was taken.
  duration held{};
  /// The peer of its connection; empty while that is down.
  endpoint remote_endpoint;
  /// The number of its stream (see `connection::id`); 0 while that is down.
  std::uint64_t id = 0;
};

/// The right to use one connection of a pool. It puts itself back when it is destroyed.
///
/// \par Thread safety
/// One user at a time. Different leases are independent, and a lease may be destroyed on any thread.
/// A lease is one stream: it begins with one that is up, and nothing of it reaches another unless it agrees to go on
/// with that (`connection::ready`). Its end wants the answer read: a lease whose last operation that moved bytes was a
/// write has its connection replaced (see `pool_options::one_way` and `connection::no_answer`).
/// \par Cancellation
/// What is cancelled while an operation is outstanding is seen, and the connection is replaced.
/// \par Lifetime
/// A lease may outlive its pool: the connection stays usable, and closes when it is put back. What is outstanding on
/// the connection when it is put back ends with `operation_aborted`, and the connection is replaced.
class [[nodiscard]] COCP_API lease {
 public:
  /// Empty.
  lease() noexcept = default;
  /// Leaves `other` empty.
  lease(lease&& other) noexcept : shown_(std::exchange(other.shown_, nullptr)) {}
  /// Puts back what this holds; leaves `other` empty.
  lease& operator=(lease&& other) noexcept {
    if (this != &other) {
      put();
      shown_ = std::exchange(other.shown_, nullptr);
    }
    return *this;
  }
  /// As `put`; if it is destroyed while an exception propagates, see `pool_options::keep_on_exception`.
  ~lease() {
    if (shown_) give_back(way::destroyed);
  }

  /// False if empty: by default, given back, or moved from.
  explicit operator bool() const noexcept { return shown_ != nullptr; }
  /// The connection. Not for an empty lease: that is asserted (BOOST_ASSERT_MSG, so as Boost.Assert is configured).
  connection& operator*() const noexcept {
    BOOST_ASSERT_MSG(shown_, "the lease is empty: never filled, given back, or moved from");
    return *shown_;
  }
  /// The same.
  connection* operator->() const noexcept { return &**this; }

  /// True if the stream has served a lease before that did I/O: the peer may have closed it meanwhile without that
  /// being known here. False if empty.
  bool reused() const noexcept { return shown_ && shown_->channel_->was_used_before(); }

  /// Keeps the connection for good: for WebSocket, CONNECT, SUBSCRIBE, replication. It leaves its place in the pool,
  /// which opens another in its stead, is not redialled (`connection::ready` fails with the loss's error), and closes
  /// when the lease ends. `stats::detached` counts it, `pool::drain` waits for it; `pool::leases` and reports of
  /// overdue leases leave it out. Twice is harmless. Not for an empty lease, as `operator*`.
  void detach() noexcept;

  /// Gives the connection back, early. Does nothing if empty.
  void put() noexcept {
    if (shown_) give_back(way::put);
  }
  /// Gives the connection back, to be replaced: its state is not known. Does nothing if empty.
  void discard() noexcept {
    if (shown_) give_back(way::discarded);
  }

 private:
  friend detail::pool_core;
  enum class way { put, destroyed, discarded };

  explicit lease(connection& shown) noexcept : shown_(&shown) {}
  void give_back(way how) noexcept;

  /// A slot of the pool, which keeps the pool's core alive while it is leased (see `slot::core`).
  connection* shown_ = nullptr;
};

}  // namespace cocp
