// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/event.hpp>

#include <algorithm>
#include <cstddef>
#include <map>

namespace cocp::test {

/// The most attempts that begin while an outage has lasted for so long, besides those that were under way: the delay
/// before each is at least half of its step (rule 7).
inline std::size_t most_attempts(duration lasted, duration retry_min, duration retry_max) {
  std::size_t n = 1;
  for (duration step = retry_min; (lasted -= step / 2) >= duration::zero(); step = std::min(2 * step, retry_max)) ++n;
  return n;
}

/// Rule 7, "an outage costs the endpoint one attempt per backoff step", as somebody sees it who knows what comes of
/// each attempt and stream, and nothing of the pool. Attempts are numbered from 1; a stream has the number of its
/// attempt.
class outage_rule {
 public:
  outage_rule(duration retry_min, duration retry_max) : retry_min_(retry_min), retry_max_(retry_max) {}

  /// An attempt begins; null, or why it may not. `any_up`: connections are up.
  const char* begins(std::size_t attempt, bool any_up, duration now) {
    pass(now);
    epochs_[attempt] = epoch_;
    if (open_) return nullptr;
    if (probe_ == 0 && now >= next_) {
      probe_ = attempt;
      return nullptr;
    }
    // One was lost, others are up, and nothing has failed: who needs more may go on.
    if (known_ && failures_ == 0 && !wary_ && any_up) return nullptr;
    return probe_ != 0 ? "rule 7: an attempt begins beside the probe"
                       : "rule 7: an attempt begins before the end of its backoff step";
  }
  void succeeded(std::size_t attempt, duration now) {
    if (!open_ && wary_ && attempt == probe_) {
      trial_ends_ = now + retry_min_;
      return;
    }
    if (!open_ && !wary_) open();
    epochs_[attempt] = epoch_;
  }
  void failed(std::size_t attempt, duration now) {
    if (epochs_[attempt] != epoch_) return;
    const bool probed = attempt == probe_;
    if (probed) probe_ = 0;
    // Others began before.
    if (open_ || probed || failures_ == 0) fail(now);
  }
  /// `early`: within `retry_min` of its connect, before any clean exchange.
  void lost(std::size_t attempt, bool early, duration now) {
    pass(now);
    const bool current = epochs_[attempt] == epoch_;
    const bool on_trial = !open_ && current && attempt == probe_;
    if (early) {
      const bool news = current && (open_ || on_trial);
      if (news) fail(now);
      if (news || !open_) {
        wary_ = true;
        return;
      }
    }
    if (!open_ && !on_trial) return;
    open();
    open_ = false;
    next_ = latest_ = now;
  }
  /// A clean exchange of its stream has ended.
  void served(std::size_t attempt) {
    if (trial_ends_ != never && attempt == probe_) open();
  }
  /// True if nothing holds up who wants to dial.
  bool is_due(duration now) {
    pass(now);
    return open_ || (probe_ == 0 && now >= latest_);
  }

  /// The attempt that tells whether the endpoint is back, or its stream that has yet to last; 0: none.
  std::size_t probe() const { return probe_; }
  /// It was given up; `served`: after a clean exchange, or else it tells nothing.
  void gave_up_probe(bool served) { served&& trial_ends_ != never ? open() : forget_probe(); }

 private:
  static constexpr duration never = duration::max();

  void open() {
    open_ = known_ = true;
    wary_ = false;
    failures_ = 0;
    ++epoch_;
    forget_probe();
  }
  void forget_probe() {
    probe_ = 0;
    trial_ends_ = never;
  }
  void fail(duration now) {
    if (open_) ++epoch_;
    open_ = false;
    duration step = retry_min_;
    for (unsigned i = 0; i < failures_; ++i) step = std::min(retry_max_, step * 2);
    ++failures_;
    next_ = now + step / 2;
    latest_ = now + step;
    if (trial_ends_ != never) forget_probe();
  }
  /// Who has lasted shows that the endpoint is well.
  void pass(duration now) {
    if (trial_ends_ <= now) open();
  }

  duration retry_min_;
  duration retry_max_;
  bool open_ = false;
  /// It was open since the start.
  bool known_ = false;
  /// One was lost early: the next has to last.
  bool wary_ = false;
  unsigned failures_ = 0;
  std::size_t probe_ = 0;
  /// The next probe begins between these two.
  duration next_{};
  duration latest_{};
  duration trial_ends_ = never;
  /// What began before an outage, or before its end, is no news after it.
  unsigned epoch_ = 1;
  std::map<std::size_t, unsigned> epochs_;
};

}  // namespace cocp::test
