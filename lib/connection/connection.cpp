// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/connection.hpp>

#include "connection/outage_gate.hpp"
#include "connection/supervisor.hpp"
#include "net/check_options.hpp"

#include <boost/asio/redirect_error.hpp>

#include <algorithm>
#include <exception>

namespace cocp {

namespace detail {

/// What a connection without a pool consists of. Its supervisor keeps it until the loop has ended. Only the
/// supervisor's loop calls it.
class lone_connection final : public supervisor::client {
 public:
  lone_connection(const asio::any_io_executor& ex, connection_options options)
      : options_(std::move(options)),
        to_(make_destination(options_.address, options_)),
        env_(context_service::of(ex).environment()),
        gate_(options_.retry_min, options_.retry_max, 1),
        keeper(std::make_shared<supervisor>(ex, options_, *this, label_of(to_), channel_use::alone, true)) {}

  time_point may_dial(time_point now) noexcept override {
    gate_.pass(now);
    if (!gate_.may_dial(dial_cause::loss, false, now)) return gate_.next_time();
    ticket_ = gate_.begin(now);
    return now;
  }
  bool is_wanted() noexcept override { return true; }
  duration on_attempt_failed(error_code, const std::string&) noexcept override {
    const time_point now = env_->now();
    gate_.failed(ticket_, now, env_->random());
    return gate_.delay(now);
  }
  unsigned failures() noexcept override { return gate_.failures(); }
  std::shared_ptr<const destination> target() noexcept override { return to_; }
  bool is_moot() noexcept override { return false; }
  void on_connected(duration, bool) noexcept override { ticket_ = gate_.succeeded(ticket_, env_->now()); }
  supervisor::hook next_hook() noexcept override { return {}; }
  void on_hook_done() noexcept override {}
  duration on_down(const loss&, bool early) noexcept override {
    const time_point now = env_->now();
    gate_.lost(ticket_, early, now, early ? env_->random() : 0);
    return gate_.delay(now);
  }
  void on_stopped() noexcept override {}

 private:
  const connection_options options_;
  const std::shared_ptr<const destination> to_;
  const std::shared_ptr<environment> env_;
  outage_gate gate_;
  outage_gate::ticket ticket_;

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
  if (!alone_) return;
  alone_->keeper->stop();
  alone_->keeper->users()->end_alone();
}

boost::asio::awaitable<void> connection::ready() {
  auto users = channel_;
  error_code ec;
  auto token = boost::asio::redirect_error(boost::asio::use_awaitable, ec);
  auto start = [users](auto handler) {
    using op = detail::wait_op<detail::channel_waiter, decltype(handler)>;
    users->wait(*op::create(std::move(handler), users->get_executor(), users, *users, 0u));
  };
  co_await boost::asio::async_initiate<decltype(token), void(error_code)>(std::move(start), token);
  if (ec) std::rethrow_exception(users->wait_failure("ready", ec));
}

boost::asio::awaitable<void> connection::write_rest(detail::operation<detail::channel::writing> op,
                                                    std::vector<boost::asio::const_buffer> buffers, std::size_t sent) {
  for (auto& b : buffers) {
    const std::size_t n = std::min(sent, b.size());
    b += n;
    sent -= n;
  }
  constexpr detail::told_by_exception told{"write"};
  auto start = [this, &op, &buffers, told](auto handler) {
    auto rest = detail::write_all_of(std::move(buffers));
    if (op) {
      channel_->look_at_limit();
      detail::start_begun(std::move(op), rest, told, std::move(handler));
    } else {
      detail::start_operation(*channel_, std::move(rest), told, std::move(handler));
    }
  };
  constexpr const auto& token = boost::asio::use_awaitable;
  co_await boost::asio::async_initiate<decltype(token), void(std::exception_ptr, std::size_t)>(std::move(start), token);
}

boost::asio::awaitable<void> connection::shutdown_send() {
  auto end = [users = channel_]<class Handler>(detail::raw_stream& s, Handler&& handler) {
    users->note_last_write();
    if (detail::stream* const whole = s.get()) {
      whole->async_shutdown_send(std::forward<Handler>(handler));
    } else {
      // As in `raw_stream`: the channel's context is gone.
      std::forward<Handler>(handler)(error_code(boost::asio::error::operation_aborted), std::size_t{0});
    }
  };
  auto work = detail::make_work<detail::channel::writing>(std::move(end));
  co_await await("shutdown_send", std::move(work));
}

void connection::close() noexcept {
  if (alone_) {
    alone_->keeper->stop();
  } else {
    channel_->close_use();
  }
}

}  // namespace cocp
