// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

// What PostgreSQL's messages are made of (https://www.postgresql.org/docs/current/protocol.html).

namespace pg {

/// What the server answers to a statement that it cannot carry out.
class error : public std::runtime_error {
 public:
  error(std::string code, const std::string& words) : std::runtime_error(code + ' ' + words), code_(std::move(code)) {}

  /// SQLSTATE, as in "23505".
  const std::string& code() const noexcept { return code_; }

 private:
  std::string code_;
};

inline void put(std::string& to, std::size_t number, int bytes) {
  if (number >> (8 * bytes - 1) != 0) throw std::length_error("PostgreSQL: too much for one message");
  while (bytes-- > 0) to += static_cast<char>(number >> (8 * bytes) & 0xff);
}

inline void put_text(std::string& to, std::string_view text) {
  // It would end there, and what follows be taken for what comes next in the message.
  if (text.find('\0') != std::string_view::npos) throw std::invalid_argument("PostgreSQL: a zero in a text");
  to.append(text) += '\0';
}

/// Begins with its kind, unless that is '\0', and the length of the rest.
inline std::string message(char kind, std::string_view body) {
  std::string text(kind == '\0' ? 0 : 1, kind);
  put(text, body.size() + 4, 4);
  return text.append(body);
}

/// A message of the server: valid until more is received. \throws std::runtime_error for what is not in it
class answer_message {
 public:
  answer_message(char kind, std::string_view body) : kind_(kind), rest_(body) {}

  char kind() const noexcept { return kind_; }
  bool is_empty() const noexcept { return rest_.empty(); }
  std::string_view rest() { return bytes(rest_.size()); }

  std::string_view bytes(std::size_t n) {
    if (n > rest_.size()) throw std::runtime_error("PostgreSQL: a message that makes no sense");
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }
  std::uint32_t number(std::size_t size) {
    std::uint32_t n = 0;
    for (const char c : bytes(size)) n = n << 8 | static_cast<unsigned char>(c);
    return n;
  }
  std::string_view text() {
    const std::string_view taken = bytes(std::min(rest_.find('\0'), rest_.size()));
    bytes(1);
    return taken;
  }

 private:
  char kind_;
  std::string_view rest_;
};

/// Of an error or a notice.
inline error error_of(answer_message& m) {
  std::map<char, std::string> fields;
  while (!m.is_empty()) {
    const char name = m.bytes(1)[0];
    if (name == '\0') break;
    fields[name] = m.text();
  }
  return {fields['C'], fields['M']};
}

}  // namespace pg
