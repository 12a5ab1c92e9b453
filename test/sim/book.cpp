// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "book.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>

namespace cocp::test::sim {

namespace asio = boost::asio;

void book::fail(const std::string& what) {
  const failing_allocations::spare spare;
  note("BROKEN: " + what);
  if (failures_.size() < 5) failures_.push_back(say("at ", in_ms(now_()), ": ", what));
}

void book::on_accepted(stream s) {
  const failing_allocations::spare spare;
  streams_.resize(std::max(streams_.size(), s));
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

book::holder book::begin(stream s, const char* who, bool strictly) {
  const failing_allocations::spare spare;
  const holder h = ++holders_;
  note(who, " begins as holder ", h, " of stream ", s);
  take(h, s, strictly);
  return h;
}

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
  take(h, to, false);
}

void book::end(holder h, stream s, const char* spoiled) {
  const failing_allocations::spare spare;
  note("holder ", h, " ends", spoiled ? ": " : "", spoiled ? spoiled : "");
  if (s == 0) return;
  at(s).has = 0;
  if (spoiled) at(s).spoiled = spoiled;
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
  waits_.emplace(++asked_, wait{bounded ? std::optional(now + *limit) : std::nullopt, now});
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

void book::failed(std::uint64_t w, error_code ec, bool cancelled) {
  const failing_allocations::spare spare;
  note("get ", w, " fails: ", ec.message());
  const auto found = waits_.find(w);
  if (found == waits_.end()) {
    fail(say("rule 6: get ", w, " ends twice"));
    return;
  }
  const std::optional<duration> until = found->second.until;
  waits_.erase(found);
  if (ec == asio::error::operation_aborted) {
    ++cancelled_;
    if (!cancelled) fail(say("rule 6: get ", w, " ends as cancelled, and was not"));
  } else if (ec == errc::timed_out && (!fails_fast || (until && *until <= now_()))) {
    // With fail_fast this may be what the last attempt has failed with.
    ++timed_out_;
    if (!until || now_() < *until) fail(say("rule 6: get ", w, " has timed out before its time"));
  } else if (ec == errc::overloaded) {
    ++rejected_;
    if (!max_waiting) fail(say("get ", w, " is refused as overloaded without max_waiting"));
  } else if (ec == errc::closed) {
    ++failed_;
    if (!closed) fail(say("get ", w, " fails as closed in an open pool"));
  } else {
    ++failed_;
    if (!fails_fast) fail(say("get ", w, " fails without fail_fast with: ", ec.message()));
  }
}

void book::check_waits() {
  const duration now = now_();
  for (const auto& [n, w] : waits_) {
    if (w.until && *w.until < now) fail(say("rule 6: get ", n, " is past its limit"));
    if (n < last_served_) fail(say("rule 5: get ", last_served_, " was served before get ", n));
    if (closed) fail(say("rule 6: get ", n, " waits in a closed pool"));
    if (!failures_.empty()) break;
  }
  last_served_ = 0;
}

void book::on_event(event_kind kind) { ++events_[kind]; }

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
}

void book::check_stats(const cocp::stats& s, std::size_t leased) {
  if (s.leased != leased) fail(say("rule 4: ", leased, " leases are out, and ", s.leased, " are counted"));
  if (s.waiting != waits_.size()) fail(say(waits_.size(), " wait, and ", s.waiting, " are counted"));
  if (s.idle != 0 && s.waiting != 0) fail(say("rule 6: ", s.idle, " are idle while ", s.waiting, " wait"));
  const auto exactly = [&](const char* name, std::uint64_t counted, std::uint64_t seen) {
    if (counted != seen && !uncertain) fail(say(name, " counts ", counted, ", and ", seen, " were seen"));
  };
  exactly("gets", s.gets, gets_);
  exactly("timeouts", s.timeouts, timed_out_);
  exactly("cancelled", s.cancelled, cancelled_);
  exactly("rejected", s.rejected, rejected_);
  exactly("rule 12: connects", s.connects, events_[event_kind::connected]);
  exactly("rule 12: connect_failures", s.connect_failures, events_[event_kind::connect_failed]);
  exactly("rule 12: disconnects", s.disconnects, events_[event_kind::disconnected]);
  exactly("wait_time", s.wait_time.count(), gets_ + timed_out_ + cancelled_ + rejected_ + failed_);
}

}  // namespace cocp::test::sim
