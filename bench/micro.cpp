// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "micro.hpp"

#include "allocations.hpp"
#include "echo_server.hpp"
#include "free_port.hpp"
#include "server_process.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <utility>

namespace bench {

void run_benchmark(benchmark::State& state, boost::asio::io_context& io, boost::asio::awaitable<void> body) {
  boost::asio::co_spawn(io, std::move(body), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  try {
    io.run();
  } catch (const std::exception& e) {
    state.SkipWithError(e.what());
  }
}

allocation_counter::allocation_counter() noexcept : before_(allocations()) {}

void allocation_counter::report(benchmark::State& state) const {
  const auto n = static_cast<double>(allocations() - before_);
  state.counters["allocs"] = benchmark::Counter(n, benchmark::Counter::kAvgIterations);
}

}  // namespace bench

int main(int argc, char** argv) {
  bench::serve_if_asked(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  try {
    const unsigned short port = bench::free_port();
    bench::server_process server(bench::echo_server(port));
    server.start_now();
    const boost::asio::ip::tcp::endpoint address(boost::asio::ip::address_v4::loopback(), port);
    // Those that need a second thread come last: once one was started, this process is never the same again.
    bench::register_echo(address);
    bench::register_get_put(address);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
  } catch (const std::exception& e) {
    std::cerr << "cocp-micro: " << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
