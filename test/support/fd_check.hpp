// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <map>
#include <string>

namespace cocp::test {

/// The descriptors that this process has open, each with what it is, as in "socket:[12345]".
std::map<int, std::string> open_descriptors();

/// Fails the test case, naming each one, if at the end of the scope a descriptor is open that was not open at its
/// start.
///
/// \code
/// BOOST_AUTO_TEST_CASE(...) {
///   fd_check descriptors;
///   asio::io_context io;   // destroyed first, with its epoll descriptor and its sockets
///   ...
/// }
/// \endcode
class fd_check {
 public:
  fd_check() : before_(open_descriptors()) {}
  fd_check(const fd_check&) = delete;
  fd_check& operator=(const fd_check&) = delete;
  ~fd_check();

  /// The descriptors that are open now and were not at the start, for a look in between.
  std::map<int, std::string> opened() const;

 private:
  std::map<int, std::string> before_;
};

}  // namespace cocp::test
