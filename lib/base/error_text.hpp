// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/error.hpp>

#include <boost/system/system_error.hpp>

#include <exception>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

namespace cocp::detail {

/// An error whose text is all that there is to say: `what()` adds neither the code's message nor where it was thrown.
class text_error final : public boost::system::system_error {
 public:
  text_error(error_code ec, std::string text);
  const char* what() const noexcept override { return text_->c_str(); }

 private:
  // Shared: copying an exception must not throw.
  std::shared_ptr<const std::string> text_;
};

/// For who has to hand it on instead of throwing it.
[[nodiscard]] std::exception_ptr make_text_error(error_code ec, std::string text);

/// What an exception with this code says of itself beyond the code's message: without that message, without the source
/// location and the category that Boost adds, escaped as by `print_escaped`, and cut off where it is too long to be a
/// reason. That also bounds a text that has the reason before it in it.
std::string words_beside(error_code ec, std::string_view what);

/// Prints text from outside: control characters, those of eight bits too, are written as "\n", "\x1b" or "\x9b", so
/// that nobody can forge a line of a log or talk to a terminal. All other bytes stay as they are.
void print_escaped(std::ostream& out, std::string_view text);

/// Prints "message: words", and what both say only once.
void print_error(std::ostream& out, error_code ec, std::string_view words);

}  // namespace cocp::detail
