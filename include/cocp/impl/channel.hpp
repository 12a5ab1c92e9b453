// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/endpoint.hpp>
#include <cocp/error.hpp>
#include <cocp/event.hpp>
#include <cocp/export.hpp>
#include <cocp/impl/raw_stream.hpp>
#include <cocp/impl/session.hpp>
#include <cocp/impl/stream_waiter.hpp>
#include <cocp/impl/stream_word.hpp>
#include <cocp/impl/time.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

namespace cocp::detail {

/// What error texts call an endpoint. Never null.
using endpoint_label = std::shared_ptr<const std::string>;

/// An error whose text is "WHAT WHO: MESSAGE", as in "read localhost:7: End of file".
COCP_API std::exception_ptr make_failure(const char* what, const endpoint_label& who, error_code ec) noexcept;

class channel;

/// A `stream_waiter` of a channel.
class COCP_API channel_waiter : public stream_waiter {
 public:
  channel_waiter(channel& c, unsigned operation) noexcept : stream_waiter(operation), channel_(c) {}

  void settle() noexcept;
  std::tuple<error_code> take_result() const noexcept { return {error}; }
  void dropped() noexcept;

 protected:
  ~channel_waiter() = default;

 private:
  /// Kept by the handler.
  channel& channel_;
};

/// The gate between the operations of a connection's users and the stream that its supervisor provides: what users see
/// of it. The rest is `kept_channel`, which is what there is.
///
/// What is here is the quick part, without a mutex: `stream_word` says what goes on, and how operations start and end.
/// What is virtual is the rest, and takes the channel's mutex.
///
/// Any thread, but for `raw` and `is_greedy`: those are for who has begun an operation.
class COCP_API channel : public wait_owner, public std::enable_shared_from_this<channel> {
 public:
  static constexpr unsigned reading = stream_word::reading;
  static constexpr unsigned writing = stream_word::writing;

  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;

  /// Starts an operation. False: not now; wait first.
  bool begin(unsigned operation) noexcept { return word_.begin(operation); }

  /// Ends an operation that was begun, and says with what error: ours, if we ended it. `moved`: bytes. `who`, if not
  /// null, is set when there is an error.
  /// This may be gone afterwards if no owner is left.
  void end(unsigned operation, error_code& ec, bool moved, endpoint_label* who = nullptr) noexcept {
    const auto well = [operation, moved](unsigned w) { return stream_word::end_well(w, operation, moved); };
    if (ec || !word_.step(well)) end_slowly(operation, ec, moved, who);
  }

  raw_stream& raw() noexcept { return raw_; }

  /// Who writes: true if so many writes in a row have ended at once that the next is to go through the scheduler.
  bool is_greedy() noexcept { return ++eager_writes_ % most_at_once == 0; }
  /// Who writes, before he lets others run: the limit of `expires_after` may have passed, and its timer comes after
  /// whoever else is due.
  void look_at_limit() noexcept {
    if (stream_word::is_timed(word_.load())) strike_if_due();
  }

  /// Waits until `w.operation()` may start, or, for 0, until the stream is up: in a lease, the consent to go on with
  /// another. `w` completes through its executor.
  virtual void wait(channel_waiter& w) = 0;
  /// Why an operation that has begun, and not started, is not to start; nothing if it is.
  virtual error_code why_not(unsigned operation) const noexcept = 0;
  /// The wait for the stream of that generation has succeeded: a lease may use it from now on, if it still has it.
  virtual void consent(std::uint64_t to) noexcept = 0;

  /// Somebody wants to cancel an operation that is outstanding.
  void note_cancellation() noexcept { word_.set(stream_word::dirty); }
  /// Who writes: that is the last.
  void note_last_write() noexcept { word_.set(stream_word::halved); }
  /// What was written last has no answer.
  void note_no_answer() noexcept { word_.clear(stream_word::asked); }

  virtual void expires_after(duration d) = 0;
  virtual void expires_never() noexcept = 0;
  /// No operation of this lease outlasts that time, whatever `expires_after` says, until `lift_bound`. `whose` is any
  /// address. Throws `std::bad_alloc`.
  virtual void bound_use(time_point t, const void* whose) = 0;
  /// Of this lease or a later one, and then nothing happens.
  virtual void lift_bound(const void* whose) noexcept = 0;

  /// The lease has lost its stream, and not by what a user did.
  virtual bool was_lost() const noexcept = 0;
  /// The lease, which has begun nothing, wants another stream: `wait` for it.
  virtual void give_up_stream() noexcept = 0;
  /// \name What has happened in this lease
  /// @{
  bool has_sent() const noexcept { return stream_word::has_sent(word_.load()); }
  bool has_got() const noexcept { return stream_word::has_got(word_.load()); }
  /// Bytes were sent, of an operation that goes on.
  void note_sent() noexcept {
    word_.step([](unsigned w) { return std::optional(stream_word::move_any(w, writing)); });
  }
  /// @}

  /// What the user keeps with the stream under that key, if anything; and one thing more.
  virtual void* find_session(const void* key) noexcept = 0;
  virtual void keep_session(std::unique_ptr<session_node> s) noexcept = 0;

  /// Ends what is outstanding with `errc::closed`, and what is started until the lease ends.
  virtual void close_use() noexcept = 0;

  bool is_up() const noexcept { return stream_word::is_up(word_.load()); }
  /// The same, and the lease that is out may use it.
  bool is_usable() const noexcept { return stream_word::is_usable(word_.load()); }
  /// A lease that did I/O has ended since the stream was opened.
  bool was_used_before() const noexcept { return stream_word::is_reused(word_.load()); }
  std::uint64_t generation() const noexcept { return raw_.generation(); }
  virtual error_code last_error() const = 0;
  virtual endpoint remote_endpoint() const = 0;
  /// Both of the stream that may be used; 0 and null if there is none.
  virtual std::uint64_t id() const noexcept = 0;
  virtual ssl_st* native_tls() const noexcept = 0;
  /// For what `wait` has ended with `ec`.
  virtual std::exception_ptr wait_failure(const char* what, error_code ec) const noexcept = 0;
  const asio::any_io_executor& get_executor() const noexcept { return raw_.get_executor(); }

 protected:
  explicit channel(asio::any_io_executor ex) noexcept : raw_(std::move(ex)) {}
  ~channel() = default;

  /// What cannot be done in one step on the word.
  virtual void end_slowly(unsigned operation, error_code& ec, bool moved, endpoint_label* who) noexcept = 0;
  virtual void strike_if_due() noexcept = 0;

  stream_word word_;
  raw_stream raw_;

 private:
  /// Rule 14: so many operations in a row may complete without letting the scheduler run others.
  static constexpr unsigned most_at_once = 64;

  /// Touched only by who writes.
  unsigned char eager_writes_ = 0;
};

}  // namespace cocp::detail
