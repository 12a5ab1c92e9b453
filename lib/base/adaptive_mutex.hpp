// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

namespace cocp::detail {

/// Nobody has started a thread: then atomic steps need not be atomic, as glibc's own mutexes have it.
inline bool is_single_threaded() noexcept {
#if __has_include(<sys/single_threaded.h>)
  return __libc_single_threaded;
#else
  return false;
#endif
}

/// A mutex for what takes a few instructions. It is taken and let go inline; who finds it taken looks again a few
/// times, ever later, since sleeping costs a hundred times what it guards, and then sleeps (futex(2), by
/// `std::atomic::wait`).
///
/// Not fair: a thread that comes back at once may overtake those that look or sleep. So the caches' lines move seldom,
/// which is what two threads that meet all the time pay for.
///
/// It may be destroyed by who takes it next, even before `unlock` has returned: that touches it no more once it is
/// free, but for its address.
///
/// Neither recursive, nor robust, nor known to ThreadSanitizer's search for deadlocks; what it orders is.
class adaptive_mutex {
 public:
  adaptive_mutex() = default;
  adaptive_mutex(const adaptive_mutex&) = delete;
  adaptive_mutex& operator=(const adaptive_mutex&) = delete;

  void lock() noexcept {
    if (!try_lock()) [[unlikely]]
      lock_slowly();
  }
  bool try_lock() noexcept {
    unsigned before = free;
    if (is_single_threaded()) {
      before = state_.load(std::memory_order_relaxed);
      if (before == free) state_.store(taken, std::memory_order_relaxed);
      return before == free;
    }
    return state_.compare_exchange_strong(before, taken, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() noexcept {
    // Nobody starts a thread while he holds it.
    if (is_single_threaded()) {
      state_.store(free, std::memory_order_relaxed);
    } else if (state_.exchange(free, std::memory_order_release) == awaited) [[unlikely]] {
      wake_one();
    }
  }

  /// Somebody sleeps until it is let go, or did. For tests.
  bool is_awaited() const noexcept { return state_.load(std::memory_order_relaxed) == awaited; }

 private:
  enum : unsigned { free, taken, awaited };

  [[gnu::cold]] void lock_slowly() noexcept;
  [[gnu::cold]] void wake_one() noexcept;

  std::atomic<unsigned> state_{free};
};

}  // namespace cocp::detail
