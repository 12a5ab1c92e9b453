// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <optional>

namespace cocp::detail {

/// What goes on at a connection's stream, in one word.
///
/// An operation starts by setting its bit while `up` is set, in one step, and whoever takes the stream back clears `up`
/// first and takes it only when no operation's bit is set: neither can miss the other.
///
/// | event      | from                                   | to                                          | by           |
/// |------------|----------------------------------------|---------------------------------------------|--------------|
/// | `begin`    | up, direction free, nothing in the way | direction taken, used                       | user         |
/// | `end_well` | up, nobody queued, an owner            | direction free; asked or answered           | user         |
/// | `leave`    | up, all ended well, nothing asked      | unused, untimed; touched if it was used     | lease        |
/// | end        | any                                    | direction free                              | user *       |
/// | halve      | up, a write of ours outstanding        | halved                                      | user         |
/// | lose       | up                                     | ended (its reads) or broken (all)           | user *       |
/// | `limit`    | any                                    | timed, not expired                          | user *       |
/// | `strike`   | timed                                  | expired                                     | timer *      |
/// | give up    | up                                     | down                                        | anybody *    |
/// | `release`  | up, whole, nothing outstanding         | down                                        | supervisor * |
/// | `open`     | down and drained                       | up, all that belongs to a stream forgotten  | supervisor * |
///
/// Those with a star are made under the channel's mutex, and so are all changes of the other bits. The others are one
/// atomic step each, and take back what they have done in no case: so any interleaving of them is one of the steps.
///
/// Who ends the other bits: `queued`, whoever takes the last one from the queue; `used`, `asked`, `dirty`, `timed`,
/// `sent`, `got` and `closed` (if not for good), the end of the lease; `expired`, that or a new limit; `apart`, that or
/// a `ready` that has succeeded; what belongs to a stream, `open`; `orphaned`, nobody: the last operation deletes it
/// all.
///
/// Each event is a function of the word, without memory or effect; `step` applies it.
class stream_word {
 public:
  enum : unsigned {
    up = 1,           ///< The stream may be used.
    reading = 2,      ///< A read is outstanding.
    writing = 4,      ///< A write is outstanding.
    used = 8,         ///< An operation was started during this lease, on this stream.
    answered = 16,    ///< A read has brought something since the stream was opened.
    asked = 32,       ///< The last thing that moved bytes in this lease was a write: an answer may be on its way.
    dirty = 64,       ///< An operation of this lease was cancelled, or came too late.
    expired = 128,    ///< The time of `expires_after` has passed.
    closed = 256,     ///< `close` was called, for this lease or for good.
    queued = 512,     ///< Somebody waits for a direction, or for the stream.
    timed = 1024,     ///< `expires_after` was called during this lease.
    orphaned = 2048,  ///< No owner is left.
    touched = 4096,   ///< A lease that did I/O has ended since the stream was opened.
    ended = 8192,     ///< Lost in a lease: the peer has ended it. What is written still goes there.
    broken = 16384,   ///< Lost in a lease: it failed, or was shut down here. What had arrived can be read.
    apart = 32768,    ///< Down, or another stream, and the lease has not agreed to go on with it.
    halved = 65536,   ///< Its user has ended his side: nothing more is written, and it serves nobody else.
    sent = 131072,    ///< A write of this lease has reported bytes.
    got = 262144,     ///< A read of this lease has brought something.
    lost = ended | broken,
    /// What ends with a lease.
    of_a_use = used | asked | dirty | expired | timed | apart | closed | sent | got
  };

  /// An operation wants to start.
  static constexpr std::optional<unsigned> begin(unsigned w, unsigned operation) noexcept {
    const unsigned in_the_way = expired | closed | apart | operation | (operation == writing ? broken | halved : 0u);
    if ((w & (up | in_the_way)) != up) return std::nullopt;
    return w | operation | used;
  }

  /// An operation has ended without an error; `moved`: bytes. Not if somebody is to be told of it.
  static constexpr std::optional<unsigned> end_well(unsigned w, unsigned operation, bool moved) noexcept {
    if ((w & (up | queued | orphaned)) != up) return std::nullopt;
    return move(w, operation, moved) & ~operation;
  }

  /// A lease ends. `one_way`: nothing is answered.
  static constexpr std::optional<unsigned> leave(unsigned w, bool one_way) noexcept {
    const unsigned fine = used | answered | touched | timed | sent | got | (one_way ? asked : 0u);
    if ((w & ~fine) != up) return std::nullopt;
    return (w & ~(used | asked | timed | sent | got)) | ((w & used) ? touched : 0u);
  }

  /// The user has set a limit of time: nothing has expired.
  static constexpr unsigned limit(unsigned w) noexcept { return (w & ~expired) | timed; }
  /// The limit has passed. Not that of a lease that has ended: `leave` takes no notice of it but here.
  static constexpr std::optional<unsigned> strike(unsigned w) noexcept {
    if (!(w & timed)) return std::nullopt;
    return w | expired;
  }

  /// What an operation leaves behind that has moved bytes, whether it has failed or not. Nothing if its lease has
  /// ended.
  static constexpr unsigned move_any(unsigned w, unsigned operation) noexcept {
    if (!(w & used)) return w;
    return w | (operation == reading ? got : sent);
  }
  /// What an operation leaves behind that has moved bytes and ended well.
  static constexpr unsigned move(unsigned w, unsigned operation, bool moved) noexcept {
    if (!moved) return w;
    w = move_any(w, operation);
    return operation == reading ? (w | answered) & ~asked : w | asked;
  }

  /// A new stream is there. A lease that is `apart` stays so until its wait for the stream is told of it.
  static constexpr unsigned open(unsigned w) noexcept {
    return (w & ~(used | answered | asked | dirty | touched | ended | broken | halved)) | up;
  }

  /// It is given to others than the channel's users, who are done with it.
  static constexpr std::optional<unsigned> release(unsigned w) noexcept {
    if (!is_up(w) || (w & (reading | writing | halved))) return std::nullopt;
    return w & ~up;
  }

  /// As far as is known.
  static constexpr bool is_up(unsigned w) noexcept { return (w & (up | lost)) == up; }
  /// The same, and the lease that is out may use it.
  static constexpr bool is_usable(unsigned w) noexcept { return is_up(w) && !(w & apart); }
  /// Up, and the lease has neither started anything nor left a trace.
  static constexpr bool is_unused(unsigned w) noexcept { return (w & ~(answered | touched)) == up; }
  /// An operation that has begun may go on to the stream, lost or not.
  static constexpr bool serves(unsigned w, unsigned operation) noexcept {
    return (w & up) && !(operation == writing && (w & (broken | halved)));
  }
  static constexpr bool is_outstanding(unsigned w) noexcept { return w & (reading | writing); }
  /// The supervisor may take the stream.
  static constexpr bool is_drained(unsigned w) noexcept { return !(w & (up | reading | writing)); }
  /// The last operation has ended, and no owner is left.
  static constexpr bool is_abandoned(unsigned w) noexcept { return (w & orphaned) && is_drained(w); }
  /// A wait for the stream has succeeded: the lease that is apart may go on with it.
  static constexpr bool may_consent(unsigned w) noexcept { return (w & up) && (w & apart); }
  static constexpr bool is_timed(unsigned w) noexcept { return w & timed; }
  /// Since the stream was opened.
  static constexpr bool was_answered(unsigned w) noexcept { return w & answered; }
  static constexpr bool has_sent(unsigned w) noexcept { return w & sent; }
  static constexpr bool has_got(unsigned w) noexcept { return w & got; }
  static constexpr bool is_reused(unsigned w) noexcept { return w & touched; }
  static constexpr bool was_touched(unsigned w) noexcept { return w & (used | touched); }

  unsigned load() const noexcept { return word_.load(std::memory_order_acquire); }
  /// `next(word)`: what becomes of it; nothing: no step, and false.
  template <class Next>
  bool step(Next next) noexcept {
    unsigned w = word_.load(std::memory_order_relaxed);
    for (;;) {
      const std::optional<unsigned> n = next(w);
      if (!n) return false;
      if (word_.compare_exchange_weak(w, *n, std::memory_order_acq_rel, std::memory_order_relaxed)) return true;
    }
  }
  /// The step that every operation makes.
  bool begin(unsigned operation) noexcept {
    return step([operation](unsigned w) { return begin(w, operation); });
  }
  /// Both return the word before.
  unsigned set(unsigned bits) noexcept { return word_.fetch_or(bits, std::memory_order_acq_rel); }
  unsigned clear(unsigned bits) noexcept { return word_.fetch_and(~bits, std::memory_order_acq_rel); }

 private:
  std::atomic<unsigned> word_{0};
};

}  // namespace cocp::detail
