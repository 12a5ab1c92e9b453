// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Runs N operations of one kind and does nothing else, for tools that count instructions: those of one operation are
// the difference between two runs, divided by the difference between their Ns. See `bench/instructions`.
#include "echo_server.hpp"
#include "floor_pool.hpp"
#include "free_port.hpp"
#include "round_trip.hpp"
#include "server_process.hpp"

#ifdef COCP_BENCH_TLS
#include "load/tls_echo_server.hpp"

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#endif

#include <cocp/pool.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

constexpr const char* usage =
    "usage: cocp-echo-count KIND N\n"
    "  raw        a 64-byte message there and back over a socket\n"
    "  lease      the same through a lease\n"
    "  limited    the same with a limit of time for each (expires_after)\n"
    "  floor      get and put with a mutex and a list\n"
    "  get        get and put with cocp\n"
    "  unchecked  the same without a look at the connection (check_after)\n"
    "  try_floor  floor with try_get\n"
    "  try_get    unchecked with try_get\n"
    "and with TLS, where it is built with that:\n"
    "  tls_raw    as raw, over a stream of Asio's\n"
    "  tls_held   the same through a lease, one for all\n"
    "  tls_lease  as lease\n";

constexpr std::string_view kinds[] = {"raw",     "lease",     "limited",   "floor",
                                      "get",     "unchecked", "try_floor", "try_get",
#ifdef COCP_BENCH_TLS
                                      "tls_raw", "tls_held",  "tls_lease"
#endif
};

constexpr std::size_t pool_size = 10;

/// The answer comes this much later than asked for, so that the client always waits for it, as over a network, and runs
/// the same instructions each time.
constexpr auto answer_delay = 500us;

void run(asio::io_context& io, asio::awaitable<void> body) {
  asio::co_spawn(io, std::move(body), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  io.run();
}

template <class RoundTrip>
asio::awaitable<void> repeat(RoundTrip& round_trip, std::uint64_t n) {
  for (; n != 0; --n) co_await round_trip();
}

template <class Pool>
asio::awaitable<void> get_and_put(Pool& pool, std::uint64_t n) {
  for (; n != 0; --n) {
    auto item = co_await pool.get();
    if (!item) throw std::logic_error("nothing is free");
  }
}

template <class Pool>
asio::awaitable<void> try_get_and_put(Pool& pool, std::uint64_t n) {
  for (; n != 0; --n) {
    auto item = pool.try_get();
    if (!item) throw std::logic_error("nothing is free");
  }
  co_return;
}

asio::awaitable<void> with_pool(cocp::pool& pool, std::string_view kind, std::uint64_t n) {
  co_await pool.ready(pool_size);
  if (kind == "tls_held") {
    bench::held_round_trip round_trip(co_await pool.get());
    co_await repeat(round_trip, n);
  } else if (kind == "lease" || kind == "limited" || kind == "tls_lease") {
    bench::leased_round_trip round_trip(pool, kind == "limited" ? cocp::duration(1min) : cocp::duration(0));
    co_await repeat(round_trip, n);
  } else if (kind == "try_get") {
    co_await try_get_and_put(pool, n);
  } else {
    co_await get_and_put(pool, n);
  }
  co_await pool.drain();
}

#ifdef COCP_BENCH_TLS
void count_in_tls(asio::io_context& io, std::string_view kind, std::uint64_t n) {
  asio::ssl::context tls(asio::ssl::context::tls_client);
  const unsigned short port = bench::free_port();
  bench::server_process server(bench::tls_echo_server(port, answer_delay));
  server.start_now();
  if (kind == "tls_raw") {
    asio::ssl::stream<tcp::socket> s(bench::dial_plain(io, port), tls);
    s.handshake(asio::ssl::stream_base::client);
    bench::raw_round_trip round_trip(std::move(s));
    return run(io, repeat(round_trip, n));
  }
  cocp::pool pool(
      io, {.address = "127.0.0.1:" + std::to_string(port), .tls = cocp::tls_options{.context = &tls, .verify = false}},
      {.size = pool_size});
  run(io, with_pool(pool, kind, n));
}
#endif

void count(std::string_view kind, std::uint64_t n) {
  asio::io_context io{1};
#ifdef COCP_BENCH_TLS
  if (kind.starts_with("tls_")) return count_in_tls(io, kind, n);
#endif
  if (kind == "floor" || kind == "try_floor") {
    bench::floor_pool<int> pool(pool_size);
    return run(io, kind == "floor" ? get_and_put(pool, n) : try_get_and_put(pool, n));
  }
  const unsigned short port = bench::free_port();
  bench::server_process server(bench::echo_server(port, answer_delay));
  server.start_now();
  if (kind == "raw") {
    bench::raw_round_trip round_trip(bench::dial_plain(io, port));
    return run(io, repeat(round_trip, n));
  }
  const bool unchecked = kind == "unchecked" || kind == "try_get";
  const cocp::duration check_after = unchecked ? cocp::duration(1h) : cocp::duration(0);
  cocp::pool pool(io, {.address = "127.0.0.1:" + std::to_string(port)},
                  {.size = pool_size, .check_after = check_after});
  run(io, with_pool(pool, kind, n));
}

}  // namespace

int main(int argc, char** argv) {
  bench::serve_if_asked(argc, argv);
#ifdef COCP_BENCH_TLS
  bench::serve_tls_if_asked(argc, argv);
#endif
  std::uint64_t n = 0;
  const std::string_view number = argc == 3 ? argv[2] : "";
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), n);
  if (number.empty() || error != std::errc{} || end != number.data() + number.size() ||
      std::find(std::begin(kinds), std::end(kinds), argv[1]) == std::end(kinds)) {
    std::cerr << usage;
    return 2;
  }
  try {
    count(argv[1], n);
  } catch (const std::exception& e) {
    std::cerr << "cocp-echo-count: " << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
