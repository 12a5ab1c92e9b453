// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "book.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <chrono>

namespace cocp::test::sim {

namespace asio = boost::asio;
using namespace std::chrono_literals;

void book::fail(const std::string& what) {
  const failing_allocations::spare spare;
  note("BROKEN: " + what);
  if (failures_.size() < 5) failures_.push_back(say("at ", in_ms(now_()), ": ", what));
}

void book::on_accepted(stream s) {
  const failing_allocations::spare spare;
  streams_.resize(std::max(streams_.size(), s));
  at(s).up_since = at(s).used_at = at(s).free_at = now_();
  note("stream ", s, " is accepted");
}

void book::on_ended(stream s) {
  const failing_allocations::spare spare;
  if (!at(s).ended) at(s).ended = now_();
  note("stream ", s, " is ended by its peer");
}

void book::on_request(stream s, const label& l) {
  const failing_allocations::spare spare;
  line_of_streams& t = at(s);
  note("stream ", s, " gets line ", l.index, " of ", l.count, " of request ", l.request, " of holder ", l.holder);
  if (t.has == 0 && alone_.contains(l.holder)) t.has = l.holder;
  if (t.has != l.holder) fail(say("rule 1: holder ", l.holder, " writes to stream ", s, ", which ", t.has, " has"));
  if (l.request == 0 || l.request > requests_.size()) {
    fail(say("rule 13: a request that nobody has made reaches stream ", s));
    return;
  }
  request& r = requests_[l.request - 1];
  if (r.by != l.holder) fail(say("rule 13: the request of ", r.by, " is written by ", l.holder));
  if (r.at == 0) r.at = s;
  if (r.at != s) fail(say("rule 13: request ", l.request, " has parts on the streams ", r.at, " and ", s));
  if (t.next != t.count && t.request != l.request) {
    fail(say("rule 13: on stream ", s, " request ", l.request, " begins within request ", t.request));
  } else if (l.index != (t.next == t.count ? 0 : t.next)) {
    fail(say("rule 13: on stream ", s, " line ", l.index, " of request ", l.request, " follows line ", t.next - 1));
  }
  t.request = l.request;
  t.next = l.index + 1;
  t.count = l.count;
}

book::holder book::begin(stream s, role who, bool strictly) {
  const failing_allocations::spare spare;
  static const char* const names[] = {"a lease", "on_connect", "on_return", "keepalive", "on_close"};
  const holder h = ++holders_;
  note(names[static_cast<std::size_t>(who)], " begins as holder ", h, " of stream ", s);
  roles_[h] = who;
  if (s != 0) {
    line_of_streams& t = at(s);
    if (who == role::on_return) t.returned = false;
    if (who == role::lease) {
      if (has_on_connect && !t.greeted) fail(say("stream ", s, " is given to ", h, ", though on_connect has not run"));
      if (has_on_return && t.returned) fail(say("stream ", s, " is given to ", h, ", though on_return has not run"));
      if (s <= renewed_) fail(say("stream ", s, " is given to ", h, ", though it was to be redialled"));
    }
  }
  take(h, s, strictly);
  if (who == role::on_close) closing_[h] = now_();
  return h;
}

void book::numbered(holder h, stream s, std::uint64_t id) {
  const failing_allocations::spare spare;
  if (s == 0) return;
  std::uint64_t& known = at(s).id;
  if (known == 0) known = id;
  if (id == 0 || known != id)
    fail(say("holder ", h, " finds the number ", id, " at stream ", s, ", which has ", known));
  const stream whose = ids_.emplace(id, s).first->second;
  if (whose != s) fail(say("stream ", s, " has the number ", id, " of stream ", whose));
  const auto who = roles_.find(h);
  if (who != roles_.end() && who->second == role::lease && !closed && !told_.contains(id)) {
    fail(say("stream ", s, " is given to ", h, ", and was not told as connected, or as lost before"));
  }
}

std::size_t book::closing() const { return closing_.size(); }

book::holder book::begin_alone() {
  const failing_allocations::spare spare;
  alone_.insert(++holders_);
  return holders_;
}

void book::take(holder h, stream s, bool strictly) {
  if (s == 0) return;
  line_of_streams& t = at(s);
  if (t.has != 0) fail(say("rule 1: stream ", s, " is given to ", h, " while ", t.has, " has it"));
  if (t.spoiled) fail(say("rule 3: stream ", s, " is given to ", h, ", though ", t.spoiled));
  if (strictly && t.ended && *t.ended < now_()) {
    fail(say("rule 2: stream ", s, " is given to ", h, ", though it has ended before"));
  }
  t.has = h;
}

void book::move(holder h, stream from, stream to) {
  const failing_allocations::spare spare;
  note("holder ", h, " goes on from stream ", from, " with stream ", to);
  if (from == to) return;
  if (from != 0) {
    at(from).has = 0;
    at(from).spoiled = "its user was given another";
  }
  if (to != 0 && has_on_connect && !at(to).greeted) fail(say("holder ", h, " goes on before on_connect has run"));
  take(h, to, false);
}

void book::end(holder h, stream s, const char* spoiled) {
  const failing_allocations::spare spare;
  note("holder ", h, " ends", spoiled ? ": " : "", spoiled ? spoiled : "");
  const auto found = roles_.find(h);
  const std::optional<role> who = found == roles_.end() ? std::nullopt : std::optional(found->second);
  roles_.erase(h);
  limits_.erase(h);
  closing_.erase(h);
  if (s == 0) return;
  line_of_streams& t = at(s);
  t.has = 0;
  t.free_at = now_();
  if (spoiled) t.spoiled = spoiled;
  if (who == role::on_close) t.spoiled = "it has said its last words";
  if (who == role::on_connect) {
    t.greeted = !spoiled;
    t.up_since = t.used_at = now_();
  } else if (who == role::lease) {
    t.returned = true;
    t.used_at = now_();
  }
}

void book::limit(holder h, std::optional<duration> until) {
  const failing_allocations::spare spare;
  limits_[h].until = until;
}

void book::check_limits() {
  const duration now = now_();
  for (const auto& [h, l] : limits_) {
    if (l.until && *l.until < now && l.outstanding != 0) fail(say("an operation of holder ", h, " is past its limit"));
  }
  for (const auto& [h, l] : limits_) {
    const auto who = roles_.find(h);
    if (uses_end_ && *uses_end_ < now && l.outstanding != 0 && who != roles_.end() && who->second == role::lease) {
      fail(say("an operation of holder ", h, " goes on behind the limit of drain"));
    }
  }
  for (const auto& [h, since] : closing_) {
    if (now - since > 1s) fail(say("holder ", h, " says its last words for longer than a second"));
  }
}

void book::check_stream(stream s, bool unread, const circumstances& c) {
  const line_of_streams& t = at(s);
  const duration now = now_();
  // It is looked at a moment after it was let go.
  const duration moment = 150ms;
  if (t.has != 0 || now - t.free_at < moment) return;
  // Where there is something unread, once a second.
  if (t.ended && std::max(*t.ended, t.free_at) + (unread ? 1s : 0s) + moment < now) {
    fail(say("rule 2: stream ", s, " has ended, and nobody notices"));
  }
  if (!c.calm || t.ended) return;
  const auto passed = [now](duration since, std::optional<duration> limit, duration more) {
    return limit && *limit < now && since + more < now - *limit;
  };
  if (c.spare_since && passed(std::max({t.used_at, withdrawn_at_, *c.spare_since}), options.idle_timeout, moment)) {
    fail(say("stream ", s, " is idle for longer than idle_timeout"));
  }
  if (passed(t.up_since, options.max_lifetime, 5ms)) fail(say("stream ", s, " is older than max_lifetime"));
  if (has_keepalive && c.no_hook_since && now - *c.no_hook_since > moment &&
      passed(std::max(t.free_at, withdrawn_at_), options.keepalive_interval, moment)) {
    fail(say("stream ", s, " is idle for longer than keepalive_interval"));
  }
}

std::uint32_t book::new_request(holder h, std::uint32_t answers) {
  const failing_allocations::spare spare;
  requests_.push_back({h, 0, answers, 0});
  return static_cast<std::uint32_t>(requests_.size());
}

void book::on_answer(holder h, const label& l) {
  const failing_allocations::spare spare;
  if (l.kind != 'A') return;
  if (l.request == 0 || l.request > requests_.size()) {
    fail(say("rule 13: holder ", h, " reads an answer to what nobody has asked"));
    return;
  }
  request& r = requests_[l.request - 1];
  if (r.by != h) fail(say("rule 3: holder ", h, " reads the answer to ", r.by));
  if (l.holder != h) fail(say("rule 3: holder ", h, " reads what was sent to ", l.holder));
  if (l.index != r.read) fail(say("rule 13: line ", l.index, " of answer ", l.request, " is read as line ", r.read));
  r.read = l.index + 1;
}

std::uint64_t book::ask(std::optional<duration> limit) {
  const failing_allocations::spare spare;
  const duration now = now_();
  const bool bounded = limit && *limit < duration::max() - now;
  waits_.emplace(++asked_, wait{bounded ? std::optional(now + *limit) : std::nullopt, now, waits_.size(), false,
                                between_ != 0, std::nullopt});
  note("get ", asked_, " asks", bounded ? ", for " + in_ms(*limit) : std::string());
  return asked_;
}

void book::served(std::uint64_t w) {
  const failing_allocations::spare spare;
  note("get ", w, " is served");
  if (waits_.erase(w) == 0) fail(say("rule 6: get ", w, " ends twice"));
  last_served_ = std::max(last_served_, w);
  ++gets_;
}

void book::forgotten(std::uint64_t w) {
  waits_.erase(w);
  withdrawn_at_ = now_();
}

void book::cancelled(std::uint64_t w) {
  if (const auto found = waits_.find(w); found != waits_.end()) found->second.cancelled = true;
}

void book::failed(std::uint64_t w, error_code ec, bool cancelled) {
  const failing_allocations::spare spare;
  note("get ", w, " fails: ", ec.message());
  const auto found = waits_.find(w);
  if (found == waits_.end()) {
    fail(say("rule 6: get ", w, " ends twice"));
    return;
  }
  const std::optional<duration> until = found->second.until;
  const std::size_t before = found->second.between ? options.max_waiting : found->second.before;
  const bool fails_fast = options.fail_fast.has_value();
  waits_.erase(found);
  if (ec == asio::error::operation_aborted) {
    ++cancelled_;
    withdrawn_at_ = now_();
    if (!cancelled) fail(say("rule 6: get ", w, " ends as cancelled, and was not"));
  } else if (ec == errc::timed_out && (!fails_fast || (until && *until <= now_()))) {
    // With fail_fast this may be what the last attempt has failed with.
    ++timed_out_;
    if (!until || now_() < *until) fail(say("rule 6: get ", w, " has timed out before its time"));
  } else if (ec == errc::overloaded) {
    ++rejected_;
    if (before < options.max_waiting) fail(say("get ", w, " is refused as overloaded behind ", before));
  } else if (ec == errc::closed) {
    ++failed_;
    if (!closed) fail(say("get ", w, " fails as closed in an open pool"));
  } else {
    ++failed_;
    if (!fails_fast) fail(say("get ", w, " fails without fail_fast with: ", ec.message()));
    if (fails_fast && (!failing_since_ || now_() - *failing_since_ < *options.fail_fast)) {
      fail(say("get ", w, " fails before fail_fast has passed, with: ", ec.message()));
    }
  }
}

void book::check_waits() {
  const duration now = now_();
  for (const auto& [n, w] : waits_) {
    if (w.until && *w.until <= now && !uncertain) fail(say("rule 6: get ", n, " is past its limit"));
    if (w.cancelled && !uncertain) fail(say("rule 6: get ", n, " was cancelled, and waits"));
    if (options.fail_fast && w.failing_since && now - *w.failing_since > *options.fail_fast && !uncertain) {
      fail(say("get ", n, " outlasts fail_fast"));
    }
    // Without memory, whoever is served may be told of it later.
    if (n < last_served_ && !uncertain) fail(say("rule 5: get ", last_served_, " was served before get ", n));
    if (closed) fail(say("rule 6: get ", n, " waits in a closed pool"));
    if (!failures_.empty()) break;
  }
  last_served_ = 0;
  if (waits_.size() > options.max_waiting) fail(say(waits_.size(), " wait, of at most ", options.max_waiting));
}

void book::on_event(const event& e, const cocp::stats& s) {
  ++events_[e.kind];
  if (e.kind == event_kind::connected) {
    if (e.id == 0 || !told_.insert(e.id).second) fail(say("rule 12: stream ", e.id, " is told as connected twice"));
  } else if (e.id != 0 &&
             (e.kind == event_kind::disconnected || e.kind == event_kind::replaced || e.kind == event_kind::closed)) {
    detached_.erase(e.id);
    if (told_.erase(e.id) == 0) fail(say("rule 12: the end of stream ", e.id, " is told, and it was not there"));
  }
  const duration now = now_();
  // What is lost, or spoken to, early has failed too.
  if (e.kind == event_kind::connect_failed || e.kind == event_kind::disconnected || e.kind == event_kind::replaced) {
    well_since_.reset();
    if (!failing_since_) failing_since_ = now;
  }
  for (auto& [n, w] : waits_) {
    // One that began before the endpoint was last up says nothing.
    if (e.kind != event_kind::connect_failed || s.connected != 0 || e.attempt == 0) {
      w.failing_since.reset();
    } else if (!w.failing_since && w.since < now && forgot_outage_at_ < now) {
      w.failing_since = now;
    }
  }
}

void book::forget_outage() {
  forgot_outage_at_ = now_();
  for (auto& [n, w] : waits_) w.failing_since.reset();
}

void book::check_counters(const cocp::stats& s) {
  const std::size_t sum = s.idle + s.leased + s.hooks + s.connecting + s.queued + s.resting;
  if (sum != s.wanted) fail(say("the gauges add up to ", sum, ", and ", s.wanted, " are wanted"));
  const auto compare = [&](const char* name, auto then, auto now) {
    if (now < then) fail(say("the counter ", name, " goes back from ", then, " to ", now));
  };
  compare("gets", before_.gets, s.gets);
  compare("waits", before_.waits, s.waits);
  compare("timeouts", before_.timeouts, s.timeouts);
  compare("cancelled", before_.cancelled, s.cancelled);
  compare("rejected", before_.rejected, s.rejected);
  compare("connects", before_.connects, s.connects);
  compare("connect_failures", before_.connect_failures, s.connect_failures);
  compare("disconnects", before_.disconnects, s.disconnects);
  compare("replaced_dead", before_.replaced_dead, s.replaced_dead);
  compare("replaced_dirty", before_.replaced_dirty, s.replaced_dirty);
  compare("replaced_expired", before_.replaced_expired, s.replaced_expired);
  compare("wait_time", before_.wait_time.count(), s.wait_time.count());
  before_ = s;
  if (s.connecting > options.max_dialling) fail(say(s.connecting, " dial, of at most ", options.max_dialling));
  // At most a tenth of the places, and one of less than twenty, may be without a connection for its age.
  const std::uint64_t closed_since = events_[event_kind::closed] - settled_closed_;
  if (s.connecting + s.queued + s.resting == 0) {
    settled_ = s;
    settled_closed_ = events_[event_kind::closed];
    // Nothing else closes a place that is down.
    is_counted_ = !options.idle_timeout || !options.min_size || *options.min_size >= s.size;
  } else if (is_counted_ && s.replaced_expired - settled_.replaced_expired >
                                s.connects - settled_.connects + closed_since + std::max<std::size_t>(1, s.size / 10)) {
    fail("more places than a tenth are redialled for their age");
  }
}

void book::detached(std::uint64_t id) {
  const failing_allocations::spare spare;
  if (told_.contains(id)) detached_.insert(id);
}

void book::check_stats(const cocp::stats& s, std::size_t leased, std::size_t detached) {
  const duration now = now_();
  if (s.connected == 0) {
    well_since_.reset();
  } else if (!well_since_) {
    well_since_ = now;
  } else if (now - *well_since_ > retry_min) {
    failing_since_.reset();
  }
  if (s.detached != detached) fail(say("rule 4: ", detached, " are detached, and ", s.detached, " are counted"));
  // Without memory, whoever has waited and has one by now is told of it a moment later.
  const bool is_late = uncertain && s.leased > leased && s.leased - leased <= waits_.size();
  if (s.leased != leased && between_ == 0 && !is_late)
    fail(say("rule 4: ", leased, " leases are out, and ", s.leased, " are counted"));
  // Without memory, who has been timed out is told of it a moment later.
  if (between_ == 0 && (uncertain ? s.waiting > waits_.size() : s.waiting != waits_.size()))
    fail(say(waits_.size(), " wait, and ", s.waiting, " are counted"));
  if (s.idle != 0 && s.waiting != 0) fail(say("rule 6: ", s.idle, " are idle while ", s.waiting, " wait"));
  const auto exactly = [&](const char* name, std::uint64_t counted, std::uint64_t seen) {
    if (counted != seen && !uncertain) fail(say(name, " counts ", counted, ", and ", seen, " were seen"));
  };
  if (!miscounts && between_ == 0) {
    exactly("gets", s.gets, gets_);
    exactly("timeouts", s.timeouts, timed_out_);
    exactly("cancelled", s.cancelled, cancelled_);
    exactly("rejected", s.rejected, rejected_);
    exactly("wait_time", s.wait_time.count(), gets_ + timed_out_ + cancelled_ + rejected_ + failed_);
  }
  exactly("rule 12: connects", s.connects, events_[event_kind::connected]);
  exactly("rule 12: connect_failures", s.connect_failures, events_[event_kind::connect_failed]);
  exactly("rule 12: disconnects", s.disconnects, events_[event_kind::disconnected]);
  // It neither counts nor tells what is lost once it is closed.
  if (!closed) {
    exactly("rule 12: connected", s.connected,
            events_[event_kind::connected] - events_[event_kind::disconnected] - events_[event_kind::replaced] -
                events_[event_kind::closed] - detached_.size());
  }
  if (!uncertain && s.replaced_dirty + s.replaced_expired > events_[event_kind::replaced])
    fail("replacements were not told");
}

}  // namespace cocp::test::sim
