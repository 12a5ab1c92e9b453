// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// behind_haproxy ADDRESS LIFETIME_MS: traffic through a pool whose endpoint is a balancer, haproxy in front of several
// redis-servers, until SIGINT or SIGTERM; then how many requests were answered, and how many failed.
//
// - A balancer accepts connections whatever its servers do: being connected says nothing. `on_connect` has a server
//   answer first.
// - A balancer chooses a server for each connection, and a pool's connections are there to stay: a server that joins
//   would get none, and one that is to leave ("drain") would keep its own. With `max_lifetime` they move to where the
//   balancer wants them within that time, and no request fails: the new one is there first, and the old one goes
//   while nobody uses it.
// - When a server is killed, what was in flight there fails, since nobody can know what has become of it. Nothing else
//   does: `get` gives out no connection that is known to be dead.

#include <cocp.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

namespace asio = boost::asio;

/// A request of one line, and the answer of one line that begins as it should.
asio::awaitable<void> exchange(cocp::connection& conn, const std::string& request, const std::string& wanted) {
  co_await conn.write(asio::buffer(request));
  std::string answer;
  co_await conn.read_until(asio::dynamic_buffer(answer), "\r\n");
  if (!answer.starts_with(wanted)) throw std::runtime_error(request + " was answered by " + answer);
}

asio::awaitable<void> greet(cocp::connection& conn) {
  const std::string request = "PING\r\n";
  const std::string wanted = "+PONG";
  co_await exchange(conn, request, wanted);
}

struct tally {
  bool stop = false;
  std::size_t answered = 0;
  std::size_t failed = 0;
};

/// One of several users, who are more than there are connections.
asio::awaitable<void> work(cocp::pool& pool, tally& seen) {
  const std::string request = "INCR requests\r\n";
  const std::string wanted = ":";
  while (!seen.stop) {
    try {
      cocp::lease conn = co_await pool.get();
      conn->expires_after(std::chrono::seconds(20));
      co_await exchange(*conn, request, wanted);
      ++seen.answered;
    } catch (const std::exception& e) {
      ++seen.failed;
      std::cout << "failed: " << e.what() << std::endl;
    }
  }
}

int main(int argc, char** argv) {
  if (argc != 3) return std::cerr << "behind_haproxy ADDRESS LIFETIME_MS\n", 2;
  const std::chrono::milliseconds lifetime(std::stoul(argv[2]));
  asio::io_context io;
  cocp::pool pool{io,
                  {.address = argv[1], .on_connect = greet, .logger = cocp::log_to(std::clog)},
                  {.size = 4, .max_lifetime = lifetime}};

  tally seen;
  constexpr int workers = 8;
  int running = workers;
  for (int n = 0; n < workers; ++n)
    asio::co_spawn(io, work(pool, seen), [&](std::exception_ptr) {
      if (--running == 0) pool.close();
    });
  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](cocp::error_code, int) { seen.stop = true; });

  io.run();
  std::cout << seen.answered << " answered, " << seen.failed << " failed\n";
}
