// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/outage_gate.hpp"

#include "connection/backoff.hpp"

#include <boost/assert.hpp>

namespace cocp::detail {

bool outage_gate::may_dial(dial_cause cause, bool any_up, time_point now) const noexcept {
  if (dialling_ >= max_dialling_) return false;
  if (open_) return true;
  if (cause == dial_cause::demand && may_dial_more(any_up)) return true;
  return !probing_ && now >= next_probe_;
}

bool outage_gate::may_dial_more(bool any_up) const noexcept {
  // One was lost, others are up, and nothing has failed: no reason to hold up who needs more. While a probe has yet to
  // last there is: who is up may be that probe alone.
  return known_ && failures_ == 0 && !wary_ && any_up;
}

std::size_t outage_gate::leaves(bool any_up, time_point now) const noexcept {
  if (!may_dial(dial_cause::demand, any_up, now)) return 0;
  // Of those who may because it is time for a probe only the first one does.
  return open_ || may_dial_more(any_up) ? max_dialling_ - dialling_ : 1;
}

outage_gate::ticket outage_gate::begin(time_point now) noexcept {
  ++dialling_;
  const ticket t{epoch_, !open_ && !probing_ && now >= next_probe_};
  if (t.probe) probing_ = true;
  return t;
}

void outage_gate::end_attempt() noexcept {
  BOOST_ASSERT_MSG(dialling_ != 0, "an attempt has ended that had no leave");
  --dialling_;
}

outage_gate::ticket outage_gate::succeeded(ticket t, time_point now) noexcept {
  end_attempt();
  if (!open_ && !wary_) open();
  if (!open_ && t.probe && t.epoch == epoch_) {
    trial_end_ = later(now, retry_min_);
    return t;
  }
  return {epoch_, false};
}

void outage_gate::failed(ticket t, time_point now, std::uint64_t random) noexcept {
  end_attempt();
  if (t.epoch != epoch_) return;
  if (t.probe) probing_ = false;
  // While shut for failures only the probe counts: others began before.
  if (open_ || t.probe || failures_ == 0) shut_for_failure(now, random);
}

void outage_gate::abandoned(ticket t) noexcept {
  end_attempt();
  if (t.epoch == epoch_ && t.probe) probing_ = false;
}

void outage_gate::lost(ticket t, bool early, time_point now, std::uint64_t random) noexcept {
  pass(now);
  if (early) {
    const bool news = t.epoch == epoch_ && (open_ || t.probe);
    if (news) shut_for_failure(now, random);
    if (news || !open_) {
      wary_ = true;
      return;
    }
  }
  const bool on_trial = !open_ && t.probe && t.epoch == epoch_;
  if (!open_ && !on_trial) return;
  // One that was on trial had served by then. If it did not count, an endpoint that closes after each answer would have
  // only one connection at a time for ever.
  open();
  open_ = false;
  next_probe_ = now;
}

void outage_gate::given_up(ticket t, bool served, time_point now) noexcept {
  pass(now);
  if (served) this->served(t);
  if (!is_on_trial() || !t.probe || t.epoch != epoch_) return;
  trial_end_ = time_point::max();
  probing_ = false;
}

void outage_gate::served(ticket t) noexcept {
  if (is_on_trial() && t.probe && t.epoch == epoch_) open();
}

bool outage_gate::pass(time_point now) noexcept {
  if (trial_end_ > now) return false;
  open();
  return true;
}

void outage_gate::reset() noexcept {
  open();
  open_ = false;
  known_ = false;
  next_probe_ = time_point::min();
}

time_point outage_gate::next_time() const noexcept {
  if (open_) return time_point::max();
  return probing_ ? trial_end_ : next_probe_;
}

duration outage_gate::delay(time_point now) const noexcept {
  const time_point t = next_time();
  return t == time_point::max() || t <= now ? duration::zero() : t - now;
}

void outage_gate::open() noexcept {
  open_ = true;
  known_ = true;
  ++epoch_;
  failures_ = 0;
  probing_ = false;
  wary_ = false;
  trial_end_ = time_point::max();
}

void outage_gate::shut_for_failure(time_point now, std::uint64_t random) noexcept {
  if (open_) ++epoch_;
  open_ = false;
  ++failures_;
  if (trial_end_ != time_point::max()) probing_ = false;
  trial_end_ = time_point::max();
  next_probe_ = later(now, backoff_delay(failures_, retry_min_, retry_max_, random));
}

}  // namespace cocp::detail
