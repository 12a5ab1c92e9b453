// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace cocp::detail {

/// What the housekeeper has to do in time.
enum class duty : unsigned char {
  deadline,    ///< A wait ends.
  look,        ///< Somebody looks at what is idle, and at what nobody needs.
  age,         ///< A connection has grown old, or may not be held up any more.
  gate,        ///< The outage gate lets the next one dial.
  give_up,     ///< The endpoint was down for as long as `fail_fast`.
  report,      ///< A lease is overdue, or the return of one is to be told.
  redelivery,  ///< Completions that an executor refused are tried again.
  build,       ///< More slots are wanted than there are.
  count
};

/// When somebody looks again, and at what: one time for each duty. The housekeeper sleeps until the first of them.
///
/// Pure: it knows no clock. What is put down is kept until it is taken, or put down anew.
class agenda {
 public:
  agenda() { due_.fill(time_point::max()); }

  time_point at(duty d) const noexcept { return due_[static_cast<std::size_t>(d)]; }

  /// At `t`, whatever was put down before; `max` for never. True if the sleeper has to be woken for that.
  [[nodiscard]] bool set(duty d, time_point t) noexcept {
    due_[static_cast<std::size_t>(d)] = t;
    if (t >= sleeps_until_) return false;
    sleeps_until_ = t;
    return true;
  }
  /// At `t`, or earlier if that was put down before.
  [[nodiscard]] bool by(duty d, time_point t) noexcept { return set(d, std::min(at(d), t)); }

  /// True if it is due, and then it is not put down any more.
  bool take(duty d, time_point now) noexcept {
    if (at(d) > now) return false;
    due_[static_cast<std::size_t>(d)] = time_point::max();
    return true;
  }

  /// The sleep begins: until when.
  time_point begin_sleep() noexcept {
    sleeps_until_ = *std::min_element(due_.begin(), due_.end());
    return sleeps_until_;
  }

 private:
  std::array<time_point, static_cast<std::size_t>(duty::count)> due_;
  /// Nobody needs to be woken for what comes later.
  time_point sleeps_until_ = time_point::max();
};

}  // namespace cocp::detail
