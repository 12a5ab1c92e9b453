// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "connection/leftover.hpp"
#include "connection/loss.hpp"
#include "connection/session_keep.hpp"
#include "connection/stream_queue.hpp"

#include <cocp/impl/raw_stream.hpp>
#include <cocp/impl/stream_waiter.hpp>
#include <cocp/impl/stream_word.hpp>

#include <cstdint>
#include <memory>

namespace cocp::detail {

/// Told what becomes of a channel's stream.
class channel_owner {
 public:
  /// The stream was lost, or is down and nobody uses it any more, or something is to be tried again. Called under the
  /// channel's mutex, on any thread.
  virtual void on_channel_changed() noexcept = 0;

 protected:
  ~channel_owner() = default;
};

/// Whose a channel is, which says what happens when its stream is lost.
enum class channel_use {
  alone,     ///< A connection that stands alone: operations wait until it is redialled.
  leased,    ///< Of leases and hooks, each of which is one stream: it stays with its user until that ends or agrees.
  once_only  ///< The same, and it is opened once.
};

/// What becomes of a channel's stream: by what it is lost, given up and taken away, and what its users meet then.
///
/// Alone: a stream that is lost goes down at once, and operations that are started then wait for the next. Leased: it
/// stays up, marked as lost, until the lease ends or agrees to go on with another (`wait` for nothing but the stream);
/// what is started meanwhile goes to it if that makes sense, and otherwise fails with the loss's error. Only that wait
/// is ever one for another stream.
///
/// Of a channel, and guarded by its mutex, of which it knows nothing, as of time and executors. The word and the stream
/// are the channel's too: operations begin and end without the mutex (see `stream_word`), and whoever is here makes the
/// other changes. Whose wait ends is put into `ended`, to be completed when the mutex was let go.
class stream_state {
 public:
  /// `owner` may be null.
  stream_state(stream_word& w, raw_stream& raw, channel_owner* owner, channel_use use) noexcept;

  /// \name For operations
  /// @{

  /// Why an operation cannot start, or the stream (0) not be waited for; nothing if it can.
  error_code refusal(unsigned operation) noexcept;
  /// Of one that is not refused.
  void wait(stream_waiter& w, wait_list& ended) noexcept;
  void cancel(stream_waiter& w, wait_list& ended) noexcept;
  /// The wait for the stream of that generation has succeeded: the lease goes on with it, if it still has it.
  void consent(std::uint64_t to) noexcept;
  /// Why one is not to start, or what it ends with, that comes too late. Never a success.
  error_code error_of(unsigned operation) const noexcept;
  /// One that could not end in one step: what that says of the stream, and what its user is told (`ec`). The word
  /// behind it; the channel is kept by the operation until then.
  unsigned end(unsigned operation, error_code& ec, bool moved, wait_list& ended) noexcept;
  /// @}

  /// \name For leases
  /// @{

  /// Of `how`, `queued` is set here.
  judgement end_use(lease_end how, wait_list& ended) noexcept;
  void close_use(wait_list& ended) noexcept;
  /// The time of `expires_after` has passed.
  void expire(wait_list& ended) noexcept;
  /// From now on, or no longer, the user is a hook, whose supervisor waits for its end: it cannot have another stream.
  void set_hooked(bool hooked) noexcept;
  /// A lease cannot have another stream until it ends.
  void detach(wait_list& ended) noexcept;
  /// @}

  /// \name What users keep with it
  /// @{

  session_keep& sessions() noexcept { return sessions_; }
  /// For the user: what he sees of it.
  session_list& seen_sessions() noexcept;
  /// What was kept with a stream that has parted, and is closed.
  void leave_sessions(session_list& of_it) noexcept;
  /// All of it: no user is left.
  session_list take_sessions() noexcept;
  /// Who had the connection that stands alone is gone.
  void end_alone() noexcept;
  /// @}

  /// \name For who provides the stream
  /// @{

  /// Only while down and drained.
  void open(std::unique_ptr<stream>& s, wait_list& ended) noexcept;
  /// `why`, unless it was lost before; what is outstanding ends with `verdict`, if that is set.
  void bring_down(const loss& why, error_code verdict, wait_list& ended) noexcept;
  /// The stream, if it is down and drained.
  std::unique_ptr<stream> take() noexcept;
  /// The stream, if it is up, clean and unused: its users find it down for `why`.
  std::unique_ptr<stream> part(const loss& why, wait_list& ended) noexcept;
  /// The stream, if it is up and nothing is outstanding.
  std::unique_ptr<stream> release() noexcept;
  loss_record& losses() noexcept { return losses_; }
  const loss_record& losses() const noexcept { return losses_; }

  void tell_owner() noexcept {
    if (owner_) owner_->on_channel_changed();
  }
  void disown() noexcept { owner_ = nullptr; }
  /// Nobody opens it again when it is down.
  void retire(wait_list& ended) noexcept;
  /// The same, and it goes down now.
  void close(wait_list& ended) noexcept;
  bool is_closed() const noexcept { return gone_; }
  /// No owner is left.
  void orphan(wait_list& ended) noexcept;
  /// The context is going away, and nothing runs on it: the stream, whatever uses it.
  std::unique_ptr<stream> shut_down(wait_list& ended) noexcept;
  /// @}

 private:
  void judge_end(unsigned operation, error_code& ec, wait_list& ended) noexcept;
  void note_loss(loss why) noexcept;
  /// The stream is lost; `how`: `ended` or `broken`.
  void lose(const loss& why, unsigned how, error_code verdict, wait_list& ended) noexcept;
  void take_down(error_code verdict, wait_list& ended) noexcept;
  /// The lease wants another stream, if its own is lost.
  void agree(wait_list& ended) noexcept;
  /// Takes it, to be closed: what is kept with it stays.
  std::unique_ptr<stream> take_away() noexcept;
  /// The user goes on with the stream that is there, or ends.
  void leave_former_sessions() noexcept;
  /// Somebody may have a reference to what is kept with the stream that is taken now.
  bool has_user() const noexcept;

  stream_word& word_;
  raw_stream& raw_;
  channel_owner* owner_;
  const channel_use use_;
  bool retired_;
  bool hooked_ = false;
  bool detached_ = false;
  /// Who had the connection that stands alone is gone.
  bool left_ = false;
  /// The context took the stream, from whoever may have it.
  bool gone_with_context_ = false;
  /// Closed for good.
  bool gone_ = false;
  loss_record losses_;
  stream_queue queue_;
  session_keep sessions_;
};

}  // namespace cocp::detail
