// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/growth.hpp"

#include <algorithm>

namespace cocp::detail {
namespace {

std::size_t excess(std::size_t a, std::size_t b) noexcept { return a > b ? a - b : 0; }

}  // namespace

std::size_t connections_to_open(const demand& d) noexcept {
  const std::size_t missing = std::max(excess(d.waiting, d.opening), excess(d.least, d.wanted));
  return std::min(missing, excess(d.limit, d.wanted));
}

}  // namespace cocp::detail
