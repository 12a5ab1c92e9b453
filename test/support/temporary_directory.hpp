// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/system_call.hpp"

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace cocp::test {

/// A directory of its own, removed with all that is in it.
class temporary_directory {
 public:
  /// \throws boost::system::system_error
  temporary_directory() {
    std::string name = std::filesystem::temp_directory_path() / "cocp-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) system_call("mkdtemp", -1);
    path_ = name;
  }
  ~temporary_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace cocp::test
