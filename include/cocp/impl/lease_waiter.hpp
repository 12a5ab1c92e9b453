// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/export.hpp>
#include <cocp/impl/time.hpp>
#include <cocp/impl/waiter.hpp>
#include <cocp/lease.hpp>
#include <cocp/options.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/intrusive/list_hook.hpp>
#include <boost/intrusive/options.hpp>
#include <boost/intrusive/set_hook.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <tuple>
#include <utility>

namespace cocp::detail {

/// For `deadlines`, which has a waiter in a list or in a tree.
using deadline_list_hook = boost::intrusive::list_base_hook<boost::intrusive::tag<struct by_deadline>>;
using deadline_set_hook =
    boost::intrusive::set_base_hook<boost::intrusive::tag<struct by_deadline>, boost::intrusive::optimize_size<true>>;

/// Somebody who waits for something of a pool. It is in one of the pool's queues, and among its deadlines if its wait
/// is bounded.
class COCP_API pool_waiter : public waiter, public deadline_list_hook, public deadline_set_hook {
 public:
  /// For whom waits for connections to be up: how many.
  std::size_t wanted = 0;
  /// For whom waits for a connection: which, and where it was asked for.
  lease result;
  std::source_location where;

  bool operator<(const pool_waiter& other) const noexcept { return deadline_ < other.deadline_; }

  /// When the wait ends without a result; `max` for never.
  time_point deadline() const noexcept { return deadline_; }
  /// False if its result was there when it was asked for.
  bool has_waited() const noexcept { return queue_ != nullptr; }

  /// Called on the handler's executor just before the handler: a cancellation that came meanwhile still counts, and
  /// the connection goes to the next waiter.
  void settle() noexcept;
  void dropped() noexcept {}

 protected:
  // Virtual, although nobody deletes one: those who may look at it could, and -Wnon-virtual-dtor would say so.
  virtual ~pool_waiter() = default;

 private:
  friend class waiting_room;
  friend class deadlines;

  /// The line that it stands in, or stood in; null if it never did.
  wait_list* queue_ = nullptr;
  /// When the wait began, and how long it took once it has ended.
  time_point since_;
  duration waited_{};
  time_point deadline_ = time_point::max();
};

/// Waits for a lease; `void(error_code, lease)`.
class lease_waiter : public pool_waiter {
 public:
  std::tuple<error_code, lease> take_result() noexcept { return {error, std::move(result)}; }
};

/// Waits for an event; `void(error_code)`.
class event_waiter : public pool_waiter {
 public:
  std::tuple<error_code> take_result() noexcept { return {error}; }
};

/// The pool's queue of cancellable waits.
COCP_API std::shared_ptr<wait_owner> queue_of(const std::shared_ptr<pool_core>& core) noexcept;
/// Completes `w` with a lease or an error, now or later, always through its executor. No `timeout`: the pool's own.
/// Throws if that executor refuses what is due at once: then nothing was started.
COCP_API void wait_for_lease(pool_core& core, lease_waiter& w, std::optional<duration> timeout,
                             std::source_location where);

/// What `pool::get` does when nothing is idle, or to let others run; it fails with text that begins with "get".
COCP_API asio::awaitable<lease> await_lease(std::shared_ptr<pool_core> core, std::optional<duration> timeout,
                                            std::source_location where);

/// Starts `pool::async_get`.
struct initiate_get {
  using executor_type = asio::any_io_executor;

  // No aggregate: g++ 12 destroys temporaries of such types twice in a co_await expression.
  initiate_get(std::shared_ptr<pool_core> c, std::optional<duration> t, std::source_location w, executor_type e)
      : core(std::move(c)), timeout(t), where(w), ex(std::move(e)) {}

  std::shared_ptr<pool_core> core;
  std::optional<duration> timeout;
  std::source_location where;
  executor_type ex;

  executor_type get_executor() const noexcept { return ex; }

  template <class Handler>
  void operator()(Handler&& handler) const {
    using op = wait_op<lease_waiter, std::decay_t<Handler>>;
    std::decay_t<Handler> own(std::forward<Handler>(handler));
    wait_for_lease(*core, *op::create(std::move(own), ex, queue_of(core)), timeout, where);
  }
};

}  // namespace cocp::detail
