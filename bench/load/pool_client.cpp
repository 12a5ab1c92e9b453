// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "client.hpp"
#include "converse.hpp"

#include <cocp/pool.hpp>

namespace bench {
namespace {

class leasing_asker final : public asker {
 public:
  explicit leasing_asker(cocp::pool& pool) : pool_(pool) {}

  asio::awaitable<void> ask(exchange& what, attempt& now) override {
    cocp::lease conn = co_await pool_.get();
    now.taken();
    co_await converse(*conn, what);
    if (!what.keeps_open()) conn.discard();
  }

 private:
  cocp::pool& pool_;
};

cocp::connection_options options_for(const target& to) {
  cocp::connection_options options{.address = to.address};
  if (to.tls != nullptr) {
    options.tls = cocp::tls_options{.context = to.tls, .server_name = to.host, .verify = to.verify};
  }
  return options;
}

class pool_client final : public client {
 public:
  pool_client(asio::io_context& io, const target& to, const cocp::pool_options& options)
      : size_(options.size), pool_(io, options_for(to), options) {}

  std::unique_ptr<asker> make_asker() override { return std::make_unique<leasing_asker>(pool_); }
  asio::awaitable<void> ready() override { co_await pool_.ready(size_); }
  asio::awaitable<void> close() override { co_await pool_.drain(); }
  std::optional<cocp::stats> stats() const override { return pool_.stats(); }
  gauges now() const override {
    const cocp::stats s = pool_.stats();
    return {s.connected, s.leased, s.waiting};
  }

 private:
  const std::size_t size_;
  cocp::pool pool_;
};

}  // namespace

std::unique_ptr<client> make_pool_client(asio::io_context& io, const target& to, std::size_t size) {
  return std::make_unique<pool_client>(io, to, cocp::pool_options{.size = size});
}

}  // namespace bench
