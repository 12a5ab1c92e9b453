// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/fd_check.hpp"

#include <boost/test/unit_test.hpp>

#include <charconv>
#include <filesystem>
#include <system_error>

namespace cocp::test {

std::map<int, std::string> open_descriptors() {
  std::map<int, std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    // The one that lists the directory is among them, and closed afterwards.
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (gone || target.ends_with("/fd")) continue;
    const std::string name = entry.path().filename().string();
    int number = -1;
    std::from_chars(name.data(), name.data() + name.size(), number);
    found.emplace(number, target);
  }
  return found;
}

std::map<int, std::string> fd_check::opened() const {
  std::map<int, std::string> now = open_descriptors();
  std::erase_if(now, [&](const auto& d) {
    const auto was = before_.find(d.first);
    return was != before_.end() && was->second == d.second;
  });
  return now;
}

fd_check::~fd_check() {
  try {
    for (const auto& [number, target] : opened()) BOOST_ERROR("leaked descriptor " << number << ": " << target);
  } catch (const std::exception& e) {
    BOOST_ERROR("cannot list descriptors: " << e.what());
  }
}

}  // namespace cocp::test
