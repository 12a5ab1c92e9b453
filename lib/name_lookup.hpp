// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "environment.hpp"

#include <boost/asio/execution_context.hpp>

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace cocp::detail {

/// What getaddrinfo(3) returned, as Asio's resolver reports it.
error_code lookup_error(int result);

/// The system's getaddrinfo(3).
error_code look_up(const std::string& host, const std::string& service, std::vector<endpoint>& found);

/// Looks up names in threads that nobody joins: getaddrinfo(3) cannot be interrupted, and a name server that does not
/// answer holds it for half a minute. Asio's own resolver is joined by `~io_context`.
///
/// A lookup is shared by all who ask for the same name while it is under way, so there is at most one thread for each
/// name. One that nobody waits for any more ends by itself.
///
/// \par Thread safety
/// All of it may be called from any thread.
class name_lookup : public std::enable_shared_from_this<name_lookup> {
 public:
  explicit name_lookup(blocking_lookup look_up) : look_up_(std::move(look_up)) {}

  void async_resolve(const asio::any_io_executor& ex, std::string host, std::string service, resolve_handler handler);
  /// Drops those who wait on it.
  void on_context_shutdown(asio::execution_context& context) noexcept;

 private:
  using name = std::pair<std::string, std::string>;
  struct waiter;
  using waiters = std::list<std::shared_ptr<waiter>>;

  void run(const name& n) noexcept;
  void complete(const name& n, error_code ec, const std::vector<endpoint>& found) noexcept;
  void cancel(const name& n, const waiter* w) noexcept;

  const blocking_lookup look_up_;
  std::mutex mutex_;
  /// Who waits for the lookups under way. Guarded by `mutex_`.
  std::map<name, waiters> under_way_;
};

}  // namespace cocp::detail
