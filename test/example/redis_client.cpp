// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// redis_client ADDRESS DATABASE: a small typed client of Redis on top of a pool.
//
// - `on_connect` logs in and selects the database: whoever gets a connection gets it ready for use. When the password
//   in $REDIS_PASSWORD is wrong, the attempt has failed, and the logger is told what Redis said.
// - `pipeline` sends several commands at once and reads their answers in order.
// - An error that Redis answers with becomes an exception, and leaves the connection clean. A lease that ends by an
//   exception has its connection replaced, so this one is thrown where the lease is back already. What is thrown while
//   it is out (a lost stream, a timeout, an answer that makes no sense) is what replacing is for.

#include <cocp.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace asio = boost::asio;

/// What Redis answers to a command that it cannot carry out.
class redis_error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An answer: a simple string ('+'), an error ('-'), a number (':') or a string ('$'), which may be missing.
struct reply {
  char kind = '\0';
  std::optional<std::string> text;
};

/// A command as Redis wants it: an array of strings.
template <class... Words>
std::string command(const Words&... words) {
  std::string text = "*" + std::to_string(sizeof...(words)) + "\r\n";
  const auto append = [&](std::string_view word) {
    text.append("$" + std::to_string(word.size()) + "\r\n").append(word).append("\r\n");
  };
  (append(words), ...);
  return text;
}

long long number(std::string_view text) {
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) throw std::runtime_error("Redis: no number");
  return value;
}

/// `received` holds what was read and belongs to answers not yet taken.
asio::awaitable<reply> read_reply(cocp::connection& conn, std::string& received) {
  const std::size_t head = co_await conn.read_until(asio::dynamic_buffer(received), "\r\n");
  reply answer{.kind = received.front(), .text = received.substr(1, head - 3)};
  received.erase(0, head);
  if (answer.kind == '+' || answer.kind == '-' || answer.kind == ':') co_return answer;
  if (answer.kind != '$') throw std::runtime_error("Redis: an answer of an unknown kind");

  const long long length = number(*answer.text);
  answer.text.reset();
  if (length < 0) co_return answer;
  const std::size_t size = static_cast<std::size_t>(length) + 2;
  if (const std::size_t got = received.size(); got < size) {
    received.resize(size);
    co_await conn.read(asio::buffer(received.data() + got, size - got));
  }
  answer.text = received.substr(0, size - 2);
  received.erase(0, size);
  co_return answer;
}

/// The answers to `count` commands.
asio::awaitable<std::vector<reply>> exchange(cocp::connection& conn, const std::string& commands, std::size_t count) {
  co_await conn.write(asio::buffer(commands));
  std::vector<reply> replies;
  std::string received;
  while (replies.size() < count) replies.push_back(co_await read_reply(conn, received));
  // The pool sees what is left unread on the connection, but not what was read already.
  if (!received.empty()) throw std::runtime_error("Redis: more answers than commands");
  co_return replies;
}

cocp::handshake log_in(std::string password, std::string database) {
  return [commands = command("AUTH", password) +
                     command("SELECT", database)](cocp::connection& conn) -> asio::awaitable<void> {
    const std::vector<reply> replies = co_await exchange(conn, commands, 2);
    for (const reply& answer : replies)
      if (answer.kind == '-') throw redis_error(*answer.text);
  };
}

/// The client. It may be used by any number of coroutines at a time.
class redis {
 public:
  explicit redis(cocp::pool& pool) : pool_(pool) {}

  asio::awaitable<void> set(std::string key, std::string value) { co_await ask(command("SET", key, value)); }

  asio::awaitable<std::optional<std::string>> get(std::string key) {
    reply answer = co_await ask(command("GET", key));
    co_return std::move(answer.text);
  }

  asio::awaitable<long long> incr(std::string key) {
    const reply answer = co_await ask(command("INCR", key));
    co_return number(answer.text.value());
  }

  /// All commands on one connection. Errors are answers here, among the others.
  asio::awaitable<std::vector<reply>> pipeline(std::vector<std::string> commands) {
    std::string all;
    for (const std::string& one : commands) all += one;
    cocp::lease conn = co_await pool_.get();
    conn->expires_after(std::chrono::seconds(5));
    co_return co_await exchange(*conn, all, commands.size());
  }

 private:
  asio::awaitable<reply> ask(std::string command) {
    std::vector<std::string> one(1, std::move(command));
    std::vector<reply> replies = co_await pipeline(std::move(one));
    if (replies[0].kind == '-') throw redis_error(*replies[0].text);  // the lease is back by now
    co_return std::move(replies[0]);
  }

  cocp::pool& pool_;
};

asio::awaitable<void> use(cocp::pool& pool) {
  redis db(pool);
  co_await db.set("greeting", "hello, world");
  const std::optional<std::string> greeting = co_await db.get("greeting");
  const std::optional<std::string> nothing = co_await db.get("nothing");
  std::cout << "greeting: " << greeting.value_or("none") << "\nnothing: " << nothing.value_or("none") << '\n';

  std::vector<std::string> commands(100, command("INCR", "visits"));
  commands.push_back(command("INCR", "greeting"));
  const std::vector<reply> replies = co_await db.pipeline(std::move(commands));
  std::cout << "visits: " << replies[99].text.value() << "\npipelined: " << replies[100].text.value() << '\n';
  const long long visits = co_await db.incr("visits");
  std::cout << "visits: " << visits << '\n';

  try {
    co_await db.incr("greeting");
  } catch (const redis_error& e) {
    std::cout << "error: " << e.what() << '\n';
  }
  const std::optional<std::string> again = co_await db.get("greeting");
  std::cout << "greeting: " << again.value_or("none") << "\nreplaced: " << pool.stats().replaced_dirty << '\n';
}

int main(int argc, char** argv) {
  const char* const password = std::getenv("REDIS_PASSWORD");
  if (argc != 3 || password == nullptr) return std::cerr << "REDIS_PASSWORD=... redis_client ADDRESS DATABASE\n", 2;
  int status = 0;
  asio::io_context io;
  cocp::pool pool{
      io,
      {.address = argv[1], .on_connect = log_in(password, argv[2]), .logger = cocp::log_to(std::clog)},
      {.size = 2,
       .fail_fast = std::chrono::seconds(0)}};  // rather an error now than a request that waits for a password
  asio::co_spawn(io, use(pool), [&](std::exception_ptr error) {
    pool.close();
    try {
      if (error) std::rethrow_exception(error);
    } catch (const std::exception& e) {
      std::cerr << e.what() << '\n';
      status = 1;
    }
  });
  io.run();
  return status;
}
