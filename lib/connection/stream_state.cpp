// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "connection/stream_state.hpp"

#include <optional>
#include <utility>

namespace cocp::detail {
namespace {

using word = stream_word;

constexpr unsigned reading = word::reading;
constexpr unsigned writing = word::writing;

}  // namespace

stream_state::stream_state(stream_word& w, raw_stream& raw, channel_owner* owner, channel_use use) noexcept
    : word_(w), raw_(raw), owner_(owner), use_(use), retired_(use == channel_use::once_only), queue_(w) {}

error_code stream_state::refusal(unsigned operation) noexcept {
  const unsigned now = word_.load();
  if (now & word::closed) return errc::closed;
  if (now & word::expired) {
    if (operation != 0) word_.set(word::dirty);
    return errc::timed_out;
  }
  if (use_ == channel_use::alone) {
    if ((now & word::up) && operation != 0 && !word::serves(now, operation)) return error_of(operation);
    return (now & word::up) || !retired_ ? error_code() : error_code(errc::closed);
  }
  if (operation != 0) {
    const bool too_late = !word::serves(now, operation) || (now & word::apart);
    return too_late ? error_of(operation) : error_code();
  }
  if (word::is_up(now)) return {};
  // A hook's supervisor waits for its end.
  if (use_ == channel_use::once_only || hooked_ || detached_) return losses_.error_of(0);
  return retired_ ? error_code(errc::closed) : error_code();
}

error_code stream_state::error_of(unsigned operation) const noexcept {
  // It is only our own side that has ended.
  const unsigned now = word_.load();
  const bool is_up = (now & (word::up | word::broken | word::apart)) == word::up;
  if (operation == writing && is_up && (now & word::halved)) return asio::error::broken_pipe;
  return losses_.error_of(operation);
}

void stream_state::wait(stream_waiter& w, wait_list& ended) noexcept {
  if (w.operation() == 0 && use_ == channel_use::leased) agree(ended);
  // The operation in front has no reason to take the lock before it sees the mark that this sets; so look again after
  // it.
  queue_.add(w);
  queue_.release(ended, raw_.generation());
}

void stream_state::agree(wait_list& ended) noexcept {
  const unsigned now = word_.load();
  // It may be of a redial that nobody waited for any more; then the lease is apart already.
  if (word::is_up(now)) return;
  // From now on nothing is started until this wait is told of the next stream. So a lease that ends before that finds
  // the bit, and no cancellation can come between.
  word_.set(word::apart);
  if (now & word::up) take_down({}, ended);
}

void stream_state::cancel(stream_waiter& w, wait_list& ended) noexcept {
  queue_.cancel(w, ended);
  // It may be a later part of a composed operation, which stops here.
  if (w.operation() != 0) word_.set(word::dirty);
}

void stream_state::consent(std::uint64_t to) noexcept {
  // In another lease the bit would be of a later stream.
  if (!word::may_consent(word_.load()) || raw_.generation() != to) return;
  word_.clear(word::apart);
  leave_former_sessions();
}

unsigned stream_state::end(unsigned operation, error_code& ec, bool moved, wait_list& ended) noexcept {
  if (!ec && moved) {
    word_.step([operation](unsigned w) { return std::optional(word::move(w, operation, true)); });
  } else if (moved) {
    word_.step([operation](unsigned w) { return std::optional(word::move_any(w, operation)); });
  }
  // Until its bit is cleared the operation keeps the channel alive, so that comes last, and under the lock.
  judge_end(operation, ec, ended);
  const unsigned now = word_.clear(operation) & ~operation;
  if (now & word::up) {
    if (now & word::halved) queue_.refuse(ended, writing, error_of(writing));
    if (now & word::queued) queue_.release(ended, raw_.generation());
  } else if (word::is_drained(now)) {
    tell_owner();
  }
  return now;
}

void stream_state::judge_end(unsigned operation, error_code& ec, wait_list& ended) noexcept {
  const unsigned before = word_.load();
  if (!(before & word::up)) {
    // What ends well must not look well either: a composed operation would go on with its next part on the next
    // stream.
    if (ec != asio::error::operation_aborted || losses_.verdict()) ec = losses_.error_of(operation);
  } else if (ec == asio::error::not_found) {
    // Of async_read_until, whose buffer is full: nothing has happened to the stream.
  } else if (before & word::broken) {
    if (ec && ec != asio::error::operation_aborted) ec = losses_.error_of(operation);
  } else if (ec == asio::error::operation_aborted) {
    word_.set(word::dirty);
  } else if (ec && use_ != channel_use::alone && operation == reading && ec == asio::error::eof) {
    if (!(before & word::ended)) lose({ec, {}, ending::lost}, word::ended, {}, ended);
  } else if (ec) {
    lose({ec, {}, ending::lost}, word::broken, {}, ended);
  }
  if (ec && ec != asio::error::operation_aborted && ec != asio::error::not_found && operation == reading) {
    raw_.note_end();
  }
}

void stream_state::detach(wait_list& ended) noexcept {
  detached_ = true;
  // However it ends, it has an end that needs thought.
  word_.set(word::dirty);
  if (!word::is_up(word_.load())) queue_.refuse(ended, 0, losses_.error_of(0));
}

judgement stream_state::end_use(lease_end how, wait_list& ended) noexcept {
  const bool detached = std::exchange(detached_, false);
  how.queued = queue_.take_all(ended, asio::error::operation_aborted);
  const unsigned now = word_.load();
  const judgement result = judge(now, how);
  switch (result.left) {
    case leftover::down:
      if (!losses_.verdict()) losses_.set_verdict(asio::error::operation_aborted);
      if (now & word::up) take_down(losses_.verdict(), ended);
      break;
    case leftover::dirty:
      if (detached) {
        note_loss({{}, "its lease was detached, and has ended", ending::surplus});
      } else {
        note_loss({{}, result.spoilt, ending::dirty});
      }
      take_down(asio::error::operation_aborted, ended);
      break;
    case leftover::used:
      word_.set(word::touched);
      break;
    case leftover::unused:
      break;
  }
  word_.clear(gone_ ? word::of_a_use & ~word::closed : unsigned{word::of_a_use});
  leave_former_sessions();
  return result;
}

void stream_state::close_use(wait_list& ended) noexcept {
  const unsigned before = word_.set(word::closed);
  queue_.take_all(ended, errc::closed);
  if (before & word::up) {
    lose({errc::closed, "its user closed it", ending::dirty}, word::broken, errc::closed, ended);
  }
  losses_.set_verdict(errc::closed);
}

void stream_state::expire(wait_list& ended) noexcept {
  if (!word_.step(word::strike)) return;
  const unsigned now = word_.load();
  if ((now & word::up) && word::is_outstanding(now)) {
    lose({errc::timed_out, "an operation expired", ending::dirty}, word::broken, errc::timed_out, ended);
  }
  if (queue_.take_all(ended, errc::timed_out)) word_.set(word::dirty);
}

void stream_state::open(std::unique_ptr<stream>& s, wait_list& ended) noexcept {
  raw_.put(std::move(s));
  losses_.note_open();
  word_.step([](unsigned w) { return std::optional(word::open(w)); });
  queue_.release(ended, raw_.generation());
}

void stream_state::note_loss(loss why) noexcept {
  const unsigned now = word_.load();
  // That the peer ends its side too says nothing of the endpoint.
  if ((now & word::halved) && why.kind == ending::lost) {
    why.kind = ending::dirty;
    why.reason = halved_words;
  }
  losses_.note(why, now);
}

void stream_state::lose(const loss& why, unsigned how, error_code verdict, wait_list& ended) noexcept {
  const bool known = word_.load() & word::lost;
  if (!known) note_loss(why);
  if (use_ == channel_use::alone) {
    take_down(verdict, ended);
    return;
  }
  if (known) losses_.note_failed_write(why.cause);
  word_.set(how);
  if (how == word::broken) {
    losses_.set_verdict(verdict);
    // Nothing can block any more, and what had arrived can still be read (tcp(7); so it is with unix(7)).
    raw_.get()->shutdown();
    queue_.refuse(ended, writing, losses_);
  }
  tell_owner();
}

void stream_state::take_down(error_code verdict, wait_list& ended) noexcept {
  const unsigned before = word_.clear(word::up);
  losses_.set_verdict(verdict);
  // Those that are outstanding end soon; then the channel is drained.
  if (word::is_outstanding(before)) raw_.get()->shutdown();
  // They wait behind those, also where others would wait for the next stream: one may be a later part of a composed
  // operation.
  queue_.refuse(ended, reading | writing, losses_);
  tell_owner();
}

void stream_state::bring_down(const loss& why, error_code verdict, wait_list& ended) noexcept {
  const unsigned now = word_.load();
  if (now & word::up) {
    if (!(now & word::lost)) note_loss(why);
    take_down(verdict, ended);
  } else if (verdict) {
    losses_.set_verdict(verdict);
  }
}

std::unique_ptr<stream> stream_state::take() noexcept { return word::is_drained(word_.load()) ? take_away() : nullptr; }

std::unique_ptr<stream> stream_state::take_away() noexcept {
  auto s = raw_.take();
  if (!s) return nullptr;
  sessions_.stream_goes(s->sessions(), has_user());
  if (sessions_.has_remains()) tell_owner();
  return s;
}

bool stream_state::has_user() const noexcept {
  // A lease that is out has let its stream be taken away by its consent; with another the lease has ended.
  if (use_ == channel_use::leased) return hooked_ || (word_.load() & word::apart) || gone_with_context_;
  return !left_;
}

std::unique_ptr<stream> stream_state::release() noexcept { return word_.step(word::release) ? raw_.take() : nullptr; }

std::unique_ptr<stream> stream_state::part(const loss& why, wait_list& ended) noexcept {
  const unsigned before = word_.load();
  const leftover left = judge(before, {}).left;
  const bool is_clean = left == leftover::used || left == leftover::unused;
  if (!is_clean || hooked_ || (before & word::queued) || !word_.step(word::release)) return nullptr;
  losses_.note(why, before);
  // Who came in between.
  queue_.refuse(ended, reading | writing, losses_);
  tell_owner();
  return raw_.take();
}

void stream_state::retire(wait_list& ended) noexcept {
  retired_ = true;
  // A watch from before the lease would keep the context for as long as that lasts.
  if (stream* const s = raw_.get()) s->cancel_wait_readable();
  if (!(word_.load() & word::up)) queue_.take_all(ended, errc::closed);
}

void stream_state::close(wait_list& ended) noexcept {
  gone_ = true;
  retired_ = true;
  const unsigned before = word_.set(word::closed);
  queue_.take_all(ended, errc::closed);
  if (before & word::up) {
    if (!(before & word::lost)) note_loss({{}, {}, ending::surplus});
    take_down(errc::closed, ended);
  } else {
    losses_.set_verdict(errc::closed);
  }
}

void stream_state::orphan(wait_list& ended) noexcept {
  owner_ = nullptr;
  word_.set(word::orphaned);
  if (word_.load() & word::up) {
    note_loss({errc::closed, {}, ending::surplus});
    take_down(asio::error::operation_aborted, ended);
  }
}

std::unique_ptr<stream> stream_state::shut_down(wait_list& ended) noexcept {
  gone_ = true;
  retired_ = true;
  word_.set(word::closed);
  word_.clear(word::up);
  queue_.take_all(ended, errc::closed);
  gone_with_context_ = true;
  return take_away();
}

void stream_state::set_hooked(bool hooked) noexcept {
  hooked_ = hooked;
  if (!hooked) leave_former_sessions();
}

void stream_state::leave_former_sessions() noexcept {
  sessions_.go_on();
  if (sessions_.has_remains()) tell_owner();
}

session_list& stream_state::seen_sessions() noexcept {
  // There is another stream since.
  if (use_ == channel_use::alone && raw_.get()) leave_former_sessions();
  return sessions_.seen(raw_.get());
}

void stream_state::leave_sessions(session_list& of_it) noexcept {
  // Who has a connection that stands alone may have references for as long as he has that.
  const bool in_use = use_ == channel_use::alone && !left_;
  sessions_.leave(of_it, in_use);
  if (sessions_.has_remains()) tell_owner();
}

session_list stream_state::take_sessions() noexcept {
  if (stream* const s = raw_.get()) sessions_.stream_goes(s->sessions(), false);
  sessions_.go_on();
  return sessions_.take_remains();
}

void stream_state::end_alone() noexcept {
  left_ = true;
  leave_former_sessions();
}

}  // namespace cocp::detail
