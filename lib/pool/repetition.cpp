// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/impl/repetition.hpp>

#include "base/check.hpp"
#include "pool/pool_core.hpp"

#include <algorithm>
#include <optional>

namespace cocp::detail {
namespace {

run_options checked(const run_options& o) {
  if (o.tries == 0) reject("tries", "0", "be at least 1");
  if (o.timeout) require_not_negative("timeout", *o.timeout);
  return o;
}

}  // namespace

repetition::repetition(std::shared_ptr<pool_core> core, const run_options& options, std::source_location where)
    : core_(std::move(core)),
      options_(checked(options)),
      where_(where),
      until_(options_.timeout ? later(core_->now(), *options_.timeout) : time_point::max()),
      newest_(stream::last_id()) {}

repetition::~repetition() { lift(); }

boost::asio::awaitable<lease> repetition::next() {
  const bool is_last_repeat = ++tries_ == options_.tries && tries_ != 1;
  // What an error says of the first wait is what its user has said.
  std::optional<duration> limit = options_.timeout;
  if (limit && tries_ != 1) limit = std::max(until_ - core_->now(), duration::zero());
  lease l = core_->take_idle<pool_core::taker::goes_on>(where_);
  if (!l) l = co_await await_lease(core_, limit, where_);
  const auto users = static_cast<slot&>(*l).keeper->users();
  bound(*users, until_);
  if (is_last_repeat && l->id() <= newest_) {
    if (until_ == time_point::max() && core_->options().get_timeout) {
      bound(*users, later(core_->now(), *core_->options().get_timeout));
    }
    users->give_up_stream();
    co_await l->ready();
    if (until_ == time_point::max()) lift();
  }
  co_return l;
}

bool repetition::goes_on(const lease& l) noexcept {
  lift();
  if (options_.again == retry::never || tries_ == options_.tries || !l) return false;
  const channel& used = *static_cast<slot&>(*l).keeper->users();
  if (!used.was_lost()) return false;
  return !used.has_sent() || (options_.again == retry::unanswered && !used.has_got() && l.reused());
}

void repetition::bound(channel& c, time_point t) {
  if (t == time_point::max()) return;
  c.bound_use(t, this);
  bounded_ = c.shared_from_this();
}

void repetition::lift() noexcept {
  if (bounded_) std::exchange(bounded_, nullptr)->lift_bound(this);
}

}  // namespace cocp::detail
