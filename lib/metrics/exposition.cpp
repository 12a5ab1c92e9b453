// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "metrics/exposition.hpp"

#include "base/utf8.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string_view>
#include <utility>

namespace cocp::detail {
namespace {

/// Not by way of a stream: a locale may put separators between digits.
void add(std::string& text, std::uint64_t n) {
  char digits[20];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), n);
  text.append(digits, end.ptr);
}

/// In seconds, with all the digits that there are and at least one after the point. Not negative.
void add_seconds(std::string& text, duration d) {
  constexpr std::uint64_t second = 1'000'000'000;
  const auto n = static_cast<std::uint64_t>(d.count());
  add(text, n / second);
  // The leading 1 keeps the zeros after the point.
  std::string fraction;
  add(fraction, second + n % second);
  fraction.front() = '.';
  fraction.erase(std::max<std::size_t>(fraction.find_last_not_of('0') + 1, 2));
  text += fraction;
}

void add_escaped(std::string& text, std::string_view value) {
  for (const char c : value) {
    if (c == '\n') {
      text += "\\n";
    } else {
      if (c == '\\' || c == '"') text += '\\';
      text += c;
    }
  }
}

/// What the text consists of. A family is there once, with the series of all pools.
class exposition {
 public:
  struct series {
    /// More than the pool's; as in `,cause="dead"`.
    std::string_view label;
    std::uint64_t (*value)(const stats&);
  };

  explicit exposition(const std::vector<pool_snapshot>& pools) : pools_(pools) {}

  void gauge(std::string_view name, std::string_view help, std::initializer_list<series> all) {
    values(name, "gauge", help, "", all);
  }
  void counter(std::string_view name, std::string_view help, std::initializer_list<series> all) {
    values(name, "counter", help, "_total", all);
  }

  /// Without `from_zero` no bucket is for what took no time.
  void seconds(std::string_view name, std::string_view help, histogram stats::*which, bool from_zero,
               bool (*has)(const pool_snapshot&)) {
    bool begun = false;
    for (const pool_snapshot& p : pools_) {
      if (!has(p)) continue;
      if (!std::exchange(begun, true)) describe(name, "histogram", help, "seconds");
      const histogram& h = p.stats.*which;
      if (from_zero) bucket(name, p, h, duration::zero());
      for (unsigned n = 16; n <= 35; ++n) bucket(name, p, h, duration((1LL << n) - 1));
      begin_sample(name, "_bucket", p);
      text_ += ",le=\"+Inf\"";
      end_sample(h.count());
      begin_sample(name, "_count", p);
      end_sample(h.count());
      begin_sample(name, "_sum", p);
      text_ += "} ";
      add_seconds(text_, h.sum());
      text_ += '\n';
    }
  }

  std::string end() && {
    text_ += "# EOF\n";
    return std::move(text_);
  }

 private:
  void values(std::string_view name, std::string_view type, std::string_view help, std::string_view suffix,
              std::initializer_list<series> all) {
    if (pools_.empty()) return;
    describe(name, type, help, "");
    for (const pool_snapshot& p : pools_) {
      for (const series& each : all) {
        begin_sample(name, suffix, p);
        text_ += each.label;
        end_sample(each.value(p.stats));
      }
    }
  }

  void bucket(std::string_view name, const pool_snapshot& p, const histogram& h, duration bound) {
    begin_sample(name, "_bucket", p);
    text_ += ",le=\"";
    add_seconds(text_, bound);
    text_ += '"';
    end_sample(h.count_up_to(bound));
  }

  void describe(std::string_view name, std::string_view type, std::string_view help, std::string_view unit) {
    add_line("# TYPE ", name, type);
    if (!unit.empty()) add_line("# UNIT ", name, unit);
    add_line("# HELP ", name, help);
  }

  void add_line(std::string_view what, std::string_view name, std::string_view rest) {
    ((text_ += what) += name) += ' ';
    (text_ += rest) += '\n';
  }

  /// More labels may follow.
  void begin_sample(std::string_view name, std::string_view suffix, const pool_snapshot& p) {
    ((text_ += name) += suffix) += "{db_client_connection_pool_name=\"";
    add_escaped(text_, p.name);
    text_ += '"';
  }

  void end_sample(std::uint64_t value) {
    text_ += "} ";
    add(text_, value);
    text_ += '\n';
  }

  const std::vector<pool_snapshot>& pools_;
  std::string text_;
};

}  // namespace

std::string to_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t n = character_size(text);
    if (n != 0) {
      result += text.substr(0, n);
    } else {
      result += "\xef\xbf\xbd";
    }
    text.remove_prefix(std::max<std::size_t>(n, 1));
  }
  return result;
}

std::string to_openmetrics(const std::vector<pool_snapshot>& pools) {
  exposition e(pools);
  const auto every = [](const pool_snapshot&) { return true; };
  const auto reporting = [](const pool_snapshot& p) { return p.reports_leases; };
  using s = const stats&;

  e.gauge("db_client_connection_count", "Connections that are idle, and those that are leased.",
          {{",db_client_connection_state=\"idle\"", [](s p) -> std::uint64_t { return p.idle; }},
           {",db_client_connection_state=\"used\"", [](s p) -> std::uint64_t { return p.leased; }}});
  e.gauge("db_client_connection_max", "The most connections.", {{"", [](s p) -> std::uint64_t { return p.size; }}});
  e.gauge("db_client_connection_idle_min", "Connections kept open when nobody asks.",
          {{"", [](s p) -> std::uint64_t { return p.min_size; }}});
  e.gauge("db_client_connection_pending_requests", "Calls that wait for a connection.",
          {{"", [](s p) -> std::uint64_t { return p.waiting; }}});
  e.counter("db_client_connection_timeouts", "Calls that got no connection in time.",
            {{"", [](s p) { return p.timeouts; }}});
  e.seconds("db_client_connection_create_time_seconds", "How long attempts to connect took that succeeded.",
            &stats::create_time, false, every);
  e.seconds("db_client_connection_wait_time_seconds", "How long calls waited for a connection, failed ones included.",
            &stats::wait_time, true, every);
  e.seconds("db_client_connection_use_time_seconds", "How long connections were leased that have come back.",
            &stats::use_time, false, reporting);

  e.gauge("cocp_connected", "Connections that are up, in use or not.",
          {{"", [](s p) -> std::uint64_t { return p.connected; }}});
  e.gauge("cocp_connecting", "Connections with an attempt to connect under way.",
          {{"", [](s p) -> std::uint64_t { return p.connecting; }}});
  e.gauge("cocp_detached", "Connections that leases keep for good.",
          {{"", [](s p) -> std::uint64_t { return p.detached; }}});
  e.gauge("cocp_hooks", "Connections that on_return or keepalive has.",
          {{"", [](s p) -> std::uint64_t { return p.hooks; }}});
  e.gauge("cocp_queued", "Connections that wait to dial.", {{"", [](s p) -> std::uint64_t { return p.queued; }}});
  e.gauge("cocp_resting", "Connections that are being looked at, placed or closed.",
          {{"", [](s p) -> std::uint64_t { return p.resting; }}});
  e.gauge("cocp_wanted", "Connections that are to be there now.",
          {{"", [](s p) -> std::uint64_t { return p.wanted; }}});
  e.counter("cocp_gets", "Leases given out.", {{"", [](s p) { return p.gets; }}});
  e.counter("cocp_waits", "Leases given out that had to be waited for.", {{"", [](s p) { return p.waits; }}});
  e.counter("cocp_cancelled", "Calls for a connection that were cancelled.", {{"", [](s p) { return p.cancelled; }}});
  e.counter("cocp_rejected", "Calls for a connection that found too many waiting.",
            {{"", [](s p) { return p.rejected; }}});
  e.counter("cocp_connects", "Attempts to connect that succeeded.", {{"", [](s p) { return p.connects; }}});
  e.counter("cocp_connect_failures", "Attempts to connect that failed.",
            {{"", [](s p) { return p.connect_failures; }}});
  e.counter("cocp_tls_resumed", "Attempts to connect that resumed a TLS session.",
            {{"", [](s p) { return p.tls_resumed; }}});
  e.counter("cocp_disconnects", "Connections lost while up.", {{"", [](s p) { return p.disconnects; }}});
  e.counter("cocp_replaced", "Connections replaced, by cause.",
            {{",cause=\"dead\"", [](s p) { return p.replaced_dead; }},
             {",cause=\"dirty\"", [](s p) { return p.replaced_dirty; }},
             {",cause=\"expired\"", [](s p) { return p.replaced_expired; }}});

  return std::move(e).end();
}

}  // namespace cocp::detail
