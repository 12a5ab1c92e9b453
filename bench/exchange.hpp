// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

namespace cocp {
class connection;
}  // namespace cocp

namespace bench {

/// The server answered, but not what it was asked.
class wrong_answer : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class protocol { echo, redis };

/// What one coroutine asks again and again.
class exchange {
 public:
  exchange() = default;
  exchange(const exchange&) = delete;
  exchange& operator=(const exchange&) = delete;
  virtual ~exchange() = default;

  /// Asks something that was never asked before, and checks every byte of the answer. Throws `wrong_answer`, or what
  /// the connection reports.
  virtual boost::asio::awaitable<void> run(cocp::connection& conn) = 0;
};

/// `echo` sends `bytes` random bytes and expects them back. `redis` stores that many under a key that starts with
/// `key`, which nobody else may use, fetches them and deletes them.
std::unique_ptr<exchange> make_exchange(protocol p, std::size_t bytes, std::string key);

}  // namespace bench
