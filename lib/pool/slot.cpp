// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/slot.hpp"

#include "pool/pool_core.hpp"

namespace cocp::detail {

slot::slot(pool_core& pool, const asio::any_io_executor& ex)
    : connection(std::shared_ptr<channel>()),
      keeper(std::make_shared<supervisor>(ex, pool.dial_options(), *this, label_of(pool.current_address()),
                                          channel_use::leased, pool.options().allow_unread)),
      pool_(pool) {
  channel_ = keeper->users();
}

time_point slot::may_dial(time_point now) noexcept { return pool_.slot_may_dial(*this, now); }
bool slot::is_wanted() noexcept { return pool_.slot_wanted(*this); }
duration slot::on_attempt_failed(error_code ec, const std::string& reason) noexcept {
  return pool_.slot_failed(*this, ec, reason);
}
unsigned slot::failures() noexcept { return pool_.failures(); }
std::shared_ptr<const destination> slot::target() noexcept { return pool_.slot_target(*this); }
bool slot::is_moot() noexcept { return pool_.slot_is_moot(*this); }
void slot::on_attempt_dropped() noexcept { pool_.slot_dropped(*this); }
void slot::on_connected(duration took, bool resumed) noexcept { pool_.slot_connected(*this, took, resumed); }
supervisor::hook slot::next_hook() noexcept { return pool_.slot_hook(*this); }
void slot::on_hook_done() noexcept { pool_.slot_served(*this); }
duration slot::on_down(const loss& why, bool early) noexcept { return pool_.slot_down(*this, why, early); }
void slot::on_stopped() noexcept { pool_.slot_stopped(*this); }

}  // namespace cocp::detail
