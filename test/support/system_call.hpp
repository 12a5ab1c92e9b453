// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/system/system_error.hpp>

#include <cerrno>

namespace cocp::test {

/// The result of a system call, or an exception with `errno` if it is -1.
inline int system_call(const char* name, int result) {
  if (result == -1) throw boost::system::system_error(errno, boost::system::system_category(), name);
  return result;
}

}  // namespace cocp::test
