// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "postgres_messages.hpp"
#include "postgres_session.hpp"

#include <cocp.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// A client of PostgreSQL (protocol 3.0) on top of a pool. What to copy:
//
// - `session` is what is known of one stream: its prepared statements, the key that cancels what it does, its buffer.
// - `try_execute` prepares a statement once for each stream, together with its first execution: all in one write.
// - What the server answers with an error costs no connection; a transaction that fails is rolled back.
// - `client::read` asks again where the server went away, so that a restart reaches nobody.
// - Who waits no longer (a time-out, a cancellation) has the server stop too.
//
// TLS would be `tls_options`, with an SSLRequest in its `before`.

namespace pg {

using value = std::optional<std::string>;  // as text; nothing for NULL
using values = std::vector<value>;         // parameters, or a row

/// What a statement comes to.
struct outcome {
  std::vector<values> rows;
  std::string tag;  // as in "INSERT 0 1"
  std::optional<pg::error> failure;
  bool is_lost = false;  // the server has given the error for a reason to go, and is gone
};

/// Has the server stop what a session does, over a connection of its own; that closes without an answer. A connection
/// whose statement is cancelled is replaced, so a cancellation that comes late meets nobody else's.
inline boost::asio::awaitable<void> cancel(std::string address, std::string key) {
  std::string body;
  put(body, 1234 << 16 | 5678, 4);
  const std::string request = message('\0', body + key);
  const boost::asio::any_io_executor executor = co_await boost::asio::this_coro::executor;
  cocp::connection_options server{.address = address};
  cocp::connection conn(executor, server);
  conn.expires_after(std::chrono::seconds(1));
  co_await conn.write(boost::asio::buffer(request));
  std::array<char, 1> nothing;
  co_await conn.read_some(boost::asio::buffer(nothing));
}

/// Sends messages that end with a Sync, and reads all that comes of them.
inline boost::asio::awaitable<outcome> exchange(cocp::connection& conn, const std::string& request, bool& was_parsed) {
  session& known = conn.session<session>();
  outcome result;
  known.is_busy = true;
  try {
    co_await conn.write(boost::asio::buffer(request));
    for (;;) {
      std::optional<answer_message> m = known.take();
      if (!m) {
        co_await known.receive(conn);
        continue;
      }
      switch (m->kind()) {
        case '1':
          was_parsed = true;
          break;
        case 'C':
          result.tag = m->text();
          break;
        case 'D': {
          values& row = result.rows.emplace_back(m->number(2));
          for (value& v : row) {
            const std::uint32_t size = m->number(4);
            if (size != 0xffff'ffff) v = m->bytes(size);
          }
          break;
        }
        case 'E':
          result.failure = error_of(*m);
          break;
        case 'Z':
          known.is_busy = false;
          known.in_transaction = m->rest() != "I";
          co_return result;
        case '2':
        case 'I':
          break;  // bound; an empty statement
        default:
          throw std::runtime_error("PostgreSQL: not spoken here");  // COPY
      }
    }
  } catch (const boost::system::system_error& e) {
    // Our time is up, or the pool is closed; or we were cancelled: the server does not know.
    if (e.code().category() == cocp::error_category() || e.code() == boost::asio::error::operation_aborted) {
      // Nobody waits for the cancellation, and if it fails there is nothing more to do.
      boost::asio::co_spawn(conn.get_executor(), cancel(known.address, known.key), [](std::exception_ptr) {});
      throw;
    }
    if (!result.failure) throw;
  }
  result.is_lost = true;
  co_return result;
}

/// One statement. Its text is kept with the session, so values are for `parameters`.
inline boost::asio::awaitable<outcome> try_execute(cocp::connection& conn, std::string sql, values parameters) {
  session& known = conn.session<session>();
  const auto found = known.prepared.find(sql);
  const bool is_new = found == known.prepared.end();
  const std::string name = is_new ? 's' + std::to_string(known.names++) : found->second;
  std::string request;
  std::string body;
  if (is_new) {
    put_text(body, name);
    put_text(body, sql);
    put(body, 0, 2);  // the server finds out the types of parameters
    request += message('P', body);
  }
  body.clear();
  put_text(body, "");  // the portal
  put_text(body, name);
  put(body, 0, 2);  // all parameters are text
  put(body, parameters.size(), 2);
  for (const value& v : parameters) {
    if (v) {
      put(body, v->size(), 4);
      body += *v;
    } else {
      body.append(4, '\xff');
    }
  }
  put(body, 0, 2);  // and all columns
  request += message('B', body);
  request += message('E', std::string_view("\0\0\0\0\0", 5));  // of the portal, all rows
  request += message('S', "");

  bool was_parsed = false;
  outcome result = co_await exchange(conn, request, was_parsed);
  if (was_parsed) known.prepared.emplace(sql, name);
  // Somebody has dropped the statement, or changed what its result is made of: the next time it is prepared anew.
  if (result.failure && (result.failure->code() == "26000" || result.failure->code() == "0A000"))
    known.prepared.erase(sql);
  co_return result;
}

inline boost::asio::awaitable<std::vector<values>> execute(cocp::connection& conn, std::string sql,
                                                           values parameters = {}) {
  outcome result = co_await try_execute(conn, std::move(sql), std::move(parameters));
  if (result.failure) throw *result.failure;
  co_return std::move(result.rows);
}

// `connection_options::on_close`
inline boost::asio::awaitable<void> terminate(cocp::connection& conn) {
  const std::string request = message('X', "");
  co_await conn.write(boost::asio::buffer(request));
}

/// The client. It may be used by any number of coroutines at a time.
class client {
 public:
  /// For a statement and the wait for a connection, or a transaction.
  static constexpr cocp::duration usual_limit = std::chrono::seconds(10);

  client(boost::asio::any_io_executor ex, const std::string& address, const login& who, std::size_t size)
      : pool_(std::move(ex),
              {.address = address,
               .on_connect = log_in(address, who),
               .on_close = terminate,
               .logger = cocp::log_to(std::clog)},
              {.size = size}) {}

  /// Does a statement once at most.
  boost::asio::awaitable<std::vector<values>> execute(std::string sql, values parameters = {},
                                                      cocp::duration timeout = usual_limit) {
    return ask(std::move(sql), std::move(parameters), {.timeout = timeout});
  }

  /// The same for one that changes nothing: it is asked again if the server goes away.
  boost::asio::awaitable<std::vector<values>> read(std::string sql, values parameters = {},
                                                   cocp::duration timeout = usual_limit) {
    return ask(std::move(sql), std::move(parameters), {.timeout = timeout, .again = cocp::retry::unanswered});
  }

  /// Calls `body(cocp::connection&)`, a coroutine function. What it throws ends the transaction, and is thrown on.
  /// Rolled back is here, and not in `pool_options::on_return`: that would be a coroutine more behind each statement.
  template <class Body>
  boost::asio::awaitable<void> transaction(Body body, cocp::duration timeout = usual_limit) {
    cocp::lease conn = co_await pool_.get(timeout);
    conn->expires_after(timeout);
    std::exception_ptr failure;
    try {
      co_await pg::execute(*conn, "begin");
      co_await body(*conn);
      const outcome end = co_await try_execute(*conn, "commit", {});
      if (end.failure) throw *end.failure;
      // Behind an error that the body has kept for itself there is nothing to commit.
      if (end.tag != "COMMIT") throw error("25P02", "the transaction was rolled back");
    } catch (...) {
      failure = std::current_exception();
    }
    const session& known = conn->session<session>();
    if (failure && !known.is_busy && known.in_transaction) co_await pg::execute(*conn, "rollback");
    // A lease that ends by an exception has its connection replaced, which is needed only within an answer.
    if (!known.is_busy) conn.put();
    if (failure) std::rethrow_exception(failure);
  }

  cocp::pool& pool() { return pool_; }

 private:
  boost::asio::awaitable<std::vector<values>> ask(std::string sql, values parameters, cocp::run_options options) {
    const bool may_repeat = options.again == cocp::retry::unanswered;
    // A server that is shut down says so (57P01) to whoever asks just then. That is an answer, behind which `run`
    // repeats nothing. So we do, on the lease's next stream.
    const auto once = [&](cocp::lease& conn) -> boost::asio::awaitable<outcome> {
      for (int left = 3;; --left) {
        outcome result = co_await try_execute(*conn, sql, parameters);
        if (result.is_lost && may_repeat && left != 0) {
          co_await conn->ready();
          continue;
        }
        // A BEGIN that nobody would end.
        if (conn->session<session>().in_transaction) conn.discard();
        co_return result;
      }
    };
    outcome result = co_await pool_.run(once, options);
    if (result.failure) throw *result.failure;  // the lease is back by now
    co_return std::move(result.rows);
  }

  cocp::pool pool_;
};

}  // namespace pg
