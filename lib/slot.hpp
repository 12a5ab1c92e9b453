// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "supervisor.hpp"

#include <cocp/connection.hpp>
#include <cocp/lease.hpp>

#include <boost/intrusive/list.hpp>

#include <memory>

namespace cocp::detail {

class pool_core;

/// Who may touch a slot's stream.
enum class slot_owner {
  supervisor,  ///< Down, dialling, or being replaced.
  idle,        ///< In the idle set.
  leased,      ///< A lease.
  moving       ///< A thread that is about to place it.
};

/// One connection of a pool. It shows itself to leases as a `connection`.
class slot final : public connection, public supervisor::client, public boost::intrusive::list_base_hook<> {
 public:
  slot(pool_core& pool, const asio::any_io_executor& ex);

  void on_dialling() noexcept override;
  void on_attempt_failed(error_code ec) noexcept override;
  void on_connected() noexcept override;
  void on_down(const loss& why) noexcept override;
  void on_stopped() noexcept override;

  channel& users() const noexcept { return *keeper->users(); }

  const std::shared_ptr<supervisor> keeper;

  /// \name Guarded by the pool's mutex
  /// @{
  slot_owner owner = slot_owner::supervisor;
  /// Set while idle, leased or moving: a lease keeps the pool's core by way of its slot, so that taking and giving back
  /// count no references. It is let go, outside the mutex, when the slot goes to its supervisor.
  std::shared_ptr<pool_core> core;
  /// To be looked at before it is given out, however short it was idle.
  bool verify = true;
  /// Since when it is idle, by the housekeeper's last look at the clock: never too late.
  time_point idle_since;
  /// A wait for the socket to become readable is pending; it stays pending while the slot is leased and given back.
  bool watched = false;
  bool connecting = false;
  bool stopped = false;
  /// @}

 private:
  pool_core& pool_;
};

}  // namespace cocp::detail
