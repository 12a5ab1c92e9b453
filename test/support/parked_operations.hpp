// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "failing_allocations.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

namespace cocp::test {

/// The pending operations of fake objects, kept where a real reactor keeps its own: in a service of the execution
/// context, so that destroying the context destroys their handlers, and with them the coroutines that wait.
class parked_operations final : public boost::asio::execution_context::service {
 public:
  using key_type = parked_operations;
  using ticket = std::uint64_t;
  inline static boost::asio::execution_context::id id;

  explicit parked_operations(boost::asio::execution_context& context) : service(context) {}

  static parked_operations& of(const boost::asio::any_io_executor& ex) {
    return boost::asio::use_service<parked_operations>(boost::asio::query(ex, boost::asio::execution::context));
  }

  /// Keeps a handler until `complete` or cancellation, which gives it `aborted...`. Counts as outstanding work.
  template <class Handler, class... Args>
  ticket park(const boost::asio::any_io_executor& ex, Handler handler, Args... aborted) {
    return park_using(nullptr, ex, std::move(handler), aborted...);
  }

  /// The same; `use` is kept until the handler is called or destroyed.
  template <class Handler, class... Args>
  ticket park_using(std::shared_ptr<void> use, const boost::asio::any_io_executor& ex, Handler handler,
                    Args... aborted) {
    const ticket t = ++last_;
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    auto op = std::make_unique<operation<Handler, Args...>>(std::move(use), ex, std::move(handler));
    operations_.emplace(t, std::move(op));
    if (slot.is_connected()) {
      slot.assign([this, t, aborted...](boost::asio::cancellation_type) { complete(t, aborted...); });
    }
    return t;
  }

  bool is_parked(ticket t) const { return operations_.contains(t); }

  /// Posts the handler; nothing if it was completed before.
  template <class... Args>
  void complete(ticket t, Args... args) {
    const failing_allocations::spare s;
    auto found = operations_.find(t);
    if (found == operations_.end()) return;
    auto op = std::move(found->second);
    operations_.erase(found);
    static_cast<completion<Args...>&>(*op).complete(args...);
  }

 private:
  struct parked {
    virtual ~parked() = default;
  };
  template <class... Args>
  struct completion : parked {
    virtual void complete(Args... args) = 0;
  };
  template <class Handler, class... Args>
  struct operation final : completion<Args...> {
    operation(std::shared_ptr<void> u, const boost::asio::any_io_executor& ex, Handler h)
        : use(std::move(u)),
          work(boost::asio::prefer(ex, boost::asio::execution::outstanding_work.tracked)),
          handler(std::move(h)) {}

    void complete(Args... args) override {
      auto where = boost::asio::get_associated_executor(handler, boost::asio::any_completion_executor(work));
      boost::asio::post(work, boost::asio::bind_executor(where, [h = std::move(handler), args...]() mutable {
                          std::move(h)(std::move(args)...);
                        }));
    }

    std::shared_ptr<void> use;
    boost::asio::any_io_executor work;
    Handler handler;
  };

  void shutdown() override {
    // Destroying a handler can park or complete others.
    while (!operations_.empty()) {
      auto op = std::move(operations_.begin()->second);
      operations_.erase(operations_.begin());
    }
  }

  std::map<ticket, std::unique_ptr<parked>> operations_;
  ticket last_ = 0;
};

}  // namespace cocp::test
