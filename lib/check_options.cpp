// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "check_options.hpp"

#include "tls_stream.hpp"

#include <array>
#include <cstdio>
#include <limits>
#include <stdexcept>

namespace cocp::detail {
namespace {

using namespace std::chrono_literals;

[[noreturn]] void reject(const char* field, const std::string& value, const std::string& rule) {
  throw std::invalid_argument(std::string(field) + ": " + value + ": must " + rule);
}

void require_positive(const char* field, duration value) {
  if (value <= duration::zero()) reject(field, to_text(value), "be more than zero");
}

void require_not_negative(const char* field, duration value) {
  if (value < duration::zero()) reject(field, to_text(value), "not be negative");
}

void require_within(const char* field, const std::optional<duration>& value, duration least, duration most) {
  if (value && (*value < least || *value > most)) {
    reject(field, to_text(*value), "be " + to_text(least) + " to " + to_text(most) + ", or std::nullopt");
  }
}

}  // namespace

void check(const connection_options& o) {
  if (o.connect_timeout) require_positive("connect_timeout", *o.connect_timeout);
  require_positive("retry_min", o.retry_min);
  require_positive("retry_max", o.retry_max);
  if (o.retry_max < o.retry_min) {
    reject("retry_max", to_text(o.retry_max), "not be less than retry_min (" + to_text(o.retry_min) + ")");
  }
  // tcp(7): TCP_KEEPIDLE takes seconds up to 32767 (MAX_TCP_KEEPIDLE), TCP_USER_TIMEOUT milliseconds in an int.
  require_within("tcp_keepalive", o.tcp_keepalive, 1s, 32767s);
  require_within("tcp_user_timeout", o.tcp_user_timeout, 1ms,
                 std::chrono::milliseconds(std::numeric_limits<int>::max()));
  if (o.tls) check(*o.tls);
}

void check(const pool_options& o) {
  if (o.size == 0) reject("size", "0", "be at least 1");
  if (o.min_size && *o.min_size > o.size) {
    reject("min_size", std::to_string(*o.min_size), "not be more than size (" + std::to_string(o.size) + ")");
  }
  if (o.idle_timeout) require_positive("idle_timeout", *o.idle_timeout);
  if (o.max_lifetime) require_positive("max_lifetime", *o.max_lifetime);
  if (o.get_timeout) require_not_negative("get_timeout", *o.get_timeout);
  if (o.fail_fast) require_not_negative("fail_fast", *o.fail_fast);
  require_not_negative("check_after", o.check_after);
  require_positive("keepalive_interval", o.keepalive_interval);
  if (o.max_dialling == 0) reject("max_dialling", "0", "be at least 1");
  if (o.report_leases) require_positive("report_leases->held_longer_than", o.report_leases->held_longer_than);
}

std::string to_text(duration d) {
  struct unit {
    double nanoseconds;
    const char* name;
  };
  static constexpr std::array<unit, 3> units{{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}}};
  const auto count = static_cast<double>(d.count());
  for (const unit& u : units) {
    if (count >= u.nanoseconds || count <= -u.nanoseconds) {
      std::array<char, 64> text{};
      std::snprintf(text.data(), text.size(), "%.10g %s", count / u.nanoseconds, u.name);
      return text.data();
    }
  }
  return std::to_string(d.count()) + (d.count() == 0 ? " s" : " ns");
}

}  // namespace cocp::detail
