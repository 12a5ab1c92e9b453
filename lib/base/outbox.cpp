// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "base/outbox.hpp"

namespace cocp::detail {
namespace {

waiter& take_first(wait_list& list) noexcept {
  waiter& w = list.front();
  list.pop_front();
  return w;
}

}  // namespace

outbox::~outbox() {
  while (!refused_.empty()) take_first(refused_).destroy();
}

bool outbox::send_all(wait_list& ended) noexcept {
  wait_list refused;
  while (!ended.empty()) {
    // Out of the list first: it may be gone before `complete` returns.
    waiter& w = take_first(ended);
    try {
      w.complete();
    } catch (...) {
      refused.push_back(w);
    }
  }
  ended.swap(refused);
  return ended.empty();
}

void outbox::drop(wait_list& ended, const asio::execution_context& context) noexcept {
  while (!ended.empty()) end_with_context(take_first(ended), context);
}

void outbox::keep(wait_list& refused, time_point now) noexcept {
  if (refused.empty()) return;
  if (refused_.empty()) due_ = later(now, redelivery_pause);
  refused_.splice(refused_.end(), refused);
}

void outbox::take(wait_list& again) noexcept { again.splice(again.end(), refused_); }

}  // namespace cocp::detail
