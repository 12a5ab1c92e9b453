// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "message.hpp"
#include "micro.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#ifdef COCP_BENCH_TLS
#include <boost/asio/ssl/stream.hpp>
#endif
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::array<std::size_t, 4> message_sizes{64, 1024, 16 * 1024, 64 * 1024};
constexpr std::array<std::size_t, 2> connection_counts{1, 64};
/// Of each round trip, where it has one.
constexpr std::chrono::seconds round_trip_limit(30);

template <class Stream>
using dialler = std::function<Stream(asio::io_context&)>;

// The two sides. They are kept for all benchmarks with so many connections: a handshake takes far longer than the
// shortest run, and the streams are the same whatever goes through them.

template <class Stream>
struct raw_side {
  raw_side(const dialler<Stream>& dial, std::size_t n) {
    streams.reserve(n);
    while (streams.size() < n) streams.push_back(dial(io));
  }

  asio::io_context io{1};
  std::vector<Stream> streams;
};

template <class Stream>
asio::awaitable<void> raw_loop(turns& left, Stream& stream, std::size_t size, bool limited) {
  message m(size);
  asio::steady_timer timer(stream.get_executor());
  while (left.next()) {
    if (limited) {
      // Ends the wait before it, too.
      timer.expires_after(round_trip_limit);
      timer.async_wait([&stream](boost::system::error_code ec) {
        if (!ec) stream.lowest_layer().cancel();
      });
    }
    co_await asio::async_write(stream, m.asked(), asio::use_awaitable);
    co_await asio::async_read(stream, m.answer(), asio::use_awaitable);
    m.check();
  }
}

asio::awaitable<void> held_loop(turns& left, cocp::pool& pool, std::size_t size) {
  message m(size);
  cocp::lease conn = co_await pool.get();
  while (left.next()) {
    co_await conn->write(m.asked());
    co_await conn->read(m.answer());
    m.check();
  }
}

asio::awaitable<void> leased_loop(turns& left, cocp::pool& pool, std::size_t size, bool limited) {
  message m(size);
  while (left.next()) {
    cocp::lease conn = co_await pool.get();
    if (limited) conn->expires_after(round_trip_limit);
    co_await conn->write(m.asked());
    co_await conn->read(m.answer());
    m.check();
  }
}

/// One of them at each of the connections.
template <class Side>
void measure(benchmark::State& state, std::optional<Side>& side, std::vector<asio::awaitable<void>> loops) {
  const allocation_counter allocs;
  if (run_benchmark(state, side->io, std::move(loops))) {
    allocs.report(state);
  } else {
    // With the loops that have not ended.
    side.reset();
  }
}

template <class Stream>
void register_all(const std::string& kind, const dialler<Stream>& dial, const cocp::connection_options& options) {
  for (const std::size_t n : connection_counts) {
    const auto raw = std::make_shared<std::optional<raw_side<Stream>>>();
    const auto pooled = std::make_shared<std::optional<open_pool>>();
    for (const std::size_t size : message_sizes) {
      const std::string name = "echo/" + kind + '/' + std::to_string(size) + "B/" + std::to_string(n) + '/';
      const auto add_raw = [&](const char* what, bool limited) {
        const auto body = [=](benchmark::State& state) {
          if (!*raw) raw->emplace(dial, n);
          turns left(state);
          std::vector<asio::awaitable<void>> loops;
          for (Stream& stream : (*raw)->streams) loops.push_back(raw_loop(left, stream, size, limited));
          measure(state, *raw, std::move(loops));
        };
        benchmark::RegisterBenchmark((name + what).c_str(), body)->UseRealTime();
      };
      const auto add_pooled = [&](const char* what, auto loop) {
        const auto body = [=](benchmark::State& state) {
          if (!*pooled) pooled->emplace(options, cocp::pool_options{.size = n});
          turns left(state);
          std::vector<asio::awaitable<void>> loops;
          while (loops.size() < n) loops.push_back(loop(left, (*pooled)->pool));
          measure(state, *pooled, std::move(loops));
        };
        benchmark::RegisterBenchmark((name + what).c_str(), body)->UseRealTime();
      };
      add_raw("floor", false);
      add_raw("steady_timer", true);
      add_pooled("held", [=](turns& left, cocp::pool& pool) { return held_loop(left, pool, size); });
      add_pooled("lease", [=](turns& left, cocp::pool& pool) { return leased_loop(left, pool, size, false); });
      add_pooled("expires_after", [=](turns& left, cocp::pool& pool) { return leased_loop(left, pool, size, true); });
    }
  }
}

tcp::socket dial_plain(asio::io_context& io, const tcp::endpoint& server) {
  tcp::socket socket(io);
  socket.connect(server);
  socket.set_option(tcp::no_delay(true));
  return socket;
}

}  // namespace

void register_echo(const tcp::endpoint& server, const cocp::connection_options& options) {
  if (!options.tls) {
    register_all<tcp::socket>(
        "plain", [=](asio::io_context& io) { return dial_plain(io, server); }, options);
    return;
  }
#ifdef COCP_BENCH_TLS
  using stream = asio::ssl::stream<tcp::socket>;
  asio::ssl::context& tls = *options.tls->context;
  register_all<stream>(
      "tls",
      [=, &tls](asio::io_context& io) {
        stream s(dial_plain(io, server), tls);
        s.handshake(stream::client);
        return s;
      },
      options);
#endif
}

}  // namespace bench
