// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pools/pools_core.hpp"

#include "base/check.hpp"
#include "net/check_options.hpp"
#include "pool/check_options.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>

namespace cocp::detail {
namespace {

/// However much is to be done, others get at the executor in between.
constexpr unsigned most_in_a_turn = 256;
/// However short `unused_for` is, a pool that is in use is looked at no more often.
constexpr duration least_pause = std::chrono::milliseconds(100);

connection_options common(connection_options o) {
  check(o);
  // Each has its address.
  o.address.clear();
  o.name.clear();
  return o;
}

pool_options common(pool_options o) {
  if (!o.min_size) o.min_size = 0;
  check(o);
  return o;
}

pools_options checked_bounds(const pools_options& o, const pool_options& each) {
  if (o.unused_for) require_positive("unused_for", *o.unused_for);
  if (o.max_connections == 0) reject("max_connections", "0", "be at least 1");
  if (*each.min_size > o.max_connections) {
    reject("min_size", std::to_string(*each.min_size),
           "not be more than max_connections (" + std::to_string(o.max_connections) + ")");
  }
  if (o.max_dialling == 0) reject("max_dialling", "0", "be at least 1");
  if (o.max_pools == 0) reject("max_pools", "0", "be at least 1");
  return o;
}

void add_up(stats& sum, const stats& s) noexcept {
  for (const auto gauge :
       {&stats::size, &stats::min_size, &stats::waiting, &stats::connected, &stats::wanted, &stats::idle,
        &stats::leased, &stats::hooks, &stats::connecting, &stats::queued, &stats::resting, &stats::detached}) {
    sum.*gauge += s.*gauge;
  }
  for (const auto counter : {&stats::gets, &stats::waits, &stats::timeouts, &stats::cancelled, &stats::rejected,
                             &stats::connects, &stats::connect_failures, &stats::disconnects, &stats::replaced_dead,
                             &stats::replaced_dirty, &stats::replaced_expired, &stats::tls_resumed}) {
    sum.*counter += s.*counter;
  }
  for (const auto times : {&stats::wait_time, &stats::create_time, &stats::use_time}) (sum.*times).add(s.*times);
}

/// Of one that has ended: what is counted, and no gauge.
void add_counters(stats& sum, stats s) noexcept {
  s.size = s.min_size = s.wanted = s.idle = s.connected = s.resting = 0;
  add_up(sum, s);
}

}  // namespace

pools_core::pools_core(asio::any_io_executor ex, connection_options each, pool_options of_each, pools_options all)
    : each_(common(std::move(each))),
      of_each_(common(std::move(of_each))),
      options_(checked_bounds(all, of_each_)),
      env_(context_service::of(ex).environment()),
      budget_(std::make_shared<shared_budget>(ex, *env_, static_cast<alarm::sleeper&>(*this), options_.max_connections,
                                              options_.max_dialling)),
      ex_(std::move(ex)) {
  context_service::of(ex_).add(*this);
}

void pools_core::start() { budget_->bell.begin(shared_from_this()); }

// Somebody asks.

kept_pool* pools_core::ask(std::string_view address, error_code& why) {
  const auto is_refused = [this, &why](bool has_room) {
    if (closed_) {
      why = errc::closed;
    } else if (!has_room) {
      why = errc::overloaded;
    }
    return closed_ || !has_room;
  };
  {
    const std::lock_guard lock(mutex_);
    kept_pool* const p = closed_ ? nullptr : pinned(address);
    if (p) return p;
    if (is_refused(pools_.size() < options_.max_pools || find_unused())) return nullptr;
  }
  std::shared_ptr<pool_core> fresh = make(address);
  std::shared_ptr<pool_core> gone;
  kept_pool* p = nullptr;
  const auto keep = [&] {
    const std::lock_guard lock(mutex_);
    leaving_.reserve(leaving_.size() + 2);
    std::string text(address);
    p = closed_ ? nullptr : pinned(address);
    kept_pool* const unused = p || pools_.size() < options_.max_pools ? nullptr : find_unused();
    // Another was quicker, or there is no room any more.
    if (p || is_refused(pools_.size() < options_.max_pools || unused)) {
      leaving_.push_back(fresh);
      gone = fresh;
      return;
    }
    const auto [place, is_new] = pools_.try_emplace(std::move(text), fresh);
    p = &place->second;
    p->address = place->first;
    p->pins.fetch_add(1, std::memory_order_relaxed);
    by_birth_.push_back(*p);
    by_asked_.push_back(*p);
    note_asked(*p);
    if (options_.unused_for) check_by(*p, later(p->asked_at, *options_.unused_for));
    if (unused) gone = remove_if_unused(*unused);
  };
  try {
    keep();
  } catch (...) {
    fresh->close();
    throw;
  }
  if (gone == fresh && gone) {
    gone->close();
  } else if (gone) {
    gone->end_close();
  }
  return p;
}

kept_pool* pools_core::pinned(std::string_view address) noexcept {
  const auto found = pools_.find(address);
  if (found == pools_.end()) return nullptr;
  kept_pool& p = found->second;
  p.pins.fetch_add(1, std::memory_order_relaxed);
  note_asked(p);
  return &p;
}

void pools_core::note_asked(kept_pool& p) noexcept {
  p.asked_at = env_->now();
  by_asked_.splice(by_asked_.end(), by_asked_, by_asked_.iterator_to(p));
  p.core->asked();
}

std::shared_ptr<pool_core> pools_core::make(std::string_view address) const {
  connection_options dial = each_;
  dial.address = address;
  auto core = std::make_shared<pool_core>(get_executor(), std::move(dial), of_each_, budget_);
  try {
    core->start();
  } catch (...) {
    core->close();
    throw;
  }
  return core;
}

// One goes.

kept_pool* pools_core::find_unused() noexcept {
  for (kept_pool& p : by_asked_) {
    if (p.pins.load(std::memory_order_acquire) == 0 && !p.core->is_in_use()) return &p;
  }
  return nullptr;
}

std::shared_ptr<pool_core> pools_core::remove_if_unused(kept_pool& p) noexcept {
  if (p.pins.load(std::memory_order_acquire) != 0 || !p.core->begin_close_if_unused()) return nullptr;
  auto gone = p.core;
  leaving_.push_back(gone);
  by_birth_.erase(by_birth_.iterator_to(p));
  by_asked_.erase(by_asked_.iterator_to(p));
  if (options_.unused_for) by_check_.erase(by_check_.iterator_to(p));
  pools_.erase(pools_.find(p.address));
  return gone;
}

void pools_core::check_by(kept_pool& p, time_point t) noexcept {
  p.check_at = t;
  by_check_.insert(p);
  if (t >= sleeps_until_) return;
  sleeps_until_ = t;
  budget_->bell.ring();
}

// In its own time.

void pools_core::on_alarm(std::shared_ptr<void> keep) noexcept {
  time_point next = turn();
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    next = std::min(next, by_check_.empty() ? time_point::max() : by_check_.begin()->check_at);
    sleeps_until_ = next;
  }
  budget_->bell.sleep_until(next, std::move(keep));
}

time_point pools_core::turn() noexcept {
  const time_point now = env_->now();
  unsigned left = most_in_a_turn;
  std::shared_ptr<pool_core> p;
  for (; left != 0 && (p = budget_->next()); --left) p->ask_again();
  for (; left != 0 && (p = budget_->next_to_make_room()); --left) p->make_room();
  time_point next = time_point::max();
  for (; left != 0 && remove_next(now, next); --left) {
  }
  bury();
  return left == 0 ? now : next;
}

bool pools_core::remove_next(time_point now, time_point& next) noexcept {
  std::shared_ptr<pool_core> gone;
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || by_check_.empty() || by_check_.begin()->check_at > now) return false;
    kept_pool& p = *by_check_.begin();
    const time_point used_at = std::max(p.asked_at, p.core->used_at(now));
    const time_point due = later(used_at, *options_.unused_for);
    try {
      if (due <= now) {
        leaving_.reserve(leaving_.size() + 1);
        gone = remove_if_unused(p);
      }
    } catch (const std::bad_alloc&) {
      next = later(now, redelivery_pause);
      return false;
    }
    if (!gone) {
      by_check_.erase(by_check_.iterator_to(p));
      const bool is_in_use = used_at >= now || due <= now;
      check_by(p, is_in_use ? later(now, std::max(*options_.unused_for, least_pause)) : due);
    }
  }
  if (gone) gone->end_close();
  return true;
}

void pools_core::bury() noexcept {
  for (std::size_t i = 0;;) {
    // It goes when the mutex is let go.
    std::shared_ptr<pool_core> ended;
    const std::lock_guard lock(mutex_);
    while (i < leaving_.size() && !leaving_[i]->has_ended()) ++i;
    if (i >= leaving_.size()) return;
    ended.swap(leaving_[i]);
    leaving_[i].swap(leaving_.back());
    leaving_.pop_back();
    has_removed_ = true;
    add_counters(removed_, ended->stats());
  }
}

// All of them.

void pools_core::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
  }
  // No more come, and none goes.
  for (auto& [address, p] : pools_) p.core->close();
  budget_->bell.ring();
}

void pools_core::renew() noexcept {
  // In the order in which they were made: those that come meanwhile come last, and none goes that is pinned.
  locked lock(mutex_);
  for (auto i = by_birth_.begin(); i != by_birth_.end();) {
    kept_pool& p = *i;
    p.pins.fetch_add(1, std::memory_order_relaxed);
    lock.unlock();
    p.core->renew();
    lock.lock();
    ++i;
    unpin(p);
  }
}

pools_core::snapshot pools_core::stats() const {
  std::vector<std::pair<std::string, std::shared_ptr<pool_core>>> now;
  std::vector<std::shared_ptr<pool_core>> leaving;
  snapshot result;
  {
    const std::lock_guard lock(mutex_);
    now.reserve(pools_.size());
    for (const auto& [address, p] : pools_) now.emplace_back(address, p.core);
    leaving = leaving_;
    result.has_removed = has_removed_ || !leaving.empty();
    result.removed = removed_;
  }
  for (const auto& p : leaving) add_up(result.removed, p->stats());
  result.all.sum = result.removed;
  for (auto& [address, p] : now) {
    const cocp::stats s = p->stats();
    add_up(result.all.sum, s);
    result.all.emplace(std::move(address), s);
  }
  return result;
}

std::vector<std::shared_ptr<pool_core>> pools_core::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<pool_core>> result(leaving_);
  result.reserve(leaving_.size() + pools_.size());
  for (const auto& [address, p] : pools_) result.push_back(p.core);
  return result;
}

asio::any_io_executor pools_core::get_executor() const noexcept {
  const std::lock_guard lock(mutex_);
  return ex_;
}

void pools_core::on_context_shutdown() noexcept {
  // The last to go.
  const std::shared_ptr<void> kept = budget_->bell.shutdown();
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    ex_ = asio::any_io_executor();
  }
}

}  // namespace cocp::detail
