// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "connection/supervisor.hpp"
#include "pool/dial_desk.hpp"
#include "pool/headcount.hpp"
#include "pool/ledger.hpp"
#include "pool/shelf.hpp"
#include "pool/slot_life.hpp"

#include <cocp/connection.hpp>
#include <cocp/lease.hpp>

#include <cstdint>
#include <memory>

namespace cocp::detail {

class pool_core;

/// One connection of a pool. It shows itself to leases as a `connection`, and to each room of the pool as what that
/// room keeps of it, which nobody else can touch.
class slot final : public connection,
                   public supervisor::client,
                   public slot_census::entry,
                   public shelf::entry,
                   public headcount::entry,
                   public dial_desk::entry,
                   public ledger::entry {
 public:
  slot(pool_core& pool, const asio::any_io_executor& ex);

  time_point may_dial(time_point now) noexcept override;
  bool is_wanted() noexcept override;
  duration on_attempt_failed(error_code ec, const std::string& reason) noexcept override;
  unsigned failures() noexcept override;
  std::shared_ptr<const destination> target() noexcept override;
  bool is_moot() noexcept override;
  void on_attempt_dropped() noexcept override;
  void on_connected(duration took, bool resumed) noexcept override;
  supervisor::hook next_hook() noexcept override;
  void on_hook_done() noexcept override;
  duration on_down(const loss& why, bool early) noexcept override;
  void on_stopped() noexcept override;

  /// The same as `keeper->users()`.
  kept_channel& users() const noexcept { return static_cast<kept_channel&>(*channel_); }

  const std::shared_ptr<supervisor> keeper;

 private:
  friend pool_core;

  pool_core& pool_;

  /// \name The hall's. Guarded by the pool's mutex.
  /// @{

  /// Set while idle, leased, moving or in a hook: a lease keeps the pool's core by way of its slot, so that taking and
  /// giving back count no references. It is let go, outside the mutex, when the slot goes to its supervisor.
  std::shared_ptr<pool_core> core_;
  /// Where it dials, or dialled last; null before the first time.
  std::shared_ptr<const destination> to_;
  /// The pool's edition when its connection, or the attempt under way, began. What is of an older one goes when it may.
  std::uint64_t edition_ = 0;
  /// Its stream was detached, and its end, of which the pool was not told yet, says nothing of the endpoint.
  bool let_go_ = false;
  /// It has one of the places that pools share: from when it is let dial until its descriptor is closed, or detached.
  bool has_place_ = false;
  /// It is being closed to leave that to another pool.
  bool makes_room_ = false;
  /// It is new, and has not asked for leave to dial.
  bool is_new_ = false;
  /// What its supervisor is to run, while a hook owns it.
  const handshake* hook_ = nullptr;
  /// @}
};

/// The slot of what a room keeps of it.
template <class Entry>
slot& slot_of(Entry& e) noexcept {
  return static_cast<slot&>(e);
}

/// The first of a list that a room has given: it is in it no more.
template <class List>
slot& take_first(List& list) noexcept {
  slot& s = slot_of(list.front());
  list.pop_front();
  return s;
}

}  // namespace cocp::detail
