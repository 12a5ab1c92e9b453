// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "units.hpp"

#include <charconv>
#include <cmath>
#include <sstream>

namespace bench {

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) || std::signbit(value)) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::chrono::nanoseconds> parse_time(std::string_view text) {
  double unit = 1e9;
  const std::size_t digits = text.find_last_of("0123456789.");
  const std::string_view name = digits == std::string_view::npos ? text : text.substr(digits + 1);
  if (name == "ms") {
    unit = 1e6;
  } else if (name == "us") {
    unit = 1e3;
  } else if (name == "m") {
    unit = 60e9;
  } else if (!name.empty() && name != "s") {
    return std::nullopt;
  }
  const auto value = parse_number(text.substr(0, text.size() - name.size()));
  // A day is more than anybody waits for.
  if (!value || *value * unit > 86'400e9) return std::nullopt;
  return std::chrono::nanoseconds(std::llround(*value * unit));
}

std::optional<double> parse_share(std::string_view text) {
  if (text.empty() || text.back() != '%') return std::nullopt;
  const auto value = parse_number(text.substr(0, text.size() - 1));
  if (!value || *value > 100) return std::nullopt;
  return *value / 100;
}

std::optional<byte_range> parse_bytes(std::string_view text) {
  const auto whole = [](std::string_view digits) -> std::optional<std::size_t> {
    std::size_t n = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return n;
  };
  const std::size_t dots = text.find("..");
  const auto least = whole(text.substr(0, dots));
  const auto most = dots == std::string_view::npos ? least : whole(text.substr(dots + 2));
  if (!least || !most || *least > *most) return std::nullopt;
  return byte_range{*least, *most};
}

std::string to_string(std::chrono::nanoseconds time) {
  std::ostringstream out;
  const auto ns = static_cast<double>(time.count());
  if (ns >= 1e9 || ns == 0) {
    out << ns / 1e9 << "s";
  } else if (ns >= 1e6) {
    out << ns / 1e6 << "ms";
  } else {
    out << ns / 1e3 << "us";
  }
  return out.str();
}

}  // namespace bench
