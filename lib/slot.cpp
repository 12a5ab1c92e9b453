// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "slot.hpp"

#include "pool_core.hpp"

namespace cocp::detail {

slot::slot(pool_core& pool, const asio::any_io_executor& ex)
    : connection(std::shared_ptr<channel>()),
      keeper(std::make_shared<supervisor>(ex, pool.dial_options(), pool.to(), *this, pool.options().allow_unread)),
      pool_(pool) {
  channel_ = keeper->users();
}

bool slot::on_dialling() noexcept { return pool_.slot_dialling(*this); }
void slot::on_attempt_failed(error_code ec) noexcept { pool_.slot_failed(*this, ec); }
void slot::on_connected() noexcept { pool_.slot_connected(*this); }
const handshake* slot::next_hook() noexcept { return pool_.slot_hook(*this); }
void slot::on_hook_done(error_code error, std::string_view reason) noexcept { pool_.slot_served(*this, error, reason); }
void slot::on_down(const loss& why) noexcept { pool_.slot_down(*this, why); }
void slot::on_stopped() noexcept { pool_.slot_stopped(*this); }

}  // namespace cocp::detail
