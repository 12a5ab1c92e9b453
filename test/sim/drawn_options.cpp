// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "drawn_options.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <sstream>

namespace cocp::test::sim {

using namespace std::chrono_literals;
using limit = std::optional<duration>;

drawn_options::drawn_options(dice& d, std::uint64_t plain) {
  unsigned n = 0;
  // Drawn in any case, so that what is drawn after it stays as it was.
  const auto draw = [&](auto& option, auto drawn) {
    if ((plain >> n++ & 1) == 0) option = drawn;
  };
  draw(pool.size, d.of<std::size_t>({1, 1, 2, 3, 8, 25}));
  draw(pool.min_size, d.of<std::optional<std::size_t>>({{}, 0, 0, 1, pool.size}));
  draw(pool.idle_timeout, d.of<limit>({{}, 1ns, 1ms, 1s, 10min, duration::max()}));
  draw(pool.max_lifetime, d.of<limit>({{}, {}, 20ms, 1s, 1h, duration::max()}));
  draw(pool.get_timeout, d.of<limit>({{}, 0s, 1ms, 1s, 30s, duration::max()}));
  draw(pool.max_waiting, d.of<std::size_t>({0, 1, 3, pool.max_waiting, pool.max_waiting}));
  draw(pool.fail_fast, d.of<limit>({{}, {}, 0s, 1ns, 500ms, 10s, duration::max()}));
  draw(pool.check_after, d.of<duration>({0s, 0s, 0s, 1ns, 20ms, 1h, duration::max()}));
  draw(pool.allow_unread, d.one_in(4));
  draw(pool.one_way, d.one_in(8));
  draw(pool.keep_on_exception, d.one_in(4));
  draw(pool.keepalive_interval, d.of<duration>({1ns, 20ms, 30s, duration::max()}));
  draw(pool.max_dialling, d.of<std::size_t>({1, 2, 16, pool.size}));
  const auto held = d.of<duration>({1ns, 50ms, 1min, duration::max()});
  draw(pool.report_leases, d.one_in(4) ? std::optional(cocp::lease_report{held}) : std::nullopt);
  draw(on_connect, d.one_in(2));
  draw(on_return, d.one_in(4));
  draw(keepalive, d.one_in(4));
  draw(dial.connect_timeout, d.of<limit>({{}, 1ms, 100ms, 5s, 5s}));
  const auto retry_min = d.of<duration>({5ms, 100ms, 1s});
  draw(dial.retry_min, retry_min);
  draw(dial.retry_max, std::max(dial.retry_min, d.of<duration>({5ms, 1s, 5s})));
  dial.retry_max = std::max(dial.retry_min, dial.retry_max);
  dial.address = "10.0.0.1:7";
  draw(dial.address, d.of({"10.0.0.1:7", "db:7"}));
  draw(on_close, d.one_in(3));
  pool.min_size = pool.min_size ? std::optional(std::min(*pool.min_size, pool.size)) : std::nullopt;
}

std::string drawn_options::text() const {
  std::ostringstream out;
  const auto put = [&out](const char* name, limit l) {
    out << ' ' << name << ' ';
    if (!l) {
      out << "off";
    } else if (*l == duration::max()) {
      out << "max";
    } else {
      out << static_cast<double>(l->count()) / 1'000'000.0 << " ms";
    }
  };
  out << "size " << pool.size << " min_size " << (pool.min_size ? std::to_string(*pool.min_size) : "size");
  put("idle_timeout", pool.idle_timeout);
  put("max_lifetime", pool.max_lifetime);
  put("get_timeout", pool.get_timeout);
  out << " max_waiting ";
  pool.max_waiting == pool_options().max_waiting ? out << "off" : out << pool.max_waiting;
  put("fail_fast", pool.fail_fast);
  put("check_after", pool.check_after);
  out << (pool.allow_unread ? " allow_unread" : "") << (pool.one_way ? " one_way" : "")
      << (pool.keep_on_exception ? " keep_on_exception" : "");
  put("keepalive_interval", pool.keepalive_interval);
  out << " max_dialling " << pool.max_dialling << (pool.report_leases ? " report_leases" : "")
      << (on_connect ? " on_connect" : "") << (on_return ? " on_return" : "") << (keepalive ? " keepalive" : "")
      << (on_close ? " on_close" : "");
  put("connect_timeout", dial.connect_timeout);
  put("retry_min", dial.retry_min);
  put("retry_max", dial.retry_max);
  out << ' ' << dial.address;
  return out.str();
}

bool drawn_options::is_busy() const {
  return (keepalive && pool.keepalive_interval < 1s) || (pool.max_lifetime && *pool.max_lifetime <= 1s) ||
         (pool.idle_timeout && *pool.idle_timeout < 1s) || dial.retry_max < 1s ||
         (dial.connect_timeout && *dial.connect_timeout < 1s);
}

}  // namespace cocp::test::sim
