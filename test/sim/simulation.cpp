// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "simulation.hpp"

#include "tenure.hpp"

#include "support/failing_allocations.hpp"
#include "support/outage_rule.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace cocp::test::sim {

using namespace std::chrono_literals;
using connect_result = fake_network::connect_result;

namespace {

constexpr duration beat = 5ms;
/// Where the connection that stands alone goes, and nobody else.
constexpr const char* loners_address = "10.0.0.9:7";

drawn_options draw(const plan& p) {
  dice d(p.seed ^ 0x6f7074696f6e73);
  return drawn_options(d, p.plain_options);
}

}  // namespace

simulation::simulation(const plan& p)
    : stage(p.seed),
      plan_(p),
      drawn_(draw(p)),
      server_(*net_, book_, p.seed + 1),
      latency_(p.seed + 2),
      size_(drawn_.pool.size) {
  net_->names["db"] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
  net_->connect_latency = [this] {
    if (slowest_connect_ == duration::zero()) return duration::zero();
    return duration(latency_.any() % static_cast<std::uint64_t>(slowest_connect_.count()));
  };
  book_.uncertain = p.failing_allocation != 0;
  book_.options = drawn_.pool;
  book_.retry_min = drawn_.dial.retry_min;
  book_.has_on_connect = drawn_.on_connect;
  book_.has_on_return = drawn_.on_return;
  book_.has_keepalive = drawn_.keepalive;
}

simulation::~simulation() {
  io_.reset();
  pool_.reset();
  loners_use_.reset();
  // What stands in them refers to this.
  net_->connect_latency = nullptr;
}

outcome simulation::run(std::function<void(const std::string&)> trace) {
  if (trace) {
    book_.trace = [this, trace = std::move(trace)](const std::string& line) {
      std::ostringstream out;
      out << std::fixed;
      out.precision(3);
      out << static_cast<double>(now().count()) / 1'000'000.0 << " ms  " << line;
      trace(out.str());
    };
    book_.note(drawn_.text());
  }
  outcome result;
  try {
    open();
    failing_allocations::arm(plan_.failing_allocation);
    bool at_once = false;
    for (const act& a : plan_.acts) {
      if (!book_.failures().empty()) break;
      if (!at_once || a.wait != duration::zero()) {
        advance(drawn_.is_busy() ? std::min<duration>(a.wait, 2s) : a.wait);
        at_once = false;
      }
      is_settled_ = !at_once;
      try {
        perform(a);
      } catch (const std::bad_alloc&) {
        // It was not begun.
      }
      check_always();
      at_once = a.handlers.has_value();
      if (at_once) {
        run_some(*a.handlers);
      } else {
        settle();
        check();
        if (a.what == deed::retry_now && is_settled_) check_probe();
      }
    }
    settle();
    check();
    result.spared = failing_allocations::armed() && plan_.failing_allocation != 0;
    failing_allocations::arm(0);
    if (book_.failures().empty()) end();
  } catch (const stuck& e) {
    failing_allocations::arm(0);
    book_.fail(e.what());
    // Whatever holds what: nothing more is said of it.
    end_at_once();
  }
  result.failures = book_.failures();
  result.virtual_time = now();
  return result;
}

void simulation::open() {
  const failing_allocations::spare s;
  pool_options options = drawn_.pool;
  connection_options dial = drawn_.dial;
  dial.logger = [this, mark = mark_](const event& e) {
    const failing_allocations::spare spare;
    // Rule 8: it could not, if a lock were held.
    book_.on_event(e, pool_ ? pool_->stats() : cocp::stats());
    if (book_.trace) {
      std::ostringstream line;
      line << e << ", number " << e.id;
      book_.note("event: " + std::move(line).str());
    }
  };
  const auto run = [this](book::role who) { return [this, who, mark = mark_](connection& c) { return hook(c, who); }; };
  if (drawn_.on_connect) dial.on_connect = run(book::role::on_connect);
  if (drawn_.on_close) dial.on_close = run(book::role::on_close);
  if (drawn_.on_return) options.on_return = run(book::role::on_return);
  if (drawn_.keepalive) options.keepalive = run(book::role::keepalive);
  raced_ = dial.address[0] == 'd';
  address_ = dial.address;
  pool_.emplace(*io_, std::move(dial), std::move(options));
  dice d(plan_.seed + 3);
  users_.resize(1 + d.below(6));
  for (auto& u : users_) u = std::make_unique<user>(*this);
}

asio::awaitable<void> simulation::hook(connection& c, book::role who) {
  usage u(*this, c, who, false);
  const std::uint64_t how = latency_.any();
  co_await u.exchange(how);
  if (latency_.percent(hooks_fail_)) throw std::runtime_error("on purpose");
  if (u.is_to_be_discarded()) throw std::runtime_error("it read a half of what was pushed");
  u.end(false, false);
}

asio::awaitable<void> simulation::pause(duration d) {
  const auto timer = net_->make_timer(io_->get_executor());
  timer->expires_at(net_->now() + d);
  auto wait = [&timer](auto handler) { timer->async_wait(std::move(handler)); };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void(error_code)>(std::move(wait), asio::use_awaitable);
}

bool simulation::has_unread(book::stream s) const {
  return std::any_of(net_->peers.begin(), net_->peers.end(),
                     [s](const auto& p) { return p->number == s && !p->inbox.empty(); });
}

void simulation::perform(const act& a) {
  {
    const failing_allocations::spare s;
    std::ostringstream line;
    line << a.what;
    book_.note(line.str());
  }
  // What these cause is not the outage's.
  if (a.what == deed::weather || a.what == deed::manners || a.what == deed::names || a.what == deed::renew ||
      a.what == deed::readdress || a.what == deed::retry_now || a.what == deed::resize || a.what == deed::alone) {
    outage_.reset();
    book_.forget_outage();
  }
  attempts_before_ = net_->attempts.size() + net_->lookups.size();
  dice d(a.seed);
  user& u = *users_[d.below(users_.size())];
  switch (a.what) {
    case deed::session:
      u.begin_session(d.any());
      break;
    case deed::callback_get:
      u.get_with_callback(d.any());
      break;
    case deed::cancel: {
      const auto busy = std::ranges::find_if(users_, [](const auto& each) { return each->is_busy(); });
      (busy != users_.end() && d.one_in(2) ? **busy : u).cancel(d.any());
      break;
    }
    case deed::drop:
      u.drop(d.any());
      break;
    case deed::die:
      u.die(d.one_in(2));
      break;
    case deed::alone:
      use_loner(d.any());
      break;
    case deed::ready:
      wait_until_up(1 + d.below(size_));
      break;
    case deed::lose: {
      const failing_allocations::spare s;
      server_.lose_one(d);
      break;
    }
    case deed::push: {
      const failing_allocations::spare s;
      server_.push_one(d);
      break;
    }
    case deed::weather:
      change_weather(d);
      break;
    case deed::manners:
      change_manners(d);
      break;
    case deed::names:
      change_names(d);
      break;
    case deed::renew:
      pool_->renew();
      note_renewal();
      break;
    case deed::readdress: {
      const char* const to = d.of({"10.0.0.1:7", "10.0.0.2:7", "db:7", "nowhere:7"});
      raced_ = raced_ || to[0] == 'd';
      pool_->readdress(to);
      if (std::exchange(address_, to) != to) note_renewal();
      break;
    }
    case deed::resize: {
      // As a constructor, it may fail and do nothing; see allocation_test.
      const failing_allocations::spare s;
      size_ = 1 + d.below(10);
      pool_->resize(size_);
      book_.resized();
      break;
    }
    case deed::retry_now:
      pool_->retry_now();
      break;
    case deed::look: {
      const failing_allocations::spare s;
      static_cast<void>(pool_->leases());
      break;
    }
    case deed::count:
      break;
  }
}

void simulation::note_renewal() {
  // What was handed on a moment ago is on its way.
  if (is_settled_) book_.renewed();
}

void simulation::check_probe() {
  const failing_allocations::spare s;
  const auto stats = pool_->stats();
  const bool probes = stats.connecting != 0 || net_->attempts.size() + net_->lookups.size() != attempts_before_;
  // What is dialled for a lease, which waits until it is ready, is not told as connecting.
  // Nor is what says its last words.
  const bool is_told = stats.leased == 0 && book_.closing() == 0;
  if (stats.connected == 0 && is_told && stats.queued + stats.resting != 0 && !probes && !book_.uncertain) {
    book_.fail("retry_now has nobody dial");
  }
}

void simulation::change_weather(dice& d) {
  const failing_allocations::spare s;
  const auto any = [&d] {
    return d.of({connect_result::accepted, connect_result::accepted, connect_result::accepted, connect_result::refused,
                 connect_result::refused, connect_result::hangs, connect_result::hangs, connect_result::busy});
  };
  net_->default_result = any();
  net_->results_at.clear();
  if (d.one_in(2)) net_->results_at["10.0.0.1:7"] = any();
  if (d.one_in(2)) net_->results_at["10.0.0.2:7"] = any();
  slowest_connect_ = d.of<duration>({0ms, 0ms, 5ms, 400ms, 8s});
  if (!d.one_in(4)) return;
  net_->default_result = connect_result::refused;
  net_->results_at.clear();
  slowest_connect_ = {};
  begin_outage(net_->peers.size());
}

void simulation::begin_outage(std::optional<std::size_t> accepted) {
  if (!net_->lookups_hang && !net_->lookups_fail) outage_ = outage{now(), net_->attempted.size(), accepted};
}

std::size_t simulation::attempts_since(std::size_t first) const {
  return static_cast<std::size_t>(std::count_if(net_->attempted.begin() + static_cast<std::ptrdiff_t>(first),
                                                net_->attempted.end(),
                                                [](const auto& to) { return to != loners_address; }));
}

std::size_t simulation::attempts_of_outage() const {
  const connection_options& o = drawn_.dial;
  // At its begin, some had leave to dial already.
  const std::size_t attempts =
      drawn_.pool.max_dialling + most_attempts(now() - outage_->since, o.retry_min, o.retry_max);
  return attempts * (raced_ ? 3 : 1);
}

void simulation::change_manners(dice& d) {
  const failing_allocations::spare s;
  const auto some = [&d] { return static_cast<unsigned>(d.of({0, 0, 0, 0, 10, 50, 100})); };
  server::manners& m = server_.how;
  m.closes_at_once = some();
  m.speaks_first = some();
  m.most = d.of<std::size_t>({server::manners().most, server::manners().most, 0, 1, 3});
  m.never_answers = some();
  m.breaks_off = some();
  m.ends_after = some();
  m.chatters = some();
  m.in_pieces = some();
  m.takes_slowly = some();
  m.slowest = d.of<duration>({0ms, 0ms, 3ms, 200ms, 10s});
  hooks_fail_ = some();
  if (!d.one_in(6)) return;
  // Accepts and closes, which is an outage too.
  m = {};
  m.closes_at_once = 100;
  net_->default_result = connect_result::accepted;
  net_->results_at.clear();
  slowest_connect_ = {};
  begin_outage(std::nullopt);
}

void simulation::change_names(dice& d) {
  const failing_allocations::spare s;
  net_->lookups_hang = d.one_in(3);
  net_->lookups_fail = !net_->lookups_hang && d.one_in(4);
  net_->names["db"] = d.one_in(2) ? std::vector<std::string>{"10.0.0.1", "10.0.0.2", "10.0.0.3"}
                                  : std::vector<std::string>{"10.0.0.2", "10.0.0.4"};
}

void simulation::wait_until_up(std::size_t n) {
  const failing_allocations::spare s;
  const auto bound = drawn_.pool.get_timeout;
  const bool limited = bound && *bound < duration::max() - now();
  const auto pending = std::make_shared<up_wait>(up_wait{n, limited ? std::optional(now() + *bound) : std::nullopt});
  std::erase_if(up_waits_, [](const auto& w) { return w.expired(); });
  up_waits_.push_back(pending);
  auto wait = [](cocp::pool& pool, std::shared_ptr<up_wait> w) -> asio::awaitable<void> {
    const auto kept = std::move(w);
    try {
      co_await pool.ready(kept->wanted);
    } catch (const boost::system::system_error&) {
      // Its time, or the pool's size, did not suffice.
    }
  };
  asio::co_spawn(*io_, wait(*pool_, pending), [](std::exception_ptr) {});
}

bool simulation::somebody_waits_until_up() const {
  return std::ranges::any_of(up_waits_, [](const auto& w) { return !w.expired(); });
}

void simulation::check_up_waits(std::size_t connected) {
  for (const auto& each : up_waits_) {
    const auto w = each.lock();
    if (!w) continue;
    if (w->until && *w->until <= now()) book_.fail("a ready is past its limit");
    if (connected >= w->wanted) book_.fail(say("a ready waits for ", w->wanted, ", and ", connected, " are up"));
    if (w->wanted > size_) book_.fail("a ready waits for more than there may be");
    if (book_.closed) book_.fail("a ready waits in a closed pool");
  }
}

void simulation::check_streams(const cocp::stats& stats) {
  const auto hold = [this](std::optional<duration>& since, bool holds) {
    if (!holds) {
      since.reset();
    } else if (!since) {
      since = now();
    }
  };
  const std::size_t least = std::min(drawn_.pool.min_size.value_or(size_), size_);
  now_on_.calm = stats.waiting == 0 && stats.connecting + stats.queued + stats.resting == 0;
  hold(now_on_.spare_since, stats.wanted > least && !somebody_waits_until_up());
  hold(now_on_.no_hook_since, stats.hooks == 0);
  const auto peers = net_->peers;
  for (const auto& p : peers) {
    if (!p->gone && p->at != loners_address) book_.check_stream(p->number, !p->inbox.empty(), now_on_);
  }
}

void simulation::use_loner(std::uint64_t seed) {
  if (at_loner_ != 0) return;
  if (!loner_) {
    const failing_allocations::spare s;
    loner_.emplace(*io_, connection_options{.address = loners_address});
    loners_use_.emplace(*this, *loner_);
  }
  dice d(seed);
  {
    const failing_allocations::spare s;
    if (d.one_in(2)) server_.lose_within_a_write(peer_of(*loner_), d);
  }
  const auto done = [this](std::exception_ptr e) {
    has_loner_failed_ = has_loner_failed_ || e;
    if (--at_loner_ == 0 && std::exchange(has_loner_failed_, false)) loners_use_->forget();
  };
  // By two, of whom one may wait for ever if the other has failed.
  const bool apart = !book_.uncertain && d.one_in(2);
  loners_use_->limit_time(apart ? std::optional<duration>(1s) : std::nullopt);
  if (apart) {
    at_loner_ = 2;
    asio::co_spawn(*io_, loners_use_->ask(d.any()), done);
    asio::co_spawn(*io_, loners_use_->hear(d.any()), done);
  } else {
    asio::co_spawn(*io_, loners_use_->exchange(d.any()), done);
    at_loner_ = 1;
  }
}

void simulation::be_well() {
  book_.note("all is well from now on");
  server_.how = {};
  hooks_fail_ = 0;
  net_->default_result = connect_result::accepted;
  net_->results_at.clear();
  net_->lookups_hang = net_->lookups_fail = false;
  slowest_connect_ = {};
  // As many of a name's addresses as an attempt has time for may be bad.
  // What was silent stays so; who waits for it without a limit does so for ever.
  const bool limited = drawn_.dial.connect_timeout.has_value();
  const bool is_told = !limited || latency_.one_in(2);
  net_->names["db"] = {"10.0.0.1", "10.0.0.3"};
  if (is_told || address_[0] == 'd') {
    const bool has_time = !limited || *drawn_.dial.connect_timeout >= 1s;
    net_->results_at["10.0.0.1:7"] = has_time ? connect_result::hangs : connect_result::refused;
  }
  const auto peers = net_->peers;
  for (const auto& p : peers) {
    if (p->gone || p->end || (limited && latency_.one_in(2))) continue;
    book_.on_ended(p->number);
    p->reset();
  }
  outage_.reset();
  book_.forget_outage();
  // Otherwise it has to find out by itself.
  if (!is_told) return;
  // A place for everybody.
  size_ = std::max(size_, users_.size());
  pool_->resize(size_);
  book_.resized();
  raced_ = true;
  pool_->readdress(latency_.of({"10.0.0.3:7", "db:7"}));
  if (!limited) pool_->renew();
}

duration simulation::bound() const {
  // One attempt that had begun, the delay, and one that succeeds; and those in front. Where nothing limits an attempt,
  // an address that fails behind its connect is held back for five seconds.
  const duration attempt = drawn_.dial.connect_timeout.value_or(6s) + 500ms;
  // Last words hold a redial up.
  const duration words = drawn_.on_close ? 3s : 0s;
  return 2 * attempt + drawn_.dial.retry_max + 2 * drawn_.dial.retry_min + 2s + words;
}

bool simulation::serves_everybody() {
  std::size_t n = 0;
  // Nobody overtakes those who wait: where there are fewer places, who does not wait might never find one.
  const bool is_room = size_ >= users_.size();
  for (auto& u : users_) u->want(is_room ? static_cast<user::way>(n++ % user::ways) : user::way::waits);
  const auto served = [this] { return std::ranges::all_of(users_, [](const auto& u) { return u->was_served(); }); };
  for (const duration end = now() + bound(); now() < end && !served(); advance(beat)) {
    for (auto& u : users_) u->ask_on();
    settle();
    check();
  }
  return served();
}

bool simulation::lets_others_run() {
  unsigned in_a_row = 0;
  unsigned most = 0;
  bool done = false;
  auto get = [](simulation& s, unsigned& now, unsigned& most_in_a_row, bool& ended) -> asio::awaitable<void> {
    try {
      for (int i = 0; i < 200; ++i) {
        const cocp::lease l = co_await s.pool().get(1h);
        s.records().count_get();
        most_in_a_row = std::max(most_in_a_row, ++now);
      }
    } catch (const boost::system::system_error&) {
      // Refused at once while it is not up.
      s.records().uncertain = true;
    }
    ended = true;
  };
  asio::co_spawn(*io_, get(*this, in_a_row, most, done), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  for (const duration end = now() + bound(); !done && now() < end;) {
    // One handler: whatever it does is in a row.
    in_a_row = 0;
    io_->restart();
    if (io_->poll_one() != 0) continue;
    const auto next = net_->next_timer();
    if (!next) break;
    net_->move(*next - net_->now());
  }
  if (!done) book_.fail("rule 15: one who asks again and again is not served");
  return most <= 64;
}

bool simulation::keeps_least() {
  std::size_t least = std::min(drawn_.pool.min_size.value_or(size_), size_);
  // They may be away for their age.
  if (drawn_.pool.max_lifetime) least -= std::min(least, std::max<std::size_t>(1, size_ / 10));
  for (const duration end = now() + bound(); now() < end; advance(beat)) {
    if (pool_->stats().connected >= least) return true;
  }
  return false;
}

void simulation::end() {
  switch (plan_.end) {
    case ending_way::in_order:
      end_in_order();
      break;
    case ending_way::in_between:
      end_in_between();
      break;
    case ending_way::pool_first:
    case ending_way::context_first:
    case ending_way::users_first:
      end_at_once();
  }
}

void simulation::end_in_between() {
  outage_.reset();
  if (latency_.one_in(2)) {
    close();
    pool_->close();
    settle();
    check();
  }
  drain(latency_.of<std::optional<duration>>({std::nullopt, std::nullopt, 0ms, 20ms, 2s}));
  settle();
  check();
  advance(latency_.of<duration>({0ms, 20ms, 2s}));
  check();
  if (is_drained_ && leases_ + detached_ != 0 && !ends_uses()) {
    book_.fail("rule 4: drain does not wait for a lease");
  }
  if (drain_limit_) {
    advance(*drain_limit_ + 1s);
    check();
    if (!is_drained_) book_.fail("drain outlasts its limit by more than a second");
  }
  for (auto& u : users_) u->leave();
  end_drained();
}

void simulation::end_in_order() {
  for (auto& u : users_) u->leave();
  settle();
  check();
  be_well();
  settle();
  if (!serves_everybody()) book_.fail("rule 15: after " + std::to_string(bound() / 1ms) + " ms not all are served");
  for (auto& u : users_) u->leave();
  settle();
  if (!keeps_least()) book_.fail(say("rule 15: ", pool_->stats().connected, " are up, which is less than min_size"));
  if (!lets_others_run()) book_.fail("rule 14: more than 64 gets in a row let nobody else run");
  // Somebody may be late.
  cocp::lease late = latency_.one_in(2) ? pool_->try_get() : cocp::lease();
  if (late) book_.count_get();
  const bool is_late = bool(late);
  leases_ += is_late ? 1 : 0;
  drain();
  if (is_late) {
    advance(2s);
    if (is_drained_) book_.fail("rule 4: drain does not wait for a lease");
    --leases_;
    late.put();
  }
  end_drained();
}

void simulation::close() {
  book_.closed = true;
  if (loner_) loner_->close();
}

void simulation::drain(std::optional<duration> within) {
  close();
  drain_limit_ = within;
  drain_at_ = now();
  if (within) book_.end_uses(drain_at_ + *within);
  auto wait = [](cocp::pool& pool, std::optional<duration> most, bool& done) -> asio::awaitable<void> {
    if (most) {
      co_await pool.drain(*most);
    } else {
      co_await pool.drain();
    }
    done = true;
  };
  asio::co_spawn(*io_, wait(*pool_, within, is_drained_), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
}

void simulation::end_drained() {
  advance(drawn_.on_close ? 2s : 1s);
  if (!is_drained_) book_.fail("rule 4: drain does not end");
  pool_.reset();
  // A session may pause.
  advance(5s);
  if (!io_->stopped()) book_.fail("work is left when all has ended");
  if (net_->sockets != 0) book_.fail("rule 4: a socket is left open");
  io_.reset();
  pool_.reset();
  users_.clear();
  check_nothing_left();
}

void simulation::check_nothing_left() {
  if (mark_.use_count() != 1) book_.fail("rule 10: something is left");
  if (keepsake::alive != 0) book_.fail(say(keepsake::alive, " sessions are left"));
  keepsake::alive = 0;
}

void simulation::end_at_once() {
  switch (plan_.end) {
    case ending_way::in_order:
    case ending_way::in_between:
    case ending_way::context_first:
      io_.reset();
      pool_.reset();
      break;
    case ending_way::pool_first:
      pool_.reset();
      io_.reset();
      break;
    case ending_way::users_first:
      for (auto& u : users_) u->leave();
      io_.reset();
      pool_.reset();
      break;
  }
  users_.clear();
  loner_.reset();
  if (net_->sockets != 0) book_.fail("rule 4: a socket is left open");
  check_nothing_left();
}

void simulation::check_always() {
  const failing_allocations::spare s;
  if (pool_) book_.check_counters(pool_->stats());
  if (!raced_ && !book_.uncertain && net_->connecting > drawn_.pool.max_dialling + (loner_ ? 1 : 0)) {
    book_.fail(say(net_->connecting, " connect, of at most ", drawn_.pool.max_dialling));
  }
}

void simulation::check() {
  const failing_allocations::spare s;
  book_.check_waits();
  if (!pool_) return;
  const auto stats = pool_->stats();
  book_.check_counters(stats);
  book_.check_stats(stats, leases_, detached_);
  if (!book_.uncertain) {
    book_.check_limits();
    check_up_waits(stats.connected);
    if (!book_.closed) check_streams(stats);
    if (book_.closed && net_->sockets > stats.leased + stats.detached + stats.hooks + book_.closing()) {
      book_.fail(say("rule 4: ", net_->sockets, " sockets of a closed pool with ", stats.leased, " leases out"));
    }
    if (!raced_ && net_->connecting > drawn_.pool.max_dialling + (loner_ ? 1 : 0)) {
      book_.fail(say(net_->connecting, " connect, of at most ", drawn_.pool.max_dialling));
    }
    if (stats.size != size_) book_.fail(say("the size is ", size_, ", and ", stats.size, " is told"));
  }
  if (net_->destroyed_in_use != 0) book_.fail("rule 11: a stream was destroyed in use");
  // Without memory, what is to be closed waits for a moment.
  // Last words of what was too many are said beside those that are not.
  const std::size_t most =
      std::max(size_, stats.leased + stats.hooks) + stats.detached + book_.closing() + (loner_ ? 1 : 0);
  if (!raced_ && !book_.uncertain && net_->sockets > most) {
    book_.fail(say("rule 16: ", net_->sockets, " sockets of at most ", size_, ", with ", stats.leased, " leases out"));
  }
  // One that was on its way has come through: the pool takes the endpoint for well, and begins anew.
  if (outage_ && outage_->accepted && *outage_->accepted != net_->peers.size()) begin_outage(net_->peers.size());
  if (outage_) {
    const std::size_t made = attempts_since(outage_->attempts);
    if (made > attempts_of_outage()) {
      book_.fail(say("rule 7: an outage of ", in_ms(now() - outage_->since), " has cost ", made, " attempts"));
    }
  }
}

}  // namespace cocp::test::sim
