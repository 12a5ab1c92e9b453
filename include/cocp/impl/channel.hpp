// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/event.hpp>
#include <cocp/export.hpp>
#include <cocp/impl/stream.hpp>
#include <cocp/impl/stream_word.hpp>
#include <cocp/impl/time.hpp>
#include <cocp/impl/waiter.hpp>

#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/write.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace cocp::detail {

class environment;
class timer;

/// What error texts call an endpoint. Never null.
using endpoint_label = std::shared_ptr<const std::string>;

/// An error whose text is "WHAT WHO: MESSAGE", as in "read localhost:7: End of file".
COCP_API std::exception_ptr make_failure(const char* what, const endpoint_label& who, error_code ec) noexcept;

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
  /// The generation of the stream that was there when the wait for it ended. Likewise.
  std::uint64_t generation = 0;

  void settle() noexcept;
  std::tuple<error_code> take_result() const noexcept { return {error}; }
  void dropped() noexcept;

 private:
  /// Kept by the handler.
  channel& channel_;
  unsigned operation_;
};

/// Told what becomes of a channel's stream.
class channel_owner {
 public:
  /// The stream was lost, or is down and nobody uses it any more, or something is to be tried again. Called under the
  /// channel's mutex, on any thread.
  virtual void on_channel_changed() noexcept = 0;

 protected:
  ~channel_owner() = default;
};

/// How a lease left its stream.
enum class leftover {
  unused,  ///< Up; no operation was started.
  used,    ///< Up; all operations ended well.
  dirty,   ///< Was up, and is now being replaced.
  down,    ///< Lost, down, or on its way back.
};

/// How a stream came to its end.
enum class ending {
  lost,     ///< It failed, or its peer ended it.
  dirty,    ///< Given up: what state a user left it in is not known.
  dead,     ///< Given up: it did not answer.
  aged,     ///< Given up: it had grown old, and is redialled in its own place.
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

/// Whose a channel is, which says what happens when its stream is lost.
enum class channel_use {
  alone,     ///< A connection that stands alone: operations wait until it is redialled.
  leased,    ///< Of leases and hooks, each of which is one stream: it stays with its user until that ends or agrees.
  once_only  ///< The same, and it is opened once.
};

/// The gate between the operations of a connection's users and the stream that its supervisor provides.
///
/// `stream_word` says what goes on, and how operations start and end. All rarer changes are made under `mutex_`.
///
/// Alone: a stream that is lost goes down at once, and operations that are started then wait for the next. Leased: it
/// stays up, marked as lost, until the lease ends or agrees to go on with another (`ready`); what is started meanwhile
/// goes to it if that makes sense, and otherwise fails with the loss's error. Only `ready` ever waits for a stream.
///
/// \par Lifetime
/// Owned by `shared_ptr` (see `make`). When the last owner goes while operations are outstanding, the last of those
/// deletes it.
class COCP_API channel final : public wait_owner, public std::enable_shared_from_this<channel> {
 public:
  static constexpr unsigned reading = stream_word::reading;
  static constexpr unsigned writing = stream_word::writing;

  /// `owner` may be null. `who`: until `open` says otherwise.
  static std::shared_ptr<channel> make(asio::any_io_executor ex, std::shared_ptr<environment> env, channel_owner* owner,
                                       channel_use use, endpoint_label who);

  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;

  /// \name For users
  /// @{

  /// Starts an operation. False: not now; wait first.
  bool begin(unsigned operation) noexcept {
    return word_.step([operation](unsigned w) { return stream_word::begin(w, operation); });
  }

  /// Ends an operation that was begun, and says with what error: ours, if we ended it. `moved`: bytes. `who`, if not
  /// null, is set when there is an error.
  /// This may be gone afterwards if no owner is left.
  void end(unsigned operation, error_code& ec, bool moved, endpoint_label* who = nullptr) noexcept {
    const auto well = [operation, moved](unsigned w) { return stream_word::end_well(w, operation, moved); };
    if (ec || !word_.step(well)) end_slowly(operation, ec, moved, who);
  }

  /// The stream itself, for the parts of an operation that has begun; an AsyncReadStream and AsyncWriteStream.
  class raw_stream {
   public:
    using executor_type = asio::any_io_executor;

    explicit raw_stream(channel& c) noexcept : channel_(c) {}
    executor_type get_executor() const noexcept { return channel_.ex_; }

    template <class Buffers, class Handler>
    void async_read_some(const Buffers& buffers, Handler&& handler);
    template <class Buffers, class Handler>
    void async_write_some(const Buffers& buffers, Handler&& handler);
    /// Sends what the socket takes without waiting; returns how much. Nothing if there is no plain socket.
    template <class Buffers>
    std::size_t send_now(const Buffers& buffers, error_code& ec);

   private:
    channel& channel_;
  };
  raw_stream& raw() noexcept { return raw_; }

  /// Who reads: whether the operation that has begun has read from the stream, and not only from what was read before.
  bool has_read() const noexcept { return has_read_; }
  void starts_reading() noexcept { has_read_ = false; }

  /// Who writes: true if so many writes in a row have ended at once that the next is to go through the scheduler.
  bool is_greedy() noexcept { return ++eager_writes_ % most_at_once == 0; }
  /// Who writes, before he lets others run: the limit of `expires_after` may have passed, and its timer comes after
  /// whoever else is due.
  void look_at_limit() noexcept;

  /// Waits until `w.operation()` may start, or, for 0, until the stream is up: in a lease, the consent to go on with
  /// another. `w` completes through its executor.
  void wait(channel_waiter& w);
  void cancel(waiter& w) noexcept override;
  /// Why an operation that has begun, and not started, is not to start; nothing if it is.
  error_code why_not(unsigned operation) const noexcept;
  /// The wait for the stream of that generation has succeeded: a lease may use it from now on, if it still has it.
  void consent(std::uint64_t to) noexcept;

  /// Somebody wants to cancel an operation that is outstanding.
  void note_cancellation() noexcept { word_.set(stream_word::dirty); }
  /// What was written last has no answer.
  void note_no_answer() noexcept { word_.clear(stream_word::asked); }

  void expires_after(duration d);
  void expires_never() noexcept;

  /// Ends what is outstanding with `errc::closed`, and what is started until the lease ends.
  void close_use() noexcept;

  bool is_up() const noexcept { return stream_word::is_up(word_.load()); }
  /// True if a read has brought something since the stream was opened.
  bool has_answered() const noexcept { return (word_.load() & stream_word::answered) != 0; }
  /// The same, and the lease that is out may use it.
  bool is_usable() const noexcept { return is_up() && !(word_.load() & stream_word::apart); }
  std::uint64_t generation() const noexcept { return generation_.load(std::memory_order_relaxed); }
  error_code last_error() const;
  endpoint remote_endpoint() const;
  /// For what `wait` has ended with `ec`.
  std::exception_ptr wait_failure(const char* what, error_code ec) const noexcept;
  const asio::any_io_executor& get_executor() const noexcept { return ex_; }
  /// @}

  /// \name For the owner
  /// @{

  /// Ends a lease. What it left outstanding ends with `operation_aborted`. `spoiled()`, asked only if an operation was
  /// started: nothing is known of the stream's state; `unwanted`: the stream is to be replaced in any case; `one_way`:
  /// what is written has no answer.
  template <class Spoiled>
  leftover end_use(Spoiled spoiled, bool unwanted, bool one_way) noexcept {
    if (unwanted) return end_use_slowly(false, true, one_way);
    if ((word_.load() & ~(stream_word::answered | stream_word::touched)) == stream_word::up) return leftover::unused;
    if (spoiled()) return end_use_slowly(true, false, one_way);
    if (word_.step([one_way](unsigned w) { return stream_word::leave(w, one_way); })) return leftover::used;
    return end_use_slowly(false, false, one_way);
  }

  /// Gives users the stream. Only while down and drained. False if the channel was closed: then nothing was done.
  bool open(std::unique_ptr<stream>& s, endpoint_label who);
  /// From now on until `end_hook` the user is a hook, which its supervisor waits for: it cannot have another stream.
  void begin_hook() noexcept;
  void end_hook() noexcept;
  /// Takes the stream from its users; it is drained when what is outstanding has ended, with `verdict` if that is set.
  /// `why`, unless it was lost before.
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
  bool is_drained() const noexcept { return stream_word::is_drained(word_.load()); }
  /// The stream, if nobody uses it: to close it, or to pass it on.
  std::unique_ptr<stream> take() noexcept;
  /// Takes a stream that is up from users who are done with it; null if it is not up or an operation is outstanding.
  std::unique_ptr<stream> release() noexcept;
  /// Why it was lost the last time.
  loss last_loss() const;
  /// Does what failed for lack of memory (see `waiter::complete`, `arm`); false if it fails again.
  bool try_again() noexcept;
  /// The execution context is going away: drops all that belongs to it.
  void shutdown() noexcept;

  /// The stream, for one who has it to himself: nobody has a lease and no operation is outstanding.
  stream* idle_stream() const noexcept { return stream_.get(); }
  /// @}

 private:
  /// Rule 14: so many operations in a row may complete without letting the scheduler run others.
  static constexpr unsigned most_at_once = 64;

  channel(asio::any_io_executor ex, std::shared_ptr<environment> env, channel_owner* owner, channel_use use,
          endpoint_label who);
  ~channel();
  void orphan() noexcept;

  void end_slowly(unsigned operation, error_code& ec, bool moved, endpoint_label* who) noexcept;
  leftover end_use_slowly(bool spoiled, bool unwanted, bool one_way) noexcept;

  /// Under `mutex_`. Who did not get what he waited for is put into a list, to be completed without the mutex.
  ///
  /// The stream is lost; `how`: `ended` or `broken`.
  void lose(loss why, unsigned how, error_code verdict, wait_list& refused) noexcept;
  void note_loss(loss why) noexcept;
  void take_down(error_code verdict, wait_list& refused) noexcept;
  /// The lease wants another stream, if its own is lost.
  void agree(wait_list& refused) noexcept;
  void expire(wait_list& refused) noexcept;
  std::unique_ptr<stream> take_under_lock() noexcept;
  /// Why an operation cannot start, or the stream (0) not be waited for, if so; and how one ends that was on its way.
  error_code refusal(unsigned operation) noexcept;
  error_code loss_error(unsigned operation) const noexcept;
  /// True if one of them wanted to start an operation.
  bool take_waiters(wait_list& into, error_code ec) noexcept;
  /// Takes those who wait to start an operation that cannot start on this stream any more.
  void refuse_waiters(wait_list& into, unsigned operations) noexcept;
  /// Takes those who may start now, each with its operation begun.
  void release_waiters(wait_list& into) noexcept;
  void arm(time_point t);

  void on_timer();
  void complete_all(wait_list& list) noexcept;
  /// `is_news`: the owner is to be told if it fails.
  bool deliver(waiter& w, bool is_news) noexcept;

  stream_word word_;
  std::atomic<std::uint64_t> generation_{0};
  /// Both are written only while down and drained.
  plain_socket* socket_ = nullptr;
  std::unique_ptr<stream> stream_;
  raw_stream raw_{*this};
  /// Touched only by whoever has begun to read, and to write.
  bool has_read_ = false;
  /// A read has found the end of the stream. (Reset while down and drained.)
  bool read_all_ = false;
  unsigned char eager_writes_ = 0;

  asio::any_io_executor ex_;
  std::shared_ptr<environment> env_;

  mutable std::mutex mutex_;
  /// All below is guarded by `mutex_`.
  channel_owner* owner_;
  const channel_use use_;
  /// Nobody opens it again when it is down.
  bool retired_;
  /// A hook uses it.
  bool hooked_ = false;
  /// Closed for good.
  bool gone_ = false;
  endpoint_label who_;
  /// What ends the outstanding operations of a stream that we took down; unset if it was lost.
  error_code verdict_;
  /// What ends writes, if that is not why the stream was lost: it was the peer's end, and then a write failed.
  error_code write_error_;
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
    const bool moved = n != 0 && (Kind == channel::writing || c->has_read());
    c->end(Kind, ec, moved, who);
  }

 private:
  explicit operation(channel* c) noexcept : channel_(c) {}

  channel* channel_;
};

/// What an operation and the user's cancellation slot share. The slot may outlive the operation, and the operation the
/// slot: so neither has a pointer to the other, and the end of the operation empties this.
struct cancellation_link {
  std::shared_ptr<channel> target;
  asio::cancellation_signal signal;
};

/// Stands in the user's cancellation slot while an operation is outstanding, and passes on what comes.
///
/// A composed operation that is cancelled when a part of it has succeeded, but the part's handler has not run, stops
/// there: the stream has seen no failure, and yet is in the middle of something. So to be asked to cancel is enough to
/// make the lease dirty.
class cancellation_witness {
 public:
  explicit cancellation_witness(std::shared_ptr<cancellation_link> link) noexcept : link_(std::move(link)) {}

  void operator()(asio::cancellation_type type) {
    // The slot, and this with it, may be given to another while the signal is out.
    const auto link = link_;
    if (!link->target) return;
    link->target->note_cancellation();
    link->signal.emit(type);
  }

 private:
  std::shared_ptr<cancellation_link> link_;
};

/// The operation's side of a `cancellation_link`.
class cancellation_relay {
 public:
  template <class Handler>
  cancellation_relay(channel& c, const Handler& handler) {
    auto users = asio::get_associated_cancellation_slot(handler);
    if (!users.is_connected()) return;
    link_ = std::allocate_shared<cancellation_link>(asio::recycling_allocator<cancellation_link>());
    link_->target = c.shared_from_this();
    users.template emplace<cancellation_witness>(link_);
  }
  cancellation_relay(cancellation_relay&&) noexcept = default;
  cancellation_relay& operator=(cancellation_relay&&) = delete;
  ~cancellation_relay() { cut(); }

  asio::cancellation_slot slot() const noexcept { return link_ ? link_->signal.slot() : asio::cancellation_slot(); }
  /// The operation has ended.
  void cut() noexcept {
    if (link_) std::exchange(link_, nullptr)->target.reset();
  }

 private:
  std::shared_ptr<cancellation_link> link_;
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

/// The first buffer that is not empty, or an empty one.
template <class Buffer, class Buffers>
Buffer first_buffer(const Buffers& buffers) noexcept {
  const auto end = asio::buffer_sequence_end(buffers);
  for (auto it = asio::buffer_sequence_begin(buffers); it != end; ++it) {
    if (Buffer b(*it); b.size() != 0) return b;
  }
  return {};
}

template <class Buffers, class Handler>
void channel::raw_stream::async_read_some(const Buffers& buffers, Handler&& handler) {
  // Asio's async_read_until reads nothing, in order to complete later, if it has found what it looks for.
  if (asio::buffer_size(buffers) != 0) {
    channel_.has_read_ = true;
    if (channel_.read_all_ && channel_.stream_) [[unlikely]] {
      // Behind its end a socket has nothing more to tell Asio's reactor: another read might wait for ever.
      const error_code end = asio::error::eof;
      asio::post(channel_.ex_, asio::append(std::forward<Handler>(handler), end, std::size_t{0}));
      return;
    }
  }
  if (plain_socket* s = channel_.socket_) [[likely]] {
    s->async_read_some(buffers, std::forward<Handler>(handler));
  } else if (stream* other = channel_.stream_.get()) {
    other->async_read_some(first_buffer<asio::mutable_buffer>(buffers), std::forward<Handler>(handler));
  } else {
    // The channel's context is gone, so this is no initiating function, but comes after another part or a wait, on an
    // executor that outlives it.
    std::forward<Handler>(handler)(error_code(asio::error::operation_aborted), std::size_t{0});
  }
}

template <class Buffers, class Handler>
void channel::raw_stream::async_write_some(const Buffers& buffers, Handler&& handler) {
  if (plain_socket* s = channel_.socket_) [[likely]] {
    s->async_write_some(buffers, std::forward<Handler>(handler));
  } else if (stream* other = channel_.stream_.get()) {
    other->async_write_some(first_buffer<asio::const_buffer>(buffers), std::forward<Handler>(handler));
  } else {
    std::forward<Handler>(handler)(error_code(asio::error::operation_aborted), std::size_t{0});
  }
}

template <class Buffers>
std::size_t channel::raw_stream::send_now(const Buffers& buffers, error_code& ec) {
  plain_socket* const s = channel_.socket_;
  if (!s) return 0;
  // The socket is non-blocking (see socket_stream).
  const std::size_t sent = s->write_some(buffers, ec);
  // None of them says anything of the stream. What is asynchronous Asio does again after a signal.
  if (ec == asio::error::would_block || ec == asio::error::try_again || ec == asio::error::interrupted) ec = {};
  return sent;
}

/// \name What an operation does with the stream. Each is one operation from its first byte to its last, whichever parts
/// it has.
/// @{
template <class Buffers>
struct read_some_of {
  static constexpr unsigned kind = channel::reading;
  Buffers buffers;
  template <class Handler>
  void operator()(channel::raw_stream& s, Handler&& handler) {
    s.async_read_some(buffers, std::forward<Handler>(handler));
  }
};

template <class Buffers>
struct write_some_of {
  static constexpr unsigned kind = channel::writing;
  Buffers buffers;
  template <class Handler>
  void operator()(channel::raw_stream& s, Handler&& handler) {
    s.async_write_some(buffers, std::forward<Handler>(handler));
  }
};

template <class Buffers>
struct read_all_of {
  static constexpr unsigned kind = channel::reading;
  Buffers buffers;
  template <class Handler>
  void operator()(channel::raw_stream& s, Handler&& handler) {
    asio::async_read(s, buffers, std::forward<Handler>(handler));
  }
};

template <class Buffers>
struct write_all_of {
  static constexpr unsigned kind = channel::writing;
  Buffers buffers;
  template <class Handler>
  void operator()(channel::raw_stream& s, Handler&& handler) {
    asio::async_write(s, std::move(buffers), std::forward<Handler>(handler));
  }
};

/// `DynamicBuffer` is a reference for what cannot be copied, as `asio::streambuf`.
template <class DynamicBuffer, class Delimiter>
struct read_up_to {
  static constexpr unsigned kind = channel::reading;
  DynamicBuffer buffer;
  Delimiter delimiter;
  template <class Handler>
  void operator()(channel::raw_stream& s, Handler&& handler) {
    asio::async_read_until(s, std::forward<DynamicBuffer>(buffer), std::move(delimiter),
                           std::forward<Handler>(handler));
  }
};
/// @}

/// Starts an operation that has begun.
template <class Work, class Told, class Handler>
void start_begun(operation<Work::kind> op, Work& work, Told told, Handler&& handler) {
  std::decay_t<Handler> own(std::forward<Handler>(handler));
  channel& c = op.target();
  if constexpr (Work::kind == channel::reading) c.starts_reading();
  work(c.raw(), operation_handler<Work::kind, Told, std::decay_t<Handler>>(std::move(op), told, std::move(own)));
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
