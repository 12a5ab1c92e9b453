// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/pool_core.hpp"

#include "net/check_options.hpp"
#include "pool/check_options.hpp"
#include "pool/explain.hpp"

#include <algorithm>
#include <utility>

namespace cocp::detail {
namespace {

/// What an attempt without a limit has, before nobody's need of it counts.
constexpr duration attempt_without_limit = std::chrono::seconds(5);

connection_options checked(connection_options o) {
  check(o);
  return o;
}

pool_options checked(pool_options o) {
  check(o);
  return o;
}

headcount::limits limits_of(const connection_options& c, const pool_options& p) noexcept {
  const duration idle = shelf::idle_limit(p);
  return {idle, std::max(idle, c.connect_timeout.value_or(attempt_without_limit))};
}

}  // namespace

// How it begins.

pool_core::pool_core(asio::any_io_executor ex, connection_options connection, pool_options options,
                     std::shared_ptr<shared_budget> budget)
    : dial_options_(checked(std::move(connection))),
      options_(checked(std::move(options))),
      env_(context_service::of(ex).environment()),
      ex_(std::move(ex)),
      alarm_(ex_, *env_, *this, nullptr),
      plain_put_(!options_.on_return && !options_.report_leases),
      shelf_(options_),
      headcount_(options_.size, options_.min_size, limits_of(dial_options_, options_)),
      dial_desk_(dial_options_, options_),
      ledger_(options_.report_leases),
      share_(budget ? std::make_unique<shared_budget::share>(std::move(budget), *this) : nullptr),
      to_(make_destination(dial_options_.address, dial_options_)) {
  context_service::of(ex_).add(*this);
}

void pool_core::start() {
  {
    const std::lock_guard lock(mutex_);
    grow();
  }
  while (build_slot()) continue;
  call_housekeeper();
}

// How it ends.

void pool_core::close() noexcept {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    begin_close(ended);
  }
  end_close(ended);
}

bool pool_core::begin_close_if_unused() noexcept {
  wait_list nobody;
  const std::lock_guard lock(mutex_);
  if (closed_ || is_used()) return false;
  begin_close(nobody);
  return true;
}

void pool_core::end_close() noexcept {
  wait_list nobody;
  end_close(nobody);
}

void pool_core::begin_close(wait_list& ended) noexcept {
  closed_ = true;
  plain_put_ = false;
  headcount_.unplan_all();
  const time_point now = env_->now();
  waiting_room_.end_all(line::lease, errc::closed, now, ended);
  waiting_room_.end_all(line::up, errc::closed, now, ended);
  if (share_) {
    share_->settle();
    give_up_places();
  }
  while (!shelf_.is_empty()) {
    slot& s = slot_of(shelf_.take());
    move(s, slot_event::gone);
    if (s.users().is_up()) {
      dial_desk_.down(s);
    } else {
      count_loss(s, s.users().last_loss());
    }
    // Not the last one: the caller has one.
    s.core_.reset();
  }
}

void pool_core::end_close(wait_list& ended) noexcept {
  complete_all(ended);
  for (std::size_t i = 0;; ++i) {
    slot* s = nullptr;
    bool in_use = false;
    {
      const std::lock_guard lock(mutex_);
      if (i == slots_.size()) break;
      s = slots_[i].get();
      in_use = is_out(*s) || s->owner() == slot_owner::moving;
    }
    // What is in use is stopped by whoever gives it back.
    if (in_use) {
      s->keeper->retire();
    } else {
      if (s->keeper->stop()) s->keeper->drop_words();
    }
  }
  alarm_.ring();
}

bool pool_core::is_drained() const noexcept {
  return closed_ && running_ == 0 && census_.count(slot_owner::leased) == 0 &&
         census_.count(slot_owner::detached) == 0 && census_.count(slot_owner::moving) == 0;
}

std::size_t pool_core::end_uses() noexcept {
  std::size_t met = 0;
  for (std::size_t i = 0;; ++i) {
    std::shared_ptr<kept_channel> users;
    {
      const std::lock_guard lock(mutex_);
      if (i == slots_.size()) return met;
      if (!is_out(*slots_[i])) continue;
      users = slots_[i]->keeper->users();
    }
    ++met;
    // A lease that ends meanwhile takes this along.
    users->close_use();
  }
}

void pool_core::finish_drain() noexcept {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    if (is_drained()) {
      waiting_room_.end_all(line::end, {}, env_->now(), ended);
      if (share_) share_->ring();
    }
    if (!housekept_) outbox_.take(ended);
    // The housekeeper may have stayed for them.
    if (closed_) alarm_.ring();
  }
  complete_all(ended);
}

void pool_core::on_context_shutdown() noexcept {
  wait_list dropped;
  session_list sessions;
  const asio::execution_context* context = nullptr;
  {
    const std::lock_guard lock(mutex_);
    context = context_of(ex_);
    closed_ = true;
    plain_put_ = false;
    headcount_.unplan_all();
    const time_point now = env_->now();
    for (const line l : {line::lease, line::up, line::end}) waiting_room_.end_all(l, errc::closed, now, dropped);
    outbox_.take(dropped);
    for (const auto& s : slots_) {
      // Whoever else has it may have references until he ends.
      if (s->owner() == slot_owner::idle || s->owner() == slot_owner::supervisor) {
        session_list unused = s->users().take_sessions();
        sessions.append(unused);
      }
      if (s->owner() == slot_owner::idle) {
        shelf_.remove(*s);
      } else if (s->owner() == slot_owner::hook) {
        end_hook(*s);
      } else {
        continue;
      }
      move(*s, slot_event::gone);
      // Not the last one: the caller has one.
      s->core_.reset();
    }
    ex_ = asio::any_io_executor();
  }
  const std::shared_ptr<void> kept = alarm_.shutdown();
  outbox::drop(dropped, *context);
}

// What is told of it.

std::size_t pool_core::connected() const noexcept {
  if (!closed_ || census_.count(slot_owner::leased) == 0) return dial_desk_.connections();
  // The supervisors have ended, and nobody tells of what is lost in a lease.
  return static_cast<std::size_t>(std::count_if(slots_.begin(), slots_.end(), [](const auto& s) {
    return s->owner() != slot_owner::detached && s->users().is_up();
  }));
}

cocp::stats pool_core::stats() const {
  const std::lock_guard lock(mutex_);
  cocp::stats s;
  s.connects = counters_.connects;
  s.connect_failures = counters_.connect_failures;
  s.disconnects = counters_.disconnects;
  s.replaced_dead = counters_.replaced_dead;
  s.replaced_dirty = counters_.replaced_dirty;
  s.replaced_expired = counters_.replaced_expired;
  s.tls_resumed = counters_.tls_resumed;
  if (create_time_) s.create_time = *create_time_;
  waiting_room_.report(s);
  dial_desk_.report(s);
  s.queued += headcount_.planned();
  if (ledger_.is_kept()) s.use_time = ledger_.use_time();
  s.size = headcount_.size();
  s.min_size = headcount_.min_size();
  s.connected = connected();
  s.idle = census_.count(slot_owner::idle);
  s.leased = census_.count(slot_owner::leased);
  s.detached = census_.count(slot_owner::detached);
  s.hooks = census_.count(slot_owner::hook);
  const std::size_t counted = s.idle + s.leased + s.hooks + s.connecting + s.queued;
  // A closed pool wants none, and has what has not ended yet.
  s.wanted = closed_ ? counted + census_.count(slot_owner::moving) : headcount_.wanted();
  s.resting = s.wanted - counted;
  s.gets = gets_ + settled_gets_.load(std::memory_order_relaxed);
  // Nobody looks at the clock when there is nothing to wait for.
  s.wait_time.record(duration::zero(), s.gets - s.waits);
  return s;
}

std::size_t pool_core::size() const noexcept {
  const std::lock_guard lock(mutex_);
  return headcount_.size();
}

std::shared_ptr<const destination> pool_core::current_address() const noexcept {
  const std::lock_guard lock(mutex_);
  return to_;
}

std::vector<lease_info> pool_core::leases() const {
  std::vector<lease_info> result;
  if (!ledger_.is_kept()) return result;
  const std::lock_guard lock(mutex_);
  result.reserve(census_.count(slot_owner::leased));
  // The time, not before: one could be taken in between, later than that.
  ledger_.for_each(env_->now(), [&result](const ledger::entry& e, lease_info info) {
    const kept_channel& users = static_cast<const slot&>(e).users();
    info.remote_endpoint = users.remote_endpoint();
    info.id = users.id();
    result.push_back(std::move(info));
  });
  return result;
}

std::string pool_core::explain(const char* what, error_code ec, std::optional<duration> waited) const {
  std::shared_ptr<const destination> to;
  situation now;
  {
    // No more than figures: in a flood of refusals this is the lock that the lucky ones need.
    const std::lock_guard lock(mutex_);
    to = to_;
    now.size = headcount_.size();
    now.up = connected();
    now.leased = census_.count(slot_owner::leased);
    now.hooks = census_.count(slot_owner::hook);
    now.waiting = waiting_room_.waiting();
    // Why an attempt failed is the reason only while attempts fail, and one is wanted that is not up.
    if (!closed_ && dial_desk_.failures() != 0 && dial_desk_.connections() < headcount_.wanted()) {
      now.last = dial_desk_.last_failure();
      now.age = env_->now() - now.last.at;
    }
  }
  return detail::explain(what, to->name, ec, waited, now);
}

}  // namespace cocp::detail
