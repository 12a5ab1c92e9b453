// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/pool_core.hpp"

#include "net/check_options.hpp"
#include "pool/check_options.hpp"
#include "pool/explain.hpp"

#include <algorithm>
#include <exception>
#include <new>
#include <stdexcept>
#include <utility>

namespace cocp::detail {
namespace {

/// What an attempt without a limit has, before nobody's need of it counts.
constexpr duration attempt_without_limit = std::chrono::seconds(5);

constexpr std::string_view too_many_words = "there are more connections than the pool's size";

connection_options checked(connection_options o) {
  check(o);
  return o;
}

pool_options checked(pool_options o) {
  check(o);
  return o;
}

headcount::limits limits_of(const connection_options& c, const pool_options& p) noexcept {
  const duration idle = shelf::idle_limit(p);
  return {idle, std::max(idle, c.connect_timeout.value_or(attempt_without_limit))};
}

/// True if somebody does not wait at all.
bool is_nothing(std::optional<duration> timeout) noexcept { return timeout && *timeout <= duration::zero(); }

template <class Entry>
slot& slot_of(Entry& e) noexcept {
  return static_cast<slot&>(e);
}

/// The next of a list that a room has given: it is in it no more.
template <class List>
slot& take_first(List& list) noexcept {
  slot& s = slot_of(list.front());
  list.pop_front();
  return s;
}

}  // namespace

std::shared_ptr<const std::string> keep_words(std::string_view words) noexcept {
  if (words.empty()) return nullptr;
  try {
    return std::make_shared<const std::string>(words);
  } catch (const std::bad_alloc&) {
    // The code alone has to say it.
    return nullptr;
  }
}

std::shared_ptr<wait_owner> queue_of(const std::shared_ptr<pool_core>& core) noexcept { return core; }

void wait_for_lease(pool_core& core, lease_waiter& w, std::optional<duration> timeout, std::source_location where) {
  core.wait_for_lease(w, timeout, where);
}

void pool_waiter::settle() noexcept {
  if (result) pool_core::settle(*this);
}

// How it begins.

pool_core::pool_core(asio::any_io_executor ex, connection_options connection, pool_options options)
    : dial_options_(checked(std::move(connection))),
      options_(checked(std::move(options))),
      env_(context_service::of(ex).environment()),
      ex_(std::move(ex)),
      alarm_(ex_, *env_),
      plain_put_(!options_.on_return),
      to_(make_destination(dial_options_.address, dial_options_)),
      shelf_(options_),
      headcount_(options_.size, options_.min_size, limits_of(dial_options_, options_)),
      dial_desk_(dial_options_, options_),
      ledger_(options_.report_leases) {
  context_service::of(ex_).add(*this);
}

void pool_core::start() {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      grow();
      if (closed_ || to_build_ == 0) break;
    }
    build_slot();
  }
  call_housekeeper();
}

// A connection is taken.

template <pool_core::taker Who>
lease pool_core::take_idle(std::source_location where) noexcept {
  for (;;) {
    slot* s = nullptr;
    {
      const std::lock_guard lock(mutex_);
      // Nobody overtakes those who wait.
      if (shelf_.is_empty() || !waiting_room_.is_empty(line::lease)) {
        if constexpr (Who == taker::does_not_wait) {
          if (!closed_) wish();
        }
        return lease();
      }
      if constexpr (Who == taker::goes_on) {
        // The one that goes through the scheduler is the first of the next row.
        if (--in_a_row_ == 0) [[unlikely]] {
          in_a_row_ = most_in_a_row;
          return lease();
        }
      }
      s = &slot_of(shelf_.take());
      census_.move_known<slot_owner::idle, slot_event::taken>(*s);
      if (ledger_.is_kept()) [[unlikely]]
        note_given(*s, where);
      if (!shelf_.take_verify(*s)) {
        if constexpr (Who != taker::waits) ++counters_.gets;
        return lease(*s);
      }
    }
    loss why;
    if (look(*s, why) != peek_result::dead) {
      if constexpr (Who != taker::waits) settled_gets_.fetch_add(1, std::memory_order_relaxed);
      return lease(*s);
    }
    reject(*s, why);
  }
}

template lease pool_core::take_idle<pool_core::taker::waits>(std::source_location) noexcept;
template lease pool_core::take_idle<pool_core::taker::goes_on>(std::source_location) noexcept;
template lease pool_core::take_idle<pool_core::taker::does_not_wait>(std::source_location) noexcept;

peek_result pool_core::look(slot& s, loss& why) const noexcept {
  error_code ec;
  const peek_result found = s.users().idle_stream()->peek(ec);
  if (found == peek_result::unread && !options_.allow_unread) {
    why = {errc::unsolicited_data, "bytes were left unread, or came unasked", ending::dirty};
  } else if (ec) {
    why = {ec, {}, ending::lost};
  } else {
    return found;
  }
  return peek_result::dead;
}

bool pool_core::passes(locked& lock, slot& s) noexcept {
  lock.unlock();
  loss why;
  if (look(s, why) == peek_result::dead) {
    reject(s, why);
    return false;
  }
  lock.lock();
  return true;
}

void pool_core::reject(slot& s, const loss& why) noexcept {
  locked lock(mutex_);
  if (why.kind == ending::lost) ++counters_.replaced_dead;
  if (ledger_.is_kept() && s.owner() == slot_owner::leased) ledger_.not_given(s);
  give_to_supervisor(std::move(lock), s, &why);
}

void pool_core::note_given(slot& s, std::source_location where) noexcept {
  ledger_.given(s, where, env_->now());
  due_by(duty::report, ledger_.next_time());
}

// A lease ends.

inline void pool_core::put_idle(slot& s) noexcept {
  shelf_.put(s);
  // Only the first one since the last look asks for the next, and only then somebody looks at the clock.
  if (agenda_.at(duty::look) > tick_ + shelf_.look_after() && shelf_.wants_look(s)) [[unlikely]]
    ask_for_look();
}

void pool_core::give_back(slot& s, lease::way how) noexcept {
  pool_core& self = *s.core_;
  const auto spoiled = [&self, how]() noexcept {
    // Only the destructor can be part of an unwinding, and only the thread that unwinds knows of it.
    return how == lease::way::destroyed && !self.options_.keep_on_exception && std::uncaught_exceptions() > 0;
  };
  const leftover left = s.users().end_use(spoiled, how == lease::way::discarded, self.options_.one_way);
  locked lock(self.mutex_);
  if (self.ledger_.is_kept()) [[unlikely]] {
    if (self.ledger_.returned(s, self.env_->now())) self.due_by(duty::report, self.ledger_.next_time());
  }
  self.shelf_.came_back(s, left != leftover::unused, self.tick_);
  if (left == leftover::dirty || left == leftover::down) [[unlikely]] {
    // Its supervisor may have brought it back by now, and then it has left it to the lease.
    if (!s.users().is_up()) {
      self.end_lost_lease(std::move(lock), s);
      return;
    }
  }
  if (self.waiting_room_.is_empty(line::lease) && self.plain_put_ && self.shelf_.is_young(s, self.tick_)) [[likely]] {
    self.census_.move_known<slot_owner::leased, slot_event::shelved>(s);
    self.put_idle(s);
  } else {
    self.end_lease(std::move(lock), s, left != leftover::unused);
  }
}

void pool_core::end_lost_lease(locked lock, slot& s) noexcept {
  // Now, and not when its supervisor comes to it: who gives a lease back can see in the stats what became of it.
  if (!closed_) count_loss(s, s.users().last_loss());
  give_to_supervisor(std::move(lock), s, nullptr);
}

void pool_core::end_lease(locked lock, slot& s, bool used) noexcept {
  if (used && dial_desk_.is_on_trial() && s.users().has_answered()) {
    dial_desk_.served(s);
    let_dial(env_->now());
  }
  move(s, slot_event::came_back);
  if (options_.on_return) {
    begin_hook(std::move(lock), s, options_.on_return);
  } else {
    place(std::move(lock), s);
  }
}

void pool_core::begin_hook(locked lock, slot& s, const handshake& hook) noexcept {
  while (!closed_ && !must_go(s)) {
    // What a lease left unread is no answer for a hook.
    if (shelf_.take_verify(s)) {
      if (!passes(lock, s)) return;
      continue;
    }
    move(s, slot_event::hook_begun);
    if (&hook == &options_.keepalive) shelf_.begin_keepalive(s);
    s.hook_ = &hook;
    s.keeper->wake();
    return;
  }
  place(std::move(lock), s);
}

void pool_core::place(locked lock, slot& s) noexcept {
  while (!closed_ && !must_go(s) && !waiting_room_.is_empty(line::lease)) {
    if (shelf_.take_verify(s)) {
      if (!passes(lock, s)) return;
      continue;
    }
    pool_waiter& next = waiting_room_.serve_first(env_->now());
    note_departures();
    move(s, slot_event::handed_on);
    shelf_.handed_on(s);
    if (ledger_.is_kept()) note_given(s, next.where);
    next.result = lease(s);
    lock.unlock();
    complete(next);
    return;
  }
  if (closed_ || must_go(s)) {
    send_away(std::move(lock), s);
    return;
  }
  move(s, slot_event::shelved);
  shelf_.placed(s);
  put_idle(s);
}

void pool_core::send_away(locked lock, slot& s) noexcept {
  const loss surplus{{}, too_many_words, ending::surplus};
  const loss renewed{{}, "the pool was renewed", ending::moved};
  const loss moved{{}, "the pool has another address", ending::moved};
  const loss aged{{}, "it has reached its age", ending::aged};
  const loss* why = &aged;
  if (closed_) {
    why = nullptr;
  } else if (headcount_.is_surplus()) {
    why = &surplus;
  } else if (is_outdated(s)) {
    why = s.to_ == to_ ? &renewed : &moved;
  }
  give_to_supervisor(std::move(lock), s, why);
}

void pool_core::ask_for_look() noexcept {
  tick_ = env_->now();
  due_by(duty::look, later(tick_, shelf_.look_after()));
}

void pool_core::give_to_supervisor(locked lock, slot& s, const loss* why) noexcept {
  const auto self = std::move(s.core_);
  const bool stop = closed_;
  move(s, slot_event::gone);
  // Before it goes down: from then on its supervisor may bring it back.
  if (stop) {
    dial_desk_.down(s);
  } else if (why) {
    count_loss(s, *why);
    if (why->kind == ending::aged) shelf_.retired(s);
  }
  if (s.is_counted() && (headcount_.is_surplus() || (why && why->kind == ending::surplus))) {
    unwant(s);
    // Somebody may have begun to wait when there seemed to be no room.
    grow();
  }
  lock.unlock();
  if (why) s.users().bring_down(*why, {});
  if (stop) {
    s.keeper->stop();
    finish_drain();
  }
}

void pool_core::move(slot& s, slot_event e) noexcept {
  const bool was_supervised = s.owner() == slot_owner::supervisor;
  census_.move(s, e);
  const bool is_supervised = s.owner() == slot_owner::supervisor;
  if (was_supervised == is_supervised) return;
  if (is_supervised) {
    headcount_.gone(s, shelf_.used_at(s, env_->now()));
  } else {
    headcount_.placed(s);
  }
  dial_desk_.count(s, is_supervised);
}

// Somebody waits.

error_code pool_core::refusal(bool at_once) const noexcept {
  if (closed_) return errc::closed;
  if (at_once) return errc::timed_out;
  if (options_.fail_fast && dial_desk_.is_given_up(env_->now())) return dial_desk_.last_failure().error;
  return {};
}

void pool_core::wait_for_lease(lease_waiter& w, std::optional<duration> timeout, std::source_location where) {
  w.where = where;
  if (!timeout) timeout = options_.get_timeout;
  for (;;) {
    w.result = take_idle<taker::waits>(where);
    if (w.result) break;
    const std::lock_guard lock(mutex_);
    // One came back since the look: nobody may queue behind an idle connection.
    if (!shelf_.is_empty() && waiting_room_.is_empty(line::lease)) continue;
    w.error = refusal(is_nothing(timeout));
    if (!closed_ && is_nothing(timeout)) {
      waiting_room_.refused_for_time();
    } else if (w.error) {
      waiting_room_.refused_for_else();
    } else if (waiting_room_.waiting() >= options_.max_waiting) {
      w.error = errc::overloaded;
      waiting_room_.refused_for_length();
    }
    if (w.error) {
      if (!closed_) wish();
      break;
    }
    due_by(duty::deadline, waiting_room_.enter(w, line::lease, timeout, env_->now()));
    grow();
    return;
  }
  complete_now(w);
}

void pool_core::wait_until_up(event_waiter& w, std::size_t wanted) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || dial_desk_.connections() < wanted) {
      w.error = refusal(is_nothing(options_.get_timeout));
      if (!w.error && wanted > headcount_.size()) w.error = too_many();
      if (!w.error) {
        w.wanted = wanted;
        due_by(duty::deadline, waiting_room_.enter(w, line::up, options_.get_timeout, env_->now()));
        grow();
        return;
      }
      if (!closed_) wish(wanted);
    }
  }
  complete_now(w);
}

void pool_core::wait_until_drained(event_waiter& w) {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      // The supervisors have gone with the context.
      if (!ex_) w.error = errc::closed;
      if (!ex_ || is_drained()) break;
      // If its completion is refused in the end, there may be no memory for a housekeeper either.
      if (housekept_) {
        waiting_room_.enter(w, line::end, std::nullopt, env_->now());
        return;
      }
    }
    try {
      call_housekeeper();
    } catch (...) {
      w.destroy();
      throw;
    }
  }
  complete_now(w);
}

void pool_core::cancel(waiter& target) noexcept {
  auto& w = static_cast<pool_waiter&>(target);
  {
    const std::lock_guard lock(mutex_);
    if (!waiting_room_.cancel(w, env_->now())) {
      w.cancelled_late = true;
      return;
    }
    note_departures();
    // The housekeeper may have stayed for this one.
    if (closed_) alarm_.ring();
  }
  complete(w);
}

void pool_core::settle(pool_waiter& w) noexcept {
  slot& s = static_cast<slot&>(*w.result);
  pool_core& self = *s.core_;
  if (!w.cancelled_late && !w.has_waited()) {
    self.settled_gets_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  // It goes back without the lock.
  lease withdrawn;
  const std::lock_guard lock(self.mutex_);
  if (w.cancelled_late) {
    withdrawn = std::move(w.result);
    w.error = asio::error::operation_aborted;
    if (self.ledger_.is_kept()) self.ledger_.withdrawn(s);
    self.waiting_room_.withdrew(w);
  } else {
    ++self.counters_.gets;
    self.waiting_room_.had(w);
  }
}

void pool_core::note_departures() noexcept {
  const time_point next_look = later(tick_, shelf_.look_after());
  if (waiting_room_.has_emptied()) {
    headcount_.wish();
    if (shelf_.is_timed() && headcount_.opening() != 0) due_by(duty::look, next_look);
  }
  // Connections may have been kept for it.
  if (waiting_room_.has_let_go() && shelf_.is_timed()) due_by(duty::look, next_look);
}

void pool_core::complete(waiter& w) noexcept {
  wait_list one;
  one.push_back(w);
  complete_all(one);
}

void pool_core::complete_all(wait_list& list) noexcept {
  if (outbox::send(list)) return;
  // What was refused keeps this; once others can see it, it may be completed, and what it holds be gone.
  const auto self = shared_from_this();
  {
    const std::lock_guard lock(mutex_);
    outbox_.keep(list, env_->now());
    due_by(duty::redelivery, outbox_.due());
  }
  try {
    call_housekeeper();
  } catch (...) {
    // The next that is put back, or asks for the end, tries again.
  }
}

// How many there are.

void pool_core::grow_for(std::size_t more_waiting, std::size_t at_least) noexcept {
  if (closed_) return;
  const std::size_t asked = std::max(waiting_room_.most_wanted_up(), at_least);
  std::size_t n = headcount_.missing(waiting_room_.waiting() + more_waiting, asked);
  for (headcount::entry* e = nullptr; n != 0 && (e = headcount_.find_vacant()); --n) want(slot_of(*e));
  // For the others there are no slots yet, and none can be made here.
  to_build_ = n;
  if (n != 0) due_by(duty::build, tick_);
}

void pool_core::wish(std::size_t at_least) noexcept {
  headcount_.wish();
  grow_for(at_least == 0 ? 1 : 0, at_least);
}

void pool_core::want(slot& s) noexcept {
  const time_point now = env_->now();
  headcount_.want(s, now);
  dial_desk_.need(s);
  dial_desk_.count(s, true);
  update_plain_put();
  s.keeper->wake();
  // It may not come up before it is too old to be of use.
  if (shelf_.is_timed() && agenda_.at(duty::look) == time_point::max()) {
    due_by(duty::look, later(now, shelf_.look_after()));
  }
}

void pool_core::unwant(slot& s) noexcept {
  headcount_.unwant(s);
  if (headcount_.wanted() == 0) dial_desk_.end_downtime();
  if (dial_desk_.withdraw(s)) let_dial(env_->now());
  dial_desk_.count(s, false);
  if (s.is_dialling()) s.keeper->drop_attempt();
  if (shelf_.end_retirement(s)) due_by(duty::age, tick_);
  update_plain_put();
}

void pool_core::update_plain_put() noexcept {
  plain_put_ = !closed_ && !options_.on_return && !headcount_.is_surplus() && !dial_desk_.is_on_trial();
}

bool pool_core::retires(const slot& s) const noexcept {
  return shelf_.retires(s, !waiting_room_.is_empty(line::lease), headcount_.size(), tick_);
}

void pool_core::build_slot() {
  slot* s = nullptr;
  asio::any_io_executor ex;
  {
    const std::lock_guard lock(mutex_);
    ex = ex_;
    s = unstarted_;
  }
  if (!ex) return;
  std::unique_ptr<slot> fresh = s ? nullptr : std::make_unique<slot>(*this, ex);
  {
    const std::lock_guard lock(mutex_);
    // Whoever closes stops all that he finds: none may come behind him.
    if (closed_) return;
    if (fresh) {
      s = fresh.get();
      slots_.push_back(std::move(fresh));
      census_.add(*s);
      unstarted_ = s;
    }
    // It may have ended before `start` returns.
    ++running_;
  }
  try {
    s->keeper->start(shared_from_this());
  } catch (...) {
    const std::lock_guard lock(mutex_);
    --running_;
    throw;
  }
  const std::lock_guard lock(mutex_);
  unstarted_ = nullptr;
  headcount_.add(*s);
  if (to_build_ != 0) --to_build_;
  if (!closed_ && headcount_.wanted() < headcount_.size()) want(*s);
}

void pool_core::resize(std::size_t n) {
  if (n == 0) throw std::invalid_argument("resize: 0: must be at least 1");
  const loss why{{}, too_many_words, ending::surplus};
  wait_list in_vain;
  locked lock(mutex_);
  headcount_.resize(n);
  waiting_room_.end_unreachable(n, too_many(), env_->now(), in_vain);
  note_departures();
  grow();
  update_plain_put();
  while (!closed_ && headcount_.is_surplus()) {
    if (headcount::entry* const unopened = headcount_.find_unopened()) {
      unwant(slot_of(*unopened));
      continue;
    }
    shelf::entry* const idle = shelf_.find_oldest();
    if (!idle) break;
    shelf_.remove(*idle);
    give_to_supervisor(std::move(lock), slot_of(*idle), &why);
    lock = locked(mutex_);
  }
  lock.unlock();
  complete_all(in_vain);
}

// A supervisor dials.

time_point pool_core::slot_may_dial(slot& s, time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  // It is too many, and the first to go: a lease's, if it is one, is when it comes back.
  if (s.is_counted() && headcount_.is_surplus() && s.owner() == slot_owner::supervisor) unwant(s);
  if (!s.is_counted()) return time_point::max();
  if (dial_desk_.ask(s)) let_dial(now);
  if (!dial_desk_.begin(s)) return time_point::max();
  headcount_.attempt_begun(s);
  s.to_ = to_;
  s.edition_ = edition_;
  // Of the one before it; the next may be given back before its own is known.
  shelf_.forget_age(s);
  return now;
}

void pool_core::let_dial(time_point now) noexcept {
  if (closed_) return;
  dial_desk::list let;
  dial_desk_.let_in(now, let);
  while (!let.empty()) take_first(let).keeper->wake();
  due_at(duty::gate, dial_desk_.next_time(now));
  update_plain_put();
}

bool pool_core::slot_wanted(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  return s.is_counted();
}

unsigned pool_core::failures() noexcept {
  const std::lock_guard lock(mutex_);
  return dial_desk_.failures();
}

std::shared_ptr<const destination> pool_core::slot_target(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  return s.to_ ? s.to_ : to_;
}

bool pool_core::slot_is_moot(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  return !s.is_counted() || is_outdated(s);
}

duration pool_core::slot_failed(slot& s, error_code ec, const std::string& reason) noexcept {
  std::shared_ptr<const std::string> words = keep_words(reason);
  wait_list ended;
  duration delay{};
  {
    const std::lock_guard lock(mutex_);
    const time_point now = env_->now();
    const bool outdated = is_outdated(s);
    ++counters_.connect_failures;
    headcount_.attempt_ended(s);
    dial_desk_.failed(s, ec, std::move(words), outdated, headcount_.wanted() != 0, now, env_->random());
    let_dial(now);
    give_up_if_due(now, ended);
    if (!outdated) delay = dial_desk_.delay(now);
  }
  complete_all(ended);
  return delay;
}

void pool_core::slot_dropped(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  headcount_.attempt_ended(s);
  dial_desk_.dropped(s);
  let_dial(env_->now());
}

void pool_core::give_up_if_due(time_point now, wait_list& ended) noexcept {
  if (!dial_desk_.is_given_up(now)) {
    due_by(duty::give_up, dial_desk_.gives_up_at(now));
    return;
  }
  const error_code ec = dial_desk_.last_failure().error;
  waiting_room_.end_all(line::lease, ec, now, ended);
  waiting_room_.end_all(line::up, ec, now, ended);
  note_departures();
}

// A stream comes up, runs a hook, and goes down.

void pool_core::slot_connected(slot& s, duration took, bool resumed) noexcept {
  wait_list reached;
  time_point now;
  {
    const std::lock_guard lock(mutex_);
    now = env_->now();
    const bool outdated = is_outdated(s);
    dial_desk_.connected(s, outdated, now);
    let_dial(now);
    dial_desk_.up(s);
    shelf_.connected(s, headcount_.connected(s, now), now);
    if (shelf_.end_retirement(s)) due_by(duty::age, tick_);
    if (outdated) {
      shelf_.end_age(s);
    } else if (options_.max_lifetime) {
      due_by(duty::age, shelf_.begin_age(s, now, env_->random()));
    }
    ++counters_.connects;
    if (resumed) ++counters_.tls_resumed;
    counters_.create_time.record(took);
    // A lease may have ended since the stream was opened.
    if (s.owner() == slot_owner::idle) due_by(duty::look, later(now, shelf_.look_after()));
    waiting_room_.end_reached(dial_desk_.connections(), now, reached);
    note_departures();
  }
  complete_all(reached);
  locked lock(mutex_);
  // A stream that is redialled during a lease stays with the lease.
  if (s.owner() != slot_owner::supervisor || !s.users().is_up()) return;
  if (!s.is_counted()) {
    lock.unlock();
    s.users().bring_down({{}, "nobody needs it any more", ending::surplus}, {});
    return;
  }
  move(s, slot_event::arrived);
  s.core_ = shared_from_this();
  // Unless a loss is noticed within retry_min, it is not known that the attempt has failed after all.
  const duration soon = dial_options_.retry_min / 2;
  if (soon < shelf_.look_after()) due_by(duty::look, later(now, soon));
  place(std::move(lock), s);
}

supervisor::hook pool_core::slot_hook(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  if (s.owner() != slot_owner::hook) return {};
  return {s.hook_, s.hook_ == &options_.keepalive ? ending::dead : ending::dirty};
}

void pool_core::slot_served(slot& s) noexcept {
  // A ping need not be answered; what on_return has asked must be.
  const bool one_way = options_.one_way || s.hook_ == &options_.keepalive;
  s.users().end_use([] { return false; }, false, one_way);
  locked lock(mutex_);
  shelf_.hook_ended(s, env_->now());
  s.hook_ = nullptr;
  if (!s.users().is_up()) {
    if (!closed_) count_loss(s, s.users().last_loss());
    give_to_supervisor(std::move(lock), s, nullptr);
    return;
  }
  move(s, slot_event::hook_ended);
  shelf_.verify(s);
  place(std::move(lock), s);
}

duration pool_core::slot_down(slot& s, const loss& why, bool early) noexcept {
  std::shared_ptr<const std::string> words = early ? keep_words(why.reason) : nullptr;
  wait_list ended;
  duration delay{};
  {
    const std::lock_guard lock(mutex_);
    const time_point now = env_->now();
    count_loss(s, why);
    headcount_.lost_on_arrival(s);
    dial_desk_.ended(s, why, early, std::move(words), is_outdated(s), headcount_.wanted() != 0, now, env_->random());
    let_dial(now);
    give_up_if_due(now, ended);
    if (dial_desk_.was_lost(s)) delay = dial_desk_.delay(now);
  }
  complete_all(ended);
  return delay;
}

void pool_core::count_loss(slot& s, const loss& why) noexcept {
  if (!dial_desk_.down(s)) return;
  switch (why.kind) {
    case ending::lost:
      ++counters_.disconnects;
      break;
    case ending::dirty:
      ++counters_.replaced_dirty;
      break;
    case ending::dead:
      ++counters_.replaced_dead;
      break;
    case ending::aged:
      ++counters_.replaced_expired;
      break;
    case ending::moved:
    case ending::surplus:
      break;
  }
}

void pool_core::slot_stopped(slot& s) noexcept {
  std::shared_ptr<pool_core> held;
  {
    const std::lock_guard lock(mutex_);
    dial_desk_.stopped(s);
    headcount_.attempt_ended(s);
    --running_;
    // The pool was closed before its hook had begun.
    if (s.owner() == slot_owner::hook) {
      shelf_.hook_ended(s, tick_);
      s.hook_ = nullptr;
      move(s, slot_event::gone);
      held = std::move(s.core_);
    }
    // What is in use stays up until it comes back.
    if (s.owner() == slot_owner::supervisor) dial_desk_.down(s);
  }
  finish_drain();
}

// Another address, or the same anew.

void pool_core::retry_now() noexcept {
  const std::lock_guard lock(mutex_);
  const time_point now = env_->now();
  dial_desk_.retry_now(now);
  let_dial(now);
}

void pool_core::readdress(std::string text) {
  auto to = make_destination(text, dial_options_);
  locked lock(mutex_);
  if (closed_ || to->text == to_->text) return;
  to_ = std::move(to);
  for (const auto& s : slots_) dial_desk_.revoke(*s);
  dial_desk_.readdress();
  let_dial(env_->now());
  begin_edition(std::move(lock));
}

void pool_core::renew() noexcept {
  locked lock(mutex_);
  if (closed_) return;
  begin_edition(std::move(lock));
}

void pool_core::begin_edition(locked lock) noexcept {
  ++edition_;
  shelf::list idle;
  for (const auto& s : slots_) {
    shelf_.end_age(*s);
    // It may hang for long, and another may not be dialled before it ends.
    if (s->is_dialling()) s->keeper->drop_attempt();
    if (s->owner() != slot_owner::idle) continue;
    shelf_.remove(*s);
    move(*s, slot_event::picked_up);
    idle.push_back(*s);
  }
  while (!idle.empty()) {
    place(std::move(lock), take_first(idle));
    lock = locked(mutex_);
  }
}

// How it ends.

void pool_core::close() noexcept {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    plain_put_ = false;
    const time_point now = env_->now();
    waiting_room_.end_all(line::lease, errc::closed, now, ended);
    waiting_room_.end_all(line::up, errc::closed, now, ended);
    while (!shelf_.is_empty()) {
      slot& s = slot_of(shelf_.take());
      move(s, slot_event::gone);
      if (s.users().is_up()) {
        dial_desk_.down(s);
      } else {
        count_loss(s, s.users().last_loss());
      }
      // Not the last one: the caller has one.
      s.core_.reset();
    }
  }
  complete_all(ended);
  for (std::size_t i = 0;; ++i) {
    slot* s = nullptr;
    bool in_use = false;
    {
      const std::lock_guard lock(mutex_);
      if (i == slots_.size()) break;
      s = slots_[i].get();
      in_use = s->owner() == slot_owner::leased || s->owner() == slot_owner::moving;
    }
    // What is in use is stopped by whoever gives it back.
    if (in_use) {
      s->keeper->retire();
    } else {
      s->keeper->stop();
    }
  }
  alarm_.ring();
}

bool pool_core::is_drained() const noexcept {
  return closed_ && running_ == 0 && census_.count(slot_owner::leased) == 0 && census_.count(slot_owner::moving) == 0;
}

void pool_core::finish_drain() noexcept {
  wait_list ended;
  {
    const std::lock_guard lock(mutex_);
    if (is_drained()) waiting_room_.end_all(line::end, {}, env_->now(), ended);
    if (!housekept_) outbox_.take(ended);
    // The housekeeper may have stayed for them.
    if (closed_) alarm_.ring();
  }
  complete_all(ended);
}

void pool_core::on_context_shutdown() noexcept {
  wait_list dropped;
  const asio::execution_context* context = nullptr;
  {
    const std::lock_guard lock(mutex_);
    context = context_of(ex_);
    closed_ = true;
    plain_put_ = false;
    const time_point now = env_->now();
    for (const line l : {line::lease, line::up, line::end}) waiting_room_.end_all(l, errc::closed, now, dropped);
    outbox_.take(dropped);
    for (const auto& s : slots_) {
      if (s->owner() == slot_owner::idle) {
        shelf_.remove(*s);
      } else if (s->owner() == slot_owner::hook) {
        shelf_.hook_ended(*s, now);
      } else {
        continue;
      }
      move(*s, slot_event::gone);
      // Not the last one: the caller has one.
      s->core_.reset();
    }
    ex_ = asio::any_io_executor();
  }
  alarm_.shutdown();
  outbox::drop(dropped, *context);
}

// What is told of it.

std::size_t pool_core::connected() const noexcept {
  if (!closed_ || census_.count(slot_owner::leased) == 0) return dial_desk_.connections();
  // The supervisors have ended, and nobody tells of what is lost in a lease.
  return static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [](const auto& s) { return s->users().is_up(); }));
}

cocp::stats pool_core::stats() const {
  const std::lock_guard lock(mutex_);
  cocp::stats s = counters_;
  waiting_room_.report(s);
  dial_desk_.report(s);
  s.use_time = ledger_.use_time();
  s.size = headcount_.size();
  s.min_size = headcount_.min_size();
  s.connected = connected();
  s.idle = census_.count(slot_owner::idle);
  s.leased = census_.count(slot_owner::leased);
  s.hooks = census_.count(slot_owner::hook);
  const std::size_t counted = s.idle + s.leased + s.hooks + s.connecting + s.queued;
  // A closed pool wants none, and has what has not ended yet.
  s.wanted = closed_ ? counted + census_.count(slot_owner::moving) : headcount_.wanted();
  s.resting = s.wanted - counted;
  s.gets += settled_gets_.load(std::memory_order_relaxed);
  // Nobody looks at the clock when there is nothing to wait for.
  s.wait_time.record(duration::zero(), s.gets - s.waits);
  return s;
}

std::size_t pool_core::size() const noexcept {
  const std::lock_guard lock(mutex_);
  return headcount_.size();
}

std::shared_ptr<const destination> pool_core::current_address() const noexcept {
  const std::lock_guard lock(mutex_);
  return to_;
}

std::vector<lease_info> pool_core::leases() const {
  std::vector<lease_info> result;
  if (!ledger_.is_kept()) return result;
  const std::lock_guard lock(mutex_);
  result.reserve(census_.count(slot_owner::leased));
  // The time, not before: one could be taken in between, later than that.
  ledger_.for_each(env_->now(), [&result](const ledger::entry& e, lease_info info) {
    info.remote_endpoint = static_cast<const slot&>(e).users().remote_endpoint();
    result.push_back(std::move(info));
  });
  return result;
}

std::string pool_core::explain(const char* what, error_code ec, std::optional<duration> waited) const {
  std::shared_ptr<const destination> to;
  situation now;
  {
    // No more than figures: in a flood of refusals this is the lock that the lucky ones need.
    const std::lock_guard lock(mutex_);
    to = to_;
    now.size = headcount_.size();
    now.up = connected();
    now.leased = census_.count(slot_owner::leased);
    now.hooks = census_.count(slot_owner::hook);
    now.waiting = waiting_room_.waiting();
    // Why an attempt failed is the reason only while attempts fail, and one is wanted that is not up.
    if (!closed_ && dial_desk_.failures() != 0 && dial_desk_.connections() < headcount_.wanted()) {
      now.last = dial_desk_.last_failure();
      now.age = env_->now() - now.last.at;
    }
  }
  return detail::explain(what, to->text, ec, waited, now);
}

}  // namespace cocp::detail
