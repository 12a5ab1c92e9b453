// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/check_options.hpp"

#include "base/check.hpp"

namespace cocp::detail {

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

}  // namespace cocp::detail
