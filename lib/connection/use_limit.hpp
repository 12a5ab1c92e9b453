// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/environment.hpp"
#include "base/time.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <utility>

namespace cocp::detail {

/// Whose a `use_limit` is.
class limit_owner {
 public:
  /// What the timer keeps while a wait is pending.
  virtual std::shared_ptr<limit_owner> hold() = 0;
  /// The timer has gone off: the limit is to be told (`note_strike`) and asked whether it has passed. Called under no
  /// mutex, on the executor.
  virtual void on_limit_timer() = 0;

 protected:
  ~limit_owner() = default;
};

/// When what a user has outstanding expires (`expires_after`), and the timer for it.
///
/// To move the limit to later, or to take it away, costs nothing: the timer then goes off too early, and is set again.
/// A lease that ends well leaves its limit here: whether that is still anybody's the channel's word says (`strike`).
///
/// Of a channel, and guarded by its mutex.
class use_limit {
 public:
  /// All outlive this. An empty executor (the context has gone) sets no timer.
  use_limit(environment& env, const asio::any_io_executor& ex, limit_owner& whose) noexcept
      : env_(env), ex_(ex), owner_(whose) {}

  /// So long from now: more than zero. If it throws (the timer could not be set) the limit is as it was, but may be
  /// without its timer: see `rearm`.
  void set(duration d);
  /// Whatever is set, it is not later than that, until `lift` or `clear`. `whose` is any address. Throws as `set`.
  void bound(time_point t, const void* whose);
  /// That bound is gone, if it is `whose`. True if all that was ended was so for it alone (see `note_passed`).
  bool lift(const void* whose) noexcept;
  /// None but the bound.
  void unset() noexcept;
  void clear() noexcept;
  /// `clear`, for good: the timer lets go of what it keeps.
  void end() noexcept;
  /// There is a limit, and it is over.
  bool has_passed() const noexcept;
  bool is_bound() const noexcept { return bound_ != time_point::max(); }
  /// It has passed, and all that it is about was ended; `at_once`: by the user, who gives it no time. A bound that has
  /// not passed stays: see `rearm`.
  void note_passed(bool at_once) noexcept;

  /// The timer has gone off, and is not set any more.
  void note_strike() noexcept { armed_ = time_point::max(); }
  /// Sets the timer if it does not go off in time. False if that fails for lack of memory: somebody is to try again.
  bool rearm() noexcept;

  /// The context is going away. To be destroyed under no mutex: so may be what it keeps.
  std::unique_ptr<timer> let_go() noexcept { return std::move(timer_); }

 private:
  void arm(time_point t);
  void move_to(time_point t);

  environment& env_;
  const asio::any_io_executor& ex_;
  limit_owner& owner_;
  /// Made when it is first needed.
  std::unique_ptr<timer> timer_;
  /// When outstanding operations expire; `max` for never: the earlier of the two below, unless that has passed.
  time_point deadline_ = time_point::max();
  time_point own_ = time_point::max();
  time_point bound_ = time_point::max();
  const void* bound_by_ = nullptr;
  /// What passed last was the bound, before what the user has set.
  bool bound_has_struck_ = false;
  /// When `timer_` goes off, not later than `deadline_` but for lack of memory; `max` if no wait is pending.
  time_point armed_ = time_point::max();
};

}  // namespace cocp::detail
