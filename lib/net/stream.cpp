// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/impl/stream.hpp>

#include <atomic>

namespace cocp::detail {
namespace {

std::atomic<std::uint64_t> highest_id{0};

}  // namespace

stream::stream() noexcept : id_(highest_id.fetch_add(1, std::memory_order_relaxed) + 1) {}

std::uint64_t stream::last_id() noexcept { return highest_id.load(std::memory_order_relaxed); }

}  // namespace cocp::detail
