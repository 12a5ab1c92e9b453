// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "resp.hpp"

#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <string>

namespace bench {
namespace {

constexpr std::string_view line_end = "\r\n";

/// The longest bulk string that Redis sends (proto-max-bulk-len).
constexpr long max_bulk = 512L * 1024 * 1024;

[[noreturn]] void malformed(std::string_view line) {
  throw std::runtime_error("not a reply of a redis server: " + std::string(line));
}

long length(std::string_view line) {
  const std::string_view digits = line.substr(1);
  long n = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  if (error != std::errc{} || end != digits.data() + digits.size() || n < -1 || n > max_bulk) malformed(line);
  return n;
}

}  // namespace

std::optional<resp_reply> take_reply(std::string_view& bytes) {
  using reply_kind = resp_reply::kind;
  if (bytes.empty()) return std::nullopt;
  if (std::string_view("+-:$").find(bytes.front()) == std::string_view::npos) malformed(bytes.substr(0, 16));
  const std::size_t end = bytes.find(line_end);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = bytes.substr(0, end);
  const std::string_view rest = bytes.substr(end + line_end.size());

  if (line.front() != '$') {
    bytes = rest;
    const reply_kind type = line.front() == '+'   ? reply_kind::simple
                            : line.front() == '-' ? reply_kind::error
                                                  : reply_kind::integer;
    return resp_reply{type, line.substr(1)};
  }
  const long n = length(line);
  if (n < 0) {
    bytes = rest;
    return resp_reply{};
  }
  const auto size = static_cast<std::size_t>(n);
  if (rest.size() < size + line_end.size()) return std::nullopt;
  if (rest.substr(size, line_end.size()) != line_end) malformed(line);
  bytes = rest.substr(size + line_end.size());
  return resp_reply{reply_kind::bulk, rest.substr(0, size)};
}

}  // namespace bench
