// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/fault_relay.hpp"

#include "support/reserved_port.hpp"
#include "support/system_call.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <deque>
#include <exception>
#include <list>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

namespace cocp::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using generic_socket = asio::generic::stream_protocol::socket;
using clock_type = std::chrono::steady_clock;
using time_point = clock_type::time_point;

constexpr auto relay_token = asio::as_tuple(asio::use_awaitable);
// What is read at once, and what one way holds until the reader waits.
constexpr std::size_t largest_piece = std::size_t{16} << 10;
constexpr std::size_t most_held = std::size_t{1} << 20;

struct relay_piece {
  std::vector<char> bytes;  // none: the end of file
  time_point read;
  double jitter;  // the part of it, from 0 to 1
};

struct relay_way {
  relay_way(const asio::any_io_executor& ex, way_faults relay_faults::*f, std::uint64_t fault_relay::counts::*c)
      : faults(f), count(c), news(ex), room(ex) {}

  way_faults relay_faults::*const faults;
  std::uint64_t fault_relay::counts::*const count;
  std::deque<relay_piece> pieces;
  std::size_t held = 0;
  // Since when the line is free for the next piece.
  time_point free_since = time_point::min();
  bool ended = false;
  // Ends the writer's wait: for a piece, or until one is due.
  asio::steady_timer news;
  // Ends the reader's wait.
  asio::steady_timer room;
};

// Used on the relay's strand alone.
struct relay_session {
  relay_session(generic_socket c, const asio::any_io_executor& ex)
      : client(std::move(c)),
        server(ex),
        to_server(ex, &relay_faults::to_server, &fault_relay::counts::to_server),
        to_client(ex, &relay_faults::to_client, &fault_relay::counts::to_client) {}

  generic_socket client;
  generic_socket server;
  relay_way to_server;
  relay_way to_client;
  std::size_t passed = 0;
  bool ended = false;

  void wake() {
    for (relay_way* w : {&to_server, &to_client}) {
      w->news.cancel();
      w->room.cancel();
    }
  }

  void end(bool by_reset) {
    ended = true;
    for (generic_socket* s : {&client, &server}) {
      error_code ignored;
      if (by_reset) {
        s->set_option(asio::socket_base::linger(true, 0), ignored);
      } else {
        // close(2) with unread bytes would send an RST.
        s->shutdown(generic_socket::shutdown_both, ignored);
        s->non_blocking(true, ignored);
        std::array<char, 4096> unread;
        while (s->read_some(asio::buffer(unread), ignored) > 0) {
        }
      }
      s->close(ignored);
    }
    wake();
  }
};

void rethrow(std::exception_ptr error) {
  if (error) std::rethrow_exception(error);
}

}  // namespace

struct fault_relay::state : std::enable_shared_from_this<state> {
  state(asio::any_io_executor e, asio::generic::stream_protocol::endpoint s, relay_faults f, std::uint64_t seed)
      : strand(asio::make_strand(std::move(e))),
        server(std::move(s)),
        draw(seed),
        acceptor(strand),
        pause(strand),
        faults(f) {}

  // Sessions, and all that is drawn, are on it.
  const asio::any_io_executor strand;
  const asio::generic::stream_protocol::endpoint server;
  const reserved_port port;
  std::list<relay_session*> sessions;
  std::mt19937_64 draw;

  mutable std::mutex mutex;
  // All below is guarded by `mutex`.
  tcp::acceptor acceptor;
  // Before the next accept, when one has failed: there may be no descriptor for it.
  asio::steady_timer pause;
  // Whose accept is under way: an older one's connection is none any more.
  unsigned listening = 0;
  // They fill the backlog.
  std::vector<tcp::socket> fillers;
  relay_faults faults;
  time_point stalled_until = time_point::min();
  counts counted;

  void set(const relay_faults& f) {
    std::lock_guard lock(mutex);
    const bool as_before = acceptor.is_open() && f.connects == faults.connects && f.connects != arrival::refused;
    faults = f;
    if (!as_before) change_listener();
    wake();
  }

  // Needs the mutex. A change is a new listener: what has not been accepted is reset.
  void change_listener() {
    ++listening;
    pause.cancel();
    fillers.clear();
    if (acceptor.is_open()) {
      // Closing alone leaves it listening while another thread is in accept(2).
      ::shutdown(acceptor.native_handle(), SHUT_RDWR);
      error_code ignored;
      acceptor.close(ignored);
    }
    if (faults.connects == arrival::refused) return;
    acceptor.open(tcp::v4());
    acceptor.set_option(tcp::acceptor::reuse_address(true));
    acceptor.bind(port.endpoint());
    acceptor.listen(faults.connects == arrival::ignored ? 0 : asio::socket_base::max_listen_connections);
    if (faults.connects == arrival::ignored) {
      fill_backlog();
    } else {
      accept();
    }
  }

  void fill_backlog() {
    for (;;) {
      // Of a listener: how many are in its backlog, and how many may be; Linux takes one more.
      tcp_info backlog{};
      socklen_t size = sizeof backlog;
      system_call("getsockopt", ::getsockopt(acceptor.native_handle(), IPPROTO_TCP, TCP_INFO, &backlog, &size));
      if (backlog.tcpi_unacked > backlog.tcpi_sacked) return;
      // By the system's call: Asio waits for the end of one, and somebody else may have taken the last place.
      tcp::socket& filler = fillers.emplace_back(strand);
      filler.open(tcp::v4());
      filler.non_blocking(true);
      const tcp::endpoint to = port.endpoint();
      static_cast<void>(::connect(filler.native_handle(), to.data(), static_cast<socklen_t>(to.size())));
    }
  }

  // Needs the mutex.
  void accept() {
    acceptor.async_accept([self = shared_from_this(), mine = listening](error_code ec, tcp::socket socket) {
      {
        std::lock_guard lock(self->mutex);
        if (self->listening != mine) return;
        if (ec) {
          self->accept_later();
          return;
        }
        self->accept();
        ++self->counted.accepted;
        ++self->counted.open;
      }
      asio::co_spawn(self->strand, serve(self, std::make_shared<relay_session>(std::move(socket), self->strand)),
                     rethrow);
    });
  }

  // Needs the mutex.
  void accept_later() {
    pause.expires_after(std::chrono::milliseconds(5));
    pause.async_wait([self = shared_from_this(), mine = listening](error_code) {
      std::lock_guard lock(self->mutex);
      if (self->listening == mine) self->accept();
    });
  }

  // On the strand, as soon as may be.
  void wake() {
    asio::post(strand, [self = shared_from_this()] {
      for (relay_session* s : self->sessions) s->wake();
    });
  }

  void end_all(bool by_reset) {
    asio::post(strand, [self = shared_from_this(), by_reset] {
      for (relay_session* s : self->sessions) s->end(by_reset);
    });
  }

  // All below is on the strand.

  double part() { return std::uniform_real_distribution<>(0, 1)(draw); }

  void reset(relay_session& s) {
    std::lock_guard lock(mutex);
    ++counted.reset;
    s.end(true);
  }

  static asio::awaitable<void> serve(std::shared_ptr<state> self, std::shared_ptr<relay_session> s) {
    const auto place = self->sessions.insert(self->sessions.end(), s.get());
    co_await self->pass(s);
    if (!s->ended) s->end(false);
    self->sessions.erase(place);
    std::lock_guard lock(self->mutex);
    --self->counted.open;
  }

  // Until both ways have ended.
  asio::awaitable<void> pass(std::shared_ptr<relay_session> s) {
    error_code ignored;
    s->client.set_option(tcp::no_delay(true), ignored);
    if (part() < now_in_force().resets) {
      reset(*s);
      co_return;
    }
    auto [not_connected] = co_await s->server.async_connect(server, relay_token);
    if (not_connected || s->ended) {
      s->end(true);
      co_return;
    }
    s->server.set_option(tcp::no_delay(true), ignored);  // which a Unix socket refuses
    const auto self = shared_from_this();
    asio::co_spawn(strand, read(self, s, s->client, s->to_server), rethrow);
    asio::co_spawn(strand, read(self, s, s->server, s->to_client), rethrow);
    asio::co_spawn(strand, write(self, s, s->to_client, s->client), rethrow);
    co_await write(self, s, s->to_server, s->server);
    while (!s->ended && !s->to_client.ended) {
      s->to_server.news.expires_at(time_point::max());
      co_await s->to_server.news.async_wait(relay_token);
    }
  }

  static asio::awaitable<void> read(std::shared_ptr<state> self, std::shared_ptr<relay_session> s, generic_socket& from,
                                    relay_way& w) {
    for (bool more = true; more && !s->ended;) {
      while (w.held >= most_held && !s->ended) {
        w.room.expires_at(time_point::max());
        co_await w.room.async_wait(relay_token);
      }
      std::vector<char> bytes(largest_piece);
      auto [ec, n] = co_await from.async_read_some(asio::buffer(bytes), relay_token);
      if (s->ended) co_return;
      if (ec && ec != asio::error::eof) {
        s->end(true);
        co_return;
      }
      more = !ec;
      bytes.resize(n);
      if (more && self->part() < (self->now_in_force().*w.faults).resets) {
        self->reset(*s);
        co_return;
      }
      w.held += n;
      w.pieces.push_back({.bytes = std::move(bytes), .read = clock_type::now(), .jitter = self->part()});
      w.news.cancel();
    }
  }

  static asio::awaitable<void> write(std::shared_ptr<state> self, std::shared_ptr<relay_session> s, relay_way& w,
                                     generic_socket& to) {
    while (!w.ended) {
      // How much of the first piece goes now, and where the connection is reset.
      std::size_t slice = 0;
      for (;;) {
        time_point due = time_point::max();
        if (!w.pieces.empty()) due = self->when_due(w, slice);
        if (s->ended) co_return;
        if (due <= clock_type::now()) break;
        w.news.expires_at(due);
        co_await w.news.async_wait(relay_token);
      }
      const relay_faults faults = self->now_in_force();
      relay_piece& piece = w.pieces.front();
      w.free_since = clock_type::now();
      if (piece.bytes.empty()) {
        error_code ignored;
        to.shutdown(generic_socket::shutdown_send, ignored);
        w.ended = true;
        break;
      }
      if (faults.reset_after) slice = std::min(slice, *faults.reset_after - std::min(*faults.reset_after, s->passed));
      auto [ec, n] = co_await asio::async_write(to, asio::buffer(piece.bytes, slice), relay_token);
      if (s->ended) co_return;
      s->passed += n;
      self->count(w, n);
      if (ec) {
        s->end(true);
      } else if (faults.reset_after && s->passed >= *faults.reset_after) {
        self->reset(*s);
      }
      w.held -= n;
      piece.bytes.erase(piece.bytes.begin(), piece.bytes.begin() + static_cast<std::ptrdiff_t>(n));
      if (piece.bytes.empty()) w.pieces.pop_front();
      w.room.cancel();
    }
    // Who waits for the end of the other way.
    s->wake();
  }

  // When the next `slice` bytes of the first piece come through; `max`: not for now.
  time_point when_due(const relay_way& w, std::size_t& slice) const {
    std::lock_guard lock(mutex);
    const way_faults& f = faults.*w.faults;
    if (f.stalled) return time_point::max();
    const relay_piece& piece = w.pieces.front();
    slice = piece.bytes.size();
    time_point due = piece.read + f.latency;
    due += std::chrono::duration_cast<clock_type::duration>(f.jitter * piece.jitter);
    if (piece.bytes.empty()) due += f.late_close;
    due = std::max(due, w.free_since);
    if (f.bandwidth) {
      // Not in larger steps than of a hundredth of a second.
      const std::uint64_t rate = std::max<std::uint64_t>(*f.bandwidth, 1);
      slice = std::min<std::size_t>(slice, std::max<std::uint64_t>(rate / 100, 1));
      due += std::chrono::nanoseconds(slice * std::uint64_t{1'000'000'000} / rate);
    }
    return std::max(due, stalled_until);
  }

  relay_faults now_in_force() const {
    std::lock_guard lock(mutex);
    return faults;
  }

  void count(const relay_way& w, std::size_t n) {
    std::lock_guard lock(mutex);
    counted.*w.count += n;
  }
};

fault_relay::fault_relay(asio::any_io_executor ex, asio::generic::stream_protocol::endpoint server, relay_faults faults,
                         std::uint64_t seed)
    : state_(std::make_shared<state>(std::move(ex), std::move(server), faults, seed)) {
  state_->set(faults);
}

fault_relay::~fault_relay() {
  {
    std::lock_guard lock(state_->mutex);
    state_->faults.connects = arrival::refused;
    state_->change_listener();
  }
  state_->end_all(true);
}

tcp::endpoint fault_relay::endpoint() const { return state_->port.endpoint(); }
std::string fault_relay::address() const { return state_->port.address(); }
void fault_relay::set(const relay_faults& faults) { state_->set(faults); }
relay_faults fault_relay::faults() const { return state_->now_in_force(); }

void fault_relay::stall_for(std::chrono::nanoseconds time) {
  std::lock_guard lock(state_->mutex);
  state_->stalled_until = clock_type::now() + time;
  state_->wake();
}

void fault_relay::reset_all() { state_->end_all(true); }
void fault_relay::close_all() { state_->end_all(false); }

fault_relay::counts fault_relay::seen() const {
  std::lock_guard lock(state_->mutex);
  return state_->counted;
}

}  // namespace cocp::test
