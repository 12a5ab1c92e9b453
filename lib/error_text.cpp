// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "error_text.hpp"

#include <boost/system/system_error.hpp>

#include <memory>
#include <utility>

namespace cocp::detail {
namespace {

class text_error final : public boost::system::system_error {
 public:
  text_error(error_code ec, std::string text)
      : system_error(ec), text_(std::make_shared<const std::string>(std::move(text))) {}
  const char* what() const noexcept override { return text_->c_str(); }

 private:
  // Shared: copying an exception must not throw.
  std::shared_ptr<const std::string> text_;
};

}  // namespace

std::exception_ptr make_text_error(error_code ec, std::string text) {
  return std::make_exception_ptr(text_error(ec, std::move(text)));
}

}  // namespace cocp::detail
