// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/export.hpp>
#include <cocp/impl/asked_pool.hpp>
#include <cocp/lease.hpp>
#include <cocp/options.hpp>
#include <cocp/stats.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace cocp {

class pools;

namespace detail {
/// For what prints pools.
const pools_core& core_of(const pools& p) noexcept;
}  // namespace detail

/// What pools of many addresses share. Limits are over all of them.
/// \par Exceptions
/// The constructor of `pools` throws `std::invalid_argument`, naming field, value and rule, when a field is outside its
/// range.
struct pools_options {
  /// A pool that nobody has asked, and of which nobody had a connection, for so long is removed. More than zero;
  /// `std::nullopt`: none is.
  std::optional<duration> unused_for = std::chrono::minutes(1);

  /// The most connections, those that are being dialled included and detached ones not. Where they are reached and
  /// another is needed, an idle one of the pool that was asked longest ago is closed for it, never one below a
  /// `min_size`. If none is idle, the next that nobody in its own pool waits for goes to the pool whose first waiter
  /// has waited longest, or which has itself stood in line for longer, unless it has one and nobody waits for another;
  /// while attempts of a pool fail, its wait counts from the last of them. Not zero, and not less than a pool's
  /// `min_size`.
  std::size_t max_connections = std::numeric_limits<std::size_t>::max();

  /// The most dials at once. Not zero.
  std::size_t max_dialling = 64;

  /// The most pools. For one more, the pool that was asked longest ago goes of those of which nobody has a connection
  /// or waits for one; if there is none, a call ends with `errc::overloaded`. Not zero.
  std::size_t max_pools = std::numeric_limits<std::size_t>::max();
};

/// What pools hold and have done, by address, and all of them together.
struct pools_stats : std::map<std::string, stats, std::less<>> {
  /// Of all pools. The counters of those that were removed stay in it.
  stats sum;
};

/// A pool for each address, made when it is first asked for and removed when it is unused: for clients of many servers,
/// as a mesh, a crawler or a cluster has them. A connection, a lease and a wait are as of `pool`.
///
/// \par Thread safety
/// All members may be called from any thread.
/// \par Lifetime
/// As of `pool`. What was called before this is destroyed needs it no more: a `get` whose coroutine is first resumed
/// later ends with `errc::closed`.
/// \par Errors
/// As of `pool`; and `errc::overloaded` at `pools_options::max_pools`.
/// \par Exceptions
/// What is asked for an address throws `std::invalid_argument` if that is malformed.
class COCP_API pools {
 public:
  /// Holds any executor.
  using executor_type = boost::asio::any_io_executor;

  /// `each` and `of_each` are of every pool, whose address and name are what it is asked for; `min_size` unset means 0.
  /// Opens nothing; it is work on the executor until it is closed.
  explicit pools(executor_type ex, connection_options each = {}, pool_options of_each = {}, pools_options all = {});

  /// The same on the executor of an execution context.
  template <class Context>
  requires std::is_convertible_v<Context&, boost::asio::execution_context&>
  explicit pools(Context& context, connection_options each = {}, pool_options of_each = {}, pools_options all = {})
      : pools(executor_type(context.get_executor()), std::move(each), std::move(of_each), all) {}

  pools(const pools&) = delete;
  pools& operator=(const pools&) = delete;
  /// As `close`.
  ~pools();

  /// That of all pools; none once the context is gone.
  executor_type get_executor() const;

  /// As `pool::get`, of the pool of that address.
  boost::asio::awaitable<lease> get(std::string address, std::source_location where = std::source_location::current()) {
    return detail::get_at(core_, std::move(address), std::nullopt, where);
  }
  /// The same with another limit of time.
  boost::asio::awaitable<lease> get(std::string address, duration timeout,
                                    std::source_location where = std::source_location::current()) {
    return detail::get_at(core_, std::move(address), timeout, where);
  }

  /// As `pool::async_get`.
  template <class CompletionToken = boost::asio::deferred_t>
  requires(!std::convertible_to<CompletionToken, duration>) auto async_get(
      std::string address, CompletionToken&& token = CompletionToken(),
      std::source_location where = std::source_location::current()) {
    return boost::asio::async_initiate<CompletionToken, void(error_code, lease)>(
        detail::initiate_get_at(core_, std::move(address), std::nullopt, where), token);
  }
  /// The same with another limit of time.
  template <class CompletionToken = boost::asio::deferred_t>
  auto async_get(std::string address, duration timeout, CompletionToken&& token = CompletionToken(),
                 std::source_location where = std::source_location::current()) {
    return boost::asio::async_initiate<CompletionToken, void(error_code, lease)>(
        detail::initiate_get_at(core_, std::move(address), timeout, where), token);
  }

  /// The same, as `async_get(address, token)`.
  template <class CompletionToken>
  requires(!std::convertible_to<CompletionToken, duration> &&
           boost::asio::completion_token_for<CompletionToken,
                                             void(error_code, lease)>) auto get(std::string address,
                                                                                CompletionToken&& token,
                                                                                std::source_location where =
                                                                                    std::source_location::current()) {
    return async_get(std::move(address), std::forward<CompletionToken>(token), where);
  }

  /// As `pool::run`. The pool is in use until it has ended.
  template <class Function>
  requires std::invocable<Function&, lease&>
  auto run(std::string address, Function f, run_options options = {},
           std::source_location where = std::source_location::current()) -> std::invoke_result_t<Function&, lease&> {
    using result = typename std::invoke_result_t<Function&, lease&>::value_type;
    return detail::run_at<result, Function>(core_, std::move(address), std::move(f), options, where);
  }

  /// As `pool::try_get`; empty too if there can be no pool of that address now.
  /// \par Exceptions
  /// `std::bad_alloc` besides, where one is to be made.
  lease try_get(std::string_view address, std::source_location where = std::source_location::current());

  /// As `pool::renew`, of all.
  void renew() noexcept;

  /// As `pool::close`, of all. Nothing is opened from then on.
  void close() noexcept;

  /// As `pool::drain`, of all, and of those that were removed and have not ended yet.
  boost::asio::awaitable<void> drain();
  /// As `pool::drain(limit)`, of the same: how many leases it had to end.
  boost::asio::awaitable<std::size_t> drain(duration limit);

  /// Each is a consistent snapshot; they are taken one after the other.
  pools_stats stats() const;

 private:
  friend const detail::pools_core& detail::core_of(const pools& p) noexcept;

  std::shared_ptr<detail::pools_core> core_;
};

}  // namespace cocp
