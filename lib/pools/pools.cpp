// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/pools.hpp>

#include "base/error_text.hpp"
#include "pools/pools_core.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace cocp {
namespace detail {
namespace {

using core_ptr = std::shared_ptr<pools_core>;

/// Until all of closed pools have ended, or until then: false if that was not enough.
asio::awaitable<bool> await_end_of_all(core_ptr core, std::optional<time_point> until) {
  // Its own: more than one wait is to come.
  const auto all = core->all();
  for (const std::shared_ptr<pool_core>& p : all) {
    if (p->has_ended()) continue;
    std::optional<duration> limit;
    if (until) limit = std::max(*until - core->now(), duration::zero());
    const bool has_ended = co_await await_end(p, limit);
    if (!has_ended) co_return false;
  }
  co_return true;
}

}  // namespace

asked_pool::asked_pool(std::shared_ptr<pools_core> all, std::string_view address)
    : all_(std::move(all)), found_(all_->ask(address, error_)) {}

asked_pool::~asked_pool() {
  if (found_) pools_core::unpin(*found_);
}

void asked_pool::require(const char* what) const {
  if (error_) throw text_error(error_, std::string(what) + ": " + error_.message());
}

const std::shared_ptr<pool_core>& asked_pool::core() const noexcept { return found_->core; }

asio::any_io_executor executor_of(const pools_core& all) noexcept { return all.get_executor(); }

namespace {

template <pool_core::taker Who>
lease take(pools_core& all, std::string_view address, std::source_location where) {
  error_code why;
  kept_pool* const p = all.ask(address, why);
  if (!p) return lease();
  lease l = p->core->take_idle<Who>(where);
  pools_core::unpin(*p);
  return l;
}

}  // namespace

lease take_idle(const std::shared_ptr<pools_core>& all, std::string_view address, std::source_location where) {
  return take<pool_core::taker::goes_on>(*all, address, where);
}

}  // namespace detail

namespace asio = boost::asio;

pools::pools(executor_type ex, connection_options each, pool_options of_each, pools_options all)
    : core_(std::make_shared<detail::pools_core>(std::move(ex), std::move(each), std::move(of_each), all)) {
  core_->start();
}

pools::~pools() { core_->close(); }

pools::executor_type pools::get_executor() const { return core_->get_executor(); }

lease pools::try_get(std::string_view address, std::source_location where) {
  return detail::take<detail::pool_core::taker::does_not_wait>(*core_, address, where);
}

void pools::renew() noexcept { core_->renew(); }

void pools::close() noexcept {
  // Those whose wait ends with this may be done with the pools.
  const detail::core_ptr core = core_;
  core->close();
}

asio::awaitable<void> pools::drain() {
  const detail::core_ptr core = core_;
  core->close();
  co_await detail::await_end_of_all(core, std::nullopt);
}

asio::awaitable<std::size_t> pools::drain(duration limit) {
  const detail::core_ptr core = core_;
  core->close();
  std::size_t ended = 0;
  const std::optional<detail::time_point> until = detail::later(core->now(), std::max(limit, duration::zero()));
  const bool in_time = co_await detail::await_end_of_all(core, until);
  if (in_time) co_return ended;
  for (const auto& p : core->all()) ended += p->end_uses();
  const std::optional<detail::time_point> last = detail::later(core->now(), detail::drain_grace);
  co_await detail::await_end_of_all(core, last);
  co_return ended;
}

pools_stats pools::stats() const { return std::move(core_->stats().all); }

const detail::pools_core& detail::core_of(const pools& p) noexcept { return *p.core_; }

}  // namespace cocp
