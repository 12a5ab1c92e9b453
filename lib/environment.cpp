// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "environment.hpp"

#include "socket_stream.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <random>
#include <utility>

namespace cocp::detail {
namespace {

class system_timer final : public timer {
 public:
  explicit system_timer(const asio::any_io_executor& ex) : timer_(ex) {}

  void expires_at(time_point t) override { timer_.expires_at(t); }
  void async_wait(wait_handler handler) override { timer_.async_wait(std::move(handler)); }
  void cancel() noexcept override { timer_.cancel(); }

 private:
  asio::steady_timer timer_;
};

class system_environment_impl final : public environment {
 public:
  time_point now() const noexcept override { return std::chrono::steady_clock::now(); }

  std::uint64_t random() noexcept override {
    thread_local std::mt19937_64 generator{std::random_device{}()};
    return generator();
  }

  std::unique_ptr<timer> make_timer(const asio::any_io_executor& ex) override {
    return std::make_unique<system_timer>(ex);
  }

  std::unique_ptr<stream> make_stream(const asio::any_io_executor& ex, const connection_options& options) override {
    return std::make_unique<socket_stream>(ex, options);
  }

  void async_resolve(const asio::any_io_executor& ex, std::string host, std::string service,
                     resolve_handler handler) override {
    auto resolver = std::make_shared<asio::ip::tcp::resolver>(ex);
    auto& r = *resolver;
    const auto handler_executor = asio::get_associated_executor(handler, asio::any_completion_executor(ex));
    auto on_resolved = [resolver = std::move(resolver), handler = std::move(handler)](error_code ec,
                                                                                      const auto& results) mutable {
      std::vector<endpoint> found;
      for (const auto& entry : results) found.emplace_back(entry.endpoint());
      std::move(handler)(ec, std::move(found));
    };
    r.async_resolve(host, service, asio::bind_executor(handler_executor, std::move(on_resolved)));
  }
};

}  // namespace

std::shared_ptr<environment> system_environment() {
  static const auto instance = std::make_shared<system_environment_impl>();
  return instance;
}

}  // namespace cocp::detail
