// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "base/adaptive_mutex.hpp"

namespace cocp::detail {
namespace {

/// The first look comes after so many, each further one after twice as many as the one before, until the limit: some
/// ten microseconds in all. Fewer would find it sooner, and have two threads that meet all the time take it in turns
/// (bench/cocp-contention).
constexpr unsigned least_pauses = 64;
constexpr unsigned most_pauses = 256;

/// Lets the core's other thread run, for some ten to a hundred cycles.
void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

}  // namespace

void adaptive_mutex::lock_slowly() noexcept {
  for (unsigned pauses = least_pauses; pauses <= most_pauses; pauses *= 2) {
    for (unsigned n = 0; n != pauses; ++n) pause();
    if (state_.load(std::memory_order_relaxed) == free && try_lock()) return;
  }
  // Whoever has slept cannot know whether he was the last.
  while (state_.exchange(awaited, std::memory_order_acquire) != free) state_.wait(awaited, std::memory_order_relaxed);
}

void adaptive_mutex::wake_one() noexcept { state_.notify_one(); }

}  // namespace cocp::detail
