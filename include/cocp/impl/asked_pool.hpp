// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/export.hpp>
#include <cocp/impl/lease_waiter.hpp>
#include <cocp/impl/repetition.hpp>
#include <cocp/impl/time.hpp>
#include <cocp/lease.hpp>
#include <cocp/options.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace cocp::detail {

class pools_core;
struct kept_pool;

/// The pool of an address, which is in use while this lives: so nobody removes it between the look for it and the wait
/// in it, nor between two tries. Those are the moments in which it has neither a lease nor a waiter to show.
///
/// One thread at a time; which may be any.
class COCP_API asked_pool {
 public:
  /// Makes one if there is none.
  /// \par Exceptions
  /// `std::invalid_argument` if the address is malformed; `std::bad_alloc`, and what the executor throws.
  asked_pool(std::shared_ptr<pools_core> all, std::string_view address);
  asked_pool(const asked_pool&) = delete;
  asked_pool& operator=(const asked_pool&) = delete;
  ~asked_pool();

  /// Why there is none: `closed`, or `overloaded`.
  error_code error() const noexcept { return error_; }
  /// Throws that, as text that begins with `what`.
  void require(const char* what) const;
  /// Not if there is none.
  const std::shared_ptr<pool_core>& core() const noexcept;

 private:
  const std::shared_ptr<pools_core> all_;
  error_code error_;
  /// Null if there is none, and then that says why.
  kept_pool* const found_;
};

COCP_API asio::any_io_executor executor_of(const pools_core& all) noexcept;
/// What `pools::get` returns at once.
COCP_API lease take_idle(const std::shared_ptr<pools_core>& all, std::string_view address, std::source_location where);

/// What `pools::get` is. It holds all that it needs from before its first step.
inline asio::awaitable<lease> get_at(std::shared_ptr<pools_core> all, std::string address,
                                     std::optional<duration> timeout, std::source_location where) {
  if (lease idle = take_idle(all, address, where)) co_return std::move(idle);
  const asked_pool asked(std::move(all), address);
  asked.require("get");
  co_return co_await await_lease(asked.core(), timeout, where);
}

/// What `pools::run` is.
template <class Result, class Function>
asio::awaitable<Result> run_at(std::shared_ptr<pools_core> all, std::string address, Function f, run_options options,
                               std::source_location where) {
  const asked_pool asked(std::move(all), address);
  asked.require("run");
  asio::awaitable<Result> tries = run<Result, Function>(asked.core(), std::move(f), options, where);
  co_return co_await std::move(tries);
}

/// Starts `pools::async_get`.
struct initiate_get_at {
  using executor_type = asio::any_io_executor;

  // No aggregate: g++ 12 destroys temporaries of such types twice in a co_await expression.
  initiate_get_at(std::shared_ptr<pools_core> p, std::string a, std::optional<duration> t, std::source_location w)
      : all(std::move(p)), address(std::move(a)), timeout(t), where(w), ex(executor_of(*all)) {}

  std::shared_ptr<pools_core> all;
  std::string address;
  std::optional<duration> timeout;
  std::source_location where;
  executor_type ex;

  executor_type get_executor() const noexcept { return ex; }

  template <class Handler>
  void operator()(Handler&& handler) const {
    const asked_pool asked(all, address);
    if (!asked.error()) {
      initiate_get(asked.core(), timeout, where, ex)(std::forward<Handler>(handler));
      return;
    }
    // It stands in no line: nothing is there to be cancelled.
    std::decay_t<Handler> own(std::forward<Handler>(handler));
    auto& refused = *wait_op<lease_waiter, std::decay_t<Handler>>::create(std::move(own), ex, nullptr);
    refused.error = asked.error();
    refused.complete_at_once();
  }
};

}  // namespace cocp::detail
