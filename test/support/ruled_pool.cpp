// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "ruled_pool.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <chrono>
#include <ostream>

namespace cocp::test {
namespace {

using namespace std::chrono_literals;
using connect_result = fake_network::connect_result;

constexpr duration retry_min = 100ms;
constexpr duration retry_max = 400ms;
constexpr duration get_limit = 10s;
constexpr std::size_t most_waiting = 3;
/// How soon the pool knows that an idle connection has died.
constexpr duration noticed_within = 100ms;
/// How soon all is as it should be: a death is noticed, the last backoff step ends, and who is back has lasted.
constexpr duration well_within = noticed_within + retry_max + 2 * retry_min;

}  // namespace

ruled_pool::ruled_pool(const start& s)
    : net_(fake_network::install(io_)),
      on_demand_(s.min_size && *s.min_size < s.size),
      size_(s.size),
      outage_(retry_min, retry_max) {
  net_->numbered = true;
  net_->default_result = s.up ? connect_result::accepted : connect_result::hangs;
  net_->on_attempt = [this] {
    const std::size_t attempt = net_->attempts.size();
    forget_probe_if_gone();
    const bool any_up = std::ranges::any_of(net_->peers, [](const auto& p) { return !p->gone; });
    const char* wrong = outage_.begins(attempt, any_up, now());
    if (wrong && !unsure_) broken_ = wrong;
  };
  net_->on_accept = [this](fake_peer&) {
    const std::size_t attempt = answering_ != 0 ? answering_ : net_->attempts.size();
    streams_.push_back({.attempt = attempt, .since = now()});
    accepted_.push_back(attempt);
  };
  net_->on_receive = [](fake_peer& p) { p.send("a"); };
  auto note = [this](const event& e) {
    switch (e.kind) {
      case event_kind::connected:
        ++seen_.connects;
        if (accepted_.empty()) {
          broken_ = "rule 12: a connect is told that was none";
        } else {
          outage_.succeeded(accepted_.front(), now());
          accepted_.pop_front();
        }
        break;
      case event_kind::connect_failed:
        ++seen_.failures;
        if (refused_.empty()) {
          broken_ = "rule 12: a failure is told of an attempt that did not fail";
        } else {
          outage_.failed(refused_.front(), now());
          refused_.pop_front();
        }
        break;
      case event_kind::disconnected:
        ++seen_.losses;
        notice_loss();
        break;
      default:
        break;
    }
  };
  pool_.emplace(io_,
                connection_options{.address = "10.0.0.1:7",
                                   .connect_timeout = std::nullopt,
                                   .retry_min = retry_min,
                                   .retry_max = retry_max,
                                   .logger = note},
                pool_options{.size = s.size, .min_size = s.min_size, .get_timeout = get_limit});
  settle();
  if (s.up) advance(1s);
  net_->default_result = connect_result::hangs;
  check();
}

bool ruled_pool::may(pool_event e) const {
  switch (e) {
    case pool_event::get:
      return waiting_.size() < most_waiting;
    case pool_event::get_now:
      return true;
    case pool_event::put:
    case pool_event::put_dirty:
      return !held_.empty();
    case pool_event::put_and_cancel:
      return !held_.empty() && !waiting_.empty();
    case pool_event::cancel_first:
    case pool_event::time_out:
      return !waiting_.empty();
    case pool_event::cancel_last:
      return waiting_.size() > 1;
    case pool_event::lose_idle:
      return live_idle() != 0;
    case pool_event::lose_leased:
      return std::ranges::any_of(held_, [&](const auto& h) { return !streams_[h.stream - 1].ended; });
    case pool_event::connect:
    case pool_event::refuse:
      return !net_->hanging().empty();
    case pool_event::resize:
    case pool_event::close:
      return !closed_;
    case pool_event::turn:
      return net_->next_timer().has_value();
  }
  return false;
}

void ruled_pool::begin(pool_event e) {
  in_vain_ = false;
  switch (e) {
    case pool_event::get:
      get(get_limit);
      break;
    case pool_event::get_now:
      if (nows_++ % 2 == 0) {
        get(0s);
      } else if (cocp::lease l = pool_->try_get()) {
        require(waiting_.empty() || hurried_, "rule 5: a try_get is served while a call of get waits");
        take(std::move(l));
      }
      in_vain_ = !hurried_;
      break;
    case pool_event::put:
      put();
      break;
    case pool_event::put_dirty:
      put_dirty();
      break;
    case pool_event::put_and_cancel:
      put();
      cancel(waiting_.front());
      break;
    case pool_event::cancel_first:
      cancel(waiting_.front());
      break;
    case pool_event::cancel_last:
      cancel(waiting_.back());
      break;
    case pool_event::time_out:
      advance(waiting_.front().deadline - now() + 1ns);
      break;
    case pool_event::lose_idle:
      lose(live_idle(), false);
      break;
    case pool_event::lose_leased:
      lose_leased();
      break;
    case pool_event::connect:
      answering_ = net_->hanging().front();
      net_->answer(connect_result::accepted);
      answering_ = 0;
      break;
    case pool_event::refuse:
      refused_.push_back(net_->hanging().front());
      net_->answer(connect_result::refused);
      break;
    case pool_event::resize:
      size_ = 3 - size_;
      pool_->resize(size_);
      break;
    case pool_event::close:
      closed_ = true;
      pool_->close();
      break;
    case pool_event::turn:
      net_->move(*net_->next_timer() - net_->now());
      break;
  }
  hurried_ = true;
}

void ruled_pool::settle_all() {
  settle();
  check();
  ++instant_;
  hurried_ = false;
  // The pool has given them up meanwhile.
  accepted_.clear();
  refused_.clear();
}

void ruled_pool::get(duration limit) {
  call& c = waiting_.emplace_back();
  c.number = ++calls_;
  c.deadline = now() + limit;
  auto done = [this, &c](error_code ec, cocp::lease l) {
    if (++c.ends != 1) return;
    c.error = ec;
    c.lease = std::move(l);
    ended_.push_back(&c);
  };
  pool_->async_get(limit, asio::bind_cancellation_slot(c.cancel.slot(), std::move(done)));
}

void ruled_pool::take(cocp::lease lease) {
  require(bool(lease), "a call of get ends without an error and without a lease");
  const auto number = lease->remote_endpoint().address().to_v4().to_uint();
  require(number != 0 && number <= streams_.size(), "a lease is no stream");
  stream& s = at(number);
  require(!s.leased, "rule 1: a stream is leased twice");
  require(!s.ended || s.ended_in == instant_, "rule 2: a stream is leased after its end");
  require(!s.spoiled, "rule 3: a stream is leased although it is dirty");
  s.leased = true;
  ++seen_.gets;
  held_.push_back({std::move(lease), ++leases_, number});
}

void ruled_pool::put() {
  held h = std::move(held_.front());
  held_.erase(held_.begin());
  stream& s = at(h.stream);
  s.leased = s.hidden = false;
  if (s.ended) {
    s.ended = now();
  } else if (h.number % 2 == 1 && !hurried_) {
    std::size_t moved = 0;
    const auto count = [&moved](error_code ec, std::size_t n) { moved += ec ? 0 : n; };
    h.lease->async_write_some(asio::buffer("q", 1), count);
    settle();
    h.lease->async_read_some(asio::buffer(&byte_, 1), count);
    settle();
    require(moved == 2, "an exchange on a stream that is well fails");
    s.served = true;
    outage_.served(s.attempt);
  }
  h.lease.put();
}

void ruled_pool::put_dirty() {
  held h = std::move(held_.back());
  held_.pop_back();
  stream& s = at(h.stream);
  s.leased = s.hidden = false;
  s.spoiled = true;
  if (s.ended || h.number % 2 == 1) {
    h.lease.discard();
  } else {
    read(h);
    h.lease.put();
  }
}

void ruled_pool::read(held& h) {
  ++reads_;
  h.lease->async_read_some(asio::buffer(&byte_, 1),
                           [this](error_code ec, std::size_t) { reads_failed_ += ec ? 1 : 0; });
}

void ruled_pool::lose_leased() {
  auto h = std::ranges::find_if(held_, [&](const auto& one) { return !at(one.stream).ended; });
  lose(h->stream, true);
  if (h->number % 2 == 0) {
    read(*h);
  } else {
    at(h->stream).hidden = true;
  }
}

void ruled_pool::lose(std::size_t s, bool by_reset) {
  at(s).ended = now();
  at(s).ended_in = instant_;
  by_reset ? peer(s).reset() : peer(s).fin();
}

void ruled_pool::notice_loss() {
  std::size_t of = 0;
  for (std::size_t s = 1; s <= streams_.size(); ++s) {
    if (!at(s).ended || at(s).told || at(s).hidden) continue;
    if (of != 0) unsure_ = true;
    of = s;
  }
  if (of == 0) {
    if (!unsure_) broken_ = "rule 12: a loss is told of a stream that was not lost, or was told before";
    return;
  }
  stream& s = at(of);
  s.told = true;
  outage_.lost(s.attempt, !s.served && now() - s.since < retry_min, now());
}

void ruled_pool::cancel(call& c) {
  c.cancelled = true;
  c.cancel.emit(asio::cancellation_type::total);
}

std::size_t ruled_pool::live_idle() const {
  // The pool knows of so many.
  for (std::size_t i = 1; i <= seen_.connects; ++i) {
    const stream& s = streams_[i - 1];
    if (!peer(i).gone && !s.ended && !s.leased && !s.spoiled) return i;
  }
  return 0;
}

void ruled_pool::forget_probe_if_gone() {
  const std::size_t probe = outage_.probe();
  if (probe == 0) return;
  const auto hanging = net_->hanging();
  if (std::ranges::find(hanging, probe) != hanging.end()) return;
  bool served = false;
  for (std::size_t s = 1; s <= streams_.size(); ++s) {
    if (at(s).attempt != probe) continue;
    if (!peer(s).gone) return;
    served = at(s).served;
  }
  outage_.gave_up_probe(served);
}

void ruled_pool::settle() {
  io_.restart();
  while (io_.poll() != 0) {
  }
  collect();
}

void ruled_pool::advance(duration d) {
  const auto end = net_->now() + d;
  settle();
  for (auto next = net_->next_timer(); next && *next <= end; next = net_->next_timer()) {
    net_->move(*next - net_->now());
    settle();
  }
  net_->move(end - net_->now());
  settle();
}

void ruled_pool::collect() {
  for (call* c : std::exchange(ended_, {})) {
    if (!c->error) {
      require(!c->cancelled, "rule 6: a call of get is served after it was cancelled");
      served_.push_back(c->number);
      take(std::move(c->lease));
    } else if (c->error == errc::timed_out) {
      require(c->deadline <= now(), "rule 6: a call of get times out before its time");
      ++seen_.timed_out;
    } else if (c->error == errc::closed) {
      require(closed_, "rule 6: a call of get ends with closed in an open pool");
      ++seen_.refused;
    } else {
      require(c->error == asio::error::operation_aborted && c->cancelled,
              "rule 6: a call of get fails without a reason");
      ++seen_.cancelled;
    }
    ended_calls_.splice(ended_calls_.end(), waiting_,
                        std::ranges::find_if(waiting_, [c](const auto& w) { return &w == c; }));
  }
  for (const call& c : waiting_) {
    require(!c.cancelled, "rule 6: a call of get was cancelled and still waits");
    require(c.deadline > now(), "rule 6: a call of get still waits after its time");
    require(!closed_, "rule 6: a call of get waits in a closed pool");
  }
  require(std::ranges::is_sorted(served_), "rule 5: a call of get is served before an earlier one");
  require(served_.empty() || waiting_.empty() || served_.back() < waiting_.front().number,
          "rule 5: a call of get is served while an earlier one waits");
  served_.clear();
}

void ruled_pool::check() {
  forget_probe_if_gone();
  // What had ended before it was closed is told by nobody.
  for (std::size_t s = 1; s <= streams_.size(); ++s) {
    if (peer(s).gone && at(s).ended) at(s).told = true;
  }
  if (broken_) throw broken{broken_};
  const auto s = pool_->stats();
  const std::uint64_t gets_before = seen_.before.gets;
  require(s.size == size_, "the size is another than was asked for");
  if (const char* wrong = seen_.compare(s)) throw broken{wrong};
  require(s.leased == held_.size(), "rule 4: another number of leases is counted than are out");
  require(s.waiting == waiting_.size(), "another number of calls of get is counted than wait");
  require(s.idle == 0 || s.waiting == 0, "rule 6: a connection is idle while somebody waits");
  require(s.connecting == net_->hanging().size(), "another number of attempts is counted than are under way");
  require(s.connected >= s.idle && s.connected <= s.idle + s.leased, "connections are up that nobody has");
  require(s.hooks == 0 && s.resting == 0, "a connection is neither used, idle, nor on its way");
  require(reads_ == reads_failed_, "an operation on a stream that was given up does not end with an error");
  require(net_->destroyed_in_use == 0, "rule 11: a stream is destroyed while it is used");
  const std::size_t most = closed_ ? held_.size() : std::max(size_, held_.size());
  require(net_->sockets <= most, "rule 16: more streams than places");
  require(!closed_ || s.wanted == held_.size(), "a closed pool has more than its leases");
  require(io_.stopped() == closed_, "an open pool is no work, or a closed one is");
  check_idle(s);
  if (closed_) return;
  if (on_demand_) {
    require(s.wanted >= s.leased && s.wanted <= most, "another number of connections is wanted than is of use");
    const std::size_t places = most - held_.size();
    const std::size_t asked = waiting_.size() + (in_vain_ && s.gets == gets_before ? 1 : 0);
    require(s.connecting + s.queued >= std::min(asked, places), "somebody asks, and nobody opens a connection");
  } else {
    require(s.wanted == most, "another number of connections is wanted than the size, or than are leased");
  }
  require(s.queued == 0 || unsure_ || !outage_.is_due(now()), "rule 7: nothing holds up who waits to dial");
}

void ruled_pool::check_idle(const cocp::stats& s) {
  std::size_t live = 0;
  std::size_t dead = 0;
  for (std::size_t i = 1; i <= streams_.size(); ++i) {
    if (peer(i).gone || at(i).leased) continue;
    require(!closed_, "a closed pool has a connection that nobody has");
    if (at(i).ended) {
      require(now() < *at(i).ended + noticed_within, "rule 2: an idle connection is dead and nobody knows");
      ++dead;
    } else {
      ++live;
    }
  }
  require(s.idle >= live, "rule 4: a connection is up and cannot be leased");
  require(s.idle <= live + dead, "a connection is idle that is gone");
}

void ruled_pool::end() {
  net_->default_result = connect_result::accepted;
  while (!net_->hanging().empty()) happen(pool_event::connect);
  const duration until = now() + well_within;
  for (;;) {
    while (!closed_ && !held_.empty()) happen(pool_event::put);
    const auto next = net_->next_timer();
    if (!next || now() + (*next - net_->now()) > until) break;
    happen(pool_event::turn);
  }
  require(waiting_.empty(), "rule 15: somebody waits although all is well");
  if (!closed_) {
    require(on_demand_ || pool_->stats().idle == size_, "rule 15: not all connections are back although all is well");
    happen(pool_event::close);
  }
  while (!held_.empty()) happen(pool_event::put);
  require(pool_->stats().connected == 0 && net_->open() == 0 && net_->sockets == 0, "a closed pool has open streams");
  pool_.reset();
  settle();
  require(io_.stopped(), "work is left without a pool");
  require(std::ranges::all_of(ended_calls_, [](const call& c) { return c.ends == 1; }), "rule 6: a wait ends twice");
}

std::ostream& operator<<(std::ostream& out, const ruled_pool& p) {
  out << "at " << p.now().count() / 1'000'000 << " ms";
  if (!p.pool_) return out << ", no pool";
  const auto s = p.pool_->stats();
  return out << ", of " << s.size << ' ' << s.wanted << " wanted: " << s.idle << " idle, " << s.leased << " leased, "
             << s.connecting << " connecting, " << s.queued << " queued, " << s.resting << " resting; " << s.waiting
             << " waiting; seen: " << p.net_->sockets << " open, " << p.held_.size() << " leased, " << p.waiting_.size()
             << " waiting";
}

}  // namespace cocp::test
