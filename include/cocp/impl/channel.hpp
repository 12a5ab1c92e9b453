// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/event.hpp>
#include <cocp/export.hpp>
#include <cocp/impl/stream.hpp>
#include <cocp/impl/waiter.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <tuple>
#include <utility>

namespace cocp::detail {

class environment;
class timer;

using time_point = std::chrono::steady_clock::time_point;

class channel;

/// Waits until an operation may start on a channel, or for nothing but the stream to be up.
///
/// It is released with the operation begun on its behalf: from then on the operation is outstanding, and no lease or
/// supervisor can have the stream before it has ended.
class COCP_API channel_waiter : public waiter {
 public:
  channel_waiter(channel& c, unsigned operation) noexcept : channel_(c), operation_(operation) {}

  /// The bit of the operation that wants to start, 0 for none.
  unsigned operation() const noexcept { return operation_; }
  /// Set, under the channel's mutex, when the operation has begun.
  bool begun = false;

  void settle() noexcept;
  std::tuple<error_code> take_result() const noexcept { return {error}; }
  void dropped() noexcept;

 private:
  /// Kept by the handler.
  channel& channel_;
  unsigned operation_;
};

/// Told when a channel is down and nobody uses its stream any more.
class channel_owner {
 public:
  /// Called under the channel's mutex, on any thread; also when a completion is to be tried again.
  virtual void on_channel_drained() noexcept = 0;

 protected:
  ~channel_owner() = default;
};

/// How a lease left its stream.
enum class leftover {
  unused,  ///< Up; no operation was started.
  used,    ///< Up; all operations ended well.
  dirty,   ///< Was up, and is now being replaced.
  down,    ///< Down, or on its way back.
};

/// How a stream came to its end.
enum class ending {
  lost,     ///< It failed, or its peer ended it.
  dirty,    ///< Given up: what state a user left it in is not known.
  dead,     ///< Given up: it did not answer.
  aged,     ///< Given up: another has taken its place.
  moved,    ///< Given up: the pool has another address now.
  surplus,  ///< Given up: nobody needs it.
};

/// Why a stream went down.
struct loss {
  /// What is told of it.
  error_code cause;
  /// In words, where the code alone does not say it. Outlives the stream.
  std::string_view reason;
  ending kind = ending::lost;
  /// True if a read had brought something since it was opened.
  bool answered = false;
  /// True if anybody had started an operation on it.
  bool touched = false;
};

/// The gate between the operations of a connection's users and the stream that its supervisor provides.
///
/// One word says what is going on. An operation starts by setting its bit while `up` is set, in one step, and the
/// supervisor takes the stream back only after it has cleared `up` and found no operation's bit: neither can miss the
/// other. All rarer changes of the word are made under `mutex_`.
///
/// \par Lifetime
/// Owned by `shared_ptr` (see `make`). When the last owner goes while operations are outstanding, the last of those
/// deletes it.
class COCP_API channel final : public wait_owner, public std::enable_shared_from_this<channel> {
 public:
  enum : unsigned {
    up = 1,           ///< The stream may be used.
    reading = 2,      ///< A read is outstanding.
    writing = 4,      ///< A write is outstanding.
    used = 8,         ///< An operation was started during this lease.
    answered = 16,    ///< A read has brought something since the stream was opened.
    dirty = 32,       ///< An operation of this lease failed, was cancelled or expired.
    expired = 64,     ///< The time of `expires_after` has passed.
    closed = 128,     ///< `close` was called, for this lease or for good.
    queued = 256,     ///< Somebody waits in `waiters_`.
    timed = 512,      ///< `expires_after` was called during this lease.
    orphaned = 1024,  ///< No owner is left.
    touched = 2048    ///< A lease that did I/O has ended since the stream was opened.
  };

  /// `owner` may be null. A `single_use` channel is opened once: when it is down nobody waits.
  static std::shared_ptr<channel> make(asio::any_io_executor ex, std::shared_ptr<environment> env, channel_owner* owner,
                                       bool single_use);

  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;

  /// \name For users
  /// @{

  /// Starts an operation. False: not now; wait first.
  bool begin(unsigned operation) noexcept {
    unsigned w = word_.load(std::memory_order_relaxed);
    while ((w & (up | expired | closed | operation)) == up) {
      if (word_.compare_exchange_weak(w, w | operation | used, std::memory_order_acq_rel, std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  /// Ends an operation that was begun, and says with what error: ours, if we ended it.
  /// This may be gone afterwards if no owner is left.
  void end(unsigned operation, error_code& ec) noexcept {
    if (!ec) {
      unsigned w = word_.load(std::memory_order_relaxed);
      while ((w & (up | queued | orphaned)) == up) {
        const unsigned next = (w & ~operation) | (operation == reading ? answered : 0u);
        if (word_.compare_exchange_weak(w, next, std::memory_order_acq_rel, std::memory_order_relaxed)) return;
      }
    }
    end_slowly(operation, ec);
  }

  /// Only between `begin` and `end`.
  plain_socket* socket() const noexcept { return socket_; }
  /// The same; null if the execution context has gone away meanwhile.
  stream* current() const noexcept { return stream_.get(); }

  /// Waits until `w.operation()` may start. `w` completes through its executor.
  void wait(channel_waiter& w);
  void cancel(waiter& w) noexcept override;

  /// Somebody wants to cancel an operation that is outstanding.
  void note_cancellation() noexcept { set(dirty); }

  void expires_after(duration d);
  void expires_never() noexcept;

  /// Ends what is outstanding with `errc::closed`, and what is started until the lease ends.
  void close_use() noexcept;

  bool is_up() const noexcept { return word_.load(std::memory_order_acquire) & up; }
  std::uint64_t generation() const noexcept { return generation_.load(std::memory_order_relaxed); }
  error_code last_error() const;
  endpoint remote_endpoint() const;
  const asio::any_io_executor& get_executor() const noexcept { return ex_; }
  /// @}

  /// \name For the owner
  /// @{

  /// Ends a lease. What it left outstanding ends with `operation_aborted`. `spoiled()`, asked only if an operation was
  /// started: nothing is known of the stream's state; `unwanted`: the stream is to be replaced in any case.
  template <class Spoiled>
  leftover end_use(Spoiled spoiled, bool unwanted) noexcept {
    unsigned w = word_.load(std::memory_order_acquire);
    if (unwanted) return end_use_slowly(false, true);
    if ((w & ~(answered | touched)) == up) return leftover::unused;
    if (spoiled()) return end_use_slowly(true, false);
    while ((w & ~(answered | touched)) == (up | used)) {
      if (word_.compare_exchange_weak(w, (w & ~used) | touched, std::memory_order_acq_rel, std::memory_order_acquire)) {
        return leftover::used;
      }
    }
    return end_use_slowly(false, false);
  }

  /// Gives users the stream. Only while down and drained. False if the channel was closed: then nothing was done.
  bool open(std::unique_ptr<stream>& s);
  /// Takes the stream from its users; it is drained when what is outstanding has ended, with `verdict` if that is set.
  void bring_down(const loss& why, error_code verdict) noexcept;
  /// Sets the error that `last_error` returns.
  void note(error_code ec) noexcept;
  /// The owner is going; others may keep this.
  void disown() noexcept;
  /// From now on nobody redials: when down, operations fail with `errc::closed`.
  void retire() noexcept;
  /// `bring_down` and `retire`; waiting operations end with `errc::closed`.
  void close() noexcept;
  /// True if down with nothing outstanding.
  bool is_drained() const noexcept { return !(word_.load(std::memory_order_acquire) & (up | reading | writing)); }
  /// The stream, if nobody uses it: to close it, or to pass it on.
  std::unique_ptr<stream> take() noexcept;
  /// Takes a stream that is up from users who are done with it; null if it is down or an operation is outstanding.
  std::unique_ptr<stream> release() noexcept;
  /// Why it went down the last time.
  loss last_loss() const;
  /// Schedules what scheduling failed for (see `waiter::complete`); false if it fails again.
  bool retry_completions() noexcept;
  /// The execution context is going away: drops all that belongs to it.
  void shutdown() noexcept;

  /// The stream, for one who has it to himself: nobody has a lease and no operation is outstanding.
  stream* idle_stream() const noexcept { return stream_.get(); }
  /// @}

 private:
  channel(asio::any_io_executor ex, std::shared_ptr<environment> env, channel_owner* owner, bool single_use);
  ~channel();
  void orphan() noexcept;

  void end_slowly(unsigned operation, error_code& ec) noexcept;
  leftover end_use_slowly(bool spoiled, bool unwanted) noexcept;

  /// Under `mutex_`.
  void lose(loss why, error_code verdict) noexcept;
  void expire() noexcept;
  std::unique_ptr<stream> take_under_lock() noexcept;
  error_code refusal(unsigned operation) noexcept;
  void take_waiters(wait_list& into, error_code ec) noexcept;
  /// Takes those who may start now, each with its operation begun.
  void release_waiters(wait_list& into) noexcept;
  void arm(time_point t);
  void set(unsigned bits) noexcept { word_.fetch_or(bits, std::memory_order_acq_rel); }
  unsigned clear(unsigned bits) noexcept { return word_.fetch_and(~bits, std::memory_order_acq_rel); }

  void on_timer();
  void complete_all(wait_list& list) noexcept;
  bool deliver(waiter& w) noexcept;

  std::atomic<unsigned> word_{0};
  std::atomic<std::uint64_t> generation_{0};
  /// Both are written only while down and drained.
  plain_socket* socket_ = nullptr;
  std::unique_ptr<stream> stream_;

  asio::any_io_executor ex_;
  std::shared_ptr<environment> env_;

  mutable std::mutex mutex_;
  /// All below is guarded by `mutex_`.
  channel_owner* owner_;
  const bool single_use_;
  /// Nobody opens it again when it is down.
  bool retired_;
  /// Closed for good.
  bool gone_ = false;
  /// What ends the outstanding operations of a stream that we took down; unset if it was lost.
  error_code verdict_;
  error_code last_error_;
  loss last_loss_;
  wait_list waiters_;
  /// Ended, but their executor refused the completion; tried again on the owner's next turn.
  wait_list undelivered_;
  std::unique_ptr<timer> timer_;
  /// When outstanding operations expire; `max` for never.
  time_point deadline_ = time_point::max();
  /// When `timer_` goes off, not later than `deadline_`; `max` if no wait is pending.
  time_point armed_ = time_point::max();
};

/// An operation that was begun; it ends exactly once, also when its handler is destroyed without being called.
template <unsigned Kind>
class operation {
 public:
  explicit operation(channel& c) noexcept : channel_(&c) {}
  operation(operation&& other) noexcept : channel_(std::exchange(other.channel_, nullptr)) {}
  operation& operator=(operation&&) = delete;
  ~operation() {
    if (channel_) {
      error_code ec = asio::error::operation_aborted;
      channel_->end(Kind, ec);
    }
  }

  void end(error_code& ec) noexcept { std::exchange(channel_, nullptr)->end(Kind, ec); }

 private:
  channel* channel_;
};

/// Stands in the user's cancellation slot while an operation is outstanding, and passes on what comes.
///
/// A composed operation that is cancelled when a part of it has succeeded, but the part's handler has not run, stops
/// there: the stream has seen no failure, and yet is in the middle of something. So to be asked to cancel is enough to
/// make the lease dirty.
class cancellation_witness {
 public:
  explicit cancellation_witness(std::shared_ptr<channel> c) noexcept : channel_(std::move(c)) {}

  void operator()(asio::cancellation_type type) {
    channel_->note_cancellation();
    signal_.emit(type);
  }
  asio::cancellation_slot slot() noexcept { return signal_.slot(); }

 private:
  std::shared_ptr<channel> channel_;
  asio::cancellation_signal signal_;
};

/// The completion handler of an operation on the stream: ends the operation, then calls the user's handler, whose
/// associated executor and allocator it has.
template <unsigned Kind, class Handler>
struct operation_handler {
  operation_handler(channel& c, Handler&& h) : op(c), handler(std::move(h)) {
    auto users = asio::get_associated_cancellation_slot(handler);
    if (users.is_connected()) {
      slot = users.template emplace<cancellation_witness>(c.shared_from_this()).slot();
    }
  }

  operation<Kind> op;
  Handler handler;
  /// The witness's.
  asio::cancellation_slot slot;

  void operator()(error_code ec, std::size_t n) {
    if (slot.is_connected()) asio::get_associated_cancellation_slot(handler).clear();
    op.end(ec);
    std::move(handler)(ec, n);
  }
};

/// The first buffer that is not empty, or an empty one.
template <class Buffer, class Buffers>
Buffer first_buffer(const Buffers& buffers) noexcept {
  const auto end = asio::buffer_sequence_end(buffers);
  for (auto it = asio::buffer_sequence_begin(buffers); it != end; ++it) {
    if (Buffer b(*it); b.size() != 0) return b;
  }
  return {};
}

/// Starts an operation that has begun.
template <unsigned Kind, class Buffers, class Handler>
void start_begun(channel& c, const Buffers& buffers, Handler&& handler) {
  std::decay_t<Handler> own(std::forward<Handler>(handler));
  operation_handler<Kind, std::decay_t<Handler>> h(c, std::move(own));
  if (plain_socket* s = c.socket()) [[likely]] {
    if constexpr (Kind == channel::reading) {
      s->async_read_some(buffers, std::move(h));
    } else {
      s->async_write_some(buffers, std::move(h));
    }
  } else if (stream* other = c.current()) {
    if constexpr (Kind == channel::reading) {
      other->async_read_some(first_buffer<asio::mutable_buffer>(buffers), std::move(h));
    } else {
      other->async_write_some(first_buffer<asio::const_buffer>(buffers), std::move(h));
    }
  } else {
    // Only after a wait on an executor that outlives the channel's: this is no initiating function.
    h(asio::error::operation_aborted, 0);
  }
}

/// The handler of the wait before an operation.
template <unsigned Kind, class Buffers, class Handler>
struct delayed_operation {
  std::shared_ptr<channel> target;
  Buffers buffers;
  Handler handler;

  void operator()(error_code ec) {
    if (!ec && !target->is_up()) {
      // Taken down since the operation began on its behalf: end() says why.
      operation<Kind> op(*target);
      ec = asio::error::operation_aborted;
      op.end(ec);
    }
    if (ec) {
      std::move(handler)(ec, std::size_t{0});
    } else {
      start_begun<Kind>(*target, buffers, std::move(handler));
    }
  }
};

/// Starts the operation now if it may, or else when it may.
template <unsigned Kind, class Buffers, class Handler>
void start_operation(channel& c, const Buffers& buffers, Handler&& handler) {
  if (c.begin(Kind)) [[likely]] {
    start_begun<Kind>(c, buffers, std::forward<Handler>(handler));
    return;
  }
  using delayed = delayed_operation<Kind, Buffers, std::decay_t<Handler>>;
  auto self = c.shared_from_this();
  c.wait(*wait_op<channel_waiter, delayed>::create(delayed{self, buffers, std::forward<Handler>(handler)},
                                                   c.get_executor(), self, c, Kind));
}

/// Sends what the socket takes without waiting; returns how much. Zero without an error if the stream is down, is busy,
/// or is no plain socket: then there is nothing for it but to wait.
template <class Buffers>
std::size_t write_now(channel& c, const Buffers& buffers, error_code& ec) {
  if (!c.begin(channel::writing)) return 0;
  operation<channel::writing> op(c);
  std::size_t sent = 0;
  if (plain_socket* s = c.socket()) {
    // The socket is non-blocking (see socket_stream).
    sent = s->write_some(buffers, ec);
    if (ec == asio::error::would_block || ec == asio::error::try_again) ec = {};
  }
  op.end(ec);
  return sent;
}

}  // namespace cocp::detail

template <template <class, class> class Associator, unsigned Kind, class Handler, class Candidate>
struct boost::asio::associator<Associator, cocp::detail::operation_handler<Kind, Handler>, Candidate>
    : Associator<Handler, Candidate> {
  static decltype(auto) get(const cocp::detail::operation_handler<Kind, Handler>& h) noexcept {
    return Associator<Handler, Candidate>::get(h.handler);
  }
  static decltype(auto) get(const cocp::detail::operation_handler<Kind, Handler>& h, const Candidate& c) noexcept {
    return Associator<Handler, Candidate>::get(h.handler, c);
  }
};

template <template <class, class> class Associator, unsigned Kind, class Buffers, class Handler, class Candidate>
struct boost::asio::associator<Associator, cocp::detail::delayed_operation<Kind, Buffers, Handler>, Candidate>
    : Associator<Handler, Candidate> {
  static decltype(auto) get(const cocp::detail::delayed_operation<Kind, Buffers, Handler>& h) noexcept {
    return Associator<Handler, Candidate>::get(h.handler);
  }
  static decltype(auto) get(const cocp::detail::delayed_operation<Kind, Buffers, Handler>& h,
                            const Candidate& c) noexcept {
    return Associator<Handler, Candidate>::get(h.handler, c);
  }
};

template <unsigned Kind, class Handler, class Slot>
struct boost::asio::associated_cancellation_slot<cocp::detail::operation_handler<Kind, Handler>, Slot> {
  using type = boost::asio::cancellation_slot;
  static type get(const cocp::detail::operation_handler<Kind, Handler>& h, const Slot& = Slot()) noexcept {
    return h.slot;
  }
};
