// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/environment.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/intrusive/list.hpp>

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace cocp::detail {

class context_service;

/// Something that holds objects of an execution context, and must let go of them when the context goes away.
///
/// A queued waiter's handler may own the coroutine frame that owns the pool that owns the waiter. When the context is
/// destroyed nobody else breaks that circle.
class shutdown_target : public boost::intrusive::list_base_hook<> {
 public:
  /// Drops waiters, timers, streams and executors. Called once, when nothing runs on the context any more.
  virtual void on_context_shutdown() noexcept = 0;
  /// Keeps this alive; null if it is being destroyed.
  virtual std::shared_ptr<void> hold() noexcept = 0;

 protected:
  shutdown_target() = default;
  shutdown_target(const shutdown_target&) = delete;
  shutdown_target& operator=(const shutdown_target&) = delete;
  ~shutdown_target();

 private:
  friend context_service;
  /// Null when not registered, or when the service is gone.
  context_service* service_ = nullptr;
};

/// The same of something that nobody owns who could be found: it ends by itself, on any thread, or with its context.
class context_dependant {
 public:
  context_dependant() = default;
  context_dependant(const context_dependant&) = delete;
  context_dependant& operator=(const context_dependant&) = delete;
  virtual ~context_dependant() = default;

  /// Called once, when nothing runs on the context any more.
  virtual void on_context_shutdown() noexcept = 0;
  /// True if there is nothing left to be let go of. Any thread.
  virtual bool has_ended() const noexcept = 0;
};

/// What cocp keeps for each execution context.
class context_service final : public asio::execution_context::service {
 public:
  using key_type = context_service;
  static asio::execution_context::id id;

  explicit context_service(asio::execution_context& context);

  /// The service of an executor's context.
  static context_service& of(const asio::any_io_executor& ex);

  std::shared_ptr<cocp::detail::environment> environment() const;
  /// For what is made from now on. For tests.
  void set_environment(std::shared_ptr<cocp::detail::environment> env);

  /// Registers it until it is destroyed.
  void add(shutdown_target& target);
  /// Registers it until it has ended.
  void add(std::shared_ptr<context_dependant> dependant);

 private:
  friend shutdown_target;
  void remove(shutdown_target& target) noexcept;
  void shutdown() override;

  mutable std::mutex mutex_;
  std::shared_ptr<cocp::detail::environment> environment_;
  boost::intrusive::list<shutdown_target, boost::intrusive::constant_time_size<false>> targets_;
  std::vector<std::shared_ptr<context_dependant>> dependants_;
  /// So many of those are looked through for what has ended.
  std::size_t next_look_ = 0;
};

}  // namespace cocp::detail
