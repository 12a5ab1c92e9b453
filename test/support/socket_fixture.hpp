// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/fd_check.hpp"
#include "support/run.hpp"

#include <boost/asio/io_context.hpp>

namespace cocp::test {

/// Of tests on real sockets: what they run on, and that no descriptor is left.
struct socket_fixture {
  fd_check descriptors;
  boost::asio::io_context io{1};

  /// What `body` returns is a coroutine; see `cocp::test::run`.
  template <class Body>
  void run(Body body) {
    cocp::test::run(io, body());
  }
};

}  // namespace cocp::test
