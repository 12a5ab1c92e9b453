// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "base/error_text.hpp"

#include "base/utf8.hpp"

#include <algorithm>
#include <ostream>
#include <utility>

namespace cocp::detail {
namespace {

/// More than a server's refusal takes, and less than anybody minds in a line.
constexpr std::size_t most_words = 240;

bool is_control(unsigned c) noexcept { return c < 0x20 || (c >= 0x7f && c < 0xa0); }

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

std::string_view tail(std::string_view text, std::size_t at) noexcept { return text.substr(std::min(at, text.size())); }

/// True of what Boost calls a code, "system:111" say.
bool is_code(std::string_view text) noexcept {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  std::string_view number = tail(text, colon + 1);
  if (number.starts_with('-')) number.remove_prefix(1);
  return !number.empty() && std::all_of(number.begin(), number.end(), is_digit);
}

/// Where what Boost adds to a message ends, if that begins at `at`: "[system:111]" or "[system:111 at FILE:1:2 in
/// function 'f']". Without a location only that of `code` is known to be Boost's.
std::size_t end_of_origin(std::string_view text, std::size_t at, std::string_view code) noexcept {
  constexpr auto none = std::string_view::npos;
  const std::size_t stop = text.find_first_of(" ]", at + 1);
  if (stop == none) return none;
  const std::string_view name = text.substr(at + 1, stop - at - 1);
  if (text[stop] == ']') return name == code ? stop + 1 : none;
  if (!is_code(name) || !tail(text, stop).starts_with(" at ")) return none;
  const std::size_t bracket = text.find(']', stop);
  const std::size_t function = text.find(" in function '", stop);
  if (function == none || function > bracket) return bracket == none ? none : bracket + 1;
  // Its signature may have brackets of its own.
  const std::size_t end = text.find("']", function);
  return end == none ? none : end + 2;
}

void drop_origins(std::string& text, const std::string& code) {
  std::size_t at = text.find(" [");
  while (at != std::string::npos) {
    const std::size_t end = end_of_origin(text, at + 1, code);
    if (end == std::string::npos) {
      ++at;
    } else {
      text.erase(at, end - at);
    }
    at = text.find(" [", at);
  }
}

/// Drops `part` where it stands between colons or at an end; within a sentence it has to stay.
void drop_part(std::string& text, std::string_view part) {
  constexpr std::string_view separator = ": ";
  if (part.empty()) return;
  std::size_t at = text.find(part);
  while (at != std::string::npos) {
    const bool first = at == 0;
    const std::size_t end = at + part.size();
    const bool last = end == text.size();
    if ((first || std::string_view(text).substr(0, at).ends_with(separator)) &&
        (last || tail(text, end).starts_with(separator))) {
      const std::size_t from = first ? 0 : at - separator.size();
      const std::size_t to = first && !last ? end + separator.size() : end;
      text.erase(from, to - from);
      at = from;
    } else {
      ++at;
    }
    at = text.find(part, at);
  }
}

/// In UTF-8 no character is cut in two.
void cut_off(std::string& text) {
  constexpr std::string_view ellipsis = "...";
  if (text.size() <= most_words) return;
  std::size_t size = most_words - ellipsis.size();
  const auto is_continuation = [&text](std::size_t i) { return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80; };
  for (unsigned n = 0; n < 3 && is_continuation(size); ++n) --size;
  text.resize(size);
  text += ellipsis;
}

/// How a control character is written.
std::string escape(unsigned c) {
  if (c == '\n') return "\\n";
  if (c == '\r') return "\\r";
  if (c == '\t') return "\\t";
  constexpr std::string_view digits = "0123456789abcdef";
  return {'\\', 'x', digits[c >> 4], digits[c & 0xf]};
}

/// Control characters are those of ISO 6429: C0, DEL, and C1, as UTF-8 or, where that is none, as a byte.
std::string escaped(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t in_utf8 = character_size(text);
    const std::size_t size = std::max<std::size_t>(in_utf8, 1);
    // Of those of two bytes the first that begin with this are C1, whose codes are the second byte.
    const bool may_be_c1 = in_utf8 == 2 && text.starts_with('\xc2');
    const unsigned c = static_cast<unsigned char>(text[may_be_c1 ? 1 : 0]);
    if ((size == 1 || may_be_c1) && is_control(c)) {
      result += escape(c);
    } else {
      result += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  return result;
}

}  // namespace

text_error::text_error(error_code ec, std::string text)
    : system_error(ec), text_(std::make_shared<const std::string>(std::move(text))) {}

std::exception_ptr make_text_error(error_code ec, std::string text) {
  return std::make_exception_ptr(text_error(ec, std::move(text)));
}

std::string words_beside(error_code ec, std::string_view what) {
  std::string text(what);
  drop_origins(text, ec.to_string());
  drop_part(text, ec.message());
  text = escaped(text);
  cut_off(text);
  return text;
}

void print_escaped(std::ostream& out, std::string_view text) { out << escaped(text); }

void print_error(std::ostream& out, error_code ec, std::string_view words) {
  if (ec) {
    const std::string message = ec.message();
    // A single word, "closed" say, is in many a sentence that says something else.
    const bool said = message.find(' ') != std::string::npos && words.find(message) != std::string_view::npos;
    if (!said) {
      print_escaped(out, message);
      if (!words.empty()) out << ": ";
    }
  }
  print_escaped(out, words);
}

}  // namespace cocp::detail
