// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"

#include <cocp/options.hpp>

#include <boost/intrusive/list.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

namespace cocp::detail {

/// What is idle, and what each connection is due for: who is taken next, who is looked at, watched, kept alive, closed
/// or redialled for its age, and when to look again.
///
/// Pure: it knows neither threads, streams nor clocks. Its owner guards it, and passes times that never go back.
class shelf {
  /// Whoever takes one out of a list knows that it is in it: nothing asks the hook.
  using hook = boost::intrusive::list_base_hook<boost::intrusive::tag<struct by_rest>,
                                                boost::intrusive::link_mode<boost::intrusive::normal_link>>;

 public:
  /// What it keeps of each connection.
  class entry : public hook {
    friend shelf;
    /// To be looked at before it is given out, however short it was idle.
    bool verify_ = true;
    /// A lease has ended since the last look at it.
    bool fresh_ = false;
    /// Comes from a keepalive: its place is behind those that were used later.
    bool rested_ = false;
    bool kept_alive_ = false;
    /// A wait for its socket to become readable is pending; it stays so while it is leased and put back.
    bool watched_ = false;
    /// It is down because it had grown old: until it is up again, or nobody wants it any more.
    bool retiring_ = false;
    /// Not watched before: when it was last looked at it had unread bytes. A lease since then may have read them.
    time_point watch_at_;
    /// Since when it is idle, by the last look at the clock: never too late.
    time_point idle_since_;
    /// When the last lease of it ended, or it was opened; and the same with keepalives. Never too early.
    time_point used_at_;
    time_point active_at_;
    /// When it is to be replaced for its age; `min` if it is not to be used again whatever its age. So this alone says
    /// whether one that comes back may be used again without a thought.
    time_point retire_at_ = time_point::max();
  };
  using list =
      boost::intrusive::list<entry, boost::intrusive::base_hook<hook>, boost::intrusive::constant_time_size<false>>;

  /// What a look has found to do. All of them have left the shelf.
  struct duties {
    list watch;
    list keep_alive;
    list close;
    /// When to look again for no other reason than the time.
    time_point next = time_point::max();
  };

  explicit shelf(const pool_options& o) noexcept;

  /// A connection that nobody has needed for so long goes; `max` for never.
  static duration idle_limit(const pool_options& o) noexcept;

  /// \name What is idle
  /// @{
  /// Not `empty()`, which would ask for more than there is to know.
  bool is_empty() const noexcept { return idle_.begin() == idle_.end(); }
  /// The one that was used last: the others may rest.
  entry& take() noexcept {
    entry& e = idle_.front();
    idle_.pop_front();
    return e;
  }
  void remove(entry& e) noexcept { idle_.erase(idle_.iterator_to(e)); }
  /// The one that rests the longest; null if there is none.
  entry* find_oldest() noexcept { return idle_.empty() ? nullptr : &idle_.back(); }
  /// One whose lease has ended.
  void put_first(entry& e) noexcept { idle_.push_front(e); }
  /// However it came.
  void put(entry& e) noexcept {
    if (std::exchange(e.rested_, false)) {
      idle_.push_back(e);
    } else {
      idle_.push_front(e);
    }
  }
  /// True if the one that was put needs a look so long after it was idle.
  bool wants_look(const entry& e) const noexcept { return timed_ || !e.watched_ || !e.verify_; }
  duration look_after() const noexcept { return look_after_; }
  /// There is more to see than the ends of those that are idle: one that nobody needs goes, or is kept alive.
  bool is_timed() const noexcept { return timed_; }
  /// @}

  /// \name What has become of one
  /// @{

  /// Its stream has come up.
  void connected(entry& e, time_point now) noexcept;
  /// And nobody has it; when somebody last needed it.
  void arrived(entry& e, time_point needed_at) noexcept {
    e.fresh_ = false;
    e.used_at_ = needed_at;
  }
  /// A lease of it has ended, and did I/O or did not.
  void came_back(entry& e, bool used, time_point tick) noexcept {
    e.fresh_ = true;
    e.verify_ = always_verify_ || used;
    e.idle_since_ = tick;
  }
  /// It goes to one who waits.
  void handed_on(entry& e) noexcept { e.rested_ = false; }
  /// It goes to the shelf, however it came.
  void placed(entry& e) noexcept { e.verify_ = e.verify_ || always_verify_; }
  void begin_keepalive(entry& e) noexcept;
  /// A hook has ended.
  void hook_ended(entry& e, time_point now) noexcept;
  /// The watch over it has ended, or did not begin; if it is to begin again only then, when.
  void unwatched(entry& e, time_point again = time_point()) noexcept {
    e.watched_ = false;
    e.watch_at_ = std::max(e.watch_at_, again);
  }
  /// True if it has to be looked at before it is used; it is not said twice.
  bool take_verify(entry& e) noexcept { return std::exchange(e.verify_, false); }
  void verify(entry& e) noexcept { e.verify_ = true; }
  /// Of one that is idle: when a lease of it last ended. If nobody has looked at it since, that is now.
  time_point note_use(entry& e, time_point now) noexcept {
    if (std::exchange(e.fresh_, false)) e.used_at_ = e.active_at_ = e.watch_at_ = now;
    return e.used_at_;
  }
  /// When somebody last used it.
  time_point used_at(const entry& e, time_point now) const noexcept { return e.fresh_ ? now : e.used_at_; }
  /// @}

  /// Looks at all, from the one that rests the longest. `spare`: how many may go; `wanted`: how many there are.
  void look(std::size_t spare, std::size_t wanted, time_point now, duties& found) noexcept;

  /// \name Age
  /// @{

  /// It may be used again without a thought.
  bool is_young(const entry& e, time_point tick) const noexcept { return e.retire_at_ > tick; }
  /// It lives as long as its age allows: `random` draws that. When that is; `max` if there is no limit.
  time_point begin_age(entry& e, time_point now, std::uint64_t random) noexcept;
  /// It is not to be used again, however young.
  void end_age(entry& e) noexcept { e.retire_at_ = time_point::min(); }
  /// Of one that is dialled nothing is known.
  void forget_age(entry& e) noexcept { e.retire_at_ = time_point::max(); }
  /// When `retires` may answer otherwise for no other reason than the time.
  time_point next_age(const entry& e, time_point now) const noexcept;
  /// It is to be redialled for its age now; `waited_for`: somebody waits for a connection; `size`: the most there may
  /// be.
  bool retires(const entry& e, bool waited_for, std::size_t size, time_point now) const noexcept;
  /// All that are idle and retire, as many as may at a time. They leave the shelf.
  void take_retiring(bool waited_for, std::size_t size, time_point now, list& old) noexcept;
  /// It goes down for its age, and its place counts until it is up again or not wanted any more.
  void retired(entry& e) noexcept;
  /// True if it had retired, and it is another's turn.
  bool end_retirement(entry& e) noexcept;
  /// @}

 private:
  enum class task { none, watch, keep_alive, close };
  task look_at(entry& e, bool may_close, bool may_keep, time_point now, time_point& next) noexcept;
  /// How many may be down for their age at a time, besides those that are.
  std::size_t may_retire(std::size_t size) const noexcept;

  /// First, so that it is near its owner's mutex.
  list idle_;
  const bool always_verify_;
  const bool timed_;
  /// Somebody looks at what became idle not later than this.
  const duration look_after_;
  const duration check_after_;
  const duration idle_limit_;
  /// `max` for never.
  const duration keepalive_after_;
  const std::optional<duration> max_lifetime_;
  /// Those that `begin_keepalive` was told of.
  std::size_t kept_alive_ = 0;
  std::size_t retiring_ = 0;
};

}  // namespace cocp::detail
