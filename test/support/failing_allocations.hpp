// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <new>

namespace cocp::test {

/// Has one allocation of this thread fail. Whoever replaces the functions that allocate asks (see allocation_test).
class failing_allocations {
 public:
  /// The n-th from now on fails; 0: none does.
  static void arm(std::size_t n) noexcept { left_ = n; }
  /// True if it has not failed yet.
  static bool armed() noexcept { return left_ != 0; }
  /// True if this one fails.
  static bool strikes() noexcept { return left_ != 0 && spared_ == 0 && --left_ == 0; }

  /// None fails as long as this lives: for what takes no memory in the real world.
  class spare {
   public:
    spare() noexcept { ++spared_; }
    ~spare() { --spared_; }
    spare(const spare&) = delete;
    spare& operator=(const spare&) = delete;
  };

  /// The one allocation with which a real operation starts; whatever its imitation takes after that is spared.
  class start {
   public:
    start() {
      if (strikes()) throw std::bad_alloc();
      ++spared_;
    }
    ~start() { --spared_; }
    start(const start&) = delete;
    start& operator=(const start&) = delete;
  };

 private:
  inline static thread_local std::size_t left_ = 0;
  inline static thread_local unsigned spared_ = 0;
};

}  // namespace cocp::test
