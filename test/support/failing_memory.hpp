// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

// Included by one file of a program: has its allocations fail as `failing_allocations` says. Not beside a sanitizer,
// which has an aligned_alloc of its own.

#include "failing_allocations.hpp"

#include <cstddef>
#include <cstdlib>
#include <new>

// Asio allocates with aligned_alloc what the standard library does with operator new.
void* operator new(std::size_t size) {
  if (cocp::test::failing_allocations::strikes()) throw std::bad_alloc();
  if (void* p = std::malloc(size ? size : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  if (cocp::test::failing_allocations::strikes()) return nullptr;
  void* p = nullptr;
  return ::posix_memalign(&p, alignment, size) == 0 ? p : nullptr;
}
