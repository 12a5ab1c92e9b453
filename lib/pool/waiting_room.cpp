// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/waiting_room.hpp"

#include <algorithm>

namespace cocp::detail {
namespace {

pool_waiter& as_pool_waiter(waiter& w) noexcept { return static_cast<pool_waiter&>(w); }

}  // namespace

time_point waiting_room::enter(pool_waiter& w, line l, std::optional<duration> timeout, time_point now) noexcept {
  w.waiting = true;
  w.queue_ = &in(l);
  in(l).push_back(w);
  if (l == line::lease) ++waiting_;
  w.since_ = now;
  const time_point deadline = timeout ? later(now, *timeout) : time_point::max();
  if (deadline != time_point::max()) deadlines_.add(w, deadline, *timeout);
  return deadline;
}

void waiting_room::leave(pool_waiter& w, error_code ec, time_point now) noexcept {
  if (w.queue_ == &in(line::lease)) {
    w.waited_ = now - w.since_;
    if (ec) wait_time_->record(w.waited_);
    if (--waiting_ == 0) emptied_ = true;
  } else if (w.queue_ == &in(line::up)) {
    let_go_ = true;
  }
  w.waiting = false;
  w.error = ec;
  w.queue_->erase(w.queue_->iterator_to(w));
  deadlines_.remove(w);
}

time_point waiting_room::first_since() const noexcept {
  return waiting_ == 0 ? time_point::max() : static_cast<const pool_waiter&>(in(line::lease).front()).since_;
}

std::size_t waiting_room::most_wanted_up() const noexcept {
  std::size_t n = 0;
  for (const waiter& w : in(line::up)) n = std::max(n, static_cast<const pool_waiter&>(w).wanted);
  return n;
}

pool_waiter& waiting_room::serve_first(time_point now) noexcept {
  pool_waiter& w = as_pool_waiter(in(line::lease).front());
  leave(w, {}, now);
  return w;
}

bool waiting_room::cancel(pool_waiter& w, time_point now) noexcept {
  if (!w.waiting) return false;
  if (w.queue_ == &in(line::lease)) ++cancelled_;
  leave(w, asio::error::operation_aborted, now);
  return true;
}

void waiting_room::end_all(line l, error_code ec, time_point now, wait_list& ended) noexcept {
  while (!in(l).empty()) {
    pool_waiter& w = as_pool_waiter(in(l).front());
    leave(w, ec, now);
    ended.push_back(w);
  }
}

void waiting_room::end_expired(std::size_t most, time_point now, wait_list& ended) noexcept {
  for (std::size_t n = 0; n != most; ++n) {
    pool_waiter* const w = deadlines_.first();
    if (!w || w->deadline() > now) return;
    if (w->queue_ == &in(line::lease)) ++timeouts_;
    leave(*w, errc::timed_out, now);
    ended.push_back(*w);
  }
}

template <class Condition>
void waiting_room::end_up_if(Condition ends, error_code ec, time_point now, wait_list& ended) noexcept {
  for (auto i = in(line::up).begin(); i != in(line::up).end();) {
    pool_waiter& w = as_pool_waiter(*i++);
    if (!ends(w.wanted)) continue;
    leave(w, ec, now);
    ended.push_back(w);
  }
}

void waiting_room::end_reached(std::size_t up, time_point now, wait_list& ended) noexcept {
  end_up_if([up](std::size_t wanted) { return wanted <= up; }, {}, now, ended);
}

void waiting_room::end_unreachable(std::size_t size, error_code ec, time_point now, wait_list& ended) noexcept {
  end_up_if([size](std::size_t wanted) { return wanted > size; }, ec, now, ended);
}

void waiting_room::had(const pool_waiter& w) noexcept {
  wait_time_->record(w.waited_);
  ++waits_;
}

void waiting_room::withdrew(const pool_waiter& w) noexcept {
  // It was given what was idle, and has not waited.
  if (w.waited_ == duration::zero()) {
    ++at_once_;
  } else {
    wait_time_->record(w.waited_);
  }
  ++cancelled_;
}

void waiting_room::report(cocp::stats& s) const {
  s.waiting = waiting_;
  s.waits = waits_;
  s.timeouts = timeouts_;
  s.cancelled = cancelled_;
  s.rejected = rejected_;
  if (wait_time_) s.wait_time = *wait_time_;
  s.wait_time.record(duration::zero(), at_once_);
}

}  // namespace cocp::detail
