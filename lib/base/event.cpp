// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/event.hpp>

#include "base/error_text.hpp"
#include "base/time.hpp"

#include <memory>
#include <mutex>
#include <ostream>
#include <sstream>

namespace cocp {

std::string_view to_string(event_kind kind) noexcept {
  switch (kind) {
    case event_kind::connected:
      return "connected";
    case event_kind::connect_failed:
      return "connect_failed";
    case event_kind::disconnected:
      return "disconnected";
    case event_kind::replaced:
      return "replaced";
    case event_kind::closed:
      return "closed";
    case event_kind::lease_overdue:
      return "lease_overdue";
    case event_kind::lease_returned:
      return "lease_returned";
  }
  return "unknown";
}

std::string_view to_string(severity level) noexcept {
  switch (level) {
    case severity::debug:
      return "debug";
    case severity::info:
      return "info";
    case severity::warning:
      return "warning";
    case severity::error:
      return "error";
  }
  return "unknown";
}

std::ostream& operator<<(std::ostream& out, const event& e) {
  out << to_string(e.level) << ' ' << to_string(e.kind) << ' ';
  detail::print_escaped(out, e.name.empty() ? e.address : e.name);
  if (e.error || !e.reason.empty()) out << ": ";
  detail::print_error(out, e.error, e.reason);
  const bool retries = e.retry_in > duration::zero();
  if (e.attempt > 0 || retries) {
    out << " (";
    if (e.attempt > 0) out << "attempt " << e.attempt << (retries ? ", " : "");
    if (retries) out << "retry in " << detail::to_text(e.retry_in);
    out << ')';
  }
  return out;
}

logger log_to(std::ostream& out) {
  return [&out, mutex = std::make_shared<std::mutex>()](const event& e) {
    // One write of one line, so that lines stay whole even where others write to the stream too.
    std::ostringstream line;
    line << e << '\n';
    const std::lock_guard lock(*mutex);
    out << line.str() << std::flush;
  };
}

}  // namespace cocp
