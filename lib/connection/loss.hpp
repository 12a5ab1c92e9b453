// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/error.hpp>

#include <string_view>

namespace cocp::detail {

/// How a stream came to its end.
enum class ending {
  lost,     ///< It failed, or its peer ended it.
  dirty,    ///< Given up: what state a user left it in is not known.
  dead,     ///< Given up: it did not answer.
  aged,     ///< Given up: it had grown old, and is redialled in its own place.
  moved,    ///< Given up: the pool has another address now.
  surplus,  ///< Given up: nobody needs it.
};

/// Why a stream went down.
struct loss {
  /// What is told of it.
  error_code cause;
  /// In words, where the code alone does not say it. Outlives the stream.
  std::string_view reason;
  ending kind = ending::lost;
  /// True if a read had brought something since it was opened.
  bool answered = false;
  /// True if anybody had started an operation on it.
  bool touched = false;
};

/// What is known of the end of a channel's stream, and what operations end with for it.
///
/// Of a channel, and guarded by its mutex.
class loss_record {
 public:
  /// A new stream is there.
  void note_open() noexcept;
  /// The stream is lost, or given up. `word`: the channel's, which says what had been done with it.
  void note(const loss& why, unsigned word) noexcept;
  /// It was lost before, by the peer's end; now a write has failed too.
  void note_failed_write(error_code ec) noexcept { write_error_ = ec; }
  /// An attempt to open another has failed.
  void note_attempt(error_code ec) noexcept { last_error_ = ec; }

  /// We take the stream down: what is outstanding ends with this. Unset if it was lost.
  void set_verdict(error_code ec) noexcept { verdict_ = ec; }
  error_code verdict() const noexcept { return verdict_; }

  /// What an operation ends with, or (0) a wait for the stream, that comes too late. Never a success.
  error_code error_of(unsigned operation) const noexcept;

  /// The last time.
  const loss& last() const noexcept { return last_; }
  /// Why the last attempt or stream ended.
  error_code last_error() const noexcept { return last_error_; }

 private:
  loss last_;
  error_code verdict_;
  /// What ends writes, if that is not why the stream was lost.
  error_code write_error_;
  error_code last_error_;
};

}  // namespace cocp::detail
