// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/export.hpp>
#include <cocp/impl/waiter.hpp>

#include <cstdint>

namespace cocp::detail {

/// Waits until an operation may start on a stream, or for nothing but the stream to be up.
///
/// It is released with the operation begun on its behalf: from then on the operation is outstanding, and no lease or
/// supervisor can have the stream before it has ended.
class COCP_API stream_waiter : public waiter {
 public:
  explicit stream_waiter(unsigned operation) noexcept : operation_(operation) {}

  /// The bit of the operation that wants to start, 0 for none.
  unsigned operation() const noexcept { return operation_; }
  /// Set, under the channel's mutex, when the operation has begun.
  bool begun = false;
  /// The generation of the stream that was there when the wait for it ended. Likewise.
  std::uint64_t generation = 0;

 protected:
  ~stream_waiter() = default;

 private:
  const unsigned operation_;
};

}  // namespace cocp::detail
