// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "connection/outage_gate.hpp"
#include "connection/supervisor.hpp"

#include <cocp/connection.hpp>
#include <cocp/lease.hpp>

#include <boost/intrusive/list.hpp>

#include <cstdint>
#include <memory>
#include <source_location>
#include <string_view>

namespace cocp::detail {

class pool_core;

/// Who may touch a slot's stream; and who hands it on.
enum class slot_owner {
  /// Down, dialling, or being replaced. Its supervisor hands it on when it is up (`slot_connected`), if it is `wanted`;
  /// if not, whoever wants one wakes it (`want`).
  supervisor,
  /// In the idle set: left by whoever takes it, its watch, or the housekeeper.
  idle,
  /// A lease, whose end hands it on, whatever has become of the stream.
  leased,
  /// A thread that is about to place it, without waiting for anything.
  moving,
  /// `on_return` or `keepalive`, which its supervisor runs, and hands it on when that has ended (`slot_served`); that
  /// ends for `connect_timeout`, or with the pool (`slot_stopped`).
  hook
};

/// What the supervisor does of a slot that is its own and wanted.
enum class slot_pursuit : unsigned char {
  none,     ///< Neither of them, or the slot is somebody else's.
  queued,   ///< Waits for leave to dial, or is about to make use of it.
  dialling  ///< An attempt is under way.
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
  void on_attempt_dropped() noexcept override;
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
  /// It is to be connected, and counts as one of the pool's connections: until there are too many, or nobody has used
  /// it for long (`unwant`). If not, it is in the list of vacant slots, and its supervisor rests or is about to;
  /// whoever has too few wants it (`grow`). A slot is in at most one list: idle, vacant, or waiting to dial.
  bool wanted = false;
  /// To be looked at before it is given out, however short it was idle.
  bool verify = true;
  /// The pool's edition when its connection, or the attempt under way, began. What is of an older one goes when it may.
  std::uint64_t edition = 0;
  /// It is down because its connection had grown old: until it is up again, or not wanted any more.
  bool retiring = false;
  /// It was up since it was wanted. From then on another dial is no sign that somebody needs it.
  bool opened = false;
  /// A lease has ended since the housekeeper last looked at it.
  bool fresh = false;
  /// Comes from a keepalive: its place is behind those that were used later.
  bool rested = false;
  /// A wait for the socket to become readable is pending; it stays pending while the slot is leased and given back.
  bool watched = false;
  /// Not watched before: when it was last looked at it had unread bytes. A lease since then may have read them.
  time_point watch_at;
  /// Its supervisor dials, or is about to, and no hook runs. It says itself how that ends; `connect_timeout`, or
  /// `drop_attempt`, has it end.
  bool connecting = false;
  /// When it began to dial the last time.
  time_point dialled_at;
  /// Where it dials, or dialled last; null before the first time.
  std::shared_ptr<const destination> to;
  /// What it is to the outage gate, and why it dials next. While it waits for leave to dial it is in the list of those
  /// that do (`queued`): until the gate lets it, for which whatever changes the gate, or the housekeeper at its time,
  /// asks. Then it is `granted`: until its supervisor, which was woken, begins. Both end too if it is not wanted any
  /// more.
  outage_gate::ticket ticket;
  dial_cause cause = dial_cause::demand;
  bool queued = false;
  bool granted = false;
  /// It counts as one that is up: from `on_connected` until the pool knows of the end of that stream.
  bool counted_up = false;
  /// What the gauges count it as.
  slot_pursuit counted_as = slot_pursuit::none;
  /// What its supervisor is to run, while a hook owns it.
  const handshake* hook = nullptr;
  /// Since when it is idle, by the housekeeper's last look at the clock: never too late.
  time_point idle_since;
  /// When the last lease of it ended, or it was opened, and the same with keepalives: never too early.
  time_point used_at;
  time_point active_at;
  /// When its connection is to be replaced for its age; `min` if it is of an older edition. So this alone says whether
  /// one that comes back may be used again without a thought.
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
