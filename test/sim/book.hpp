// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "label.hpp"

#include "support/failing_allocations.hpp"

#include <cocp/error.hpp>
#include <cocp/event.hpp>
#include <cocp/options.hpp>
#include <cocp/stats.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace cocp::test::sim {

/// One text of many parts.
template <class... Parts>
std::string say(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

/// As in "1500.25 ms".
inline std::string in_ms(duration d) { return say(static_cast<double>(d.count()) / 1'000'000.0, " ms"); }

/// What has happened, as users and servers see it, and which of the rules that breaks (they are numbered as in the
/// design). It knows nothing of the pool's code.
class book {
 public:
  using holder = std::uint32_t;
  /// The number of a stream's peer, from 1; 0: none.
  using stream = std::size_t;

  explicit book(std::function<duration()> now) : now_(std::move(now)) {}

  /// \name Verdict
  /// @{
  void fail(const std::string& what);
  const std::vector<std::string>& failures() const { return failures_; }
  /// Called with a line for all that is noted; none if empty.
  std::function<void(const std::string&)> trace;
  template <class... Parts>
  void note(const Parts&... parts) {
    if (!trace) return;
    const failing_allocations::spare spare;
    trace(say(parts...));
  }
  /// @}

  /// \name Streams, as the servers see them
  /// @{
  void on_accepted(stream s);
  /// The peer has ended it: nobody is given it from now on.
  void on_ended(stream s);
  /// A line has come.
  void on_request(stream s, const label& l);
  /// @}

  /// \name Holders
  /// @{

  enum class role { lease, on_connect, on_return, keepalive, on_close };
  /// One who has a stream from now on. `strictly`: it was checked in this instant.
  holder begin(stream s, role who, bool strictly);
  /// What his connection says to be the number of his stream.
  void numbered(holder h, stream s, std::uint64_t id);
  /// One whose connection stands alone: he has whatever stream he writes to, until it ends.
  holder begin_alone();
  /// He has agreed to go on with another stream.
  void move(holder h, stream from, stream to);
  /// He has it no more; `spoiled`: why nobody else may have that stream, if so.
  void end(holder h, stream s, const char* spoiled);
  /// His operations are not to outlast it; none: as long as they like.
  void limit(holder h, std::optional<duration> until);
  /// One of them begins, or ends.
  void begin_operation(holder h) { ++limits_[h].outstanding; }
  void end_operation(holder h) {
    if (const auto found = limits_.find(h); found != limits_.end()) --found->second.outstanding;
  }
  /// The lease of the stream of that number is none of the pool's any more.
  void detached(std::uint64_t id);
  /// From that time on nothing is outstanding in a lease.
  void end_uses(duration at) { uses_end_ = at; }
  /// \name A `run`
  /// Nobody can tell which of its waits are under way while it has called nobody.
  /// @{
  void begin_between() { ++between_; }
  void end_between() { --between_; }
  /// The highest number of a stream that has been seen.
  std::uint64_t newest() const { return ids_.empty() ? 0 : ids_.rbegin()->first; }
  /// @}
  /// No stream that is there now is given to a lease any more.
  void renewed() { renewed_ = streams_.size(); }
  /// How many say their last words.
  std::size_t closing() const;
  std::uint32_t new_request(holder h, std::uint32_t answers);
  /// A line was read on his stream.
  void on_answer(holder h, const label& l);
  /// @}

  /// \name Waits for a lease
  /// @{

  /// In the order of asking; `limit`: none if he waits for ever.
  std::uint64_t ask(std::optional<duration> limit);
  void served(std::uint64_t wait);
  void failed(std::uint64_t wait, error_code ec, bool cancelled);
  /// It is not to outlast this instant.
  void cancelled(std::uint64_t w);
  /// He is gone, and was told nothing.
  void forgotten(std::uint64_t w);
  std::size_t waiting() const { return waits_.size(); }
  /// At the end of an instant.
  void check_waits();
  /// @}

  /// \name What the pool counts
  /// @{
  /// At any time: they only grow, and the gauges add up.
  void check_counters(const cocp::stats& s);
  /// At the end of an instant: they are what was seen.
  void check_stats(const cocp::stats& s, std::size_t leased, std::size_t detached);
  /// At the end of an instant: nobody's time has passed.
  void check_limits();
  /// At the end of an instant: what a pool as a whole is up to.
  struct circumstances {
    /// Nobody waits, and all that is wanted is up.
    bool calm = false;
    /// Since when there are more than are to be kept, if so.
    std::optional<duration> spare_since;
    /// Since when no hook runs, if so.
    std::optional<duration> no_hook_since;
  };
  /// The same of a stream that is open here. `unread`: there is something to read.
  void check_stream(stream s, bool unread, const circumstances& c);
  void on_event(const event& e, const cocp::stats& s);
  /// What counts as one outage may have ended.
  void forget_outage();
  /// Places may have gone that were to be redialled.
  void resized() { is_counted_ = false; }
  /// A lease that was given out without a wait.
  void count_get() { ++gets_; }
  /// Memory is short: who was to be told may be gone.
  bool uncertain = false;
  /// Somebody has died, and who waits was not told.
  bool miscounts = false;
  bool closed = false;
  pool_options options;
  duration retry_min{};
  bool has_on_connect = false;
  bool has_on_return = false;
  bool has_keepalive = false;
  /// @}

 private:
  struct line_of_streams {
    holder has = 0;
    const char* spoiled = nullptr;
    std::optional<duration> ended;
    /// `on_connect` has ended well.
    bool greeted = false;
    /// A lease has ended, and `on_return` has not begun.
    bool returned = false;
    std::uint64_t id = 0;
    duration up_since{};
    /// When the last lease of it ended, and the last holder.
    duration used_at{};
    duration free_at{};
    /// Of the request under way.
    std::uint32_t request = 0;
    std::uint32_t next = 0;
    std::uint32_t count = 0;
  };
  struct request {
    holder by = 0;
    stream at = 0;
    std::uint32_t answers = 0;
    std::uint32_t read = 0;
  };
  struct wait {
    std::optional<duration> until;
    duration since{};
    /// How many had asked before him, and were not told of their end.
    std::size_t before = 0;
    bool cancelled = false;
    /// There may have been others.
    bool between = false;
    /// Since when attempts fail.
    std::optional<duration> failing_since;
  };
  struct limits {
    std::optional<duration> until;
    unsigned outstanding = 0;
  };

  line_of_streams& at(stream s) { return streams_.at(s - 1); }
  void take(holder h, stream s, bool strictly);

  const std::function<duration()> now_;
  std::vector<std::string> failures_;
  std::vector<line_of_streams> streams_;
  holder holders_ = 0;
  std::set<holder> alone_;
  std::map<holder, limits> limits_;
  std::map<holder, role> roles_;
  /// Who says his last words, since when.
  std::map<holder, duration> closing_;
  /// The numbers of the streams of which was told that they are connected, and not yet of their end.
  std::set<std::uint64_t> told_;
  /// Those of them that were detached.
  std::set<std::uint64_t> detached_;
  std::optional<duration> uses_end_;
  unsigned between_ = 0;
  /// Whose numbers they are.
  std::map<std::uint64_t, stream> ids_;
  stream renewed_ = 0;
  /// When the last lease came back from one who was cancelled.
  duration withdrawn_at_{};
  std::vector<request> requests_;
  std::uint64_t asked_ = 0;
  std::map<std::uint64_t, wait> waits_;
  /// The last of those who were served in this instant.
  std::uint64_t last_served_ = 0;
  std::uint64_t gets_ = 0;
  std::uint64_t timed_out_ = 0;
  std::uint64_t cancelled_ = 0;
  std::uint64_t rejected_ = 0;
  std::uint64_t failed_ = 0;
  std::map<event_kind, std::uint64_t> events_;
  cocp::stats before_;
  /// The first failure of an outage, and since when the endpoint is well.
  std::optional<duration> failing_since_;
  std::optional<duration> well_since_;
  duration forgot_outage_at_{-1};
  /// When all were up the last time: what was counted by then, and whether that is all there is to it.
  cocp::stats settled_;
  std::uint64_t settled_closed_ = 0;
  bool is_counted_ = false;
};

}  // namespace cocp::test::sim
