// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>

#include <charconv>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

/// As much of a client of the Redis protocol, RESP2, as it takes to check answers. `Connection` is whatever has
/// awaitable `write(buffers)`, `read(buffers)` and `read_until(dynamic buffer, delimiter)`, as `cocp::connection` does.
/// The errors of these are passed on.
namespace cocp::test::resp {

/// An answer that does not belong to what was asked.
class unexpected_answer : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A command as a client sends it: an array of bulk strings.
template <class... Words>
std::string command(const Words&... words) {
  std::string text = "*" + std::to_string(sizeof...(words)) + "\r\n";
  for (const std::string_view word : {std::string_view(words)...})
    text.append("$").append(std::to_string(word.size())).append("\r\n").append(word).append("\r\n");
  return text;
}

/// Sets a key.
/// \throws unexpected_answer
template <class Connection>
boost::asio::awaitable<void> set(Connection& connection, std::string_view key, std::string_view value) {
  const std::string request = command("SET", key, value);
  co_await connection.write(boost::asio::buffer(request));
  std::string answer;
  co_await connection.read_until(boost::asio::dynamic_buffer(answer), "\r\n");
  if (answer != "+OK\r\n") throw unexpected_answer("SET " + std::string(key) + " was answered by: " + answer);
}

/// The value of a key; none if it is not set.
/// \throws unexpected_answer
template <class Connection>
boost::asio::awaitable<std::optional<std::string>> get(Connection& connection, std::string_view key) {
  const std::string request = command("GET", key);
  co_await connection.write(boost::asio::buffer(request));
  std::string answer;
  const std::size_t head = co_await connection.read_until(boost::asio::dynamic_buffer(answer), "\r\n");
  if (answer == "$-1\r\n") co_return std::nullopt;

  std::size_t length = 0;
  const char* const end = answer.data() + head - 2;
  const auto parsed = std::from_chars(answer.data() + 1, end, length);
  const bool is_bulk = answer.front() == '$' && parsed.ec == std::errc() && parsed.ptr == end;
  const std::size_t whole = head + length + 2;
  if (!is_bulk || answer.size() > whole)
    throw unexpected_answer("GET " + std::string(key) + " was answered by: " + answer);
  const std::size_t got = answer.size();
  answer.resize(whole);
  if (got < whole) co_await connection.read(boost::asio::buffer(answer.data() + got, whole - got));
  if (!answer.ends_with("\r\n")) throw unexpected_answer("GET " + std::string(key) + " has no end: " + answer);
  co_return answer.substr(head, length);
}

}  // namespace cocp::test::resp
