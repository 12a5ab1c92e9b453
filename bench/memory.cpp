// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What a pool, a place in it, an idle connection and a waiter take of the heap, beside a plain socket. With --check it
// fails if that is more than it may be.
#include "echo_server.hpp"
#include "free_port.hpp"
#include "server_process.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <malloc.h>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

constexpr std::size_t many = 500;

/// Bytes that are allocated now, with what the allocator needs for each piece.
std::size_t heap() { return mallinfo2().uordblks; }

/// Until nothing is left to do but to wait.
void settle(asio::io_context& io) {
  io.restart();
  io.run_for(200ms);
}

double each(std::size_t before, std::size_t n) {
  return (static_cast<double>(heap()) - static_cast<double>(before)) / static_cast<double>(n);
}

/// True if it is not more than `most`.
bool print(const char* what, double bytes, double most = 1e9) {
  const bool is_well = bytes <= most;
  std::printf("%-44s %7.0f bytes", what, bytes);
  if (!is_well) std::printf(", more than %.0f", most);
  std::puts("");
  return is_well;
}

cocp::pool_options sized(std::size_t size, std::size_t least) {
  return {.size = size, .min_size = least, .max_dialling = 256};
}

/// True if nothing takes more than it may.
bool measure(const tcp::endpoint& server, const std::string& address, const std::string& nobody) {
  bool is_well = true;
  asio::io_context io{1};
  {
    // The context's services, and what Asio keeps for the next time.
    cocp::pool first(io, address, sized(1, 1));
    settle(io);
    first.close();
    settle(io);
  }
  {
    const std::size_t before = heap();
    std::vector<std::unique_ptr<cocp::pool>> pools;
    pools.reserve(many);
    for (std::size_t i = 0; i < many; ++i) pools.push_back(std::make_unique<cocp::pool>(io, address, sized(10, 0)));
    settle(io);
    is_well &= print("a pool of 10 with min_size 0", each(before, many), 4096);
    for (auto& p : pools) p->close();
    settle(io);
  }
  {
    cocp::pool pool(io, nobody, sized(many, 0));
    settle(io);
    const std::size_t before = heap();
    asio::co_spawn(io, pool.ready(many), [](std::exception_ptr) {});
    settle(io);
    is_well &= print("a place that waits for leave to dial", each(before, many), 1024);
    pool.close();
    settle(io);
  }
  double raw = 0;
  {
    const std::size_t before = heap();
    std::vector<tcp::socket> sockets;
    for (std::size_t i = 0; i < many; ++i) sockets.emplace_back(io).connect(server);
    raw = each(before, many);
    print("a socket", raw);
  }
  {
    cocp::pool pool(io, address, sized(many, 0));
    settle(io);
    const std::size_t before = heap();
    asio::co_spawn(io, pool.ready(many), [](std::exception_ptr) {});
    while (pool.stats().idle != many) settle(io);
    settle(io);
    const double idle = each(before, many);
    print("an idle connection", idle);
    is_well &= print("  of that beyond the socket", idle - raw, 2560);
    std::vector<cocp::lease> leases;
    leases.reserve(many);
    for (std::size_t i = 0; i < many; ++i) leases.push_back(pool.try_get());
    const std::size_t all_out = heap();
    for (std::size_t i = 0; i < many; ++i) pool.async_get([](const cocp::error_code&, const cocp::lease&) {});
    is_well &= print("one who waits", each(all_out, many), 320);
    leases.clear();
    pool.close();
    settle(io);
  }
  return is_well;
}

}  // namespace

int main(int argc, char** argv) {
  bench::serve_if_asked(argc, argv);
  const bool check = argc == 2 && std::string_view(argv[1]) == "--check";
  if (argc > 1 && !check) {
    std::cerr
        << "usage: cocp-memory [--check]\nbytes of the heap of a pool, a place, an idle connection and a waiter\n";
    return 2;
  }
  try {
    const unsigned short port = bench::free_port();
    bench::server_process server(bench::echo_server(port));
    server.start_now();
    const tcp::endpoint at(asio::ip::address_v4::loopback(), port);
    const std::string nobody = "127.0.0.1:" + std::to_string(bench::free_port());
    if (!measure(at, "127.0.0.1:" + std::to_string(port), nobody) && check) return EXIT_FAILURE;
  } catch (const std::exception& e) {
    std::cerr << "cocp-memory: " << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
