// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/impl/raw_stream.hpp>
#include <cocp/impl/stream.hpp>

#include <atomic>

namespace cocp::detail {
namespace {

std::atomic<std::uint64_t> highest_id{0};

}  // namespace

stream::stream() noexcept : id_(highest_id.fetch_add(1, std::memory_order_relaxed) + 1) {}

std::size_t raw_stream::send_otherwise(const std::vector<asio::const_buffer>& buffers, error_code& ec) {
  has_kept_ = false;
  std::size_t sent = 0;
  if (!stream_) return sent;
  for (const asio::const_buffer& b : buffers) {
    const sent_now some = stream_->write_now(b, ec);
    sent += some.taken;
    if (some.taken != 0) has_kept_ = !some.all_gone;
    if (ec || some.taken != b.size()) break;
  }
  return sent;
}

std::uint64_t stream::last_id() noexcept { return highest_id.load(std::memory_order_relaxed); }

}  // namespace cocp::detail
