// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/leftover.hpp"

#include <cocp/impl/stream_word.hpp>

namespace cocp::detail {
namespace {

const char* why_spoilt(unsigned w, const lease_end& how) noexcept {
  using word = stream_word;
  if (how.unwanted) return "the lease was discarded";
  if (how.queued || word::is_outstanding(w)) return "an operation was left outstanding";
  if (w & word::dirty) return "an operation was cancelled";
  if (w & word::halved) return halved_words;
  if (how.spoiled && (w & word::used)) return "the lease was ended by an exception";
  if ((w & word::asked) && !how.one_way) return "nothing was read after the last write: an answer may be on its way";
  return nullptr;
}

}  // namespace

judgement judge(unsigned word, const lease_end& how) noexcept {
  if (!stream_word::is_up(word)) return {leftover::down};
  if (const char* spoilt = why_spoilt(word, how)) return {leftover::dirty, spoilt};
  return {word & stream_word::used ? leftover::used : leftover::unused};
}

}  // namespace cocp::detail
