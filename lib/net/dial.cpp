// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/dial.hpp"

#include "net/connect_race.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <optional>
#include <tuple>
#include <utility>
#include <vector>

namespace cocp::detail {
namespace {

using endpoints = std::vector<endpoint>;

/// A lookup whose waiter can go away before it ends: name lookups cannot be cancelled.
struct lookup {
  asio::any_io_executor serial;
  /// Tells whoever looks up that nobody waits any more.
  asio::cancellation_signal drop;
  /// Optional, because Boost 1.81's any_completion_handler cannot be assigned to: its operator= calls itself.
  std::optional<resolve_handler> handler;

  void complete(error_code ec, endpoints found) {
    if (!handler) return;
    auto h = std::move(*handler);
    handler.reset();
    asio::post(serial,
               [h = std::move(h), ec, found = std::move(found)]() mutable { std::move(h)(ec, std::move(found)); });
  }
};

asio::awaitable<std::tuple<error_code, endpoints>> resolve(environment& env, asio::any_io_executor ex,
                                                           const address& to) {
  constexpr auto token = asio::as_tuple(asio::use_awaitable);
  const asio::any_io_executor serial = co_await asio::this_coro::executor;
  auto initiate = [&](auto handler) {
    auto state = std::make_shared<lookup>();
    state->serial = serial;
    state->handler.emplace(std::move(handler));
    // The erased handler has taken the coroutine's slot and shows one of its own. Weak: it is part of the state.
    auto slot = asio::get_associated_cancellation_slot(*state->handler);
    if (slot.is_connected()) {
      slot.assign([weak = std::weak_ptr(state)](asio::cancellation_type) {
        auto self = weak.lock();
        if (!self || !self->handler) return;
        self->drop.emit(asio::cancellation_type::terminal);
        // Last: it may throw `std::bad_alloc`, and then nobody waits any more either.
        self->complete(asio::error::operation_aborted, {});
      });
    }
    auto on_resolved = [state](error_code ec, endpoints found) { state->complete(ec, std::move(found)); };
    auto bound = asio::bind_executor(serial, std::move(on_resolved));
    env.async_resolve(ex, to.host, to.service, asio::bind_cancellation_slot(state->drop.slot(), std::move(bound)));
  };
  co_return co_await asio::async_initiate<decltype(token), void(error_code, endpoints)>(std::move(initiate), token);
}

}  // namespace

asio::awaitable<std::unique_ptr<stream>> dial(environment& env, asio::any_io_executor ex,
                                              const connection_options& options, const destination& to,
                                              std::optional<endpoint>& reached) {
  reached.reset();
  constexpr auto token = asio::as_tuple(asio::use_awaitable);
  endpoints candidates;
  if (to.numeric) {
    candidates.push_back(*to.numeric);
  } else {
    auto [ec, found] = co_await resolve(env, ex, to);
    if (ec) throw boost::system::system_error(ec, "resolve");
    candidates = std::move(found);
  }
  const asio::any_io_executor serial = co_await asio::this_coro::executor;
  auto initiate = [&](auto handler) {
    async_connect_first(env, ex, serial, options, to, to.memory->in_order(candidates), std::move(handler));
  };
  using signature = void(error_code, std::unique_ptr<stream>, endpoint);
  auto [ec, connected, at] = co_await asio::async_initiate<decltype(token), signature>(std::move(initiate), token);
  if (ec) throw boost::system::system_error(ec, "connect");
  reached = at;
  co_return std::move(connected);
}

asio::awaitable<void> secure(stream& s) {
  constexpr auto token = asio::as_tuple(asio::use_awaitable);
  auto shake_hands = [&s](auto h) { s.async_handshake(std::move(h)); };
  auto [failure] = co_await asio::async_initiate<decltype(token), void(error_code)>(std::move(shake_hands), token);
  if (failure) throw boost::system::system_error(failure, "handshake");
}

}  // namespace cocp::detail
