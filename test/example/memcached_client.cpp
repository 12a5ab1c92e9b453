// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// memcached_client ADDRESS: get, set and delete in memcached's text protocol, by many coroutines on a few connections.
//
// memcached keeps nothing for a connection: there is nobody to log in and nothing to undo, and so neither `on_connect`
// nor `on_return`. Nor does it always say how much of a request it has read when it refuses one. So every answer that
// was not foreseen is thrown while the lease is out, and the pool replaces the connection.

#include <cocp.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// What memcached answered instead of what was wanted.
class memcached_error : public std::runtime_error {
 public:
  explicit memcached_error(const std::string& answer)
      : std::runtime_error("memcached: " + answer.substr(0, answer.find('\r'))) {}
};

/// The client. It may be used by any number of coroutines at a time.
class memcached {
 public:
  explicit memcached(cocp::pool& pool) : pool_(pool) {}

  asio::awaitable<void> set(std::string key, std::string value, std::chrono::seconds time_to_live = 0s) {
    const std::string request = "set " + checked(key) + " 0 " + std::to_string(time_to_live.count()) + ' ' +
                                std::to_string(value.size()) + "\r\n" + value + "\r\n";
    cocp::lease conn = co_await lease();
    const std::string answer = co_await ask(*conn, request);
    if (answer != "STORED\r\n") throw memcached_error(answer);
  }

  asio::awaitable<std::optional<std::string>> get(std::string key) {
    const std::string request = "get " + checked(key) + "\r\n";
    cocp::lease conn = co_await lease();
    std::string answer = co_await ask(*conn, request);
    if (answer == "END\r\n") co_return std::nullopt;

    // VALUE <key> <flags> <size>, that many bytes, END
    const std::size_t head = answer.find("\r\n") + 2;
    const std::string start = "VALUE " + key + " 0 ";
    std::size_t size = 0;
    if (!answer.starts_with(start)) throw memcached_error(answer);
    const auto parsed = std::from_chars(answer.data() + start.size(), answer.data() + head, size);
    if (parsed.ec != std::errc() || *parsed.ptr != '\r') throw memcached_error(answer);

    static constexpr std::string_view end = "\r\nEND\r\n";
    const std::size_t got = answer.size();
    const std::size_t whole = head + size + end.size();
    if (got < whole) {
      answer.resize(whole);
      co_await conn->read(asio::buffer(answer.data() + got, whole - got));
    }
    // What was read too much is not the pool's to see.
    if (answer.size() != whole || !answer.ends_with(end)) throw memcached_error("a value without an end");
    co_return answer.substr(head, size);
  }

  /// Whether there was such a key.
  asio::awaitable<bool> remove(std::string key) {
    const std::string request = "delete " + checked(key) + "\r\n";
    cocp::lease conn = co_await lease();
    const std::string answer = co_await ask(*conn, request);
    if (answer != "DELETED\r\n" && answer != "NOT_FOUND\r\n") throw memcached_error(answer);
    co_return answer == "DELETED\r\n";
  }

 private:
  /// A key with a space or a line's end in it would be another request.
  static const std::string& checked(const std::string& key) {
    const auto bad = [](unsigned char c) { return c <= ' ' || c == 0x7f; };
    if (key.empty() || key.size() > 250 || std::any_of(key.begin(), key.end(), bad))
      throw std::invalid_argument("memcached: bad key \"" + key + '"');
    return key;
  }

  asio::awaitable<cocp::lease> lease() {
    cocp::lease conn = co_await pool_.get();
    conn->expires_after(5s);
    co_return conn;
  }

  /// The first line of the answer, and what came with it.
  static asio::awaitable<std::string> ask(cocp::connection& conn, const std::string& request) {
    co_await conn.write(asio::buffer(request));
    std::string answer;
    co_await conn.read_until(asio::dynamic_buffer(answer), "\r\n");
    co_return answer;
  }

  cocp::pool& pool_;
};

struct tally {
  int users = 50;
  int wrong = 0;
};

/// One of many users, with keys of its own.
asio::awaitable<void> use(cocp::pool& pool, tally& seen, int number) {
  memcached cache(pool);
  const std::string key = "user:" + std::to_string(number);
  const std::string value =
      "value of " + key + "\r\nEND\r\n" + std::string(static_cast<std::size_t>(number) * 100, '.');
  co_await cache.set(key, value, 60s);
  const std::optional<std::string> found = co_await cache.get(key);
  const bool removed = co_await cache.remove(key);
  const bool removed_twice = co_await cache.remove(key);
  const std::optional<std::string> gone = co_await cache.get(key);
  if (found != value || !removed || removed_twice || gone) ++seen.wrong;
}

asio::awaitable<void> refuse(cocp::pool& pool) {
  memcached cache(pool);
  try {
    co_await cache.set("too large", "value");
  } catch (const std::invalid_argument& e) {
    std::cout << e.what() << '\n';
  }
  try {
    std::string large(2'000'000, '.');
    co_await cache.set("large", std::move(large));
  } catch (const memcached_error& e) {
    std::cout << e.what() << '\n';
  }
  const std::optional<std::string> none = co_await cache.get("large");
  std::cout << (none ? "stored" : "not stored") << "\nreplaced: " << pool.stats().replaced_dirty << '\n';
}

int main(int argc, char** argv) {
  if (argc != 2) return std::cerr << "memcached_client ADDRESS\n", 2;
  asio::io_context io;
  cocp::pool pool{io, {.address = argv[1], .logger = cocp::log_to(std::clog)}, {.size = 4}};
  tally seen;
  int status = 0;
  int running = seen.users;
  const auto failed = [&](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const std::exception& e) {
      std::cerr << e.what() << '\n';
      status = 1;
    }
  };
  for (int number = 0; number < seen.users; ++number)
    asio::co_spawn(io, use(pool, seen, number), [&](std::exception_ptr error) {
      failed(error);
      if (--running != 0) return;
      std::cout << seen.users << " users, " << seen.wrong << " wrong\n";
      asio::co_spawn(io, refuse(pool), [&](std::exception_ptr last) {
        failed(last);
        pool.close();
      });
    });
  io.run();
  return status;
}
