// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "fake_network.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>
#include <sstream>
#include <utility>

#include "failing_allocations.hpp"
#include "net/context_service.hpp"
#include "parked_operations.hpp"

namespace cocp::test {

using detail::peek_result;
using detail::time_point;

void fake_peer::send(std::string_view bytes) {
  inbox += bytes;
  if (changed) changed();
}

void fake_peer::fin() { end_with(asio::error::eof); }

void fake_peer::reset() { end_with(asio::error::connection_reset); }

void fake_peer::end_with(error_code ec) {
  end = ec;
  if (changed) changed();
}

void fake_peer::take(std::size_t bytes) {
  window = window.value_or(0) + bytes;
  if (changed) changed();
}

void fake_peer::fail_write(error_code ec) {
  write_failure = ec;
  if (changed) changed();
}

class fake_network::timer final : public detail::timer {
 public:
  timer(std::shared_ptr<fake_network> net, const asio::any_io_executor& ex)
      : net_(std::move(net)), ex_(ex), parked_(parked_operations::of(ex)) {}
  ~timer() override { stop(); }

  void expires_at(time_point t) override {
    stop();
    time_ = t;
  }

  void async_wait(detail::wait_handler handler) override {
    const failing_allocations::start s;
    waits_.push_back(parked_.park(ex_, std::move(handler), error_code(asio::error::operation_aborted)));
    if (time_ <= net_->now_) {
      fire({});
    } else if (time_ != time_point::max() && waits_.size() == 1) {
      net_->timers_.emplace(time_, this);
    }
  }

  void cancel() noexcept override { stop(); }

  void fire(error_code ec) {
    const failing_allocations::spare s;
    for (auto ticket : std::exchange(waits_, {})) parked_.complete(ticket, ec);
  }

 private:
  void stop() {
    std::erase_if(net_->timers_, [this](const auto& entry) { return entry.second == this; });
    fire(asio::error::operation_aborted);
  }

  const std::shared_ptr<fake_network> net_;
  const asio::any_io_executor ex_;
  parked_operations& parked_;
  time_point time_;
  std::vector<parked_operations::ticket> waits_;
};

class fake_network::stream final : public detail::stream {
 public:
  stream(std::shared_ptr<fake_network> net, const asio::any_io_executor& ex)
      : net_(std::move(net)), ex_(ex), parked_(parked_operations::of(ex)) {}
  ~stream() override {
    if (users_.use_count() > 1) ++net_->destroyed_in_use;
    if (is_open_) --net_->sockets;
    net_->unanswered_.erase(attempt_);
    end_connect();
    hang_up();
    abort(asio::error::operation_aborted);
  }

  void async_connect(const endpoint& to, detail::wait_handler handler) override {
    const failing_allocations::start s;
    net_->attempts.push_back(net_->elapsed());
    auto result = net_->default_result;
    if (!net_->next_results.empty()) {
      result = net_->next_results.front();
      net_->next_results.pop_front();
    }
    std::ostringstream text;
    text << to;
    at_ = std::move(text).str();
    net_->attempted.push_back(at_);
    if (const auto at = net_->results_at.find(at_); at != net_->results_at.end()) result = at->second;
    to_ = to;
    ++net_->sockets;
    ++net_->connecting;
    is_open_ = is_connecting_ = true;
    connect_ = parked_.park(ex_, std::move(handler), error_code(asio::error::operation_aborted));
    attempt_ = net_->attempts.size();
    if (net_->on_attempt) net_->on_attempt();
    if (result == connect_result::hangs) {
      net_->unanswered_.emplace(attempt_, this);
      return;
    }
    const duration latency = net_->connect_latency ? net_->connect_latency() : duration::zero();
    if (latency == duration::zero()) {
      answer_connect(result);
      return;
    }
    net_->after(latency, [this, result, &parked = parked_, ticket = connect_] {
      // It is gone, or was cancelled.
      if (parked.is_parked(ticket)) answer_connect(result);
    });
  }

  void async_read_some(asio::mutable_buffer buffer, detail::io_handler handler) override {
    const failing_allocations::start s;
    buffer_ = buffer;
    read_ =
        parked_.park_using(users_, ex_, std::move(handler), error_code(asio::error::operation_aborted), std::size_t{0});
    if (buffer.size() == 0) {
      // Asio's own: nothing to wait for.
      parked_.complete(std::exchange(read_, 0), error_code(), std::size_t{0});
    } else {
      advance_read();
    }
  }

  void async_write_some(asio::const_buffer buffer, detail::io_handler handler) override {
    const failing_allocations::start s;
    out_ = buffer;
    write_ =
        parked_.park_using(users_, ex_, std::move(handler), error_code(asio::error::operation_aborted), std::size_t{0});
    advance_write();
  }

  void async_shutdown_send(detail::io_handler handler) override {
    const failing_allocations::start s;
    write_ =
        parked_.park_using(users_, ex_, std::move(handler), error_code(asio::error::operation_aborted), std::size_t{0});
    const bool fails = shut_ || peer_->end == asio::error::connection_reset;
    peer_->halved = !fails;
    const error_code ec = fails ? error_code(asio::error::not_connected) : error_code();
    parked_.complete(std::exchange(write_, 0), ec, std::size_t{0});
    if (net_->on_receive) net_->on_receive(*peer_);
  }

  void async_wait_readable(detail::wait_handler handler) override {
    const failing_allocations::start s;
    readable_.push_back(parked_.park(ex_, std::move(handler), error_code(asio::error::operation_aborted)));
    advance_read();
    if (net_->on_watch) net_->on_watch();
  }

  void cancel_wait_readable() noexcept override {
    for (auto ticket : std::exchange(readable_, {}))
      parked_.complete(ticket, error_code(asio::error::operation_aborted));
  }

  peek_result peek(error_code& ec) noexcept override {
    if (net_->on_peek) net_->on_peek();
    ++net_->looks;
    ec = peer_->end;
    if (!peer_->inbox.empty()) return peek_result::unread;
    return ec ? peek_result::dead : peek_result::quiet;
  }

  void shutdown() noexcept override {
    shut_ = true;
    hang_up();
    advance_read();
    advance_write();
  }

  endpoint remote_endpoint() const override {
    if (!net_->numbered || !peer_) return to_;
    const asio::ip::address_v4 number(static_cast<asio::ip::address_v4::uint_type>(peer_->number));
    return asio::ip::tcp::endpoint(number, 7);
  }

  /// Its attempt is under way.
  bool hangs() const { return parked_.is_parked(connect_); }

  void end_connect() noexcept {
    if (std::exchange(is_connecting_, false)) --net_->connecting;
  }

  void answer_connect(connect_result result) {
    const failing_allocations::spare s;
    end_connect();
    if (result == connect_result::refused) {
      parked_.complete(connect_, error_code(asio::error::connection_refused));
      return;
    }
    if (result == connect_result::busy) {
      parked_.complete(connect_, error_code(asio::error::try_again));
      return;
    }
    peer_ = std::make_shared<fake_peer>();
    peer_->number = ++net_->accepted_;
    peer_->at = at_;
    peer_->changed = [this] { advance(); };
    net_->peers.push_back(peer_);
    if (net_->on_accept) net_->on_accept(*peer_);
    parked_.complete(connect_, error_code());
  }

 private:
  /// Completes what the peer's state allows.
  void advance() {
    advance_read();
    advance_write();
  }

  void advance_read() {
    const error_code end = shut_ && !peer_->end ? error_code(asio::error::eof) : peer_->end;
    if (peer_->inbox.empty() && !end) return;
    for (auto ticket : std::exchange(readable_, {})) parked_.complete(ticket, error_code());
    // It may have been cancelled.
    if (!parked_.is_parked(read_)) return;
    const auto ticket = std::exchange(read_, 0);
    if (peer_->inbox.empty()) {
      parked_.complete(ticket, end, std::size_t{0});
      return;
    }
    const std::size_t n = std::min(buffer_.size(), peer_->inbox.size());
    std::copy_n(peer_->inbox.data(), n, static_cast<char*>(buffer_.data()));
    peer_->inbox.erase(0, n);
    parked_.complete(ticket, error_code(), n);
  }

  void advance_write() {
    if (!parked_.is_parked(write_)) return;
    if (shut_ || peer_->end == asio::error::connection_reset || peer_->write_failure) {
      const error_code failure = std::exchange(peer_->write_failure, {});
      parked_.complete(write_, failure ? failure : error_code(asio::error::broken_pipe), std::size_t{0});
      return;
    }
    const std::size_t n = std::min(out_.size(), peer_->window.value_or(out_.size()));
    if (n == 0 && out_.size() != 0) return;
    if (peer_->window) *peer_->window -= n;
    // Asio's own: the bytes are gone before the handler is called.
    peer_->received.append(static_cast<const char*>(out_.data()), n);
    parked_.complete(write_, error_code(), n);
    if (net_->on_receive) net_->on_receive(*peer_);
  }

  void hang_up() noexcept {
    if (!peer_ || std::exchange(peer_->gone, true)) return;
    peer_->changed = nullptr;
  }

  void abort(error_code ec) {
    for (auto ticket : std::exchange(readable_, {})) parked_.complete(ticket, ec);
    parked_.complete(connect_, ec);
    parked_.complete(read_, ec, std::size_t{0});
    parked_.complete(write_, ec, std::size_t{0});
  }

  const std::shared_ptr<fake_network> net_;
  const asio::any_io_executor ex_;
  parked_operations& parked_;
  std::shared_ptr<fake_peer> peer_;
  endpoint to_;
  std::size_t attempt_ = 0;
  std::string at_;
  bool is_open_ = false;
  bool is_connecting_ = false;
  bool shut_ = false;
  /// Shared with the reads and writes whose handlers were not called yet.
  const std::shared_ptr<void> users_ = std::make_shared<char>();
  asio::mutable_buffer buffer_;
  asio::const_buffer out_;
  parked_operations::ticket connect_ = 0;
  parked_operations::ticket read_ = 0;
  parked_operations::ticket write_ = 0;
  std::vector<parked_operations::ticket> readable_;
};

std::shared_ptr<fake_network> fake_network::install(asio::io_context& io, std::uint64_t seed) {
  std::shared_ptr<fake_network> net(new fake_network(seed));
  // First the services that the fake objects need, so that they are shut down after that of cocp; no reactor.
  parked_operations::of(io.get_executor());
  asio::make_strand(io);
  asio::use_service<detail::context_service>(io).set_environment(net);
  return net;
}

std::size_t fake_network::open() const {
  return static_cast<std::size_t>(std::count_if(peers.begin(), peers.end(), [](const auto& p) { return !p->gone; }));
}

std::vector<std::size_t> fake_network::hanging() const {
  std::vector<std::size_t> found;
  for (const auto& [attempt, s] : unanswered_) {
    // It may have been given up.
    if (s->hangs()) found.push_back(attempt);
  }
  return found;
}

void fake_network::answer(connect_result result) {
  const auto first =
      std::find_if(unanswered_.begin(), unanswered_.end(), [](const auto& u) { return u.second->hangs(); });
  if (first != unanswered_.end()) first->second->answer_connect(result);
}

void fake_network::move(duration d) {
  now_ += d;
  while (!timers_.empty() && timers_.begin()->first <= now_) {
    timer* due = timers_.begin()->second;
    timers_.erase(timers_.begin());
    due->fire({});
  }
  while (!calls_.empty() && calls_.begin()->first <= now_) {
    const auto due = std::move(calls_.begin()->second);
    calls_.erase(calls_.begin());
    due();
  }
}

void fake_network::after(duration d, std::function<void()> what) {
  const failing_allocations::spare s;
  calls_.emplace(now_ + d, std::move(what));
}

std::optional<time_point> fake_network::next_timer() const {
  std::optional<time_point> next;
  if (!timers_.empty()) next = timers_.begin()->first;
  if (!calls_.empty() && (!next || calls_.begin()->first < *next)) next = calls_.begin()->first;
  return next;
}

asio::any_io_executor fake_network::make_serial(const asio::any_io_executor& ex) {
  const failing_allocations::spare s;
  ++strands;
  return environment::make_serial(ex);
}

std::unique_ptr<detail::timer> fake_network::make_timer(const asio::any_io_executor& ex) {
  return std::make_unique<timer>(shared_from_this(), ex);
}

std::unique_ptr<detail::stream> fake_network::make_stream(const asio::any_io_executor& ex, const connection_options&,
                                                          const detail::destination&) {
  return std::make_unique<stream>(shared_from_this(), ex);
}

void fake_network::async_resolve(const asio::any_io_executor& ex, std::string host, std::string service,
                                 detail::resolve_handler handler) {
  const failing_allocations::start s;
  auto& parked = parked_operations::of(ex);
  std::vector<endpoint> found;
  const auto ticket = parked.park(ex, std::move(handler), error_code(asio::error::operation_aborted), found);
  lookups.push_back(host);
  if (host == "unanswered" || lookups_hang) return;
  if (lookups_fail) {
    parked.complete(ticket, error_code(asio::error::host_not_found), found);
    return;
  }
  const auto port = static_cast<unsigned short>(std::stoul(service));
  const auto known = names.find(host);
  const auto addresses = known == names.end() ? std::vector<std::string>{"127.0.0.1"} : known->second;
  for (const auto& a : addresses) found.emplace_back(asio::ip::tcp::endpoint(asio::ip::make_address(a), port));
  parked.complete(ticket, error_code(), found);
}

}  // namespace cocp::test
