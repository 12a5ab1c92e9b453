// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/test/unit_test.hpp>

#include <string>

namespace cocp::test {

/// The calling thread in a network of its own, with a loopback that is up and nothing else. What it makes meanwhile,
/// sockets and processes, belongs to that network (network_namespaces(7)).
/// \par Lifetime
/// Destroyed on the same thread, which then is where it was before; the last made first.
class network_namespace {
 public:
  /// \throws boost::system::system_error where it is not allowed
  network_namespace();
  ~network_namespace();
  network_namespace(const network_namespace&) = delete;
  network_namespace& operator=(const network_namespace&) = delete;

  /// The calling thread goes there again, from another one that was made after it.
  void enter() const;

  /// Sets what is at /proc/sys/net/`name`, in the network in which the thread is.
  static void set(const std::string& name, const std::string& value);

  /// For `boost::unit_test::precondition`: whether one can be made, or why not.
  static boost::test_tools::assertion_result is_allowed(boost::unit_test::test_unit_id);

 private:
  int before_;
  int own_ = -1;
};

}  // namespace cocp::test
