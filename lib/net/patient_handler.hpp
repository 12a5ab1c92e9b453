// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/do_or_wait.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/prefer.hpp>

#include <memory>
#include <new>
#include <optional>
#include <tuple>
#include <utility>

namespace cocp::detail {

/// Where a handler belongs, if that is not where an operation of Asio's on `own` completes. Kept as work there.
///
/// Throws `std::bad_alloc` where the handler cannot say it for lack of memory: `any_completion_handler` makes its
/// executor with `nothrow`, and has an empty one then, which nothing may be asked of.
template <class Handler>
std::optional<asio::any_completion_executor> place_of(const Handler& h, const asio::any_completion_executor& own) {
  const asio::any_completion_executor where = asio::get_associated_executor(h, own);
  if (!where) throw std::bad_alloc();
  if (where == own) return std::nullopt;
  return asio::prefer(where, asio::execution::outstanding_work.tracked);
}

/// A handler as an operation of Asio's is given it that completes on `own`: one without an associated executor. Of
/// another's Asio keeps a copy as work, which takes memory where it may not throw (`handler_work`), so that a lack of
/// it would end the process. Nor has it the handler's allocator: Asio asks one that was moved from for it, when it has
/// memory for the operation but none for its place in a queue, and `any_completion_handler` has none then.
///
/// From there it goes to where it belongs, and waits for memory if there is none: nobody else has it.
template <class Handler>
class patient_handler {
 public:
  using cancellation_slot_type = asio::associated_cancellation_slot_t<Handler>;

  patient_handler(Handler&& h, const asio::any_completion_executor& own)
      : patient_handler(std::move(h), place_of(h, own)) {}
  patient_handler(Handler&& h, std::optional<asio::any_completion_executor> where) noexcept
      : where_(std::move(where)), handler_(std::move(h)) {}

  cancellation_slot_type get_cancellation_slot() const noexcept {
    return asio::get_associated_cancellation_slot(handler_);
  }

  template <class... Args>
  void operator()(Args... args) {
    if (!where_) {
      std::move(handler_)(std::move(args)...);
      return;
    }
    // Shared, since an executor that has not taken it may have destroyed its copy.
    struct arrival {
      Handler handler;
      std::tuple<Args...> args;
      bool has_begun = false;
    };
    std::shared_ptr<arrival> a;
    // Moved by what is made when there is memory for it.
    std::tuple<Args...> all(std::move(args)...);
    do_or_wait([&] { a = std::make_shared<arrival>(std::move(handler_), std::move(all)); });
    const auto where = *std::exchange(where_, std::nullopt);
    const auto arrive = [a] {
      a->has_begun = true;
      auto handler = std::move(a->handler);
      std::apply(std::move(handler), std::move(a->args));
    };
    // What it throws in there, if it runs in there, is its own.
    do_or_wait([&] { asio::dispatch(where, arrive); }, [&] { return a->has_begun; });
  }

 private:
  std::optional<asio::any_completion_executor> where_;
  Handler handler_;
};

}  // namespace cocp::detail
