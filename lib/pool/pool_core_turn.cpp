// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What a pool does in its own time: its housekeeper's turn.

#include "base/tell.hpp"
#include "pool/pool_core.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <new>
#include <utility>

namespace cocp::detail {
namespace {

/// However many waits have timed out, others get at the mutex and the executor in between, and a waiter is still in the
/// processor's cache when its handler runs.
constexpr std::size_t timeouts_per_turn = 256;

/// How often an idle connection with unread bytes is looked at: nothing tells of an end that comes behind them.
constexpr duration unread_look_interval = std::chrono::seconds(1);

/// In memory of its own: nothing here may fail.
void tell_lease(const connection_options& options, const destination& to, const ledger::report& r) noexcept {
  std::array<char, 1024> text{};
  const int n = std::snprintf(text.data(), text.size(), "taken at %s:%lu (%s), held for %.3f s", r.where.file_name(),
                              static_cast<unsigned long>(r.where.line()), r.where.function_name(),
                              std::chrono::duration<double>(r.held).count());
  const std::size_t size = n < 0 ? 0 : std::min(static_cast<std::size_t>(n), text.size() - 1);
  const severity level = r.kind == event_kind::lease_overdue ? severity::warning : severity::info;
  tell(options.logger, {.kind = r.kind,
                        .level = level,
                        .address = to.text,
                        .reason = std::string_view(text.data(), size),
                        .id = r.id,
                        .name = to.name});
}

}  // namespace

void pool_core::on_alarm(std::shared_ptr<void> keep) noexcept {
  const time_point next = turn();
  {
    const std::lock_guard lock(mutex_);
    if (closed_ && running_ == 0 && outbox_.empty() && waiting_room_.is_empty(line::end)) {
      housekept_ = false;
      return;
    }
  }
  alarm_.sleep_until(next, std::move(keep));
}

void pool_core::call_housekeeper() {
  {
    const std::lock_guard lock(mutex_);
    if (!ex_ || std::exchange(housekept_, true)) return;
  }
  try {
    alarm_.begin(shared_from_this());
  } catch (...) {
    const std::lock_guard lock(mutex_);
    housekept_ = false;
    throw;
  }
}

time_point pool_core::turn() noexcept {
  wait_list ended;
  bool may_look = false;
  time_point now;
  {
    const std::lock_guard lock(mutex_);
    // Not before: others set `tick_` too, which must not go back.
    now = tick_ = env_->now();
    waiting_room_.end_expired(timeouts_per_turn, tick_, ended);
    note_departures();
    if (agenda_.take(duty::redelivery, tick_)) outbox_.take(ended);
    if (agenda_.take(duty::gate, tick_)) let_dial(tick_);
    give_up_if_due(tick_, ended);
    may_look = agenda_.take(duty::look, tick_);
  }
  complete_all(ended);
  build_slots();
  if (may_look) look_at_idle();
  retire_idle();
  report_leases();
  const std::lock_guard lock(mutex_);
  due_at(duty::deadline, waiting_room_.next_deadline());
  due_at(duty::give_up, dial_desk_.gives_up_at(now));
  return agenda_.begin_sleep();
}

void pool_core::build_slots() noexcept {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      agenda_.take(duty::build, tick_);
    }
    try {
      if (!build_slot()) return;
    } catch (...) {
      // For lack of memory, or its executor refuses it.
      const std::lock_guard lock(mutex_);
      due_by(duty::build, later(tick_, redelivery_pause));
      return;
    }
  }
}

void pool_core::look_at_idle() noexcept {
  shelf::duties found;
  {
    const std::lock_guard lock(mutex_);
    headcount_.note_wishes(tick_);
    const std::size_t asked = waiting_room_.most_wanted_up();
    // When nobody waits any more there is another look: see note_departures.
    while (headcount_.spare(asked) != 0 && waiting_room_.is_empty(line::lease)) {
      const headcount::leaver unneeded = headcount_.find_unneeded(tick_, found.next);
      if (!unneeded) break;
      unwant(unneeded);
    }
    shelf_.look(headcount_.spare_open(asked), headcount_.wanted(), tick_, found);
    for (shelf::list* l : {&found.close, &found.keep_alive, &found.watch}) {
      for (shelf::entry& e : *l) move(slot_of(e), slot_event::picked_up);
    }
    due_by(duty::look, found.next);
  }
  while (!found.close.empty()) {
    const loss why{{}, "it was not used for as long as idle_timeout", ending::surplus};
    slot& s = take_first(found.close);
    locked lock(mutex_);
    // Another that was up may have gone meanwhile, or somebody waits.
    const bool may_go = headcount_.spare_open(waiting_room_.most_wanted_up()) != 0;
    if (may_go && waiting_room_.is_empty(line::lease)) {
      give_to_supervisor(std::move(lock), s, &why);
    } else {
      place(std::move(lock), s);
    }
  }
  while (!found.keep_alive.empty()) begin_hook(locked(mutex_), take_first(found.keep_alive), options_.keepalive);
  while (!found.watch.empty()) {
    slot& s = take_first(found.watch);
    bool begun = true;
    try {
      watch(s);
    } catch (const std::bad_alloc&) {
      // Next time.
      begun = false;
    }
    locked lock(mutex_);
    if (!begun) shelf_.unwatched(s);
    place(std::move(lock), s);
  }
}

void pool_core::watch(slot& s) {
  auto on_ready = [self = shared_from_this(), &s, generation = s.users().generation()](error_code ec) {
    self->on_readable(s, generation, ec);
  };
  s.users().idle_stream()->async_wait_readable(std::move(on_ready));
}

void pool_core::on_readable(slot& s, std::uint64_t generation, error_code ec) noexcept {
  {
    const std::lock_guard lock(mutex_);
    // Of a stream that is gone.
    if (generation != s.users().generation() || ec == asio::error::operation_aborted) return;
    shelf_.unwatched(s);
    // A lease's own answer, most likely.
    if (s.owner() != slot_owner::idle) return;
    shelf_.remove(s);
    move(s, slot_event::picked_up);
  }
  loss why;
  const peek_result found = look(s, why);
  if (found == peek_result::dead) {
    reject(s, why);
    return;
  }
  locked lock(mutex_);
  // A wait for what is readable ends at once, and tells nothing of what comes behind the unread bytes.
  if (found == peek_result::unread) shelf_.unwatched(s, later(env_->now(), unread_look_interval));
  place(std::move(lock), s);
}

void pool_core::retire_idle() noexcept {
  shelf::list old;
  {
    const std::lock_guard lock(mutex_);
    // What is closed grows no older, however long a lease keeps the housekeeper.
    if (!agenda_.take(duty::age, tick_) || closed_) return;
    for (const auto& s : slots_) {
      if (s->owner() != slot_owner::supervisor && !is_outdated(*s)) due_by(duty::age, shelf_.next_age(*s, tick_));
    }
    shelf_.take_retiring(!waiting_room_.is_empty(line::lease), headcount_.size(), tick_, old);
    for (shelf::entry& e : old) move(slot_of(e), slot_event::picked_up);
  }
  while (!old.empty()) place(locked(mutex_), take_first(old));
}

void pool_core::report_leases() noexcept {
  // One at a time: a logger is not called under a lock, and nothing is allocated to remember several.
  for (;;) {
    std::optional<ledger::report> next;
    std::shared_ptr<const destination> to;
    {
      const std::lock_guard lock(mutex_);
      next = ledger_.next_report(tick_);
      if (!next) {
        due_at(duty::report, ledger_.next_time());
        return;
      }
      if (next->kind == event_kind::lease_overdue) next->id = static_cast<const slot&>(*next->whose).users().id();
      to = to_;
    }
    tell_lease(dial_options_, *to, *next);
  }
}

}  // namespace cocp::detail
