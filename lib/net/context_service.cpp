// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/context_service.hpp"

#include "net/system_environment.hpp"

#include <cocp/impl/stream.hpp>

#include <boost/asio/query.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <utility>

namespace cocp::detail {

asio::execution_context::id context_service::id;

shutdown_target::~shutdown_target() {
  if (service_) service_->remove(*this);
}

context_service::context_service(asio::execution_context& context)
    : asio::execution_context::service(context), environment_(system_environment()) {}

context_service& context_service::of(const asio::any_io_executor& ex) {
  asio::execution_context& context = asio::query(ex, asio::execution::context);
  if (!asio::has_service<context_service>(context)) {
    // Services are shut down from the youngest on: this one before Asio's strands, which destroy what is queued there,
    // and before its reactor, of which sockets that another thread closes just then are no concern any more.
    asio::make_strand(ex);
    const plain_socket socket(ex);
    const asio::steady_timer timer(ex);
  }
  return asio::use_service<context_service>(context);
}

std::shared_ptr<environment> context_service::environment() const {
  const std::lock_guard lock(mutex_);
  return environment_;
}

void context_service::set_environment(std::shared_ptr<cocp::detail::environment> env) {
  const std::lock_guard lock(mutex_);
  environment_ = std::move(env);
}

void context_service::add(shutdown_target& target) {
  const std::lock_guard lock(mutex_);
  targets_.push_back(target);
  target.service_ = this;
}

void context_service::add(std::shared_ptr<context_dependant> dependant) {
  const std::lock_guard lock(mutex_);
  if (dependants_.size() >= next_look_) {
    std::erase_if(dependants_, [](const auto& d) { return d->has_ended(); });
    // Twice as many: to look costs no more than to add.
    next_look_ = 2 * (dependants_.size() + 1);
  }
  dependants_.push_back(std::move(dependant));
}

void context_service::remove(shutdown_target& target) noexcept {
  const std::lock_guard lock(mutex_);
  if (target.is_linked()) targets_.erase(targets_.iterator_to(target));
}

void context_service::shutdown() {
  // Shutting one down can destroy frames that own others: look at the list anew each time.
  for (;;) {
    shutdown_target* target = nullptr;
    std::shared_ptr<void> keep;
    {
      const std::lock_guard lock(mutex_);
      if (targets_.empty()) break;
      target = &targets_.front();
      targets_.pop_front();
      target->service_ = nullptr;
      keep = target->hold();
    }
    if (keep) target->on_context_shutdown();
  }
  for (;;) {
    std::vector<std::shared_ptr<context_dependant>> all;
    {
      const std::lock_guard lock(mutex_);
      all.swap(dependants_);
    }
    if (all.empty()) break;
    for (const auto& d : all) d->on_context_shutdown();
  }
  environment()->on_context_shutdown(context());
}

}  // namespace cocp::detail
