// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/connection.hpp>

#include "check_options.hpp"
#include "supervisor.hpp"

#include <algorithm>

namespace cocp {

namespace detail {

/// What a connection without a pool consists of. Its supervisor keeps it until the loop has ended.
class lone_connection final : public supervisor::client {
 public:
  lone_connection(const asio::any_io_executor& ex, connection_options options)
      : options_(std::move(options)),
        to_(parse_address(options_.address)),
        keeper(std::make_shared<supervisor>(ex, options_, to_, *this, true)) {}

  bool on_dialling() noexcept override { return true; }
  void on_attempt_failed(error_code) noexcept override {}
  void on_connected() noexcept override {}
  const handshake* next_hook() noexcept override { return nullptr; }
  void on_hook_done(error_code, std::string_view) noexcept override {}
  void on_down(const loss&) noexcept override {}
  void on_stopped() noexcept override {}

 private:
  const connection_options options_;
  const address to_;

 public:
  const std::shared_ptr<supervisor> keeper;
};

}  // namespace detail

connection::connection(executor_type ex, connection_options options) {
  detail::check(options);
  alone_ = std::make_shared<detail::lone_connection>(ex, std::move(options));
  channel_ = alone_->keeper->users();
  alone_->keeper->start(alone_);
}

connection::connection(std::shared_ptr<detail::channel> users) noexcept : channel_(std::move(users)) {}

connection::~connection() {
  if (alone_) alone_->keeper->stop();
}

boost::asio::awaitable<void> connection::ready() {
  auto users = channel_;
  auto start = [users](auto handler) {
    using op = detail::wait_op<detail::channel_waiter, decltype(handler)>;
    users->wait(*op::create(std::move(handler), users->get_executor(), users, *users, 0u));
  };
  co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(error_code)>(
      std::move(start), boost::asio::use_awaitable);
}

boost::asio::awaitable<void> connection::write_rest(std::vector<boost::asio::const_buffer> buffers, std::size_t sent) {
  for (auto& b : buffers) {
    const std::size_t n = std::min(sent, b.size());
    b += n;
    sent -= n;
  }
  co_await boost::asio::async_write(*this, buffers, boost::asio::use_awaitable);
}

void connection::close() noexcept {
  if (alone_) {
    alone_->keeper->stop();
  } else {
    channel_->close_use();
  }
}

}  // namespace cocp
