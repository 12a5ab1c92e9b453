// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "allocations.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace {

std::atomic<std::uint64_t> count{0};

void counted() noexcept { count.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

// glibc lets a program replace these, and offers its own under other names
// (https://www.gnu.org/software/libc/manual/html_node/Replacing-malloc.html); `free` stays its own.
extern "C" {

void* __libc_malloc(std::size_t size) noexcept;
void* __libc_calloc(std::size_t n, std::size_t size) noexcept;
void* __libc_realloc(void* old, std::size_t size) noexcept;
void* __libc_memalign(std::size_t alignment, std::size_t size) noexcept;

void* malloc(std::size_t size) noexcept {
  counted();
  return __libc_malloc(size);
}

void* calloc(std::size_t n, std::size_t size) noexcept {
  counted();
  return __libc_calloc(n, size);
}

void* realloc(void* old, std::size_t size) noexcept {
  counted();
  return __libc_realloc(old, size);
}

void* memalign(std::size_t alignment, std::size_t size) noexcept {
  counted();
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  counted();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** out, std::size_t alignment, std::size_t size) noexcept {
  counted();
  void* p = __libc_memalign(alignment, size);
  if (!p) return ENOMEM;
  *out = p;
  return 0;
}

}  // extern "C"

namespace bench {

std::uint64_t allocations() noexcept { return count.load(std::memory_order_relaxed); }

}  // namespace bench
