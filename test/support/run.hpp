// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <utility>

namespace cocp::test {

/// Runs a coroutine, and then the context until it is out of work. What the coroutine throws is thrown on, as soon as
/// it is thrown.
inline void run(boost::asio::io_context& io, boost::asio::awaitable<void> body) {
  boost::asio::co_spawn(io, std::move(body), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
  io.restart();
  io.run();
}

/// The same, until the coroutine has ended: where something is work without end, a server say.
inline void run_to_end(boost::asio::io_context& io, boost::asio::awaitable<void> body) {
  bool ended = false;
  std::exception_ptr thrown;
  boost::asio::co_spawn(io, std::move(body), [&](std::exception_ptr error) {
    thrown = error;
    ended = true;
  });
  io.restart();
  while (!ended) io.run_one();
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace cocp::test
