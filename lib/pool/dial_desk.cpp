// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/dial_desk.hpp"

namespace cocp::detail {

bool dial_desk::ask(entry& e) noexcept {
  if (e.stage_ == stage::queued || e.stage_ == stage::granted) return false;
  set_stage(e, stage::queued);
  queue_.push_back(e);
  return true;
}

bool dial_desk::begin(entry& e) noexcept {
  if (e.stage_ != stage::granted) return false;
  set_stage(e, stage::dialling);
  return true;
}

bool dial_desk::withdraw(entry& e) noexcept {
  if (e.stage_ != stage::queued) return revoke(e);
  queue_.erase(queue_.iterator_to(e));
  set_stage(e, stage::none);
  return false;
}

bool dial_desk::revoke(entry& e) noexcept {
  if (e.stage_ != stage::granted) return false;
  gate_.abandoned(e.ticket_);
  set_stage(e, stage::none);
  return true;
}

void dial_desk::connected(entry& e, bool outdated, time_point now) noexcept {
  set_stage(e, stage::none);
  if (outdated) {
    gate_.abandoned(std::exchange(e.ticket_, {}));
  } else {
    e.ticket_ = gate_.succeeded(e.ticket_, now);
  }
}

void dial_desk::failed(entry& e, error_code ec, std::shared_ptr<const std::string> words, bool outdated, bool wanted,
                       time_point now, std::uint64_t random) noexcept {
  set_stage(e, stage::none);
  if (outdated) {
    gate_.abandoned(e.ticket_);
    return;
  }
  e.cause_ = dial_cause::loss;
  gate_.failed(e.ticket_, now, random);
  note_failure({ec, std::move(words), now}, wanted);
}

void dial_desk::dropped(entry& e) noexcept {
  set_stage(e, stage::none);
  gate_.abandoned(e.ticket_);
}

void dial_desk::stopped(entry& e) noexcept {
  withdraw(e);
  if (e.stage_ == stage::dialling) dropped(e);
}

dial_desk::entry* dial_desk::next(time_point now) noexcept {
  gate_.pass(now);
  // The endpoint is well.
  if (gate_.failures() == 0) downtime_.over();
  for (entry& e : queue_) {
    if (gate_.may_dial(e.cause_, up_ != 0, now)) return &e;
    if (!gate_.may_dial(dial_cause::demand, up_ != 0, now)) break;
  }
  return nullptr;
}

void dial_desk::let(entry& e, time_point now) noexcept {
  queue_.erase(queue_.iterator_to(e));
  e.ticket_ = gate_.begin(now);
  set_stage(e, stage::granted);
}

void dial_desk::ended(entry& e, const loss& why, bool early, std::shared_ptr<const std::string> words, bool outdated,
                      bool wanted, time_point now, std::uint64_t random) noexcept {
  e.cause_ = early || why.kind == ending::lost ? dial_cause::loss : dial_cause::demand;
  // What users give up says nothing of the endpoint, nor does a former one.
  if (e.cause_ == dial_cause::loss && !outdated) {
    gate_.lost(e.ticket_, early, now, random);
    if (early) note_failure({why.cause, std::move(words), now}, wanted);
  } else {
    gate_.given_up(e.ticket_, why.answered, now);
  }
  // What was lost early was never up.
  if (up_ == 0 && !early) downtime_.over();
}

void dial_desk::note_failure(failure f, bool wanted) noexcept {
  last_failure_ = std::move(f);
  // One that is not wanted any more, or began before the endpoint was last well, says nothing.
  if (up_ == 0 && wanted && gate_.failures() != 0) downtime_.attempt_failed(last_failure_.at);
}

time_point dial_desk::gives_up_at(time_point now) const noexcept {
  // While one is up, its end asks.
  return up_ != 0 || is_given_up(now) ? time_point::max() : downtime_.at();
}

time_point dial_desk::next_time(time_point now) const noexcept {
  const time_point t = gate_.next_time();
  // Due, and nobody has taken it: whoever comes asks anew.
  return t > now ? t : time_point::max();
}

void dial_desk::count(entry& e, bool belongs) noexcept {
  if (e.counted_ == belongs) return;
  e.counted_ = belongs;
  belongs ? ++gauge(e.stage_) : --gauge(e.stage_);
}

void dial_desk::set_stage(entry& e, stage next) noexcept {
  const stage before = std::exchange(e.stage_, next);
  if (!e.counted_) return;
  --gauge(before);
  ++gauge(next);
}

void dial_desk::report(cocp::stats& s) const noexcept {
  const auto in = [this](stage g) { return gauges_[static_cast<std::size_t>(g)]; };
  s.connecting = in(stage::dialling);
  s.queued = in(stage::queued) + in(stage::granted);
}

}  // namespace cocp::detail
