// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/impl/channel.hpp>

#include "base/error_text.hpp"

namespace cocp::detail {

std::exception_ptr make_failure(const char* what, const endpoint_label& who, error_code ec) noexcept {
  try {
    return make_text_error(ec, std::string(what) + ' ' + *who + ": " + ec.message());
  } catch (...) {
    return std::current_exception();
  }
}

void channel_waiter::settle() noexcept {
  if (error) return;
  if (!cancelled_late) {
    if (operation() == 0) channel_.consent(generation);
    return;
  }
  error = asio::error::operation_aborted;
  if (begun) {
    error_code ec = error;
    channel_.end(operation(), ec, false);
  }
}

void channel_waiter::dropped() noexcept {
  error_code ec = asio::error::operation_aborted;
  if (begun) channel_.end(operation(), ec, false);
}

}  // namespace cocp::detail
