// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/adaptive_mutex.hpp"
#include "base/environment.hpp"
#include "base/outbox.hpp"
#include "connection/stream_state.hpp"
#include "connection/use_limit.hpp"

#include <cocp/impl/channel.hpp>
#include <cocp/impl/stream.hpp>

#include <atomic>
#include <memory>
#include <mutex>

namespace cocp::detail {

/// A channel, as those see it who keep it: the supervisor that opens it, and the pool that lends it.
///
/// This has the mutex, and whatever waits for it, completes handlers or lives longer than a lease; what it is about is
/// in its parts: the word and the stream (in `channel`), `stream_state`, the limit of `expires_after`, and the outbox.
/// Those whose wait has ended are put into a list, and completed when the mutex is let go.
///
/// \par Lifetime
/// Owned by `shared_ptr` (see `make`). When the last owner goes while operations are outstanding, the last of those
/// deletes it.
/// \par Thread safety
/// Any thread, unless said otherwise.
class kept_channel final : public channel, private limit_owner {
 public:
  /// `owner` may be null. `who`: until `open` says otherwise.
  static std::shared_ptr<kept_channel> make(asio::any_io_executor ex, std::shared_ptr<environment> env,
                                            channel_owner* owner, channel_use use, endpoint_label who);

  /// \name A lease
  /// @{

  /// Ends a lease. What it left outstanding ends with `operation_aborted`. `spoiled()`, asked only if an operation was
  /// started: nothing is known of the stream's state; `unwanted`: the stream is to be replaced in any case; `one_way`:
  /// what is written has no answer.
  template <class Spoiled>
  leftover end_use(Spoiled spoiled, bool unwanted, bool one_way) noexcept {
    if (unwanted) return end_use_slowly(false, true, one_way);
    if (stream_word::is_unused(word_.load())) return leftover::unused;
    if (spoiled()) return end_use_slowly(true, false, one_way);
    if (word_.step([one_way](unsigned w) { return stream_word::leave(w, one_way); })) return leftover::used;
    return end_use_slowly(false, false, one_way);
  }
  /// From now on until `end_hook` the user is a hook, which its supervisor waits for: it cannot have another stream.
  void begin_hook() noexcept;
  void end_hook() noexcept;
  /// From now on until the lease ends it cannot have another stream.
  void detach() noexcept;
  /// True if its user has ended his side of the stream.
  bool has_last_write() const noexcept { return word_.load() & stream_word::halved; }
  /// True if a read has brought something since the stream was opened.
  bool has_answered() const noexcept { return stream_word::was_answered(word_.load()); }
  /// The stream, for one who has it to himself: nobody has a lease and no operation is outstanding.
  stream* idle_stream() const noexcept { return raw_.get(); }
  /// @}

  /// \name A stream
  /// @{

  /// Gives users the stream. Only while down and drained. False if the channel was closed: then nothing was done.
  bool open(std::unique_ptr<stream>& s, endpoint_label who);
  /// Takes the stream from its users; it is drained when what is outstanding has ended, with `verdict` if that is set.
  /// `why`, unless it was lost before.
  void bring_down(const loss& why, error_code verdict) noexcept;
  /// True if down with nothing outstanding.
  bool is_drained() const noexcept { return stream_word::is_drained(word_.load()); }
  /// The stream, if nobody uses it: to close it. What is kept with it stays here.
  std::unique_ptr<stream> take() noexcept;
  /// Takes a stream that is up from users who are done with it, with all that is kept with it; null if it is not up or
  /// an operation is outstanding.
  std::unique_ptr<stream> release() noexcept;
  /// What has become of a stream that was to part from its users.
  enum class parting {
    none,      ///< It was not up, clean and unused: nothing was done.
    attended,  ///< The owner will find it here (see `take_parted`).
    forlorn    ///< The owner had left: somebody has to have it looked after.
  };
  /// Takes a stream that is up, clean and unused from its users, who find it down for `why`. `stopping`, if not null,
  /// is set before anybody can see that.
  parting part(const loss& why, std::atomic<bool>* stopping) noexcept;
  /// The stream that has parted, with all that is kept with it; null if there is none.
  std::unique_ptr<stream> take_parted() noexcept;
  /// Closes it: nobody will look after it.
  void drop_parted() noexcept;
  /// What was kept with it, when it has been closed.
  void leave_sessions(session_list& of_it) noexcept;
  /// Why it was lost the last time.
  loss last_loss() const;
  /// An attempt to open another has failed. Sets the error that `last_error` returns.
  void note(error_code ec) noexcept;
  /// @}

  /// \name What users keep with a stream
  /// @{

  /// What nobody can see any more: for the owner, who destroys it. He is told when there is some, until he no longer
  /// looks; from then on it is sent to the executor.
  session_list take_remains() noexcept;
  /// The owner looks no more, neither for those nor for a stream that has parted. False if there is something to be
  /// taken before.
  bool leave() noexcept;
  /// All of it: no user is left.
  session_list take_sessions() noexcept;
  /// Who had a connection that stands alone is gone.
  void end_alone() noexcept;
  /// @}

  /// \name The channel
  /// @{

  /// The owner is going; others may keep this.
  void disown() noexcept;
  /// From now on nobody redials: when down, operations fail with `errc::closed`.
  void retire() noexcept;
  /// `bring_down` and `retire`; waiting operations end with `errc::closed`.
  void close() noexcept;
  /// Does what failed for lack of memory (see `outbox`, `use_limit`); false if it fails again.
  bool try_again() noexcept;
  /// The execution context is going away: drops all that belongs to it.
  void shutdown() noexcept;
  /// For an owner who is going, and who would have called that: its context does from now on, if there is anything that
  /// belongs to it. Waits for memory.
  void tie_to_context() noexcept;
  /// @}

  void wait(channel_waiter& w) override;
  void cancel(waiter& w) noexcept override;
  error_code why_not(unsigned operation) const noexcept override;
  void consent(std::uint64_t to) noexcept override;
  void* find_session(const void* key) noexcept override;
  void keep_session(std::unique_ptr<session_node> s) noexcept override;
  void expires_after(duration d) override;
  void expires_never() noexcept override;
  void bound_use(time_point t, const void* whose) override;
  void lift_bound(const void* whose) noexcept override;
  bool was_lost() const noexcept override;
  void give_up_stream() noexcept override;
  void close_use() noexcept override;
  error_code last_error() const override;
  endpoint remote_endpoint() const override;
  std::uint64_t id() const noexcept override;
  ssl_st* native_tls() const noexcept override;
  std::exception_ptr wait_failure(const char* what, error_code ec) const noexcept override;

 private:
  kept_channel(asio::any_io_executor ex, std::shared_ptr<environment> env, channel_owner* owner, channel_use use,
               endpoint_label who);
  ~kept_channel() = default;
  void orphan() noexcept;

  void end_slowly(unsigned operation, error_code& ec, bool moved, endpoint_label* who) noexcept override;
  leftover end_use_slowly(bool spoiled, bool unwanted, bool one_way) noexcept;
  void strike_if_due() noexcept override;
  void on_limit_timer() override;
  std::shared_ptr<limit_owner> hold() override { return {shared_from_this(), this}; }

  /// \name Under `mutex_`
  /// @{
  void expire(wait_list& ended, bool at_once = false) noexcept;
  void rearm_limit() noexcept;
  /// Does that if it is due, and else has the timer go off when it is.
  void apply_limit(wait_list& ended) noexcept;
  /// The user sets a limit.
  void begin_limit() noexcept;
  template <class F>
  void set_limit(F set);
  /// @}
  /// Calls `f(wait_list&)` under the mutex, and completes behind it whose wait it has ended. This may be gone then.
  template <class F>
  void change(F f) noexcept;
  void complete_all(wait_list& ended) noexcept;

  class burial;
  class tie;
  class hold_on;

  const std::shared_ptr<environment> env_;

  mutable adaptive_mutex mutex_;
  /// All below is guarded by `mutex_`, and so are all but single steps on the word, and the stream's coming and going.
  endpoint_label who_;
  /// Null as long as an owner has the context in mind.
  std::shared_ptr<tie> tie_;
  /// The owner takes the remains.
  bool attended_;
  stream_state state_;
  use_limit limit_;
  /// Has parted from its users.
  std::unique_ptr<stream> parted_;
  /// What executors refused; sent again on the owner's next turn.
  outbox outbox_;
};

}  // namespace cocp::detail
