// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "live_view.hpp"

#include "numbers.hpp"

#include <iomanip>
#include <ostream>
#include <sstream>
#include <utility>

namespace bench {
namespace {

using namespace std::chrono_literals;

std::string time_text(std::chrono::nanoseconds t) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(1) << std::setw(6) << std::chrono::duration<double>(t).count() << " s  ";
  return out.str();
}

}  // namespace

void live_view::begin(std::string title) {
  title_ = std::move(title);
  on_.clear();
  last_ = {};
}

void live_view::show(const measured& m) {
  const sample& now = m.samples.back();
  if (now.at - last_ < (terminal_ ? 100ms : 1s)) return;
  last_ = now.at;
  const double span = std::chrono::duration<double>(now.span).count();
  // Not wrapped: what is too long for the terminal is left out, and the next one is over it (DECAWM, console_codes(4)).
  out_ << (terminal_ ? "\r\x1b[K\x1b[?7l" : "") << title_ << time_text(now.at) << std::setw(10)
       << rate_of(span > 0 ? static_cast<double>(now.answered) / span : 0) << "   p50 " << short_time(now.p50)
       << "   p99 " << short_time(now.p99) << "   up " << now.up << "   waiting " << now.waiting << "   errors "
       << grouped(m.all_errors_so_far()) << (on_.empty() ? "" : "   [" + on_ + "]") << (terminal_ ? "\x1b[?7h" : "\n")
       << std::flush;
  open_ = terminal_;
}

void live_view::note(const happening& h) {
  end();
  on_ = h.over ? std::string() : h.what;
  out_ << title_ << time_text(h.at) << h.what << '\n' << std::flush;
}

void live_view::end() {
  if (open_) out_ << '\n';
  open_ = false;
}

}  // namespace bench
