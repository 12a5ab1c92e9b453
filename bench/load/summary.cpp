// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "summary.hpp"

#include "numbers.hpp"

#include <algorithm>
#include <iomanip>
#include <ostream>
#include <string_view>
#include <utility>

namespace bench {
namespace {

using fseconds = std::chrono::duration<double>;

/// Leaves the stream's format as it was.
class format_guard {
 public:
  explicit format_guard(std::ostream& out) : out_(out), flags_(out.flags()), precision_(out.precision()) {}
  ~format_guard() {
    out_.flags(flags_);
    out_.precision(precision_);
  }
  format_guard(const format_guard&) = delete;
  format_guard& operator=(const format_guard&) = delete;

 private:
  std::ostream& out_;
  const std::ios_base::fmtflags flags_;
  const std::streamsize precision_;
};

std::ostream& row(std::ostream& out, std::string_view what, std::string_view value) {
  return out << std::left << std::setw(42) << what << std::right << std::setw(12) << value;
}

bool has(const load_options& options, fault::kind what) {
  return std::ranges::find(options.faults, what, &fault::what) != options.faults.end();
}

/// There were faults on the way: what became of each request is not known.
bool disturbed(const load_options& options) { return std::ranges::any_of(options.faults, &fault::on_the_way); }

void print_latency(std::ostream& out, const load_options& options, const latency& l) {
  out << "latency " << (options.rate != 0 ? "from when each was due" : "") << "\n ";
  for (const auto& [name, q] : {std::pair("p50", 0.5), std::pair("p90", 0.9), std::pair("p99", 0.99),
                                std::pair("p99.9", 0.999), std::pair("p99.99", 0.9999)}) {
    out << ' ' << name << ' ' << short_time(l.quantile(q)) << ' ';
  }
  out << " max " << short_time(l.longest()) << '\n';
}

std::string ratio_text(const spread& s) {
  const auto number = [](double v) {
    std::string text = std::to_string(v);
    return text.substr(0, text.find('.') + 4);
  };
  return number(s.median) + " (" + number(s.least) + ".." + number(s.most) + ")";
}

}  // namespace

double rate_figure(const block& b) { return b.rate(); }
double p50_figure(const block& b) { return static_cast<double>(b.p50.count()); }
double p99_figure(const block& b) { return static_cast<double>(b.p99.count()); }

spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  return {quantile_of(values, 0.5), values.front(), values.back()};
}

spread ratio_of(const measured& m, const measured& to, double (*figure)(const block&)) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(m.blocks.size(), to.blocks.size()); ++i) {
    const double below = figure(to.blocks[i]);
    if (below > 0) ratios.push_back(figure(m.blocks[i]) / below);
  }
  return spread_of(std::move(ratios));
}

std::vector<std::string> faults(const load_options& options, const measured& m) {
  std::vector<std::string> found;
  const auto fault_if = [&found](bool wrong, std::string text) {
    if (wrong) found.push_back(std::move(text));
  };
  fault_if(!m.trouble.empty(), m.trouble);
  fault_if(m.wrong != 0, count_of(m.wrong, "wrong answer"));
  if (!m.interrupted) fault_if(m.answers.count() == 0, "no request was answered");
  if (!m.pool) return found;

  for (const cause why : {cause::after_back, cause::no_connection, cause::other}) {
    fault_if(m.errors_of(why) != 0, count_of(m.errors_of(why), "error") + ": " + std::string(to_string(why)));
  }
  // One request at a time on each connection. There may be more than the pool's size: a dying server closes its
  // connections before its listening socket, so that a redial may still find it.
  fault_if(m.errors_of(cause::in_flight) + m.errors_of(cause::lost) > m.pool->disconnects + m.errors_at_close,
           "more requests failed than connections were lost");
  // Delays double: the next attempt may come a little later than the outage was long.
  const bool long_enough = m.back_for > 2 * m.down_for + std::chrono::milliseconds(300);
  if (!m.interrupted && has(options, fault::kind::restart) && long_enough) {
    fault_if(m.answered_after_back == 0 && !disturbed(options), "no request was answered after the server was back");
    fault_if(!m.recovery, "the connections were not all up again");
  }
  return found;
}

void print_summary(std::ostream& out, const load_options& options, const measured& m) {
  const format_guard guard(out);
  out << std::fixed << std::setprecision(1) << '\n';
  const double seconds = fseconds(m.elapsed).count();
  row(out, "requests answered", grouped(m.answers.count()))
      << "   (" << rate_of(static_cast<double>(m.answers.count()) / seconds) << " over " << seconds << " s)\n";
  print_latency(out, options, m.answers);
  if (m.not_begun != 0) row(out, "requests due that nobody had time for", grouped(m.not_begun)) << '\n';
  row(out, "wrong answers", grouped(m.wrong)) << '\n';
  if (m.wrong != 0) out << "  the first: " << m.first_wrong << '\n';
  row(out, "errors", grouped(m.all_errors())) << '\n';
  if (m.leased_at_kill && !disturbed(options)) {
    row(out, "  in flight when it died", grouped(m.errors_of(cause::in_flight)))
        << "   (" << count_of(*m.leased_at_kill, m.pool ? "lease" : "connection") << (m.pool ? " out" : " in use");
    if (m.pool) out << ", " << count_of(m.pool->disconnects, "connection") << " lost";
    out << ")\n";
    if (has(options, fault::kind::restart)) {
      row(out, m.pool ? "  on leases taken when it was back" : "  on connections taken when it was back",
          grouped(m.errors_of(cause::after_back)))
          << "   (of " << grouped(m.answered_after_back + m.errors_of(cause::after_back)) << ")\n";
    }
  } else if (m.errors_of(cause::lost) != 0) {
    row(out, "  in flight when connection lost", grouped(m.errors_of(cause::lost))) << '\n';
  }
  row(out, "  others", grouped(m.errors_of(cause::no_connection) + m.errors_of(cause::other))) << '\n';
  for (const auto& [what, n] : m.errors) {
    out << "    " << to_string(what.first) << ": " << grouped(n) << " x " << what.second << '\n';
  }
  if (m.recovery) {
    out << "server back -> all " << options.size << " connections up: " << short_time(*m.recovery) << '\n';
  }
  if (m.pool) {
    out << count_of(m.pool->connects, "connect") << ", " << count_of(m.pool->connect_failures, "failed attempt")
        << '\n';
  }
  if (m.interrupted) out << "interrupted\n";
  for (const std::string& fault : faults(options, m)) out << "FAULT: " << fault << '\n';
  out << std::flush;
}

void print_comparison(std::ostream& out, const load_options& options, const std::vector<measured>& modes) {
  const format_guard guard(out);
  const measured& first = modes.front();
  out << '\n' << std::left << std::setw(16) << "" << std::right;
  for (const char* const head : {"requests/s", "p50", "p99", "p99.9", "p99.99", "max", "errors"}) {
    out << std::setw(11) << head;
  }
  out << '\n';
  for (const measured& m : modes) {
    out << std::left << std::setw(16) << to_string(m.how) << std::right;
    std::vector<double> rates;
    for (const block& b : m.blocks) rates.push_back(b.rate());
    out << std::setw(11) << grouped(static_cast<std::uint64_t>(spread_of(rates).median));
    for (const double q : {0.5, 0.99, 0.999, 0.9999}) out << std::setw(11) << short_time(m.answers.quantile(q));
    out << std::setw(11) << short_time(m.answers.longest()) << std::setw(11) << grouped(m.all_errors() + m.wrong)
        << '\n';
  }
  out << '\n'
      << to_string(first.how) << " beside each: the median of " << options.rounds
      << " rounds of their ratios (from the least to the most)\n"
      << std::left << std::setw(16) << "" << std::setw(26) << "requests/s" << std::setw(26) << "p50"
      << "p99\n";
  for (const measured& m : modes) {
    if (&m == &first) continue;
    out << std::setw(16) << to_string(m.how) << std::setw(26) << ratio_text(ratio_of(first, m, rate_figure))
        << std::setw(26) << ratio_text(ratio_of(first, m, p50_figure)) << ratio_text(ratio_of(first, m, p99_figure))
        << '\n';
  }
  for (const measured& m : modes) {
    for (const std::string& fault : faults(options, m)) out << "FAULT: " << to_string(m.how) << ": " << fault << '\n';
    if (m.not_begun != 0)
      out << to_string(m.how) << ": " << grouped(m.not_begun) << " requests due had to be left out\n";
  }
  out << std::flush;
}

}  // namespace bench
