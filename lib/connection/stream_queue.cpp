// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/stream_queue.hpp"

#include <iterator>

namespace cocp::detail {
namespace {

unsigned operation_of(const waiter& w) noexcept { return static_cast<const stream_waiter&>(w).operation(); }

}  // namespace

wait_list::iterator stream_queue::take(wait_list::iterator where, wait_list& into, error_code ec) noexcept {
  waiter& w = *where;
  w.waiting = false;
  w.error = ec;
  const auto next = waiters_.erase(where);
  into.push_back(w);
  return next;
}

void stream_queue::add(stream_waiter& w) noexcept {
  w.waiting = true;
  waiters_.push_back(w);
  word_.set(stream_word::queued);
}

void stream_queue::cancel(stream_waiter& w, wait_list& into) noexcept {
  take(wait_list::s_iterator_to(w), into, asio::error::operation_aborted);
}

bool stream_queue::take_all(wait_list& into, error_code ec) noexcept {
  bool operations = false;
  for (auto i = waiters_.begin(); i != waiters_.end();) {
    operations = operations || operation_of(*i) != 0;
    i = take(i, into, ec);
  }
  word_.clear(stream_word::queued);
  return operations;
}

void stream_queue::refuse(wait_list& into, unsigned operations, const loss_record& why) noexcept {
  for (auto i = waiters_.begin(); i != waiters_.end();) {
    const unsigned operation = operation_of(*i);
    i = operation & operations ? take(i, into, why.error_of(operation)) : std::next(i);
  }
  if (waiters_.empty()) word_.clear(stream_word::queued);
}

void stream_queue::refuse(wait_list& into, unsigned operation, error_code why) noexcept {
  for (auto i = waiters_.begin(); i != waiters_.end();) {
    i = operation_of(*i) == operation ? take(i, into, why) : std::next(i);
  }
  if (waiters_.empty()) word_.clear(stream_word::queued);
}

void stream_queue::release(wait_list& into, std::uint64_t generation) noexcept {
  for (auto i = waiters_.begin(); i != waiters_.end();) {
    auto& w = static_cast<stream_waiter&>(*i);
    if (w.operation() == 0 ? !stream_word::is_up(word_.load()) : !word_.begin(w.operation())) {
      ++i;
      continue;
    }
    w.begun = w.operation() != 0;
    w.generation = generation;
    i = take(i, into, {});
  }
  if (waiters_.empty()) word_.clear(stream_word::queued);
}

}  // namespace cocp::detail
