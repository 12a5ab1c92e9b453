// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What anybody writes as an address is refused with words, or taken to pieces that mean the same again; and what an
// event tells of it is one line of printable text.

#include "net/address.hpp"

#include "fuzz/require.hpp"

#include <cocp/event.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using cocp::detail::parse_address;

void check_pieces(const std::string& text) {
  const cocp::detail::address a = parse_address(text);
  require(a.text == text, "the text is another");
  const bool is_unix = text.starts_with("unix:");
  require(a.host.empty() == is_unix && a.service.empty() == is_unix, "a piece is missing");
  if (is_unix) {
    require(a.numeric.has_value(), "a Unix socket is to be looked up");
  } else {
    const bool in_brackets = text.starts_with('[');
    require(text == (in_brackets ? "[" + a.host + "]" : a.host) + ":" + a.service, "the pieces are another address");
  }
  if (!a.numeric) return;
  std::ostringstream printed;
  printed << *a.numeric;
  const cocp::detail::address again = parse_address(printed.str());
  require(again.numeric && *again.numeric == *a.numeric, "what is printed means something else");
}

void check_line(const std::string& text) {
  // The address, and what follows a bar.
  const std::size_t bar = text.find('|');
  std::ostringstream out;
  out << cocp::event{.kind = cocp::event_kind::disconnected,
                     .address = std::string_view(text).substr(0, bar),
                     .reason = bar == text.npos ? std::string_view() : std::string_view(text).substr(bar)};
  const std::string line = out.str();
  const bool plain = std::ranges::none_of(line, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  require(plain, "a control character is in a line of the log");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    check_pieces(text);
  } catch (const std::invalid_argument& e) {
    require(std::string_view(e.what()).starts_with("address: \""), "it is not told which value is wrong");
  }
  check_line(text);
  return 0;
}
