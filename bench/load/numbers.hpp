// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// What a part `q` of sorted values is below. There are some.
double quantile_of(const std::vector<double>& sorted, double q);

/// 1234567 as 1,234,567.
std::string grouped(std::uint64_t n);

/// So many a second.
std::string rate_of(double per_second);

/// In the unit that fits, with three digits; a dash for none.
std::string short_time(std::chrono::nanoseconds t);

/// As in "1 wrong answer" and "2 wrong answers".
std::string count_of(std::uint64_t n, std::string_view what);

}  // namespace bench
