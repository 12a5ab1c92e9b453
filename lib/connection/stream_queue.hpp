// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "connection/loss.hpp"

#include <cocp/impl/stream_waiter.hpp>
#include <cocp/impl/stream_word.hpp>

#include <cstdint>

namespace cocp::detail {

/// Those who wait for a direction of a stream to be free, or for the stream to be up, in order of arrival.
///
/// Who is taken out has his result, and is put into a list, to be completed under no mutex.
///
/// Of a channel, and guarded by its mutex. In the channel's word it sets `queued` for who comes, and clears it when it
/// finds that nobody is left; and it begins the operations of those whom it releases.
class stream_queue {
 public:
  explicit stream_queue(stream_word& w) noexcept : word_(w) {}

  void add(stream_waiter& w) noexcept;
  /// Of one who is in it.
  void cancel(stream_waiter& w, wait_list& into) noexcept;
  /// True if one of them wanted to start an operation.
  bool take_all(wait_list& into, error_code ec) noexcept;
  /// Those who wait to start an operation that cannot start on this stream any more: they are told why it was lost.
  void refuse(wait_list& into, unsigned operations, const loss_record& why) noexcept;
  /// The same, for whatever reason.
  void refuse(wait_list& into, unsigned operation, error_code why) noexcept;
  /// Those who may go on now, each with its operation begun on the stream of that generation.
  void release(wait_list& into, std::uint64_t generation) noexcept;

 private:
  /// `where` is of one who is in it; the next one.
  wait_list::iterator take(wait_list::iterator where, wait_list& into, error_code ec) noexcept;

  stream_word& word_;
  wait_list waiters_;
};

}  // namespace cocp::detail
