// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/explain.hpp"

#include "base/error_text.hpp"

#include <array>
#include <cstdio>
#include <sstream>

namespace cocp::detail {

std::string explain(const char* what, std::string_view name, error_code ec, std::optional<duration> waited,
                    const situation& s) {
  std::ostringstream out;
  out << what << ": no connection to ";
  print_escaped(out, name);
  const bool was_limit = ec == errc::timed_out && waited;
  if (was_limit) {
    out << " within " << to_text(*waited);
  } else {
    out << ": ";
    print_escaped(out, ec.message());
  }
  out << " (size " << s.size << ": " << s.up << " up, " << s.leased << " leased, ";
  if (s.hooks != 0) out << s.hooks << " in hooks, ";
  out << s.waiting << " waiting";
  if (s.last.error) {
    std::array<char, 32> ago{};
    std::snprintf(ago.data(), ago.size(), "%.1f s ago", std::chrono::duration<double>(s.age).count());
    const std::string_view reason = s.last.words ? std::string_view(*s.last.words) : std::string_view();
    if (s.last.error == ec && !was_limit) {
      out << "; last attempt " << ago.data() << (reason.empty() ? "" : ": ");
      print_escaped(out, reason);
    } else {
      out << "; last error: ";
      print_error(out, s.last.error, reason);
      out << ", " << ago.data();
    }
  }
  out << ')';
  return out.str();
}

}  // namespace cocp::detail
