// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What a client of PostgreSQL can do:
//
//   postgres_client ADDRESS USER DATABASE CLIENTS ROUNDS
//
// has CLIENTS coroutines ask one query ROUNDS times each (0: until SIGTERM) over as many connections, as in
// `postgres_client unix:/run/postgresql/.s.PGSQL.5432 me test 8 1000`; meanwhile `show` shows the rest. A password, if
// the server wants one (SCRAM-SHA-256), is in $PGPASSWORD. The client itself is in postgres.hpp.

#include "postgres.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;

struct work {
  std::size_t rounds;
  bool is_stopped = false;
  std::size_t answered = 0;
  std::size_t failed = 0;
};

asio::awaitable<void> load(pg::client& db, work& w) {
  for (std::size_t i = 0; !w.is_stopped && (w.rounds == 0 || i < w.rounds); ++i) {
    try {
      pg::values parameters(1, std::to_string(i));
      const std::vector<pg::values> rows = co_await db.read("select $1::int + 1", std::move(parameters));
      if (rows.at(0).at(0) != std::to_string(i + 1)) throw std::runtime_error("a wrong answer");
      ++w.answered;
    } catch (const std::exception& e) {
      ++w.failed;
      std::cerr << e.what() << '\n';
    }
  }
}

asio::awaitable<void> fill(cocp::connection& conn) {
  co_await pg::execute(conn, "create temporary table numbers (n int) on commit drop");
  const std::array<const char*, 3> numbers{"1", "2", "many"};
  for (const char* number : numbers) {
    pg::values parameters(1, number);
    co_await pg::execute(conn, "insert into numbers values ($1)", std::move(parameters));
  }
}

asio::awaitable<void> show(pg::client& db) {
  const std::vector<pg::values> version = co_await db.read("show server_version");
  std::cout << "version: " << version.at(0).at(0).value_or("none") << std::endl;
  try {
    co_await db.execute("select 1 / 0");
  } catch (const pg::error& e) {
    std::cout << "error: " << e.what() << std::endl;
  }
  try {
    co_await db.transaction(fill);
  } catch (const pg::error& e) {
    std::cout << "transaction: " << e.what() << std::endl;
  }
  std::cout << "replaced so far: " << db.pool().stats().replaced_dirty << std::endl;
  co_await db.execute("begin");
  std::cout << "replaced behind a begin: " << db.pool().stats().replaced_dirty << std::endl;
  try {
    co_await db.execute("select pg_sleep(3600)", {}, 200ms);
  } catch (const boost::system::system_error& e) {
    std::cout << "pg_sleep: " << e.what() << std::endl;
  }
}

int main(int argc, char** argv) try {
  if (argc != 6) {
    std::cerr << "usage: [PGPASSWORD=...] postgres_client ADDRESS USER DATABASE CLIENTS ROUNDS\n";
    return 2;
  }
  const char* const password = std::getenv("PGPASSWORD");
  const std::size_t clients = std::stoul(argv[4]);
  work w{.rounds = std::stoul(argv[5])};
  asio::io_context io(1);
  const pg::login who{.user = argv[2], .database = argv[3], .password = password == nullptr ? "" : password};
  pg::client db(io.get_executor(), argv[1], who, clients + 1);
  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code, int) { w.is_stopped = true; });

  const auto began = std::chrono::steady_clock::now();
  std::size_t left = clients + 1;
  bool is_well = true;
  const auto ended = [&](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const std::exception& e) {
      std::cerr << e.what() << '\n';
      is_well = false;
    }
    if (--left != 0) return;
    signals.cancel();
    db.pool().close();
  };
  asio::co_spawn(io, show(db), ended);
  for (std::size_t i = 0; i < clients; ++i) asio::co_spawn(io, load(db, w), ended);
  io.run();

  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  const cocp::stats stats = db.pool().stats();
  std::cout << "answered: " << w.answered << "\nfailed: " << w.failed << "\nconnections: " << stats.connects
            << "\nseconds: " << took.count() << '\n';
  return is_well && w.failed == 0 ? 0 : 1;
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
