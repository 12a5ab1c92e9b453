// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace cocp::detail {

/// Why one goes whose user has ended his side.
inline constexpr const char* halved_words = "its sending side was shut down";

/// How a lease left its stream.
enum class leftover {
  unused,  ///< Up; no operation was started.
  used,    ///< Up; all operations ended well.
  dirty,   ///< Was up, and is now being replaced.
  down,    ///< Lost, down, or on its way back.
};

/// It may be used again.
constexpr bool is_clean(leftover l) noexcept { return l == leftover::unused || l == leftover::used; }

/// What is known of a lease when it ends, besides the channel's word.
struct lease_end {
  /// The stream is to be replaced in any case.
  bool unwanted = false;
  /// An operation was waiting to start.
  bool queued = false;
  /// An exception has ended the lease.
  bool spoiled = false;
  /// What is written has no answer.
  bool one_way = false;
};

/// What becomes of a lease's stream.
struct judgement {
  leftover left;
  /// Why it is replaced; null if it is not dirty.
  const char* spoilt = nullptr;
};

/// By the channel's word at the end of a lease.
judgement judge(unsigned word, const lease_end& how) noexcept;

}  // namespace cocp::detail
