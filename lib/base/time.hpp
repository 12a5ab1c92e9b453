// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/event.hpp>
#include <cocp/impl/time.hpp>

#include <string>

namespace cocp::detail {

/// `t + d`, or `max` if that is later than any time; `t` if `d` is negative.
constexpr time_point later(time_point t, duration d) noexcept {
  if (d <= duration::zero()) return t;
  return t < time_point::max() - d ? t + d : time_point::max();
}

/// True if `t` has come; if not, `next` is not later.
constexpr bool is_due(time_point t, time_point now, time_point& next) noexcept {
  if (t <= now) return true;
  if (t < next) next = t;
  return false;
}

/// The pause before completions that an executor refused are tried again.
constexpr duration redelivery_pause = std::chrono::milliseconds(10);

/// As in "1.5 s", "100 ms"; for messages.
std::string to_text(duration d);

}  // namespace cocp::detail
