// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/loss.hpp"

#include <cocp/impl/stream_word.hpp>

namespace cocp::detail {

void loss_record::note_open() noexcept {
  verdict_ = {};
  write_error_ = {};
}

void loss_record::note(const loss& why, unsigned word) noexcept {
  last_ = why;
  last_.answered = stream_word::was_answered(word);
  last_.touched = stream_word::was_touched(word);
  write_error_ = {};
  if (why.cause) last_error_ = why.cause;
}

error_code loss_record::error_of(unsigned operation) const noexcept {
  if (verdict_) return verdict_;
  if (operation == stream_word::writing && write_error_) return write_error_;
  if (last_.cause) return last_.cause;
  return errc::closed;
}

}  // namespace cocp::detail
