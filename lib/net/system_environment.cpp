// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/system_environment.hpp"

#include "net/patient_handler.hpp"
#include "net/socket_stream.hpp"
#include "net/tls_stream.hpp"

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <random>
#include <utility>

#include <unistd.h>

namespace cocp::detail {
namespace {

/// From the kernel (getentropy(3)), which takes no descriptor: `std::random_device` of libc++ opens one, and throws
/// when there is none left.
std::uint64_t seed() noexcept {
  std::uint64_t drawn = 0;
  // It is for what is to be spread, not for secrets.
  if (::getentropy(&drawn, sizeof drawn) != 0) {
    drawn = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  return drawn;
}

class system_timer final : public timer {
 public:
  explicit system_timer(const asio::any_io_executor& ex) : timer_(ex) {}

  void expires_at(time_point t) override { timer_.expires_at(t); }
  void async_wait(wait_handler handler) override {
    timer_.async_wait(patient_handler(std::move(handler), asio::any_completion_executor(timer_.get_executor())));
  }
  void async_tell(listener& l) override {
    timer_.async_wait([&l](error_code ec) { l.on_timer(ec); });
  }
  void cancel() noexcept override { timer_.cancel(); }

 private:
  asio::steady_timer timer_;
};

class system_environment_impl final : public environment {
 public:
  explicit system_environment_impl(blocking_lookup look_up)
      : names_(std::make_shared<name_lookup>(std::move(look_up))) {}

  time_point now() const noexcept override { return std::chrono::steady_clock::now(); }

  std::uint64_t random() noexcept override {
    thread_local std::mt19937_64 generator{seed()};
    return generator();
  }

  std::unique_ptr<timer> make_timer(const asio::any_io_executor& ex) override {
    return std::make_unique<system_timer>(ex);
  }

  std::unique_ptr<stream> make_stream(const asio::any_io_executor& ex, const connection_options& options,
                                      const destination& to) override {
    if (options.tls) return make_tls_stream(ex, options, to);
    return std::make_unique<socket_stream>(ex, options);
  }

  void async_resolve(const asio::any_io_executor& ex, std::string host, std::string service,
                     resolve_handler handler) override {
    names_->async_resolve(ex, std::move(host), std::move(service), std::move(handler));
  }

  void on_context_shutdown(asio::execution_context& context) noexcept override { names_->on_context_shutdown(context); }

 private:
  const std::shared_ptr<name_lookup> names_;
};

}  // namespace

std::shared_ptr<environment> system_environment() {
  static const auto instance = system_environment(look_up);
  return instance;
}

std::shared_ptr<environment> system_environment(blocking_lookup look_up) {
  return std::make_shared<system_environment_impl>(std::move(look_up));
}

}  // namespace cocp::detail
