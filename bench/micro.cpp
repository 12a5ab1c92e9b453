// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "micro.hpp"

#include "allocations.hpp"
#include "echo_server.hpp"
#include "free_port.hpp"
#include "ratio_reporter.hpp"
#include "server_process.hpp"

#ifdef COCP_BENCH_TLS
#include "load/tls_echo_server.hpp"
#include "support/certificates.hpp"

#include <boost/asio/ssl/context.hpp>
#endif
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <cmath>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <sstream>
#include <utility>

#include <sys/resource.h>

namespace bench {

std::string address_text(const boost::asio::ip::tcp::endpoint& server) {
  std::ostringstream text;
  text << server;
  return text.str();
}

void run_all(boost::asio::io_context& io, std::vector<boost::asio::awaitable<void>> bodies) {
  std::size_t running = bodies.size();
  for (auto& body : bodies) {
    boost::asio::co_spawn(io, std::move(body), [&](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
      // An open pool is work without end.
      if (--running == 0) io.stop();
    });
  }
  io.restart();
  io.run();
}

void run_one(boost::asio::io_context& io, boost::asio::awaitable<void> body) {
  std::vector<boost::asio::awaitable<void>> one;
  one.push_back(std::move(body));
  run_all(io, std::move(one));
}

bool run_benchmark(benchmark::State& state, boost::asio::io_context& io,
                   std::vector<boost::asio::awaitable<void>> bodies) {
  try {
    run_all(io, std::move(bodies));
  } catch (const std::exception& e) {
    state.SkipWithError(e.what());
    return false;
  }
  return true;
}

bool run_benchmark(benchmark::State& state, boost::asio::io_context& io, boost::asio::awaitable<void> body) {
  std::vector<boost::asio::awaitable<void>> one;
  one.push_back(std::move(body));
  return run_benchmark(state, io, std::move(one));
}

allocation_counter::allocation_counter() noexcept : before_(allocations()) {}

void allocation_counter::report(benchmark::State& state) const {
  const auto n = static_cast<double>(allocations() - before_);
  state.counters["allocs"] = std::round(100 * n / static_cast<double>(state.max_iterations)) / 100;
}

namespace {

using boost::asio::ip::tcp;

/// An echo server on a port of its own.
class running_server {
 public:
  template <class Command>
  explicit running_server(Command command) : process_(command(port_)) {
    process_.start_now();
  }

  tcp::endpoint endpoint() const { return {boost::asio::ip::address_v4::loopback(), port_}; }

 private:
  const unsigned short port_ = free_port();
  server_process process_;
};

/// What is registered has connections: they go before the servers and the TLS context.
struct registered {
  registered() = default;
  registered(const registered&) = delete;
  registered& operator=(const registered&) = delete;
  ~registered() { benchmark::ClearRegisteredBenchmarks(); }
};

/// As many descriptors as may be, here and in the servers.
void raise_limit() {
  ::rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

/// False if a benchmark had an error.
bool run_registered() {
  ratio_reporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::Shutdown();
  return reporter.good();
}

bool run() {
  raise_limit();
  const running_server plain([](unsigned short port) { return echo_server(port); });
#ifdef COCP_BENCH_TLS
  cocp::test::certificate_authority authority;
  const cocp::test::key_pair pair = authority.issue({"127.0.0.1"});
  const running_server secret([&](unsigned short port) { return tls_echo_server(port, pair.certificate, pair.key); });
  boost::asio::ssl::context tls(boost::asio::ssl::context::tls_client);
  tls.load_verify_file(authority.certificate());
#endif
  const registered until_the_end;
  register_echo(plain.endpoint(), {.address = address_text(plain.endpoint())});
#ifdef COCP_BENCH_TLS
  register_echo(secret.endpoint(),
                {.address = address_text(secret.endpoint()), .tls = cocp::tls_options{.context = &tls}});
#endif
  register_run(plain.endpoint());
  register_pool_size(plain.endpoint());
  register_get_put(plain.endpoint(), false);
  register_hand_off(plain.endpoint(), 1);
  // Those that need a second thread come last: once one was started, this process is never the same again.
  register_get_put(plain.endpoint(), true);
  register_hand_off(plain.endpoint(), 2);
  return run_registered();
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  bench::serve_if_asked(argc, argv);
#ifdef COCP_BENCH_TLS
  bench::serve_tls_if_asked(argc, argv);
#endif
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  try {
    return bench::run() ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const std::exception& e) {
    std::cerr << "cocp-micro: " << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
