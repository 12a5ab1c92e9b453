// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <thread>

/// For what another process, the kernel or another thread does in its own time. The limit is for what has gone wrong: a
/// test that passes waits no longer than it must.
namespace cocp::test {

inline constexpr std::chrono::seconds patience{20};

/// Looks every millisecond until `condition()` is true, for at most `limit`; whether it became true.
template <class Condition>
boost::asio::awaitable<bool> eventually(Condition condition, std::chrono::nanoseconds limit = patience) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) co_return false;
    pause.expires_after(std::chrono::milliseconds(1));
    co_await pause.async_wait(boost::asio::use_awaitable);
  }
  co_return true;
}

/// The same for a thread that runs no execution context.
template <class Condition>
bool eventually_blocking(Condition condition, std::chrono::nanoseconds limit = patience) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace cocp::test
