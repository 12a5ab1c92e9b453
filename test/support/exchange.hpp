// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/resp.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <optional>
#include <string>

namespace cocp::test {

/// One exchange with a redis-server: a key that nobody else uses, set and read back.
/// \throws resp::unexpected_answer, and what the connection throws
template <class Connection>
boost::asio::awaitable<void> exchange(Connection& connection, std::size_t worker, std::size_t number) {
  const std::string key = "key:" + std::to_string(worker) + ":" + std::to_string(number);
  const std::string value = "value of " + key + std::string(number * 37 % 300, '.');
  co_await resp::set(connection, key, value);
  const std::optional<std::string> answer = co_await resp::get(connection, key);
  if (answer != value) throw resp::unexpected_answer("GET " + key + " was answered by: " + answer.value_or("(nil)"));
}

}  // namespace cocp::test
