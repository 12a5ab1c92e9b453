// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/pool.hpp>

#include "base/error_text.hpp"
#include "pool/pool_core.hpp"

// By which the handlers inside others keep their associates.
#include <cocp/impl/operation.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace cocp {
namespace {

namespace asio = boost::asio;
using core_ptr = std::shared_ptr<detail::pool_core>;

/// Waits as an `event_waiter`, which `wait` starts.
template <class Wait>
asio::awaitable<error_code> wait_for_event(core_ptr core, Wait wait) {
  error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  auto initiate = [core, wait](auto handler) {
    using op = detail::wait_op<detail::event_waiter, decltype(handler)>;
    wait(*op::create(std::move(handler), core->get_executor(), core));
  };
  co_await asio::async_initiate<decltype(token), void(error_code)>(std::move(initiate), token);
  co_return ec;
}

/// The handler of a wait for a lease: calls the one inside as a coroutine is told, with an exception that says more.
template <class Handler>
struct told_of_lease {
  using wrapped_handler = Handler;

  core_ptr core;
  std::optional<duration> timeout;
  Handler handler;

  void operator()(error_code ec, lease got) {
    std::exception_ptr why = ec ? failure(ec) : nullptr;
    // Who goes on may do so for long, and may have destroyed the pool.
    core.reset();
    std::move(handler)(std::move(why), std::move(got));
  }

  std::exception_ptr failure(error_code ec) const noexcept {
    try {
      return detail::make_text_error(ec, core->explain("get", ec, timeout ? timeout : core->options().get_timeout));
    } catch (...) {
      return std::current_exception();
    }
  }
};

}  // namespace

// No coroutine: Asio keeps the frames of two for a thread, and who awaits this and Asio's own are two.
asio::awaitable<lease> detail::await_lease(std::shared_ptr<pool_core> core, std::optional<duration> timeout,
                                           std::source_location where) {
  auto initiate = [core = std::move(core), timeout, where]<class Handler>(Handler handler) mutable {
    using told = told_of_lease<Handler>;
    pool_core& asked = *core;
    const std::shared_ptr<wait_owner> queue = core;
    told own{std::move(core), timeout, std::move(handler)};
    detail::wait_for_lease(asked, *wait_op<lease_waiter, told>::create(std::move(own), asked.get_executor(), queue),
                           timeout, where);
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr, lease)>(std::move(initiate),
                                                                                              asio::use_awaitable);
}

asio::awaitable<bool> detail::await_end(std::shared_ptr<pool_core> core, std::optional<duration> limit) {
  auto wait = [core, limit](event_waiter& w) { core->wait_until_drained(w, limit); };
  const error_code ec = co_await wait_for_event(core, std::move(wait));
  if (ec && ec != errc::timed_out) throw text_error(ec, "drain: " + ec.message());
  co_return !ec;
}

pool::pool(executor_type ex, connection_options connection, pool_options options)
    : core_(std::make_shared<detail::pool_core>(std::move(ex), std::move(connection), std::move(options))) {
  try {
    core_->start();
  } catch (...) {
    // What has started keeps the rest alive.
    core_->close();
    throw;
  }
}

pool::~pool() { core_->close(); }

pool::executor_type pool::get_executor() const { return core_->get_executor(); }

asio::awaitable<void> pool::ready(std::size_t n) {
  const auto too_much = [n](std::size_t size) {
    return "ready: " + std::to_string(n) + ": must not be more than size (" + std::to_string(size) + ")";
  };
  const std::size_t size_before = core_->size();
  if (n > size_before) throw std::invalid_argument(too_much(size_before));
  const core_ptr core = core_;
  auto wait = [core, n](detail::event_waiter& w) { core->wait_until_up(w, n); };
  const error_code ec = co_await wait_for_event(core, std::move(wait));
  if (ec == detail::too_many()) {
    if (const std::size_t size = core->size(); n > size) throw detail::text_error(ec, too_much(size));
  }
  if (ec) throw detail::text_error(ec, core->explain("ready", ec, core->options().get_timeout));
}

void pool::resize(std::size_t n) { core_->resize(n); }

void pool::readdress(std::string address) { core_->readdress(std::move(address)); }

void pool::renew() noexcept { core_->renew(); }

void pool::retry_now() noexcept { core_->retry_now(); }

std::vector<lease_info> pool::leases() const { return core_->leases(); }

void pool::close() noexcept {
  // Those whose wait ends with this may be done with the pool.
  const core_ptr core = core_;
  core->close();
}

asio::awaitable<void> pool::drain() {
  const core_ptr core = core_;
  core->close();
  co_await detail::await_end(core, std::nullopt);
}

asio::awaitable<std::size_t> pool::drain(duration limit) {
  const core_ptr core = core_;
  core->close();
  std::size_t ended = 0;
  for (const bool is_last : {false, true}) {
    const duration t = is_last ? detail::drain_grace : std::max(limit, duration::zero());
    const bool has_ended = co_await detail::await_end(core, t);
    if (has_ended) break;
    if (!is_last) ended = core->end_uses();
  }
  co_return ended;
}

stats pool::stats() const { return core_->stats(); }

const detail::pool_core& detail::core_of(const pool& p) noexcept { return *p.core_; }

}  // namespace cocp
