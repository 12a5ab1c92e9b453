// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "net/context_service.hpp"
#include "net/system_environment.hpp"

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace cocp::test {

/// The machine's own network under a clock that goes so many times as fast: what a pool does in its own time comes
/// sooner, and the sockets are real.
class hurried_environment final : public detail::environment {
 public:
  /// Under all that is made on this context from now on.
  static void install(boost::asio::io_context& io, int speed) {
    detail::context_service::of(io.get_executor()).set_environment(std::make_shared<hurried_environment>(speed));
  }

  explicit hurried_environment(int speed) : speed_(speed) {}

  detail::time_point now() const noexcept override { return start_ + (real_->now() - start_) * speed_; }
  std::uint64_t random() noexcept override { return real_->random(); }
  std::unique_ptr<detail::timer> make_timer(const boost::asio::any_io_executor& ex) override {
    return std::make_unique<hurried_timer>(*this, real_->make_timer(ex));
  }
  std::unique_ptr<detail::stream> make_stream(const boost::asio::any_io_executor& ex, const connection_options& options,
                                              const detail::destination& to) override {
    return real_->make_stream(ex, options, to);
  }
  void async_resolve(const boost::asio::any_io_executor& ex, std::string host, std::string service,
                     detail::resolve_handler handler) override {
    real_->async_resolve(ex, std::move(host), std::move(service), std::move(handler));
  }
  void on_context_shutdown(boost::asio::execution_context& context) noexcept override {
    real_->on_context_shutdown(context);
  }

 private:
  class hurried_timer final : public detail::timer {
   public:
    hurried_timer(const hurried_environment& env, std::unique_ptr<detail::timer> real)
        : env_(env), real_(std::move(real)) {}
    void expires_at(detail::time_point t) override { real_->expires_at(env_.real_time(t)); }
    void async_wait(detail::wait_handler handler) override { real_->async_wait(std::move(handler)); }
    void cancel() noexcept override { real_->cancel(); }

   private:
    const hurried_environment& env_;
    const std::unique_ptr<detail::timer> real_;
  };

  /// Not before it: who was woken looks at the clock.
  detail::time_point real_time(detail::time_point t) const {
    return t == detail::time_point::max() ? t : start_ + (t - start_) / speed_ + duration(1);
  }

  const int speed_;
  const std::shared_ptr<detail::environment> real_ = detail::system_environment();
  const detail::time_point start_ = real_->now();
};

}  // namespace cocp::test
