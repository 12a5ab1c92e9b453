// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/impl/cancellation_relay.hpp>
#include <cocp/impl/channel.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace cocp::detail {

/// An operation that was begun; it ends exactly once, also when its handler is destroyed without being called.
template <unsigned Kind>
class operation {
 public:
  static constexpr unsigned kind = Kind;

  /// It has begun.
  explicit operation(channel& c) noexcept : channel_(&c) {}
  /// Begins it, if it can begin now.
  static operation try_begin(channel& c) noexcept { return operation(c.begin(Kind) ? &c : nullptr); }
  operation(operation&& other) noexcept : channel_(std::exchange(other.channel_, nullptr)) {}
  operation& operator=(operation&&) = delete;
  ~operation() {
    if (!channel_) return;
    error_code ec = asio::error::operation_aborted;
    channel_->end(Kind, ec, false);
  }

  /// True until it has ended.
  explicit operator bool() const noexcept { return channel_ != nullptr; }
  channel& target() const noexcept { return *channel_; }

  /// `n`: the bytes that the user is told of.
  void end(error_code& ec, std::size_t n, endpoint_label* who = nullptr) noexcept {
    channel* const c = std::exchange(channel_, nullptr);
    // What was kept is told as nothing when it has gone.
    const bool moved = Kind == channel::writing ? c->raw().take_kept() || n != 0 : n != 0 && c->raw().has_read();
    c->end(Kind, ec, moved, who);
  }

 private:
  explicit operation(channel* c) noexcept : channel_(c) {}

  channel* channel_;
};

/// How a user is told what came of an operation: as Asio does it,
struct told_by_code {
  template <class Handler>
  static void tell(Handler&& handler, error_code ec, std::size_t n, const endpoint_label&) {
    std::move(handler)(ec, n);
  }
  template <class Handler>
  static void tell_refused(Handler&& handler, error_code ec, const channel&) {
    std::move(handler)(ec, std::size_t{0});
  }
  static endpoint_label* wants(endpoint_label&) noexcept { return nullptr; }
};

/// or as an exception that says more.
struct told_by_exception {
  /// The operation's name.
  const char* what;

  template <class Handler>
  void tell(Handler&& handler, error_code ec, std::size_t n, const endpoint_label& who) const {
    std::move(handler)(ec ? make_failure(what, who, ec) : nullptr, n);
  }
  template <class Handler>
  void tell_refused(Handler&& handler, error_code ec, const channel& c) const {
    std::move(handler)(c.wait_failure(what, ec), std::size_t{0});
  }
  static endpoint_label* wants(endpoint_label& who) noexcept { return &who; }
};

/// The completion handler of an operation on the stream: ends the operation, then calls the user's handler, whose
/// associated executor and allocator it has.
template <unsigned Kind, class Told, class Handler>
struct operation_handler {
  using wrapped_handler = Handler;

  operation_handler(operation<Kind> o, Told t, Handler&& h)
      : op(std::move(o)), told(t), relay(op.target(), h), handler(std::move(h)) {}

  operation<Kind> op;
  [[no_unique_address]] Told told;
  cancellation_relay relay;
  Handler handler;

  void operator()(error_code ec, std::size_t n) {
    relay.cut();
    endpoint_label who;
    op.end(ec, n, Told::wants(who));
    told.tell(std::move(handler), ec, n, who);
  }
};

/// What an operation does with the stream: one operation from its first byte to its last, whichever parts it has.
/// `start(stream, handler)` is called once.
template <unsigned Kind, class Start>
struct work_of {
  static constexpr unsigned kind = Kind;
  Start start;
};

template <unsigned Kind, class Start>
work_of<Kind, Start> make_work(Start start) {
  return {std::move(start)};
}

template <class Buffers>
auto read_some_of(const Buffers& buffers) {
  return make_work<channel::reading>([buffers]<class Handler>(raw_stream& s, Handler&& handler) {
    s.async_read_some(buffers, std::forward<Handler>(handler));
  });
}

template <class Buffers>
auto write_some_of(const Buffers& buffers) {
  return make_work<channel::writing>([buffers]<class Handler>(raw_stream& s, Handler&& handler) {
    s.async_write_some(buffers, std::forward<Handler>(handler));
  });
}

template <class Buffers>
auto read_all_of(const Buffers& buffers) {
  return make_work<channel::reading>([buffers]<class Handler>(raw_stream& s, Handler&& handler) {
    asio::async_read(s, buffers, std::forward<Handler>(handler));
  });
}

template <class Buffers>
auto write_all_of(Buffers buffers) {
  return make_work<channel::writing>([b = std::move(buffers)]<class Handler>(raw_stream& s, Handler&& handler) {
    asio::async_write(s, b, std::forward<Handler>(handler));
  });
}

/// What cannot be copied, as `asio::streambuf`, outlives the operation.
template <class DynamicBuffer, class Delimiter>
auto read_up_to(DynamicBuffer&& buffer, Delimiter delimiter) {
  using own = std::decay_t<DynamicBuffer>;
  using kept = std::tuple<std::conditional_t<std::is_copy_constructible_v<own>, own, DynamicBuffer&&>>;
  return make_work<channel::reading>(
      [b = kept(std::forward<DynamicBuffer>(buffer)), d = std::move(delimiter)]<class Handler>(
          raw_stream& s, Handler&& handler) mutable {
        asio::async_read_until(s, std::get<0>(std::move(b)), std::move(d), std::forward<Handler>(handler));
      });
}

/// Starts an operation that has begun.
template <class Work, class Told, class Handler>
void start_begun(operation<Work::kind> op, Work& work, Told told, Handler&& handler) {
  std::decay_t<Handler> own(std::forward<Handler>(handler));
  channel& c = op.target();
  if constexpr (Work::kind == channel::reading) c.raw().starts_reading();
  work.start(c.raw(), operation_handler<Work::kind, Told, std::decay_t<Handler>>(std::move(op), told, std::move(own)));
}

/// The handler of the wait before an operation.
template <class Work, class Told, class Handler>
struct delayed_operation {
  using wrapped_handler = Handler;

  std::shared_ptr<channel> target;
  Work work;
  [[no_unique_address]] Told told;
  Handler handler;

  void operator()(error_code ec) {
    if (!ec) {
      operation<Work::kind> op(*target);
      ec = target->why_not(Work::kind);
      if (!ec) {
        start_begun(std::move(op), work, told, std::move(handler));
        return;
      }
      // It was lost after the operation had begun on its behalf.
      op.end(ec, 0);
    }
    told.tell_refused(std::move(handler), ec, *target);
  }
};

/// Starts the operation now if it may, or else when it may.
template <class Work, class Told, class Handler>
void start_operation(channel& c, Work work, Told told, Handler&& handler) {
  if (auto op = operation<Work::kind>::try_begin(c)) [[likely]] {
    start_begun(std::move(op), work, told, std::forward<Handler>(handler));
    return;
  }
  using delayed = delayed_operation<Work, Told, std::decay_t<Handler>>;
  auto self = c.shared_from_this();
  c.wait(*wait_op<channel_waiter, delayed>::create(delayed{self, std::move(work), told, std::forward<Handler>(handler)},
                                                   c.get_executor(), self, c, Work::kind));
}

/// A handler with another one inside, whose associates are its own.
template <class T>
concept handler_wrapper = requires {
  typename T::wrapped_handler;
}
&&requires(const T& t) { t.handler; };

}  // namespace cocp::detail

template <template <class, class> class Associator, cocp::detail::handler_wrapper Wrapper, class Candidate>
struct boost::asio::associator<Associator, Wrapper, Candidate>
    : Associator<typename Wrapper::wrapped_handler, Candidate> {
  static decltype(auto) get(const Wrapper& w) noexcept {
    return Associator<typename Wrapper::wrapped_handler, Candidate>::get(w.handler);
  }
  static decltype(auto) get(const Wrapper& w, const Candidate& c) noexcept {
    return Associator<typename Wrapper::wrapped_handler, Candidate>::get(w.handler, c);
  }
};

template <unsigned Kind, class Told, class Handler, class Slot>
struct boost::asio::associated_cancellation_slot<cocp::detail::operation_handler<Kind, Told, Handler>, Slot> {
  using type = boost::asio::cancellation_slot;
  static type get(const cocp::detail::operation_handler<Kind, Told, Handler>& h, const Slot& = Slot()) noexcept {
    return h.relay.slot();
  }
};
