// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string_view>

namespace bench {

/// One reply in the Redis serialization protocol (RESP2): all but arrays.
struct resp_reply {
  enum class kind { simple, error, integer, bulk, null };

  kind type = kind::null;
  /// What it says, without framing: the text, the digits or the bulk string's bytes. In the bytes it was taken from.
  std::string_view text;

  friend bool operator==(const resp_reply&, const resp_reply&) = default;
};

/// Takes a reply from the front of `bytes`, or nothing if they do not hold all of it. Throws `std::runtime_error` if
/// they are not the start of a reply.
std::optional<resp_reply> take_reply(std::string_view& bytes);

}  // namespace bench
