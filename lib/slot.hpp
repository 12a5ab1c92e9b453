// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "outage_gate.hpp"
#include "supervisor.hpp"

#include <cocp/connection.hpp>
#include <cocp/lease.hpp>

#include <boost/intrusive/list.hpp>

#include <memory>
#include <source_location>
#include <string_view>

namespace cocp::detail {

class pool_core;

/// Who may touch a slot's stream.
enum class slot_owner {
  supervisor,  ///< Down, dialling, or being replaced.
  idle,        ///< In the idle set.
  leased,      ///< A lease.
  moving,      ///< A thread that is about to place it.
  hook         ///< `on_return` or `keepalive`, which its supervisor runs.
};

/// What becomes of a connection when its user gives it back.
enum class slot_fate : unsigned char {
  stays,
  due,       ///< It is old enough: another is opened in its place.
  outlived,  ///< Another has taken its place: it closes.
  moved      ///< It is to the pool's former address: it is redialled.
};

/// One connection of a pool. It shows itself to leases as a `connection`.
class slot final : public connection, public supervisor::client, public boost::intrusive::list_base_hook<> {
 public:
  slot(pool_core& pool, const asio::any_io_executor& ex);

  time_point may_dial(time_point now) noexcept override;
  bool is_wanted() noexcept override;
  duration on_attempt_failed(error_code ec, const std::string& reason) noexcept override;
  unsigned failures() noexcept override;
  std::shared_ptr<const destination> target() noexcept override;
  bool is_moot() noexcept override;
  void on_connected(duration took, bool resumed) noexcept override;
  supervisor::hook next_hook() noexcept override;
  void on_hook_done() noexcept override;
  duration on_down(const loss& why, bool early) noexcept override;
  void on_stopped() noexcept override;

  channel& users() const noexcept { return *keeper->users(); }

  const std::shared_ptr<supervisor> keeper;

  /// \name Guarded by the pool's mutex
  /// @{
  slot_owner owner = slot_owner::supervisor;
  /// Set while idle, leased or moving: a lease keeps the pool's core by way of its slot, so that taking and giving back
  /// count no references. It is let go, outside the mutex, when the slot goes to its supervisor.
  std::shared_ptr<pool_core> core;
  /// It is to be connected, and counts as one of the pool's connections. If not, it is in the list of vacant slots, and
  /// its supervisor rests or is about to. A slot is in at most one list: idle, vacant, or waiting to dial.
  bool wanted = false;
  /// To be looked at before it is given out, however short it was idle.
  bool verify = true;
  /// What becomes of its connection when it comes back.
  slot_fate fate = slot_fate::stays;
  /// A lease has ended since the housekeeper last looked at it.
  bool fresh = false;
  /// Comes from a keepalive: its place is behind those that were used later.
  bool rested = false;
  /// A wait for the socket to become readable is pending; it stays pending while the slot is leased and given back.
  bool watched = false;
  /// Not watched before: when it was last looked at it had unread bytes. A lease since then may have read them.
  time_point watch_at;
  /// Its supervisor dials, or is about to, and no hook runs.
  bool connecting = false;
  /// Where it dials, or dialled last; null before the first time.
  std::shared_ptr<const destination> to;
  /// What it is to the outage gate, and why it dials next. While it waits for leave to dial it is in the list of those
  /// that do; then it is `granted` until its supervisor begins.
  outage_gate::ticket ticket;
  dial_cause cause = dial_cause::demand;
  bool queued = false;
  bool granted = false;
  /// What its supervisor is to run, while a hook owns it.
  const handshake* hook = nullptr;
  /// Since when it is idle, by the housekeeper's last look at the clock: never too late.
  time_point idle_since;
  /// When the last lease of it ended, or it was opened, and the same with keepalives: never too early.
  time_point used_at;
  time_point active_at;
  /// When its connection is old enough to be replaced.
  time_point retire_at = time_point::max();

  /// Of the lease, if leases are reported: where and when it began, and whether it was told to be out for too long.
  std::source_location taken_where;
  time_point taken_at;
  bool overdue = false;
  /// The lease was taken back before anybody had it.
  bool withdrawn = false;
  /// Of an overdue lease that came back and was not told of yet.
  bool returned = false;
  std::source_location returned_where;
  duration returned_after{};
  /// @}

 private:
  pool_core& pool_;
};

}  // namespace cocp::detail
