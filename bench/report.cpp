// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "report.hpp"

#include <iomanip>
#include <ostream>
#include <string_view>

namespace bench {
namespace {

using seconds = std::chrono::duration<double>;
using milliseconds = std::chrono::duration<double, std::milli>;

/// 1234567 as 1,234,567.
std::string grouped(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string rate(std::uint64_t n, std::chrono::nanoseconds time) {
  const double s = seconds(time).count();
  return grouped(s > 0 ? static_cast<std::uint64_t>(static_cast<double>(n) / s) : 0) + "/s";
}

std::ostream& row(std::ostream& out, std::string_view what, std::string_view value) {
  return out << std::left << std::setw(36) << what << std::right << std::setw(12) << value;
}

std::string count_of(std::uint64_t n, std::string_view what) {
  return grouped(n) + " " + std::string(what) + (n == 1 ? "" : "s");
}

}  // namespace

std::vector<std::string> faults(const course& c, const tally& t, const cocp::stats& s) {
  std::vector<std::string> found;
  const auto fault_if = [&found](bool wrong, std::string text) {
    if (wrong) found.push_back(std::move(text));
  };
  fault_if(!c.trouble.empty(), c.trouble);
  fault_if(t.wrong_answers() != 0, count_of(t.wrong_answers(), "wrong answer"));
  for (const cause why : {cause::after_back, cause::no_lease, cause::other}) {
    fault_if(t.errors(why) != 0, count_of(t.errors(why), "error") + ": " + std::string(to_string(why)));
  }
  // One request at a time on each connection. There may be more than the pool's size: a dying server closes its
  // connections before its listening socket, so that a redial may still find it.
  fault_if(t.errors(cause::in_flight) + t.errors(cause::lost) > s.disconnects,
           "more requests failed than connections were lost");
  if (!c.interrupted) {
    fault_if(t.requests() == 0, "no request was answered");
    fault_if(c.ours && t.requests_after_back() == 0, "no request was answered after the server was back");
    fault_if(c.ours && !c.recovery, "the connections were not all up again");
  }
  return found;
}

void print_summary(std::ostream& out, const course& c, const tally& t, const cocp::stats& s) {
  const auto flags = out.flags();
  const auto precision = out.precision();
  out << std::fixed << std::setprecision(1) << '\n';
  row(out, "requests answered", grouped(t.requests()))
      << "   (" << rate(t.requests(), c.elapsed) << " over " << seconds(c.elapsed).count() << " s)\n";
  row(out, "wrong answers", grouped(t.wrong_answers())) << '\n';
  if (t.wrong_answers() != 0) out << "  the first: " << t.first_wrong_answer() << '\n';
  row(out, "errors", grouped(t.errors())) << '\n';
  if (c.leased_at_kill) {
    row(out, "  in flight when it died", grouped(t.errors(cause::in_flight)))
        << "   (" << count_of(*c.leased_at_kill, "lease") << " out, " << count_of(s.disconnects, "connection")
        << " lost)\n";
    row(out, "  on leases taken when it was back", grouped(t.errors(cause::after_back)))
        << "   (of " << grouped(t.requests_after_back() + t.errors(cause::after_back)) << ")\n";
  }
  if (!c.ours) {
    row(out, "  in flight when connection lost", grouped(t.errors(cause::lost)))
        << "   (" << count_of(s.disconnects, "connection") << " lost)\n";
  }
  row(out, "  others", grouped(t.errors(cause::no_lease) + t.errors(cause::other))) << '\n';
  for (const auto& [what, n] : t.error_texts()) {
    out << "    " << to_string(what.first) << ": " << grouped(n) << " x " << what.second << '\n';
  }
  if (c.recovery) {
    out << "server back -> all " << s.size << " connections up: " << milliseconds(*c.recovery).count() << " ms\n";
  }
  out << count_of(s.connects, "connect") << ", " << count_of(s.connect_failures, "failed attempt") << '\n';
  if (c.interrupted) out << "interrupted\n";
  for (const std::string& fault : faults(c, t, s)) out << "FAULT: " << fault << '\n';
  out.flags(flags);
  out.precision(precision);
  out << std::flush;
}

live_line::live_line(std::ostream& out, bool terminal) : out_(out), terminal_(terminal) {}

std::chrono::milliseconds live_line::interval() const noexcept {
  return std::chrono::milliseconds(terminal_ ? 200 : 1000);
}

void live_line::show(std::chrono::nanoseconds elapsed, const tally& t, const cocp::stats& s) {
  const std::uint64_t requests = t.requests();
  out_ << (terminal_ ? "\r\x1b[K" : "") << std::fixed << std::setprecision(1) << std::setw(6)
       << seconds(elapsed).count() << " s  " << std::setw(10) << rate(requests - last_requests_, elapsed - last_time_)
       << "   up " << s.connected << "   leased " << s.leased << "   waiting " << s.waiting << "   errors "
       << t.errors() + t.wrong_answers() << (terminal_ ? "" : "\n") << std::flush;
  open_ = terminal_;
  last_time_ = elapsed;
  last_requests_ = requests;
}

void live_line::note(std::chrono::nanoseconds elapsed, const std::string& text) {
  end();
  out_ << std::fixed << std::setprecision(1) << std::setw(6) << seconds(elapsed).count() << " s  " << text << '\n'
       << std::flush;
}

void live_line::end() {
  if (open_) out_ << '\n';
  open_ = false;
}

}  // namespace bench
