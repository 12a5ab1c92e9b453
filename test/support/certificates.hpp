// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/temporary_directory.hpp"

#include <ctime>
#include <string>
#include <vector>

namespace cocp::test {

/// The paths of two PEM files.
struct key_pair {
  std::string certificate;
  std::string key;
};

/// A certificate authority that nobody else trusts, made with the `openssl` program. Its files, and those of what it
/// signs, live as long as it does. Keys are on the curve P-256, which takes milliseconds to make.
class certificate_authority {
 public:
  /// \throws std::exception when there is no `openssl` in PATH, or it fails
  certificate_authority();
  /// The same, whose own certificate's time is over at that time (POSIX), sooner than what it signs.
  explicit certificate_authority(std::time_t end);

  /// The path of its own certificate, to be trusted or not.
  std::string certificate() const { return own_.certificate; }

  /// A certificate for servers with these names, each a host name or a numeric address, good for some days.
  /// \throws as the constructor
  key_pair issue(const std::vector<std::string>& names);
  /// The same, whose time is over at that time (POSIX).
  key_pair issue_until(const std::vector<std::string>& names, std::time_t end);
  /// The same, whose time was over a day ago.
  key_pair issue_expired(const std::vector<std::string>& names);

 private:
  key_pair next_files();
  void openssl(std::vector<std::string> arguments);
  /// Makes a key, and asks for a certificate in a file beside the one it is to have.
  key_pair ask(const std::vector<std::string>& names);
  /// Signs the request beside `files.certificate`.
  void sign_until(const key_pair& files, std::time_t end, const std::string& how);
  key_pair sign(const std::vector<std::string>& names, int days);

  temporary_directory directory_;
  key_pair own_;
  unsigned made_ = 0;
};

}  // namespace cocp::test
