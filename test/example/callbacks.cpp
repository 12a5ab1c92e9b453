// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// callbacks ADDRESS: a pool without a coroutine, asking a redis-server.
//
// `async_get` takes any completion token, as every operation of a connection does: a callback, `asio::use_future` in a
// program that blocks, and `asio::as_tuple`, which makes error and lease one value. A lease is a value too: it goes
// where it is moved to, and gives the connection back where it ends.

#include <cocp.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <future>
#include <iostream>
#include <latch>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// One request of one line and its answer of one line, by callbacks. Each of them keeps the object alive, and so the
/// lease and the buffers.
class request : public std::enable_shared_from_this<request> {
 public:
  using callback = std::function<void(cocp::error_code, std::string answer)>;

  request(std::string line, callback done) : line_(std::move(line) + "\r\n"), done_(std::move(done)) {}

  void start(cocp::pool& pool) {
    pool.async_get([self = shared_from_this()](cocp::error_code error, cocp::lease conn) {
      if (error) return self->end(error);
      self->conn_ = std::move(conn);
      self->write();
    });
  }

 private:
  void write() {
    conn_->expires_after(5s);
    asio::async_write(*conn_, asio::buffer(line_), [self = shared_from_this()](cocp::error_code error, std::size_t) {
      error ? self->end(error) : self->read();
    });
  }

  void read() {
    asio::async_read_until(*conn_, asio::dynamic_buffer(answer_), "\r\n",
                           [self = shared_from_this()](cocp::error_code error, std::size_t) { self->end(error); });
  }

  void end(cocp::error_code error) {
    conn_.put();  // first: the callback may want a connection itself. One that has failed is replaced.
    if (error) return done_(error, {});
    answer_.resize(answer_.size() - 2);
    done_({}, std::move(answer_));
  }

  std::string line_;
  callback done_;
  cocp::lease conn_;
  std::string answer_;
};

void by_callbacks(cocp::pool& pool) {
  std::vector<std::string> answers(20);
  std::latch ended(static_cast<std::ptrdiff_t>(answers.size()));
  for (std::string& place : answers) {
    const auto done = [&](cocp::error_code error, std::string answer) {
      place = error ? error.message() : answer;
      ended.count_down();
    };
    std::make_shared<request>("INCR visits", done)->start(pool);
  }
  ended.wait();
  std::cout << "callbacks:";
  for (const std::string& answer : answers) std::cout << ' ' << answer;
  std::cout << '\n';
}

/// The same by futures, whose `get` throws what the operation failed with.
std::string ask(cocp::pool& pool, std::string line) {
  line += "\r\n";
  cocp::lease conn = pool.async_get(asio::use_future).get();
  conn->expires_after(5s);
  asio::async_write(*conn, asio::buffer(line), asio::use_future).get();
  std::string answer;
  asio::async_read_until(*conn, asio::dynamic_buffer(answer), "\r\n", asio::use_future).get();
  answer.resize(answer.size() - 2);
  return answer;
}  // the lease puts the connection back here

/// Error and lease as one value, which goes into a promise: a future whose `get` does not throw. (In Boost 1.81
/// `as_tuple` takes neither `use_future` nor a handler that cannot be copied.)
using result = std::tuple<cocp::error_code, cocp::lease>;

std::future<result> get(cocp::pool& pool, cocp::duration limit) {
  const auto promise = std::make_shared<std::promise<result>>();
  std::future<result> future = promise->get_future();
  pool.async_get(limit, asio::as_tuple([promise](result value) { promise->set_value(std::move(value)); }));
  return future;
}

void by_values(cocp::pool& pool) {
  std::vector<cocp::lease> all;
  while (all.size() < pool.stats().size) all.push_back(pool.async_get(asio::use_future).get());
  const auto [error, none] = get(pool, 0s).get();  // zero: nobody waits
  std::cout << "all leased: " << error.message() << (none ? ", and yet a lease" : "") << '\n';
  std::future<result> next = get(pool, 5s);
  all.clear();
  const auto [no_error, lease] = next.get();
  std::cout << "all back: " << (no_error ? no_error.message() : lease ? "a lease" : "no lease") << '\n';
}

int main(int argc, char** argv) {
  if (argc != 2) return std::cerr << "callbacks ADDRESS\n", 2;
  asio::thread_pool thread(1);  // where the pool lives, and where callbacks are called
  cocp::pool pool{thread, {.address = argv[1], .logger = cocp::log_to(std::clog)}, {.size = 3}};
  try {
    by_callbacks(pool);
    std::cout << "future: " << ask(pool, "PING") << '\n';
    std::cout << "future: " << ask(pool, "INCR visits") << '\n';
    by_values(pool);
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
  pool.close();
  thread.join();  // returns once the pool has closed its connections
}
