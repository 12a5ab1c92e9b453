// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// The transitions of `stream_word`, over all words there are; and every interleaving of a few threads over them.
//
// The second part is a model: coroutines, each a thread, that do step by step what a channel does, on the real
// transitions. A step is one access to the word, or the taking or letting go of the channel's mutex; whatever else a
// function does is done under the mutex, or by its thread alone, and goes with the step before it. All schedules are
// tried. Each function of `actor` has the name of the one of `kept_channel` or of its parts (`stream_state`,
// `stream_queue`) that it stands for, with what it calls under the mutex, its accesses to the word in the same order,
// and the same conditions: **who changes one of them there changes it here.**
//
// | here               | in channel                                            |
// |--------------------|-------------------------------------------------------|
// | `on_word`          | one `load`, `step`, `set` or `clear` of `word_`       |
// | `lock`, `unlock`   | a `lock_guard`, and the `complete_all` behind it      |
// | `machine::rung`    | `stream_state::tell_owner`, which rings an alarm      |
// | `machine::stream`  | the stream in `raw_stream`: its generation, 0 if none |
// | `machine::shut`    | what `stream::shutdown` has done                      |
// | `..._waiters`      | `stream_queue`                                        |
// | `take_stream`      | `stream_state::take`                                  |
// | `settle`           | `channel_waiter::settle`                              |
// | `operate`          | `start_operation`, `delayed_operation`, and the end   |
// | `supervise`        | `supervisor::run` from `open` on                      |

#include "support/sanitized.hpp"

#include <cocp/impl/stream_word.hpp>

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <optional>
#include <ostream>
#include <set>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace data = boost::unit_test::data;
using word = cocp::detail::stream_word;

namespace {

constexpr unsigned reading = word::reading;
constexpr unsigned writing = word::writing;
constexpr unsigned all_bits = 524287;

/// What an event does to the words that it is about.
struct transition {
  const char* rule;
  std::optional<unsigned> (*next)(unsigned w);
  /// The words that it is about have all of the first bits and none of the second;
  unsigned about = 0;
  unsigned not_about = 0;
  /// of those it is a step from what has all of these and none of these,
  unsigned needs = 0;
  unsigned forbids = 0;
  /// to the same with these and without those.
  unsigned sets = 0;
  unsigned clears = 0;

  friend std::ostream& operator<<(std::ostream& out, const transition& t) { return out << t.rule; }
};

constexpr unsigned of_a_stream =
    word::used | word::answered | word::asked | word::dirty | word::touched | word::lost | word::halved;

/// What a lease may have left that ends at once.
constexpr unsigned of_a_clean_use = word::timed | word::sent | word::got;

const std::vector<transition> transitions{
    {.rule = "a read begins on a stream that is up, lost or not, if none is outstanding and nothing was ended",
     .next = [](unsigned w) { return word::begin(w, reading); },
     .needs = word::up,
     .forbids = reading | word::expired | word::closed | word::apart,
     .sets = reading | word::used},
    {.rule = "a write begins likewise, and not on a stream that has failed, or behind the last write",
     .next = [](unsigned w) { return word::begin(w, writing); },
     .needs = word::up,
     .forbids = writing | word::expired | word::closed | word::apart | word::broken | word::halved,
     .sets = writing | word::used},
    {.rule = "of one of a lease that has ended, no more than that",
     .next = [](unsigned w) { return word::end_well(w, reading, true); },
     .not_about = word::used,
     .needs = word::up,
     .forbids = word::queued | word::orphaned,
     .sets = word::answered,
     .clears = reading | word::asked},
    {.rule = "nor of a write",
     .next = [](unsigned w) { return word::end_well(w, writing, true); },
     .not_about = word::used,
     .needs = word::up,
     .forbids = word::queued | word::orphaned,
     .sets = word::asked,
     .clears = writing},
    {.rule = "a read that brings bytes has brought an answer, and its lease has got something",
     .next = [](unsigned w) { return word::end_well(w, reading, true); },
     .about = word::used,
     .needs = word::up,
     .forbids = word::queued | word::orphaned,
     .sets = word::answered | word::got,
     .clears = reading | word::asked},
    {.rule = "a write that moves bytes may have asked for an answer, and its lease has sent something",
     .next = [](unsigned w) { return word::end_well(w, writing, true); },
     .about = word::used,
     .needs = word::up,
     .forbids = word::queued | word::orphaned,
     .sets = word::asked | word::sent,
     .clears = writing},
    {.rule = "a read that moves nothing answers nothing",
     .next = [](unsigned w) { return word::end_well(w, reading, false); },
     .needs = word::up,
     .forbids = word::queued | word::orphaned,
     .clears = reading},
    {.rule = "a write that moves nothing asks nothing",
     .next = [](unsigned w) { return word::end_well(w, writing, false); },
     .needs = word::up,
     .forbids = word::queued | word::orphaned,
     .clears = writing},
    {.rule = "a lease that was used ends at once if nothing is outstanding, amiss or unanswered",
     .next = [](unsigned w) { return word::leave(w, false); },
     .about = word::used,
     .needs = word::up,
     .forbids = all_bits & ~(word::up | word::used | word::answered | word::touched | of_a_clean_use),
     .sets = word::touched,
     .clears = word::used | of_a_clean_use},
    {.rule = "where nothing is answered, also behind a write",
     .next = [](unsigned w) { return word::leave(w, true); },
     .about = word::used,
     .needs = word::up,
     .forbids = all_bits & ~(word::up | word::used | word::answered | word::touched | word::asked | of_a_clean_use),
     .sets = word::touched,
     .clears = word::used | word::asked | of_a_clean_use},
    {.rule = "a lease that was not used leaves no trace",
     .next = [](unsigned w) { return word::leave(w, false); },
     .not_about = word::used,
     .needs = word::up,
     .forbids = all_bits & ~(word::up | word::answered | word::touched | of_a_clean_use),
     .clears = of_a_clean_use},
    {.rule = "a limit that is set has not passed",
     .next = [](unsigned w) { return std::optional(word::limit(w)); },
     .sets = word::timed,
     .clears = word::expired},
    {.rule = "a limit passes unless its lease has ended",
     .next = word::strike,
     .needs = word::timed,
     .sets = word::expired},
    {.rule = "what operations have done is forgotten with a new stream, and nothing else: not that a lease is apart",
     .next = [](unsigned w) { return std::optional(word::open(w)); },
     .sets = word::up,
     .clears = of_a_stream},
    {.rule = "a stream is passed on to others while it is up and whole, and nothing is outstanding",
     .next = word::release,
     .needs = word::up,
     .forbids = word::lost | word::halved | reading | writing,
     .clears = word::up},
    {.rule = "a stream is up, as far as is known, until it is lost or down",
     .next = [](unsigned w) { return word::is_up(w) ? std::optional(w) : std::nullopt; },
     .needs = word::up,
     .forbids = word::ended | word::broken},
    {.rule = "who waits for a stream may use it when it is up and his",
     .next = [](unsigned w) { return word::is_usable(w) ? std::optional(w) : std::nullopt; },
     .needs = word::up,
     .forbids = word::ended | word::broken | word::apart},
    {.rule = "a lease is unused while nothing was started, and nothing has come between",
     .next = [](unsigned w) { return word::is_unused(w) ? std::optional(w) : std::nullopt; },
     .needs = word::up,
     .forbids = all_bits & ~(word::up | word::answered | word::touched)},
    {.rule = "a read that has begun goes on to a stream that is not down",
     .next = [](unsigned w) { return word::serves(w, reading) ? std::optional(w) : std::nullopt; },
     .needs = word::up},
    {.rule = "and a write to one that has not failed, and had no last write",
     .next = [](unsigned w) { return word::serves(w, writing) ? std::optional(w) : std::nullopt; },
     .needs = word::up,
     .forbids = word::broken | word::halved},
    {.rule = "a lease that is apart may go on with a stream that is up, lost or not",
     .next = [](unsigned w) { return word::may_consent(w) ? std::optional(w) : std::nullopt; },
     .needs = word::up | word::apart},
    {.rule = "the last operation deletes what nobody owns",
     .next = [](unsigned w) { return word::is_abandoned(w) ? std::optional(w) : std::nullopt; },
     .needs = word::orphaned,
     .forbids = word::up | reading | writing},
    {.rule = "a supervisor may take a stream that is down, when nothing is outstanding",
     .next = [](unsigned w) { return word::is_drained(w) ? std::optional(w) : std::nullopt; },
     .forbids = word::up | reading | writing},
};

// ---- The model.

enum class error : unsigned char { none, aborted, eof, failed, closed, timed_out };

enum class use : unsigned char { alone, leased, once_only };

/// What is done wrongly on purpose, so that the checker is known to find it.
enum class fault : unsigned char {
  none,
  queued_is_marked_after_the_second_look,
  operations_are_looked_for_before_up_is_cleared,
  the_bit_is_cleared_before_up_is_looked_at,
  a_good_end_does_not_look_for_the_queue,
  a_good_end_does_not_look_whether_it_is_down,
  the_last_end_does_not_tell_the_supervisor,
  a_loss_in_a_lease_is_not_told,
  a_consent_does_not_hold_operations_off,
  a_late_cancellation_withdraws_any_consent,
  a_lease_ends_without_a_look_for_operations,
  a_limit_outlasts_its_lease,
  a_lost_lease_keeps_its_waiting_writes,
  a_wait_that_has_ended_is_cancelled_again,
  a_stream_is_released_in_two_steps,
  a_down_stream_is_taken_without_a_look,
  retire_leaves_those_who_wait,
  who_waits_is_not_looked_at_by_open,
  who_waits_behind_an_operation_waits_for_the_next_stream,
};

class machine;

/// A coroutine that is called by others.
class [[nodiscard]] task {
 public:
  struct promise_type {
    std::coroutine_handle<> caller = std::noop_coroutine();

    task get_return_object() noexcept { return task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct back {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
          return h.promise().caller;
        }
        void await_resume() noexcept {}
      };
      return back();
    }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };

  explicit task(std::coroutine_handle<promise_type> h) noexcept : coroutine_(h) {}
  task(task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  task& operator=(task&&) = delete;
  ~task() {
    if (coroutine_) coroutine_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept {
    coroutine_.promise().caller = caller;
    return coroutine_;
  }
  void await_resume() const noexcept {}

  void start() { coroutine_.resume(); }
  bool done() const { return coroutine_.done(); }

 private:
  std::coroutine_handle<promise_type> coroutine_;
};

using guard = bool (*)(const machine&, std::size_t thread);

/// One thread, and the waiter that it may be.
struct thread {
  std::optional<task> body;
  std::coroutine_handle<> at;
  /// When it may make its next step; null: now.
  guard may = nullptr;
  /// Its next step can be made at once: it only lets others go on, so nothing is missed if none of theirs comes first.
  bool at_once = false;
  /// All that it has seen so far: what it does next depends on nothing else.
  std::uint64_t seen = 0;

  /// What became of its operation or wait.
  error ec = error::none;
  unsigned operation = 0;
  bool waiting = false;
  bool begun = false;
  bool cancelled_late = false;
  bool delivered = false;
  /// In the hands of its user, so that the lease cannot end, or in those of whoever cancels it.
  bool calling = false;
  bool being_cancelled = false;
  /// The stream that its operation has begun on, and that its consent is for.
  unsigned on = 0;
  unsigned first_on = 0;
  unsigned consents_to = 0;
  /// It does nothing while nobody answers.
  bool silent = false;
  /// It holds a pointer that keeps the channel.
  bool holds = false;
};

/// All that the threads share.
class machine {
 public:
  machine(use u, fault f) : kind(u), broken(f) {}

  const use kind;
  const fault broken;
  unsigned w = 0;
  static constexpr std::size_t nobody = 99;
  std::size_t holder = nobody;
  std::vector<std::size_t> queue;
  error verdict = error::none;
  error write_error = error::none;
  error cause = error::none;
  bool retired = false;
  bool gone = false;
  bool rung = false;
  bool deadline = false;
  unsigned stream = 0;
  unsigned generation = 0;
  bool shut = false;

  // The pool's.
  bool lease_is_out = false;
  bool pool_closed = false;

  /// The user's, where there is a composed operation: only one of his handlers runs at a time.
  bool one_at_a_time = false;
  std::size_t strand = nobody;

  // What is checked.
  unsigned noted = 0;
  unsigned told = 0;
  bool outstanding[2] = {};
  /// The stream that the lease may use.
  unsigned agreed = 0;
  bool orphaned = false;
  unsigned deleted = 0;
  bool passed_on = false;
  std::string wrong;

  std::vector<thread> threads;
  std::size_t running = 0;

  void require(bool condition, const char* rule) {
    if (!condition && wrong.empty()) wrong = rule;
  }

  static std::size_t direction(unsigned operation) { return operation == reading ? 0 : 1; }

  void begins(std::size_t t, unsigned operation) {
    bool& out = outstanding[direction(operation)];
    require(!out, "one operation of a kind at a time");
    out = true;
    threads[t].on = stream;
    require(stream != 0, "an operation begins on a stream");
    require(kind != use::leased || stream == agreed, "in a lease nothing begins on another stream without consent");
  }

  void ends(std::size_t t, unsigned operation, bool looks_well) {
    bool& out = outstanding[direction(operation)];
    require(out, "an operation ends once");
    out = false;
    require(stream != 0 && stream == threads[t].on, "nobody takes a stream from under an operation");
    require(!looks_well || (w & word::up), "what ends well on a stream that is down is no success");
  }

  void bits_are_right() {
    require(bool(w & reading) == outstanding[0] && bool(w & writing) == outstanding[1],
            "an operation's bit is set while it is outstanding");
  }

  std::uint64_t hash() const {
    std::uint64_t h = 7;
    const auto mix = [&h](auto... values) {
      ((h = (h * 0x9E3779B97F4A7C15u) ^ static_cast<std::uint64_t>(values)), ...);
      h ^= h >> 29;
    };
    mix(w, holder, stream, generation, agreed, noted, told, strand, verdict, write_error, cause, deleted);
    mix(retired, gone, rung, deadline, shut, lease_is_out, pool_closed, orphaned, passed_on);
    mix(outstanding[0], outstanding[1]);
    for (const std::size_t q : queue) mix(q + 1);
    for (const thread& t : threads) {
      mix(t.seen, t.ec, t.operation, t.on, t.first_on, t.consents_to);
      mix(t.waiting, t.begun, t.cancelled_late, t.delivered, t.calling, t.being_cancelled, t.silent, t.holds);
    }
    return h;
  }
};

/// A step: made when the schedule comes to it.
template <class Action>
struct step_of {
  machine& m;
  Action action;
  guard may;
  unsigned line;
  bool at_once = false;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) const {
    m.threads[m.running].at = h;
    m.threads[m.running].may = may;
    m.threads[m.running].at_once = at_once;
  }
  unsigned await_resume() const {
    const auto result = static_cast<unsigned>(action());
    std::uint64_t& seen = m.threads[m.running].seen;
    seen = (seen ^ (line | std::uint64_t{result} << 32)) * 0xD6E8FEB86659FD93u;
    seen ^= seen >> 31;
    return result;
  }
};

/// Does as one thread what channel's functions do.
class actor {
  using list = std::vector<std::size_t>;

  static constexpr std::size_t nobody = machine::nobody;

  thread& self() { return m.threads[me]; }
  bool is(fault f) const { return m.broken == f; }

  static bool all_have_called(const machine& all, std::size_t) {
    for (const thread& t : all.threads) {
      if (t.calling) return false;
    }
    return true;
  }

  template <class Action>
  step_of<Action> on_word(Action action, std::source_location at = std::source_location::current()) {
    m.require(m.deleted == 0, "nobody touches what is deleted");
    return {m, action, nullptr, at.line()};
  }
  /// One critical section of the pool's.
  template <class Action>
  step_of<Action> in_pool(Action action, guard may = nullptr,
                          std::source_location at = std::source_location::current()) {
    return {m, action, may, at.line()};
  }
  auto when(guard may, std::source_location at = std::source_location::current()) {
    const auto nothing = [] { return 0; };
    return step_of<decltype(nothing)>{m, nothing, may, at.line()};
  }
  auto lock(std::source_location at = std::source_location::current()) {
    m.require(m.deleted == 0, "nobody touches what is deleted");
    const auto hold = [this] {
      m.holder = me;
      return 0;
    };
    const guard may = [](const machine& all, std::size_t) { return all.holder == nobody; };
    return step_of<decltype(hold)>{m, hold, may, at.line()};
  }
  auto unlock(const list& ended, std::source_location at = std::source_location::current()) {
    const auto let_go = [this, &ended] {
      m.holder = nobody;
      for (const std::size_t q : ended) {
        m.require(!m.threads[q].delivered, "a wait ends once");
        m.threads[q].delivered = true;
      }
      return 0;
    };
    return step_of<decltype(let_go)>{m, let_go, nullptr, at.line(), true};
  }
  auto unlock(std::source_location at = std::source_location::current()) {
    static const list none;
    return unlock(none, at);
  }
  /// The supervisor's alarm: a ring before the wait ends the wait.
  auto rest(std::source_location at = std::source_location::current()) {
    const auto hear = [this] {
      m.rung = false;
      return 0;
    };
    const guard may = [](const machine& all, std::size_t) { return all.rung; };
    return step_of<decltype(hear)>{m, hear, may, at.line()};
  }

  bool begin_now(std::size_t t, unsigned operation) {
    const auto n = word::begin(m.w, operation);
    if (!n) return false;
    m.w = *n;
    m.begins(t, operation);
    return true;
  }

  task enter() {
    if (!m.one_at_a_time || m.strand == me) co_return;
    const auto hold = [this] {
      m.strand = me;
      return 0;
    };
    co_await in_pool(hold, [](const machine& all, std::size_t) { return all.strand == machine::nobody; });
  }
  void leave() {
    if (m.strand == me) m.strand = nobody;
  }

  void destroy() {
    ++m.deleted;
    m.stream = 0;
  }

  void pass_on() {
    m.require(!m.outstanding[0] && !m.outstanding[1], "no stream is passed on with an operation outstanding");
    m.stream = 0;
    m.passed_on = true;
  }

 public:
  actor(machine& machine, std::size_t id) : m(machine), me(id) {}

  /// \name Channel's functions, and those of whoever calls them
  /// @{
  task begin(unsigned operation, bool& begun) {
    begun = co_await on_word([&] { return begin_now(me, operation); });
  }

  task end(unsigned operation, bool moved) {
    if (self().ec == error::none) {
      const bool well = co_await on_word([&] {
        std::optional<unsigned> n;
        if (is(fault::a_good_end_does_not_look_for_the_queue)) {
          n = word::end_well(m.w & ~word::queued, operation, moved);
          if (n) *n |= m.w & word::queued;
        } else if (is(fault::a_good_end_does_not_look_whether_it_is_down)) {
          n = word::end_well(m.w | word::up, operation, moved);
          if (n) *n &= m.w | ~unsigned{word::up};
        } else {
          n = word::end_well(m.w, operation, moved);
        }
        if (!n) return false;
        m.ends(me, operation, true);
        m.w = *n;
        return true;
      });
      if (well) co_return;
    }
    co_await end_slowly(operation, moved);
  }

  task end_slowly(unsigned operation, bool moved) {
    error& ec = self().ec;
    list ended;
    bool deletes = false;
    co_await lock();
    if (ec == error::none && moved) {
      co_await on_word([&] { return m.w = word::move(m.w, operation, true), 0; });
    }
    unsigned cleared_early = 0;
    if (is(fault::the_bit_is_cleared_before_up_is_looked_at)) {
      cleared_early = co_await on_word([&] {
        m.ends(me, operation, false);
        m.w &= ~operation;
        return 1;
      });
    }
    const unsigned before = co_await on_word([&] { return m.w & (word::up | word::lost); });
    if (!(before & word::up)) {
      if (ec != error::aborted || m.verdict != error::none) ec = loss_error(operation);
    } else if (before & word::broken) {
      if (ec != error::none && ec != error::aborted) ec = loss_error(operation);
    } else if (ec == error::aborted) {
      co_await on_word([&] { return m.w |= word::dirty, 0; });
    } else if (ec == error::eof && m.kind != use::alone && operation == reading) {
      if (!(before & word::ended)) co_await lose(ec, word::ended, error::none, ended);
    } else if (ec != error::none) {
      co_await lose(ec, word::broken, error::none, ended);
    }
    const unsigned now = co_await on_word([&] {
      if (!cleared_early) m.ends(me, operation, ec == error::none);
      m.w &= ~operation;
      m.bits_are_right();
      return m.w & (word::up | word::queued | word::orphaned | reading | writing);
    });
    if (now & word::up) {
      if (now & word::queued) co_await release_waiters(ended);
    } else if (word::is_drained(now)) {
      if (!is(fault::the_last_end_does_not_tell_the_supervisor)) m.rung = true;
      if (m.gone) co_await take_stream();
    }
    deletes = word::is_abandoned(now);
    co_await unlock(ended);
    if (deletes) destroy();
  }

  /// `leftover`, as 0 unused, 1 used, 2 dirty, 3 down.
  task end_use(unsigned& left) {
    const bool unused = co_await on_word([&] { return word::is_unused(m.w); });
    left = 0;
    if (unused) co_return;
    const bool fine = co_await on_word([&] {
      const unsigned blind = is(fault::a_lease_ends_without_a_look_for_operations) ? reading | writing : 0u;
      const auto n = word::leave(m.w & ~blind, true);
      if (n) m.w = *n | (m.w & blind);
      return n.has_value();
    });
    left = 1;
    if (fine) co_return;
    co_await end_use_slowly(left);
  }

  task end_use_slowly(unsigned& left) {
    list aborted;
    co_await lock();
    m.deadline = false;
    bool queued = false;
    co_await take_waiters(aborted, error::aborted, queued);
    const unsigned now =
        co_await on_word([&] { return m.w & (word::up | word::lost | word::dirty | word::used | reading | writing); });
    left = 3;
    if (!(now & word::up) || (now & word::lost)) {
      if (m.verdict == error::none) m.verdict = error::aborted;
      if (now & word::up) co_await take_down(m.verdict, aborted);
    } else if (queued || (now & (reading | writing)) || (now & word::dirty)) {
      co_await note_loss(error::none);
      co_await take_down(error::aborted, aborted);
      left = 2;
    } else {
      left = (now & word::used) ? 1 : 0;
      if (now & word::used) co_await on_word([&] { return m.w |= word::touched, 0; });
    }
    co_await on_word([&] {
      m.w &= ~word::of_a_use | (m.gone ? unsigned{word::closed} : 0u);
      return 0;
    });
    co_await unlock(aborted);
  }

  task note_loss(error why) {
    co_await on_word([] { return 0; });
    m.cause = why;
    m.write_error = error::none;
    ++m.noted;
  }

  task lose(error why, unsigned how, error verdict, list& refused) {
    const bool known = co_await on_word([&] { return bool(m.w & word::lost); });
    if (!known) co_await note_loss(why);
    if (m.kind == use::alone) {
      co_await take_down(verdict, refused);
      co_return;
    }
    if (known) m.write_error = why;
    co_await on_word([&] { return m.w |= how, 0; });
    if (how == word::broken) {
      m.verdict = verdict;
      m.shut = true;
      if (!is(fault::a_lost_lease_keeps_its_waiting_writes)) co_await refuse_waiters(refused, writing);
    }
    if (!is(fault::a_loss_in_a_lease_is_not_told)) m.rung = true;
  }

  task take_down(error verdict, list& refused) {
    bool in_use = false;
    if (is(fault::operations_are_looked_for_before_up_is_cleared)) {
      in_use = co_await on_word([&] { return bool(m.w & (reading | writing)); });
      co_await on_word([&] { return m.w &= ~unsigned{word::up}, 0; });
    } else {
      in_use = co_await on_word([&] {
        const bool out = m.w & (reading | writing);
        m.w &= ~unsigned{word::up};
        return out;
      });
    }
    m.verdict = verdict;
    if (in_use) m.shut = true;
    if (m.kind != use::alone || !is(fault::who_waits_behind_an_operation_waits_for_the_next_stream)) {
      co_await refuse_waiters(refused, reading | writing);
    }
    m.rung = true;
  }

  task open(bool& opened) {
    list ready;
    opened = false;
    co_await lock();
    if (!m.gone) {
      m.stream = ++m.generation;
      m.shut = false;
      m.verdict = m.write_error = error::none;
      co_await on_word([&] {
        m.require(word::is_drained(m.w), "a stream is opened when the one before is down and drained");
        m.w = word::open(m.w);
        if (!m.lease_is_out) m.agreed = m.stream;
        return 0;
      });
      opened = true;
      if (!is(fault::who_waits_is_not_looked_at_by_open)) co_await release_waiters(ready);
    }
    co_await unlock(ready);
  }

  task bring_down(error why, error verdict) {
    list refused;
    co_await lock();
    const unsigned now = co_await on_word([&] { return m.w & (word::up | word::lost); });
    if (now & word::up) {
      if (!(now & word::lost)) co_await note_loss(why);
      co_await take_down(verdict, refused);
    } else if (verdict != error::none) {
      m.verdict = verdict;
    }
    co_await unlock(refused);
  }

  task retire() {
    list ended;
    co_await lock();
    m.retired = true;
    const bool is_up = co_await on_word([&] { return bool(m.w & word::up); });
    if (!is_up && !is(fault::retire_leaves_those_who_wait)) co_await take_waiters(ended, error::closed);
    co_await unlock(ended);
    m.rung = true;
  }

  task close() {
    list ended;
    co_await lock();
    m.gone = m.retired = true;
    const unsigned before = co_await on_word([&] {
      const unsigned b = m.w & (word::up | word::lost);
      m.w |= word::closed;
      return b;
    });
    co_await take_waiters(ended, error::closed);
    if (before & word::up) {
      if (!(before & word::lost)) co_await note_loss(error::none);
      co_await take_down(error::closed, ended);
    } else {
      m.verdict = error::closed;
    }
    m.deadline = false;
    co_await unlock(ended);
  }

  task close_use() {
    list ended;
    co_await lock();
    const unsigned before = co_await on_word([&] {
      const unsigned b = m.w & word::up;
      m.w |= word::closed;
      return b;
    });
    co_await take_waiters(ended, error::closed);
    if (before) co_await lose(error::closed, word::broken, error::closed, ended);
    m.verdict = error::closed;
    co_await unlock(ended);
  }

  task take() {
    co_await lock();
    co_await take_stream();
    co_await unlock();
  }

  task take_stream() {
    const bool drained = co_await on_word([&] { return word::is_drained(m.w); });
    if (drained || is(fault::a_down_stream_is_taken_without_a_look)) m.stream = 0;
  }

  task release() {
    co_await lock();
    if (is(fault::a_stream_is_released_in_two_steps)) {
      const bool can = co_await on_word([&] { return word::is_up(m.w) && !(m.w & (reading | writing)); });
      if (can) {
        co_await on_word([&] { return m.w &= ~unsigned{word::up}, 0; });
        pass_on();
      }
    } else {
      const bool can = co_await on_word([&] {
        const auto n = word::release(m.w);
        m.w = n.value_or(m.w);
        return n.has_value();
      });
      if (can) pass_on();
    }
    co_await unlock();
  }

  task orphan() {
    list aborted;
    co_await lock();
    m.orphaned = true;
    co_await on_word([&] { return m.w |= word::orphaned, 0; });
    const bool is_up = co_await on_word([&] { return bool(m.w & word::up); });
    if (is_up) {
      co_await note_loss(error::closed);
      co_await take_down(error::aborted, aborted);
    }
    const bool unused = co_await on_word([&] { return word::is_drained(m.w); });
    co_await unlock();
    if (unused) destroy();
  }

  /// Until it has its result: `self().ec`, and the operation has begun if that is none.
  task wait(unsigned operation) {
    thread& t = self();
    t.operation = operation;
    t.begun = t.delivered = t.cancelled_late = false;
    list now;
    co_await lock();
    t.ec = error::none;
    co_await refusal(operation, t.ec);
    const bool refused = t.ec != error::none;
    if (!refused) {
      if (operation == 0 && m.kind == use::leased) co_await agree(now);
      t.waiting = true;
      m.queue.push_back(me);
      if (!is(fault::queued_is_marked_after_the_second_look)) {
        co_await on_word([&] { return m.w |= word::queued, 0; });
      }
      co_await release_waiters(now);
      if (is(fault::queued_is_marked_after_the_second_look)) {
        co_await on_word([&] { return m.w |= word::queued, 0; });
      }
    } else {
      t.delivered = true;
    }
    t.calling = false;
    leave();
    co_await unlock(now);
    // Its handler is called when nobody else is on its executor.
    const auto run = [&t, this] {
      t.delivered = false;
      if (m.one_at_a_time) m.strand = me;
      return 0;
    };
    co_await in_pool(run, [](const machine& all, std::size_t id) {
      return all.threads[id].delivered && !all.threads[id].being_cancelled && all.strand == machine::nobody;
    });
    co_await settle();
  }

  task settle() {
    thread& t = self();
    if (t.ec != error::none) co_return;
    if (t.operation == 0 && is(fault::a_late_cancellation_withdraws_any_consent)) {
      if (!t.cancelled_late) {
        m.agreed = m.stream;
        co_await on_word([&] { return m.w &= ~unsigned{word::apart}, 0; });
      } else {
        t.ec = error::aborted;
        co_await on_word([&] { return m.w |= word::apart, 0; });
      }
      co_return;
    }
    if (t.cancelled_late) {
      t.ec = error::aborted;
      if (t.begun) co_await end_slowly(t.operation, false);
    } else if (t.operation == 0) {
      co_await consent(t.consents_to);
    }
  }

  task consent(unsigned stream) {
    co_await lock();
    const bool it_is = co_await on_word([&] { return word::may_consent(m.w); });
    if (it_is && m.generation == stream) {
      m.agreed = m.stream;
      co_await on_word([&] { return m.w &= ~unsigned{word::apart}, 0; });
    }
    co_await unlock();
  }

  task agree(list& refused) {
    const unsigned now = co_await on_word([&] { return m.w & (word::up | word::lost); });
    if (word::is_up(now)) co_return;
    if (!is(fault::a_consent_does_not_hold_operations_off)) {
      co_await on_word([&] { return m.w |= word::apart, 0; });
    }
    if (now & word::up) co_await take_down(error::none, refused);
  }

  task refusal(unsigned operation, error& why) {
    const unsigned now =
        co_await on_word([&] { return m.w & (word::closed | word::expired | word::up | word::lost | word::apart); });
    if (now & word::closed) {
      why = error::closed;
    } else if (now & word::expired) {
      if (operation != 0) co_await on_word([&] { return m.w |= word::dirty, 0; });
      why = error::timed_out;
    } else if (m.kind == use::alone) {
      why = (now & word::up) || !m.retired ? error::none : error::closed;
    } else if (operation != 0) {
      const bool too_late = !(now & word::up) || (now & word::apart) || (operation == writing && (now & word::broken));
      if (too_late) why = loss_error(operation);
      m.require(!too_late || !word::is_up(now) || m.stream != m.agreed, "a lease may use its own stream");
    } else if (word::is_up(now)) {
      why = error::none;
    } else if (m.kind == use::once_only) {
      why = loss_error(0);
    } else {
      why = m.retired ? error::closed : error::none;
    }
  }

  error loss_error(unsigned operation) const {
    if (m.verdict != error::none) return m.verdict;
    if (operation == writing && m.write_error != error::none) return m.write_error;
    return m.cause != error::none ? m.cause : error::closed;
  }

  task why_not(unsigned operation, error& why) {
    const unsigned now = co_await on_word([&] { return m.w & (word::up | word::broken); });
    if ((now & word::up) && !(operation == writing && (now & word::broken))) co_return;
    co_await lock();
    why = loss_error(operation);
    co_await unlock();
  }

  task cancel(std::size_t target) {
    thread& t = m.threads[target];
    list ended;
    t.being_cancelled = true;
    co_await lock();
    if (!t.waiting && !is(fault::a_wait_that_has_ended_is_cancelled_again)) {
      t.cancelled_late = true;
    } else {
      m.require(t.waiting, "a wait ends once");
      t.waiting = false;
      t.ec = error::aborted;
      std::erase(m.queue, target);
      ended.push_back(target);
      if (t.operation != 0) co_await on_word([&] { return m.w |= word::dirty, 0; });
    }
    co_await unlock(ended);
    t.being_cancelled = false;
  }

  task take_waiters(list& into, error ec) {
    bool operations = false;
    co_await take_waiters(into, ec, operations);
  }
  task take_waiters(list& into, error ec, bool& operations) {
    for (const std::size_t q : m.queue) {
      m.threads[q].waiting = false;
      m.threads[q].ec = ec;
      operations = operations || m.threads[q].operation != 0;
      into.push_back(q);
    }
    m.queue.clear();
    co_await on_word([&] { return m.w &= ~unsigned{word::queued}, 0; });
  }

  task refuse_waiters(list& into, unsigned operations) {
    std::erase_if(m.queue, [&](std::size_t q) {
      thread& t = m.threads[q];
      if (!(t.operation & operations)) return false;
      t.waiting = false;
      t.ec = loss_error(t.operation);
      into.push_back(q);
      return true;
    });
    if (m.queue.empty()) co_await on_word([&] { return m.w &= ~unsigned{word::queued}, 0; });
  }

  task release_waiters(list& into) {
    const list waiting = m.queue;
    for (const std::size_t q : waiting) {
      thread& t = m.threads[q];
      const bool released =
          co_await on_word([&] { return t.operation == 0 ? word::is_up(m.w) : begin_now(q, t.operation); });
      if (!released) continue;
      t.begun = t.operation != 0;
      t.consents_to = m.generation;
      t.waiting = false;
      t.ec = error::none;
      std::erase(m.queue, q);
      into.push_back(q);
    }
    if (m.queue.empty()) co_await on_word([&] { return m.w &= ~unsigned{word::queued}, 0; });
  }

  task expire() {
    list refused;
    co_await lock();
    if (m.deadline) {
      m.deadline = false;
      const bool struck = co_await on_word([&] {
        const auto n = is(fault::a_limit_outlasts_its_lease) ? m.w | word::expired : word::strike(m.w);
        if (n) m.w = *n;
        return n.has_value();
      });
      if (!struck) {
        co_await unlock(refused);
        co_return;
      }
      const unsigned now = co_await on_word([&] { return m.w & (word::up | reading | writing); });
      if ((now & word::up) && (now & (reading | writing))) {
        co_await lose(error::timed_out, word::broken, error::timed_out, refused);
      }
      bool operations = false;
      co_await take_waiters(refused, error::timed_out, operations);
      if (operations) co_await on_word([&] { return m.w |= word::dirty, 0; });
    }
    co_await unlock(refused);
  }

  task supervise() {
    for (;;) {
      for (;;) {
        const bool is_up = co_await on_word([&] { return word::is_up(m.w) && !m.retired; });
        if (!is_up) break;
        co_await rest();
      }
      if (m.retired) break;
      // `open` of a stream that was not there before.
      if (m.generation != 0) {
        co_await lock();
        ++m.told;
        co_await unlock();
        for (;;) {
          const bool drained = co_await on_word([&] { return word::is_drained(m.w) || m.retired; });
          if (drained) break;
          co_await rest();
        }
        if (m.retired) break;
        co_await take();
      }
      bool opened = false;
      if (!m.retired) co_await open(opened);
      if (!opened) break;
    }
    co_await take();
  }
  /// @}

  /// \name What users do
  /// @{
  enum class outcome { well, eof, fails, cancelled, silent };

  /// An operation of so many parts, each started in the handler of the one before, or one that nothing answers.
  task operate(unsigned operation, outcome o, unsigned parts = 1) {
    thread& t = self();
    for (unsigned i = 0; i < parts; ++i) {
      t.calling = t.holds = true;
      t.ec = error::none;
      bool begun = false;
      co_await enter();
      co_await begin(operation, begun);
      t.calling = t.holds = false;
      if (!begun) {
        t.calling = t.holds = true;
        co_await wait(operation);
        if (t.ec != error::none) {
          t.holds = false;
          leave();
          co_return;
        }
        error why = error::none;
        co_await why_not(operation, why);
        t.holds = false;
        if (why != error::none) {
          t.ec = why;
          co_await end(operation, false);
          leave();
          co_return;
        }
      }
      leave();
      if (i == 0) t.first_on = t.on;
      m.require(t.on == t.first_on, "no composed operation has parts on two streams");
      co_await happen(o);
      co_await enter();
      t.calling = i + 1 < parts;
      co_await end(operation, o == outcome::well);
      if (t.ec != error::none) break;
    }
    t.calling = false;
    leave();
  }

  task happen(outcome o) {
    thread& t = self();
    switch (o) {
      case outcome::well:
        break;
      case outcome::eof:
        t.ec = error::eof;
        break;
      case outcome::fails:
        t.ec = error::failed;
        break;
      case outcome::cancelled:
        co_await on_word([&] { return m.w |= word::dirty, 0; });
        t.ec = error::aborted;
        break;
      case outcome::silent:
        t.silent = true;
        co_await when([](const machine& all, std::size_t) { return all.shut; });
        t.silent = false;
        t.ec = error::eof;
    }
  }

  task get_ready() {
    self().calling = self().holds = true;
    co_await enter();
    co_await wait(0);
    self().holds = false;
    leave();
  }

  task cancel_first() {
    self().calling = self().holds = true;
    co_await when([](const machine& all, std::size_t) {
      const thread& t = all.threads[0];
      return t.waiting || t.delivered || !t.calling;
    });
    if (m.threads[0].waiting || m.threads[0].delivered) co_await cancel(0);
    self().calling = self().holds = false;
  }

  task close_by_user() {
    self().calling = true;
    co_await close_use();
    self().calling = false;
  }

  /// The lease ends, and the next begins when it can.
  task put() {
    self().calling = false;
    co_await when(all_have_called);
    unsigned left = 0;
    co_await enter();
    co_await end_use(left);
    leave();
    co_await in_pool([&] {
      m.lease_is_out = false;
      return m.pool_closed;
    });
    if (m.pool_closed) {
      co_await stop();
      co_return;
    }
    const guard there_is_one = [](const machine& all, std::size_t) {
      return all.pool_closed || (word::is_up(all.w) && all.holder == nobody);
    };
    const auto lease_it = [&] {
      if (m.pool_closed) return false;
      m.lease_is_out = true;
      m.agreed = m.stream;
      m.require(!(m.w & ~(word::up | word::answered | word::touched)), "a lease leaves nothing to the next");
      return true;
    };
    const bool leased = co_await in_pool(lease_it, there_is_one);
    if (!leased) co_return;
    bool begun = false;
    co_await begin(reading, begun);
    m.require(begun, "the next lease can begin");
    if (!begun) co_return;
    self().ec = error::none;
    co_await end(reading, true);
    m.require(self().ec == error::none, "the next lease is not disturbed");
    co_await end_use(left);
    m.require(left == 1, "the next lease leaves a clean stream");
    co_await in_pool([&] {
      m.lease_is_out = false;
      return m.pool_closed;
    });
    if (m.pool_closed) co_await stop();
  }

  task close_pool() {
    const bool in_use = co_await in_pool([&] {
      m.pool_closed = true;
      return m.lease_is_out;
    });
    if (in_use) {
      co_await retire();
    } else {
      co_await stop();
    }
  }

  task stop() {
    co_await retire();
    co_await close();
    co_await take();
  }

  task bite() {
    self().holds = true;
    co_await bring_down(error::timed_out, error::timed_out);
    self().holds = false;
  }

  task strike() {
    self().holds = true;
    co_await expire();
    self().holds = false;
  }

  /// `on_connect` has ended: the stream goes to others, and the channel.
  task pass_on_and_go() {
    co_await when(all_have_called);
    co_await release();
    co_await close();
    co_await when([](const machine& all, std::size_t) {
      return std::ranges::none_of(all.threads, [](const thread& t) { return t.holds; });
    });
    co_await orphan();
  }
  /// @}

 private:
  machine& m;
  const std::size_t me;
};

/// Begins a program on a thread.
using program = task (*)(actor&);

struct named_program {
  const char* name;
  program run;
  bool composed = false;
};

using o = actor::outcome;

const named_program supervisor{"the supervisor", [](actor& a) { return a.supervise(); }};

/// What users of any connection do.
const std::vector<named_program> common{
    {"a read", [](actor& a) { return a.operate(reading, o::well); }},
    {"a read of the end", [](actor& a) { return a.operate(reading, o::eof); }},
    {"a read that fails", [](actor& a) { return a.operate(reading, o::fails); }},
    {"a read that is cancelled", [](actor& a) { return a.operate(reading, o::cancelled); }},
    {"a read of two parts", [](actor& a) { return a.operate(reading, o::well, 2); }, true},
    {"a read without an answer", [](actor& a) { return a.operate(reading, o::silent); }},
    {"a write", [](actor& a) { return a.operate(writing, o::well); }},
    {"a write that fails", [](actor& a) { return a.operate(writing, o::fails); }},
    {"ready", [](actor& a) { return a.get_ready(); }},
    {"a cancellation of the first", [](actor& a) { return a.cancel_first(); }},
    {"the deadline", [](actor& a) { return a.strike(); }},
};
const std::vector<named_program> only_alone{
    {"the end of the connection", [](actor& a) { return a.stop(); }},
};
const std::vector<named_program> only_leased{
    {"the end of the lease", [](actor& a) { return a.put(); }},
    {"close by its user", [](actor& a) { return a.close_by_user(); }},
    {"close of the pool", [](actor& a) { return a.close_pool(); }},
};
const std::vector<named_program> only_once{
    {"the end of on_connect", [](actor& a) { return a.pass_on_and_go(); }},
    {"the watchdog", [](actor& a) { return a.bite(); }},
};

/// Threads that start on one word.
struct scenario {
  use kind;
  unsigned at_first;
  std::vector<named_program> programs;

  friend std::ostream& operator<<(std::ostream& out, const scenario& s) {
    out << (s.kind == use::alone ? "alone" : s.kind == use::leased ? "leased" : "once only") << ", " << s.at_first;
    for (const auto& p : s.programs) out << "; " << p.name;
    return out;
  }
};

/// Runs all schedules of a scenario, each state once.
class checker {
 public:
  checker(const scenario& s, fault f) : scenario_(s), fault_(f) {}

  /// What was wrong, or nothing.
  std::string run() {
    std::vector<choice> schedule;
    do {
      begin();
      for (const choice& c : schedule) move(c.thread());
      while (machine_->wrong.empty()) {
        choice next = enabled();
        if (next.size == 0) {
          check_the_end();
          break;
        }
        if (!seen_.insert(machine_->hash()).second) break;
        schedule.push_back(next);
        move(next.thread());
      }
      if (!machine_->wrong.empty()) return machine_->wrong;
      while (!schedule.empty() && !schedule.back().advance()) schedule.pop_back();
    } while (!schedule.empty());
    return {};
  }

  std::size_t states() const { return seen_.size(); }

 private:
  /// Which threads may make the next step.
  struct choice {
    std::array<std::size_t, 5> threads{};
    std::size_t size = 0;
    std::size_t at = 0;
    std::size_t thread() const { return threads[at]; }
    bool advance() { return ++at < size; }
  };

  void begin() {
    actors_.clear();
    machine_.emplace(scenario_.kind, fault_);
    machine& m = *machine_;
    m.w = scenario_.at_first;
    m.deadline = scenario_.at_first & word::timed;
    if (m.w & word::up) m.stream = m.generation = 1;
    m.lease_is_out = m.kind == use::leased;
    m.agreed = m.stream;
    m.retired = m.kind == use::once_only;
    if (m.w & word::lost) {
      m.cause = m.w & word::ended ? error::eof : error::failed;
      m.shut = m.w & word::broken;
      m.noted = 1;
      m.rung = true;
    }
    std::vector<named_program> all = scenario_.programs;
    if (m.kind != use::once_only) all.push_back(supervisor);
    for (const auto& p : all) m.one_at_a_time = m.one_at_a_time || p.composed;
    m.threads.resize(all.size());
    actors_.reserve(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      actors_.emplace_back(m, i);
      m.running = i;
      m.threads[i].body.emplace(all[i].run(actors_[i]));
      m.threads[i].body->start();
    }
  }

  void move(std::size_t t) {
    machine_->running = t;
    machine_->threads[t].at.resume();
  }

  choice enabled() const {
    choice c;
    for (std::size_t i = 0; i < machine_->threads.size(); ++i) {
      const thread& t = machine_->threads[i];
      if (t.body->done() || (t.may && !t.may(*machine_, i))) continue;
      if (t.at_once) return {{i}, 1, 0};
      c.threads[c.size++] = i;
    }
    return c;
  }

  void check_the_end() {
    machine& m = *machine_;
    const bool supervised = m.kind != use::once_only;
    bool silent = false;
    for (const thread& t : m.threads) silent = silent || t.silent;
    for (std::size_t i = 0; i < m.threads.size(); ++i) {
      const thread& t = m.threads[i];
      if (t.body->done() || (supervised && i + 1 == m.threads.size())) continue;
      const bool behind_it = silent && t.waiting && t.operation == reading;
      m.require((t.silent || behind_it) && (m.w & word::up), "nobody waits for ever");
    }
    m.require(silent || !(m.w & (reading | writing)), "no operation's bit is left");
    if (supervised) m.require(m.retired || m.told == m.noted, "each loss is told");
    if (m.gone) m.require(m.stream == 0, "what is closed has no stream");
    if (supervised && !m.retired && !m.lease_is_out) m.require(word::is_up(m.w), "it comes back");
    if (m.kind == use::once_only) {
      bool ended = true;
      for (const thread& t : m.threads) ended = ended && t.body->done();
      if (m.orphaned && ended) m.require(m.deleted == 1, "what nobody has is deleted once");
    }
  }

  const scenario& scenario_;
  const fault fault_;
  std::optional<machine> machine_;
  std::vector<actor> actors_;
  std::unordered_set<std::uint64_t> seen_;
};

#if defined(COCP_TEST_SANITIZED)
constexpr std::size_t every = 7;
#else
constexpr std::size_t every = 1;
#endif

const named_program& find(std::string_view name) {
  for (const auto* programs : {&common, &only_alone, &only_leased, &only_once}) {
    for (const named_program& p : *programs) {
      if (p.name == name) return p;
    }
  }
  throw std::logic_error("there is no program of that name");
}

scenario of(use kind, unsigned at_first, std::initializer_list<const char*> names) {
  scenario s{kind, at_first, {}};
  for (const char* name : names) {
    s.programs.push_back(find(name));
    // Where there is no deadline, none was set.
    if (std::string_view(name) == "the deadline") s.at_first |= word::timed;
  }
  return s;
}

/// Every two programs, and each twice of which there can be two, on each word that a lease or a connection starts with.
std::vector<scenario> every_two() {
  const std::string_view of_the_end = "a read of the end";
  const std::string_view cancellation = "a cancellation of the first";
  // There is one of each of these.
  const std::set<std::string_view> single{
      cancellation,        "the deadline",      "the end of the connection", "the end of the lease",
      "close by its user", "close of the pool", "the end of on_connect",     "the watchdog"};
  std::vector<scenario> all;
  const auto add = [&](use kind, const std::vector<named_program>& more, std::vector<unsigned> words) {
    std::vector<named_program> programs = common;
    programs.insert(programs.end(), more.begin(), more.end());
    // An end is a loss like others there.
    if (kind == use::alone) std::erase_if(programs, [&](const auto& p) { return p.name == of_the_end; });
    for (const unsigned w : words) {
      for (std::size_t i = 0; i < programs.size(); ++i) {
        const std::string_view one = programs[i].name;
        if (one == cancellation) continue;
        for (std::size_t j = 0; j < programs.size(); ++j) {
          const std::string_view other = programs[j].name;
          if (j < i && other != cancellation) continue;
          if (i == j && single.contains(one)) continue;
          all.push_back(of(kind, w, {programs[i].name, programs[j].name}));
        }
      }
    }
  };
  add(use::alone, only_alone, {0, word::up});
  add(use::leased, only_leased, {word::up, word::up | word::ended, word::up | word::broken});
  add(use::once_only, only_once, {word::up});
  return all;
}

std::vector<scenario> some_three() {
  constexpr unsigned up = word::up;
  std::vector<scenario> all{
      of(use::alone, 0, {"a read", "a read of the end", "a cancellation of the first"}),
      of(use::alone, up, {"a read", "a write that fails", "the deadline"}),
      of(use::alone, up, {"a read", "a read", "a write that fails"}),
      of(use::alone, up, {"a read of two parts", "a read of the end", "a write that fails"}),
      of(use::alone, up, {"a read that fails", "a write that fails", "ready"}),
      of(use::alone, up, {"a read", "a write that fails", "the end of the connection"}),
      of(use::leased, up, {"ready", "a cancellation of the first", "a read that fails"}),
      of(use::leased, up, {"ready", "a read", "a write that fails"}),
      of(use::leased, up, {"ready", "a read that fails", "the end of the lease"}),
      of(use::leased, up, {"ready", "a read that fails", "close of the pool"}),
      of(use::leased, up, {"a read of the end", "a write that fails", "the end of the lease"}),
      of(use::leased, up, {"a read", "the deadline", "the end of the lease"}),
      of(use::leased, up, {"a read", "close by its user", "the end of the lease"}),
      of(use::leased, up, {"a read that fails", "the end of the lease", "close of the pool"}),
      of(use::leased, up, {"a write", "a write", "a read that fails"}),
      of(use::once_only, up, {"a read", "a write that fails", "the end of on_connect"}),
      of(use::once_only, up, {"a read", "the end of on_connect", "the watchdog"}),
  };
  for (const unsigned lost : {word::ended, word::broken}) {
    all.push_back(of(use::leased, up | lost, {"ready", "a cancellation of the first", "the end of the lease"}));
    all.push_back(of(use::leased, up | lost, {"ready", "a cancellation of the first", "a read"}));
    all.push_back(of(use::leased, up | lost, {"ready", "the deadline", "the end of the lease"}));
  }
  return all;
}

/// A fault, where it shows, and as what.
struct finding {
  const char* name;
  fault made;
  scenario where;
  const char* rule;

  friend std::ostream& operator<<(std::ostream& out, const finding& f) { return out << f.name; }
};

const char* const wait_for_ever = "nobody waits for ever";
const char* const without_consent = "in a lease nothing begins on another stream without consent";

const std::vector<finding> findings{
    {"the queue is marked after the second look", fault::queued_is_marked_after_the_second_look,
     of(use::leased, word::up, {"a read", "a read"}), wait_for_ever},
    {"a good end does not look for the queue", fault::a_good_end_does_not_look_for_the_queue,
     of(use::leased, word::up, {"a read", "a read"}), wait_for_ever},
    {"who waits is not looked at when a stream is opened", fault::who_waits_is_not_looked_at_by_open,
     of(use::alone, 0, {"a read", "a write"}), wait_for_ever},
    {"a lost lease keeps its waiting writes", fault::a_lost_lease_keeps_its_waiting_writes,
     of(use::leased, word::up, {"a write", "a write that fails"}), wait_for_ever},
    {"retire leaves those who wait", fault::retire_leaves_those_who_wait,
     of(use::leased, word::up | word::ended, {"ready", "close of the pool"}), wait_for_ever},
    {"operations are looked for before up is cleared", fault::operations_are_looked_for_before_up_is_cleared,
     of(use::once_only, word::up, {"a read without an answer", "the watchdog"}), wait_for_ever},
    {"the last end does not tell the supervisor", fault::the_last_end_does_not_tell_the_supervisor,
     of(use::alone, word::up, {"a read", "a write that fails"}), "it comes back"},
    {"a loss in a lease is not told", fault::a_loss_in_a_lease_is_not_told,
     of(use::leased, word::up, {"a read", "a write that fails"}), "each loss is told"},
    {"the bit is cleared before up is looked at", fault::the_bit_is_cleared_before_up_is_looked_at,
     of(use::alone, word::up, {"a read", "a read of the end"}), "an operation's bit is set while it is outstanding"},
    {"a good end does not look whether it is down", fault::a_good_end_does_not_look_whether_it_is_down,
     of(use::alone, word::up, {"a read", "a write that fails"}),
     "what ends well on a stream that is down is no success"},
    {"who waits behind an operation waits for the next stream",
     fault::who_waits_behind_an_operation_waits_for_the_next_stream,
     of(use::alone, word::up, {"a read of the end", "a read of two parts"}),
     "no composed operation has parts on two streams"},
    {"a consent does not hold operations off", fault::a_consent_does_not_hold_operations_off,
     of(use::leased, word::up | word::ended, {"a read", "ready"}), without_consent},
    {"a late cancellation withdraws any consent", fault::a_late_cancellation_withdraws_any_consent,
     of(use::leased, word::up, {"ready", "a read", "a cancellation of the first"}), "a lease may use its own stream"},
    {"a lease ends without a look for operations", fault::a_lease_ends_without_a_look_for_operations,
     of(use::leased, word::up, {"a read without an answer", "the end of the lease"}),
     "a lease leaves nothing to the next"},
    {"a limit outlasts its lease", fault::a_limit_outlasts_its_lease,
     of(use::leased, word::up, {"a read", "the deadline", "the end of the lease"}),
     "a lease leaves nothing to the next"},
    {"a wait that has ended is cancelled again", fault::a_wait_that_has_ended_is_cancelled_again,
     of(use::alone, 0, {"a read", "a cancellation of the first"}), "a wait ends once"},
    {"a stream is released in two steps", fault::a_stream_is_released_in_two_steps,
     of(use::once_only, word::up, {"a read of two parts", "the end of on_connect"}),
     "no stream is passed on with an operation outstanding"},
    {"a stream that is down is taken without a look", fault::a_down_stream_is_taken_without_a_look,
     of(use::alone, word::up, {"a read", "the end of the connection"}),
     "nobody takes a stream from under an operation"},
};

void find_nothing_in(const std::vector<scenario>& scenarios) {
  std::size_t states = 0;
  for (std::size_t i = 0; i < scenarios.size(); i += every) {
    checker c(scenarios[i], fault::none);
    const std::string wrong = c.run();
    BOOST_TEST(wrong.empty(), scenarios[i] << ": " << wrong);
    states += c.states();
  }
  BOOST_TEST_MESSAGE(scenarios.size() << " scenarios, " << states << " states");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_word)

BOOST_DATA_TEST_CASE(transitions_are_as_their_rules_say, data::make(transitions), row) {
  for (unsigned w = 0; w <= all_bits; ++w) {
    if ((w & row.about) != row.about || (w & row.not_about)) continue;
    std::optional<unsigned> expected;
    if ((w & row.needs) == row.needs && !(w & row.forbids)) expected = (w | row.sets) & ~row.clears;
    if (row.next(w) == expected) continue;
    BOOST_ERROR("from " << w << " to " << row.next(w).value_or(0) << ", and not to " << expected.value_or(0));
    return;
  }
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_CASE(a_step_is_made_once_or_not_at_all) {
  word w;
  w.set(word::up);
  const auto begin = [](unsigned now) { return word::begin(now, reading); };
  BOOST_TEST(w.step(begin));
  BOOST_TEST(!w.step(begin));
  BOOST_TEST(w.load() == (word::up | reading | word::used));
  BOOST_TEST(w.set(word::queued) == (word::up | reading | word::used));
  BOOST_TEST(w.clear(reading | word::used) == (word::up | reading | word::used | word::queued));
  BOOST_TEST(w.load() == (word::up | word::queued));
}

BOOST_AUTO_TEST_CASE(no_interleaving_of_two_threads_and_the_supervisor_breaks_a_rule) { find_nothing_in(every_two()); }

BOOST_AUTO_TEST_CASE(nor_does_one_of_three) { find_nothing_in(some_three()); }

// What the checker does not find is not excluded by it.
BOOST_DATA_TEST_CASE(the_checker_finds, data::make(findings), f) {
  checker c(f.where, f.made);
  BOOST_TEST(c.run() == f.rule);
}

BOOST_AUTO_TEST_SUITE_END()
