// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"

#include <cocp/impl/waiter.hpp>

#include <boost/asio/execution_context.hpp>

namespace cocp::detail {

/// Completions that their executor refused, for lack of memory say: each keeps its result until it is sent again.
///
/// A list of waits that have ended is carried out from under its owner's mutex and sent (`send`). What is left in the
/// list was refused, and is kept here until `due`, when somebody takes it out and sends it again.
///
/// Owned by whoever has the queues of waiters, and guarded by its mutex, but for what is static: that runs handlers, or
/// destroys them, and is called under no mutex. A waiter that was refused still holds what its handler holds, so what
/// lived until `send` lives until `keep`; once others can see it there, it may be completed, and this with it be gone.
class outbox {
 public:
  outbox() = default;
  outbox(const outbox&) = delete;
  outbox& operator=(const outbox&) = delete;
  /// Nobody is left to try again: the handlers go uncalled.
  ~outbox();

  /// Schedules the handlers of waits that have ended, in order. True if all were taken; those that were not stay in the
  /// list, in order.
  static bool send(wait_list& ended) noexcept { return ended.empty() || send_all(ended); }
  /// The context of what sends is going away, so nothing can be sent again: ends each wait (see `end_with_context`).
  static void drop(wait_list& ended, const asio::execution_context& context) noexcept;

  /// Keeps what `send` has left, behind what is here.
  void keep(wait_list& refused, time_point now) noexcept;
  /// Takes out all, to be sent again, behind what is in the list.
  void take(wait_list& again) noexcept;

  bool empty() const noexcept { return refused_.empty(); }
  /// When to try again; `max` if there is nothing.
  time_point due() const noexcept { return refused_.empty() ? time_point::max() : due_; }

 private:
  static bool send_all(wait_list& ended) noexcept;

  wait_list refused_;
  /// Of the first that was refused since the last try.
  time_point due_;
};

}  // namespace cocp::detail
