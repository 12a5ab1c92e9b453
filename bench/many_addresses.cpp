// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What pools of many addresses take: memory of each, and the time of a get and put at 100 busy ones or fewer, beside up
// to 10,000 pools; and of the floor, a map under a mutex.
#include "floor_pool.hpp"

#include <cocp/pools.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <malloc.h>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

constexpr std::size_t most_busy = 100;
constexpr std::size_t gets = 200'000;

std::size_t heap() { return mallinfo2().uordblks; }

void settle(asio::io_context& io) {
  io.restart();
  io.run_for(200ms);
}

/// All of 127.0.0.0/8 is this host.
std::string address(std::size_t n, unsigned short port) {
  return "127." + std::to_string(1 + n / 62'500) + '.' + std::to_string(n / 250 % 250) + '.' +
         std::to_string(1 + n % 250) + ':' + std::to_string(port);
}

/// Accepts, and keeps what it has accepted until the other end closes it.
class sink {
 public:
  explicit sink(asio::io_context& io) : acceptor_(io, {asio::ip::address_v4::any(), 0}) { accept(); }
  unsigned short port() const { return acceptor_.local_endpoint().port(); }
  void stop() { acceptor_.close(); }

 private:
  void accept() {
    acceptor_.async_accept([this](boost::system::error_code ec, tcp::socket s) {
      if (ec) return;
      auto session = std::make_shared<tcp::socket>(std::move(s));
      session->async_wait(tcp::socket::wait_read, [session](boost::system::error_code) {});
      accept();
    });
  }
  tcp::acceptor acceptor_;
};

/// The least that pools of many addresses can be.
class floor_pools {
 public:
  explicit floor_pools(const std::vector<std::string>& addresses) {
    for (const std::string& a : addresses) pools_.try_emplace(a, 1);
  }

  asio::awaitable<bench::floor_pool<int>::lease> get(const std::string& address) { co_return find(address).try_get(); }

 private:
  bench::floor_pool<int>& find(const std::string& address) {
    const std::lock_guard lock(mutex_);
    return pools_.at(address);
  }

  std::mutex mutex_;
  std::unordered_map<std::string, bench::floor_pool<int>> pools_;
};

template <class Pools>
asio::awaitable<void> use(Pools& pools, const std::vector<std::string>& addresses, std::size_t busy, double& ns) {
  for (std::size_t i = 0; i < busy; ++i) auto l = co_await pools.get(addresses[i]);
  const auto begin = clock_type::now();
  for (std::size_t i = 0; i < gets; ++i) auto l = co_await pools.get(addresses[i * 37 % busy]);
  ns = std::chrono::duration<double, std::nano>(clock_type::now() - begin).count() / static_cast<double>(gets);
}

template <class Pools>
double time_of_get(asio::io_context& io, Pools& pools, const std::vector<std::string>& addresses, std::size_t busy) {
  double ns = 0;
  asio::co_spawn(io, use(pools, addresses, busy, ns), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  while (ns == 0) settle(io);
  return ns;
}

void measure(std::size_t many) {
  asio::io_context io{1};
  sink server(io);
  std::vector<std::string> addresses;
  for (std::size_t i = 0; i < many; ++i) addresses.push_back(address(i, server.port()));
  floor_pools floor(addresses);
  const std::size_t busy = std::min(many, most_busy);
  const double floor_ns = time_of_get(io, floor, addresses, busy);
  // Those that are not busy have asked once, and make room.
  cocp::pools pools(io, {}, {.size = 10, .check_after = 1h}, {.unused_for = std::nullopt, .max_connections = 2 * busy});
  settle(io);
  const std::size_t before = heap();
  for (std::size_t i = busy; i < many; ++i) {
    static_cast<void>(pools.try_get(addresses[i]));
    if (i % 100 == 0) settle(io);
  }
  const double ns = time_of_get(io, pools, addresses, busy);
  settle(io);
  const auto s = pools.stats();
  std::printf("%6zu pools: %5.0f ns for a get and put (floor %3.0f), %6.0f bytes of each pool, %zu connections\n",
              s.size(), ns, floor_ns,
              (static_cast<double>(heap()) - static_cast<double>(before)) / static_cast<double>(many), s.sum.connected);
  pools.close();
  server.stop();
  settle(io);
}

}  // namespace

int main(int argc, char**) {
  if (argc > 1) {
    std::cerr
        << "usage: cocp-many-addresses\ntime of a get at 100 busy addresses, and memory of a pool, beside others\n";
    return 2;
  }
  try {
    for (const std::size_t many : {1u, 10u, 100u, 1'000u, 10'000u}) measure(many);
  } catch (const std::exception& e) {
    std::cerr << "cocp-many-addresses: " << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
