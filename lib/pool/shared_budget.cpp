// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/shared_budget.hpp"

#include "pool/pool_core.hpp"

#include <mutex>
#include <type_traits>
#include <utility>

namespace cocp::detail {

shared_budget::shared_budget(const asio::any_io_executor& ex, environment& env, alarm::sleeper& who,
                             std::size_t max_connections, std::size_t max_dialling)
    : bell(ex, env, who, nullptr),
      budget_(max_connections, max_dialling),
      is_bounded_(max_connections != static_cast<std::size_t>(-1)) {}

template <class Change>
auto shared_budget::change(Change c) noexcept {
  std::unique_lock lock(mutex_);
  const auto answer = c(budget_);
  const bool has_work = budget_.next() || budget_.next_to_make_room();
  lock.unlock();
  if (has_work) bell.ring();
  return answer;
}

template <class Change>
void shared_budget::tell(Change c) noexcept {
  change([&c](budget& b) {
    c(b);
    return true;
  });
}

std::shared_ptr<pool_core> shared_budget::pool_of(budget::entry* e) noexcept {
  if (!e) return nullptr;
  // Its destructor takes it out of here before there is nothing left to ask.
  auto pool = static_cast<share*>(e)->whose_.weak_from_this().lock();
  if (!pool) budget_.remove(*e);
  return pool;
}

std::shared_ptr<pool_core> shared_budget::next() noexcept {
  const std::lock_guard lock(mutex_);
  for (budget::entry* e = nullptr; (e = budget_.next());) {
    if (auto pool = pool_of(e)) return pool;
  }
  return nullptr;
}

std::shared_ptr<pool_core> shared_budget::next_to_make_room() noexcept {
  const std::lock_guard lock(mutex_);
  for (budget::entry* e = nullptr; (e = budget_.next_to_make_room());) {
    if (auto pool = pool_of(e)) return pool;
  }
  return nullptr;
}

shared_budget::share::~share() {
  all_->tell([this](budget& b) { b.remove(*this); });
}

bool shared_budget::share::ask(bool has_place, budget::need n, time_point now) noexcept {
  return all_->change([&](budget& b) { return b.ask(*this, has_place, n, now); });
}

void shared_budget::share::waits(budget::need n) noexcept {
  all_->tell([&](budget& b) { b.waits(*this, n); });
}

void shared_budget::share::settle() noexcept {
  all_->tell([this](budget& b) { b.settle(*this); });
}

void shared_budget::share::dialling(std::size_t n) noexcept {
  all_->tell([&](budget& b) { b.dialling(*this, n); });
}

void shared_budget::share::give_up(bool left) noexcept {
  all_->tell([&](budget& b) { b.give_up(*this, left); });
}

void shared_budget::share::leaves() noexcept {
  all_->tell([this](budget& b) { b.leaves(*this); });
}

void shared_budget::share::press() noexcept {
  all_->tell([this](budget& b) { b.press(*this); });
}

bool shared_budget::share::claims() noexcept {
  return all_->change([this](budget& b) { return b.claims(*this); });
}

void shared_budget::share::asked() noexcept {
  if (!all_->is_bounded_) return;
  const std::lock_guard lock(all_->mutex_);
  all_->budget_.asked(*this);
}

}  // namespace cocp::detail
