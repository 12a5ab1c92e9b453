// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "client.hpp"
#include "converse.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#ifdef COCP_BENCH_TLS
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#endif

#include <atomic>
#include <chrono>
#include <type_traits>
#include <utility>

namespace bench {
namespace {

using asio::ip::tcp;
using namespace std::chrono_literals;

/// What those share who dial by hand.
struct hand_count {
  std::atomic<std::size_t> up = 0;
  std::atomic<std::size_t> leased = 0;
  std::atomic<std::size_t> waiting = 0;
};

class counted {
 public:
  explicit counted(std::atomic<std::size_t>& n) noexcept : n_(n) { ++n_; }
  ~counted() { --n_; }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;

 private:
  std::atomic<std::size_t>& n_;
};

/// Connected and, with TLS, shaken hands on.
template <class Stream>
class dialled {
 public:
  dialled(Stream stream, hand_count& count) : stream_(std::move(stream)), up_(count.up) {}
  Stream& operator*() noexcept { return stream_; }

 private:
  Stream stream_;
  counted up_;
};

template <class Stream>
Stream make_stream(const asio::any_io_executor& ex, [[maybe_unused]] const target& to) {
  if constexpr (std::is_same_v<Stream, tcp::socket>) {
    return Stream(ex);
  } else {
    return Stream(ex, *to.tls);
  }
}

template <class Stream>
asio::awaitable<std::unique_ptr<dialled<Stream>>> dial_by_hand(const target& to, hand_count& count) {
  const asio::any_io_executor ex = co_await asio::this_coro::executor;
  Stream stream = make_stream<Stream>(ex, to);
  tcp::socket& socket = [&stream]() -> tcp::socket& {
    if constexpr (std::is_same_v<Stream, tcp::socket>) {
      return stream;
    } else {
      return stream.next_layer();
    }
  }();
  co_await asio::async_connect(socket, to.endpoints, asio::use_awaitable);
  socket.set_option(tcp::no_delay(true));
#ifdef COCP_BENCH_TLS
  if constexpr (!std::is_same_v<Stream, tcp::socket>) {
    SSL_set_tlsext_host_name(stream.native_handle(), to.host.c_str());
    stream.set_verify_mode(to.verify ? asio::ssl::verify_peer : asio::ssl::verify_none);
    stream.set_verify_callback(asio::ssl::host_name_verification(to.host));
    co_await stream.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
  }
#endif
  co_return std::make_unique<dialled<Stream>>(std::move(stream), count);
}

template <class Stream>
class dialling_asker final : public asker {
 public:
  dialling_asker(const target& to, std::shared_ptr<hand_count> count) : to_(to), count_(std::move(count)) {}

  asio::awaitable<void> ask(exchange& what, attempt& now) override {
    const auto stream = co_await dial_by_hand<Stream>(to_, *count_);
    const counted in_use(count_->leased);
    now.taken();
    co_await converse(**stream, what);
  }

 private:
  const target to_;
  const std::shared_ptr<hand_count> count_;
};

/// How long who dials by hand waits when that failed.
constexpr auto pause_by_hand = 100ms;

template <class Stream>
class owning_asker final : public asker {
 public:
  owning_asker(const target& to, std::shared_ptr<hand_count> count) : to_(to), count_(std::move(count)) {}

  asio::awaitable<void> ask(exchange& what, attempt& now) override {
    if (!stream_) co_await redial();
    const counted in_use(count_->leased);
    now.taken();
    // Away with it, unless all goes well.
    std::unique_ptr<dialled<Stream>> stream = std::move(stream_);
    co_await converse(**stream, what);
    if (what.keeps_open()) stream_ = std::move(stream);
  }

 private:
  asio::awaitable<void> redial() {
    const counted waits(count_->waiting);
    boost::system::error_code error;
    try {
      stream_ = co_await dial_by_hand<Stream>(to_, *count_);
    } catch (const boost::system::system_error& e) {
      error = e.code();
    }
    if (!error) co_return;
    asio::steady_timer pause(co_await asio::this_coro::executor, pause_by_hand);
    co_await pause.async_wait(asio::use_awaitable);
    throw boost::system::system_error(error, "connect");
  }

  const target to_;
  const std::shared_ptr<hand_count> count_;
  std::unique_ptr<dialled<Stream>> stream_;
};

/// The only connection, and the queue for it: who has put his token into the channel has it.
template <class Stream>
struct shared_connection {
  shared_connection(asio::io_context& io, const target& to, std::shared_ptr<hand_count> count)
      : owner(to, std::move(count)), token(io, 1) {}

  owning_asker<Stream> owner;
  asio::experimental::concurrent_channel<void(boost::system::error_code)> token;
};

template <class Stream>
class queueing_asker final : public asker {
 public:
  queueing_asker(std::shared_ptr<shared_connection<Stream>> shared, std::shared_ptr<hand_count> count)
      : shared_(std::move(shared)), count_(std::move(count)) {}

  asio::awaitable<void> ask(exchange& what, attempt& now) override {
    {
      const counted waits(count_->waiting);
      co_await shared_->token.async_send(boost::system::error_code(), asio::use_awaitable);
    }
    const std::unique_ptr<shared_connection<Stream>, release> held(shared_.get());
    co_await shared_->owner.ask(what, now);
  }

 private:
  struct release {
    void operator()(shared_connection<Stream>* shared) const {
      shared->token.try_receive([](boost::system::error_code) {});
    }
  };

  const std::shared_ptr<shared_connection<Stream>> shared_;
  const std::shared_ptr<hand_count> count_;
};

template <class Stream>
class client_by_hand final : public client {
 public:
  client_by_hand(asio::io_context& io, const target& to, mode how)
      : to_(to), how_(how), shared_(std::make_shared<shared_connection<Stream>>(io, to, count_)) {}

  std::unique_ptr<asker> make_asker() override {
    switch (how_) {
      case mode::own_connection:
        return std::make_unique<owning_asker<Stream>>(to_, count_);
      case mode::locked:
        return std::make_unique<queueing_asker<Stream>>(shared_, count_);
      default:
        return std::make_unique<dialling_asker<Stream>>(to_, count_);
    }
  }

  // They connect with their first request.
  asio::awaitable<void> ready() override { co_return; }
  asio::awaitable<void> close() override { co_return; }
  gauges now() const override { return {count_->up, count_->leased, count_->waiting}; }

 private:
  const target to_;
  const mode how_;
  const std::shared_ptr<hand_count> count_ = std::make_shared<hand_count>();
  const std::shared_ptr<shared_connection<Stream>> shared_;
};

}  // namespace

std::unique_ptr<client> make_client_by_hand(asio::io_context& io, const target& to, mode how) {
#ifdef COCP_BENCH_TLS
  if (to.tls != nullptr) return std::make_unique<client_by_hand<asio::ssl::stream<tcp::socket>>>(io, to, how);
#endif
  return std::make_unique<client_by_hand<tcp::socket>>(io, to, how);
}

}  // namespace bench
