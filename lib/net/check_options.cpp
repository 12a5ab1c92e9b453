// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/check_options.hpp"

#include "base/check.hpp"
#include "net/tls_stream.hpp"

#include <limits>

namespace cocp::detail {
namespace {

using namespace std::chrono_literals;

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

}  // namespace cocp::detail
