// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "base/check.hpp"

#include <stdexcept>

namespace cocp::detail {

void reject(const char* field, const std::string& value, const std::string& rule) {
  throw std::invalid_argument(std::string(field) + ": " + value + ": must " + rule);
}

void require_positive(const char* field, duration value) {
  if (value <= duration::zero()) reject(field, to_text(value), "be more than zero");
}

void require_not_negative(const char* field, duration value) {
  if (value < duration::zero()) reject(field, to_text(value), "not be negative");
}

}  // namespace cocp::detail
