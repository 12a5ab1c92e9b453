// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/impl/stream.hpp>

#include <atomic>

namespace cocp::detail {
namespace {

std::uint64_t next_id() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

stream::stream() noexcept : id_(next_id()) {}

}  // namespace cocp::detail
