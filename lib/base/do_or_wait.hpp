// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/impl/waiter.hpp>

#include <new>
#include <utility>

namespace cocp::detail {

/// Does it as soon as there is memory for it. Where nobody is left who could try again later, nothing is left but to
/// hold up this thread. What is thrown once `has_begun()` is not for lack of memory to
/// begin it.
template <class F, class HasBegun>
void do_or_wait(F f, HasBegun has_begun) {
  for (bool again = false;; again = true) {
    try {
      f();
      return;
    } catch (const std::bad_alloc&) {
      if (has_begun()) throw;
      if (again) wait_for_memory();
    }
  }
}
template <class F>
void do_or_wait(F f) {
  do_or_wait(std::move(f), [] { return false; });
}

}  // namespace cocp::detail
