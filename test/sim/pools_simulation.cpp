// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pools_simulation.hpp"

#include "tenure.hpp"

#include "support/failing_allocations.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <limits>
#include <new>
#include <sstream>
#include <utility>

namespace cocp::test::sim {

using namespace std::chrono_literals;
using connect_result = fake_network::connect_result;

namespace {

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
constexpr duration between_asks = 5ms;

}  // namespace

pools_simulation::drawn pools_simulation::draw(dice& d) {
  using time = std::optional<duration>;
  drawn o;
  o.addresses = d.of({1U, 2U, 5U, 12U});
  o.all.unused_for = d.of<time>({{}, 1ns, 20ms, 1s, 1min});
  o.all.max_connections = d.of<std::size_t>({1, 2, 5, 20, unlimited});
  o.all.max_dialling = d.of<std::size_t>({1, 2, 64});
  o.all.max_pools = d.of<std::size_t>({1, 2, 5, unlimited, unlimited});
  o.each.size = d.of<std::size_t>({1, 2, 8});
  // Where all places are kept open for others, who asks is not served.
  const bool may_keep = o.all.max_connections > o.addresses + 8;
  o.each.min_size = d.of<std::optional<std::size_t>>({{}, 0, may_keep ? 1 : 0});
  o.each.idle_timeout = d.of<time>({{}, 1ms, 1s, 10min});
  o.each.max_lifetime = d.of<time>({{}, {}, 1s});
  o.each.get_timeout = d.of<time>({{}, 0s, 100ms, 30s});
  o.each.fail_fast = d.of<time>({{}, {}, 0s, 500ms});
  o.each.max_dialling = d.of<std::size_t>({1, 16});
  o.each.check_after = d.of<duration>({0s, 0s, 1h});
  o.dial.connect_timeout = d.of<time>({100ms, 5s});
  o.dial.retry_min = d.of<duration>({5ms, 100ms});
  o.dial.retry_max = std::max(o.dial.retry_min, d.of<duration>({5ms, 1s}));
  return o;
}

std::string pools_simulation::drawn::text() const {
  const auto in_words = [](std::optional<duration> t) { return t ? in_ms(*t) : std::string("off"); };
  const auto most = [](std::size_t n) { return n == unlimited ? std::string("off") : std::to_string(n); };
  return say("addresses ", addresses, " unused_for ", in_words(all.unused_for), " max_connections ",
             most(all.max_connections), " max_dialling ", all.max_dialling, " max_pools ", most(all.max_pools),
             "; each: size ", each.size, " min_size ", each.min_size.value_or(0), " idle_timeout ",
             in_words(each.idle_timeout), " max_lifetime ", in_words(each.max_lifetime), " get_timeout ",
             in_words(each.get_timeout), " fail_fast ", in_words(each.fail_fast), " max_dialling ", each.max_dialling,
             " check_after ", in_words(each.check_after), " connect_timeout ", in_words(dial.connect_timeout),
             " retry_min ", in_words(dial.retry_min), " retry_max ", in_words(dial.retry_max));
}

pools_simulation::pools_simulation(const plan& p)
    : stage(p.seed),
      plan_(p),
      dice_(p.seed ^ 0x706f6f6c73),
      drawn_(draw(dice_)),
      uncertain_(p.failing_allocation != 0) {
  net_->numbered = true;
  net_->connect_latency = [this] {
    if (slowest_connect_ == duration::zero()) return duration::zero();
    return duration(dice_.any() % static_cast<std::uint64_t>(slowest_connect_.count()));
  };
  net_->on_accept = [this](fake_peer& peer) { book_.note("stream ", peer.number, " is accepted at ", peer.at); };
}

pools_simulation::~pools_simulation() {
  is_ending_ = true;
  io_.reset();
  pools_.reset();
  // What stands in them refers to this.
  net_->connect_latency = nullptr;
  net_->on_accept = nullptr;
}

outcome pools_simulation::run(std::function<void(const std::string&)> trace) {
  if (trace) {
    book_.trace = [this, trace = std::move(trace)](const std::string& line) {
      trace(in_ms(net_->elapsed()) + "  " + line);
    };
    book_.note(drawn_.text());
  }
  outcome result;
  try {
    open();
    failing_allocations::arm(plan_.failing_allocation);
    for (const act& a : plan_.acts) {
      if (!book_.failures().empty()) break;
      advance(std::min<duration>(a.wait, drawn_.dial.retry_max < 1s ? 2s : 2min));
      perform(a);
      if (a.handlers) {
        run_some(*a.handlers);
      } else {
        settle();
        check();
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
    end_at_once();
  }
  result.failures = book_.failures();
  result.virtual_time = net_->elapsed();
  return result;
}

void pools_simulation::open() {
  const failing_allocations::spare s;
  connection_options dial = drawn_.dial;
  dial.logger = [this, mark = mark_](const event& e) {
    const failing_allocations::spare spare;
    if (!book_.trace) return;
    std::ostringstream line;
    line << e << ", number " << e.id;
    book_.note("event: " + std::move(line).str());
  };
  pools_.emplace(*io_, std::move(dial), drawn_.each, drawn_.all);
  users_.resize(1 + dice_.below(8));
  for (auto& u : users_) u = std::make_unique<user>();
}

std::string pools_simulation::any_address(dice& d) const {
  return "10.0.1." + std::to_string(1 + d.below(drawn_.addresses)) + ":7";
}

void pools_simulation::perform(const act& a) {
  dice d(a.seed);
  const std::size_t who = d.below(users_.size());
  user& u = *users_[who];
  {
    const failing_allocations::spare s;
    book_.note(say(a.what, ", user ", who));
  }
  switch (a.what) {
    case deed::session:
    case deed::callback_get:
    case deed::alone:
    case deed::ready:
      begin(u, d);
      break;
    case deed::cancel:
      if (u.now != user::state::waits) break;
      u.is_cancelled = true;
      u.cancel->emit(
          d.of({asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total}));
      break;
    case deed::drop:
    case deed::die:
      let_go(u, d.below(4));
      break;
    case deed::lose:
    case deed::push:
      lose_one(d);
      break;
    case deed::weather:
    case deed::manners:
    case deed::names:
      change_weather(d);
      break;
    case deed::renew:
    case deed::readdress:
      pools_->renew();
      break;
    case deed::resize:
    case deed::retry_now:
    case deed::look:
    case deed::count:
      break;
  }
}

void pools_simulation::begin(user& u, dice& d) {
  if (u.now == user::state::holds) {
    // Keeps it, and leaves its place, or lets it go.
    if (d.one_in(4) && !u.detached && u.lease) {
      book_.note("detaches");
      u.lease.detach();
      u.detached = true;
    } else {
      let_go(u, d.below(4));
    }
    return;
  }
  if (u.now == user::state::waits) return;
  std::string address;
  {
    const failing_allocations::spare s;
    address = any_address(d);
  }
  const auto within = d.of<std::optional<duration>>({{}, {}, 0s, 10ms, 1s});
  ask(u, address, within, d.below(4));
}

void pools_simulation::ask(user& u, const std::string& address, std::optional<duration> within, std::size_t way) {
  const auto index = static_cast<std::size_t>(
      std::find_if(users_.begin(), users_.end(), [&u](const auto& each) { return each.get() == &u; }) - users_.begin());
  {
    const failing_allocations::spare s;
    book_.note("user ", index, " asks for ", address, within ? " for " + in_ms(*within) : std::string(), ", way ", way);
    u.cancel = std::make_shared<asio::cancellation_signal>();
    u.address = address;
  }
  ++u.turn;
  u.now = user::state::waits;
  u.is_cancelled = false;
  const auto bound = within ? within : drawn_.each.get_timeout;
  u.until = bound ? std::optional(net_->elapsed() + *bound) : std::nullopt;
  teller told(*this, index, u.turn);
  try {
    if (way == 0) {
      u.until = net_->elapsed();
      cocp::lease l = pools_->try_get(address);
      const error_code ec = l ? error_code() : make_error_code(errc::timed_out);
      told(ec, std::move(l));
    } else if (way == 1) {
      auto end = asio::bind_cancellation_slot(
          u.cancel->slot(),
          [told = std::move(told), kept = u.cancel](error_code ec, cocp::lease l) mutable { told(ec, std::move(l)); });
      if (within) {
        pools_->async_get(address, *within, std::move(end));
      } else {
        pools_->async_get(address, std::move(end));
      }
    } else {
      auto get = [](asio::awaitable<cocp::lease> what) -> asio::awaitable<cocp::lease> {
        const auto all = asio::enable_total_cancellation();
        co_await asio::this_coro::reset_cancellation_state(all);
        co_return co_await std::move(what);
      };
      auto end = [told = std::move(told), kept = u.cancel](std::exception_ptr e, cocp::lease l) mutable {
        error_code ec;
        try {
          if (e) std::rethrow_exception(e);
        } catch (const boost::system::system_error& failure) {
          ec = failure.code();
        } catch (const std::bad_alloc&) {
          ec = make_error_code(boost::system::errc::not_enough_memory);
        }
        told(ec, std::move(l));
      };
      auto lease = within ? pools_->get(address, *within) : pools_->get(address);
      asio::co_spawn(*io_, get(std::move(lease)), asio::bind_cancellation_slot(u.cancel->slot(), std::move(end)));
    }
  } catch (const std::bad_alloc&) {
    // It was not begun.
    u.now = user::state::idle;
    ++u.turn;
  }
}

void pools_simulation::forgotten(std::size_t index, std::uint64_t turn) {
  const failing_allocations::spare s;
  user& u = *users_[index];
  if (u.turn != turn || u.now != user::state::waits) return;
  // Without memory a coroutine may end in the midst.
  if (!uncertain_ && !is_ending_) book_.fail(say("rule 6: user ", index, " is told nothing"));
  u.now = user::state::idle;
}

void pools_simulation::done(std::size_t index, std::uint64_t turn, error_code ec, cocp::lease l) {
  const failing_allocations::spare s;
  user& u = *users_[index];
  if (u.turn != turn || u.now != user::state::waits) {
    book_.fail("rule 6: a get ends twice");
    return;
  }
  book_.note("user ", index, l ? " is served" : " fails: " + ec.message());
  if (bool(l) == bool(ec)) book_.fail("a get ends with neither a lease nor an error, or with both");
  u.now = user::state::idle;
  if (l) {
    ++served_;
    u.served = true;
    take(u, std::move(l));
  } else if (ec == asio::error::operation_aborted) {
    if (!u.is_cancelled) book_.fail("rule 6: a get ends as cancelled, and was not");
  } else if (ec == errc::closed) {
    if (!closed_) book_.fail("a get fails as closed in open pools");
  } else if (ec == errc::overloaded) {
    if (drawn_.all.max_pools >= drawn_.addresses) book_.fail("a get is refused as overloaded, and there was room");
  } else if (ec == errc::timed_out && (!u.until || net_->elapsed() < *u.until) && !drawn_.each.fail_fast) {
    book_.fail("rule 6: a get has timed out before its time");
  } else if (ec != errc::timed_out && !drawn_.each.fail_fast && !uncertain_) {
    book_.fail("a get fails without fail_fast with: " + ec.message());
  }
}

void pools_simulation::take(user& u, cocp::lease l) {
  u.stream = peer_of(*l);
  u.lease = std::move(l);
  u.now = user::state::holds;
  u.detached = false;
  u.lost = u.stream == 0;
  if (u.lost) return;
  const fake_peer& p = *net_->peers.at(u.stream - 1);
  if (p.at != u.address) book_.fail(say("who asks for ", u.address, " is given a stream to ", p.at));
  for (const auto& other : users_) {
    if (other.get() != &u && other->now == user::state::holds && !other->lost && other->stream == u.stream) {
      book_.fail(say("rule 1: stream ", u.stream, " is in two leases"));
    }
  }
}

void pools_simulation::let_go(user& u, std::size_t way) {
  if (u.now != user::state::holds) return;
  u.now = user::state::idle;
  u.detached = false;
  // It may end under them.
  cocp::lease l = std::move(u.lease);
  switch (way) {
    case 0:
      l.discard();
      break;
    case 1:
      if (l->is_connected()) {
        // Nobody reads the answer.
        try {
          l->async_write_some(asio::buffer("x", 1), [](error_code, std::size_t) {});
        } catch (const std::bad_alloc&) {
          // It was not begun.
        }
      }
      break;
    default:
      break;
  }
}

void pools_simulation::leave(user& u) {
  if (u.now == user::state::waits) {
    u.is_cancelled = true;
    u.cancel->emit(asio::cancellation_type::total);
  }
  let_go(u, 2);
}

void pools_simulation::lose_one(dice& d) {
  const failing_allocations::spare s;
  std::vector<std::shared_ptr<fake_peer>> open;
  for (const auto& p : net_->peers) {
    if (!p->gone && !p->end) open.push_back(p);
  }
  if (open.empty()) return;
  const auto p = open[d.below(open.size())];
  book_.note("stream ", p->number, " is lost");
  for (const auto& u : users_) u->lost = u->lost || u->stream == p->number;
  d.one_in(2) ? p->fin() : p->reset();
}

void pools_simulation::change_weather(dice& d) {
  const failing_allocations::spare s;
  const auto how =
      d.of({connect_result::accepted, connect_result::accepted, connect_result::refused, connect_result::hangs});
  slowest_connect_ = d.of<duration>({0ms, 0ms, 10ms, 1s});
  if (d.one_in(3)) {
    net_->default_result = how;
    net_->results_at.clear();
  } else {
    net_->results_at[any_address(d)] = how;
  }
}

std::size_t pools_simulation::detached() const {
  return static_cast<std::size_t>(std::count_if(
      users_.begin(), users_.end(), [](const auto& u) { return u->now == user::state::holds && u->detached; }));
}

void pools_simulation::serves_everybody() {
  book_.note("all is well from now on");
  net_->default_result = connect_result::accepted;
  net_->results_at.clear();
  slowest_connect_ = {};
  for (const auto& u : users_) {
    leave(*u);
    u->served = false;
  }
  settle();
  check();
  // The first does not stop asking for one address, and the others are served all the same, if there may be pools
  // enough.
  const bool has_greedy = users_.size() > 1 && drawn_.all.max_pools >= drawn_.addresses;
  const duration attempt = *drawn_.dial.connect_timeout + 500ms;
  const duration bound =
      (2 * attempt + drawn_.dial.retry_max + 2 * drawn_.dial.retry_min + 2s) * static_cast<int>(users_.size());
  const auto served = [&] { return std::ranges::all_of(users_, [](const auto& u) { return u->served; }); };
  std::vector<std::string> wanted;
  for (std::size_t i = 0; i < users_.size(); ++i) wanted.push_back(any_address(dice_));
  for (const duration end = net_->elapsed() + bound; net_->elapsed() < end && !served(); advance(between_asks)) {
    for (std::size_t i = 0; i < users_.size(); ++i) {
      user& u = *users_[i];
      const bool asks_on = !u.served || (has_greedy && i == 0);
      let_go(u, 2);
      if (u.now == user::state::idle && asks_on) ask(u, wanted[i], 1h, 1);
    }
    settle();
    check();
  }
  for (std::size_t i = 0; i < users_.size(); ++i) {
    if (!users_[i]->served) {
      book_.fail(say("rule 15: user ", i, " asks for ", wanted[i], " for ", in_ms(bound), " and is not served"));
      break;
    }
  }
}

void pools_simulation::forgets_all() {
  for (const auto& u : users_) leave(*u);
  settle();
  check();
  if (!drawn_.all.unused_for) return;
  advance(2 * *drawn_.all.unused_for + 3s);
  if (!pools_->stats().empty()) book_.fail(say(pools_->stats().size(), " pools are kept that nobody uses"));
  if (net_->sockets != 0) book_.fail("rule 4: a socket of a pool that was removed is left open");
}

void pools_simulation::close() {
  closed_ = true;
  pools_->close();
}

void pools_simulation::end() {
  if (plan_.end != ending_way::in_order && plan_.end != ending_way::in_between) {
    end_at_once();
    return;
  }
  if (plan_.end == ending_way::in_order) {
    serves_everybody();
    if (book_.failures().empty()) forgets_all();
  }
  if (dice_.one_in(2)) close();
  closed_ = true;
  const auto within = dice_.of<std::optional<duration>>({std::nullopt, 0ms, 20ms, 2s});
  // What is outstanding ends with it, and so do the connections.
  if (within) {
    for (const auto& u : users_) u->lost = true;
  }
  bool is_drained = false;
  auto wait = [](cocp::pools& pools, std::optional<duration> most, bool& ended) -> asio::awaitable<void> {
    if (most) {
      co_await pools.drain(*most);
    } else {
      co_await pools.drain();
    }
    ended = true;
  };
  asio::co_spawn(*io_, wait(*pools_, within, is_drained), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  settle();
  check();
  const auto holds = [](const auto& u) { return u->now == user::state::holds; };
  if (is_drained && std::ranges::any_of(users_, holds) && within != 0ms) {
    book_.fail("rule 4: drain does not wait for a lease");
  }
  if (within) {
    advance(*within + 1s);
    if (!is_drained) book_.fail("drain outlasts its within by more than a second");
  }
  for (const auto& u : users_) leave(*u);
  advance(1s);
  if (!is_drained) book_.fail("rule 4: drain does not end");
  pools_.reset();
  advance(5s);
  if (!io_->stopped()) book_.fail("work is left when all has ended");
  end_at_once();
}

void pools_simulation::end_at_once() {
  is_ending_ = true;
  if (plan_.end == ending_way::users_first) {
    for (const auto& u : users_) leave(*u);
  } else if (plan_.end == ending_way::pool_first) {
    closed_ = true;
    pools_.reset();
  }
  // Their ends are told to nobody, or to those who are there.
  io_.reset();
  pools_.reset();
  users_.clear();
  if (net_->sockets != 0) book_.fail("rule 4: a socket is left open");
  if (mark_.use_count() != 1) book_.fail("rule 10: something is left");
}

void pools_simulation::check_always() {
  const failing_allocations::spare s;
  if (!pools_) return;
  const pools_stats all = pools_->stats();
  if (all.size() > drawn_.all.max_pools) book_.fail(say(all.size(), " pools, of at most ", drawn_.all.max_pools));
  if (net_->connecting > drawn_.all.max_dialling) {
    book_.fail(say(net_->connecting, " dial, of at most ", drawn_.all.max_dialling));
  }
  for (const auto& [address, one] : all) {
    const std::size_t sum = one.idle + one.leased + one.hooks + one.connecting + one.queued + one.resting;
    if (sum != one.wanted) book_.fail(say("the gauges of ", address, " add up to ", sum, ", of ", one.wanted));
  }
  const auto grows = [this](const char* name, std::uint64_t now) {
    if (std::exchange(counted_[name], now) > now) book_.fail(say("the sum of ", name, " goes back to ", now));
  };
  grows("gets", all.sum.gets);
  grows("waits", all.sum.waits);
  grows("timeouts", all.sum.timeouts);
  grows("cancelled", all.sum.cancelled);
  grows("connects", all.sum.connects);
  grows("connect_failures", all.sum.connect_failures);
  grows("disconnects", all.sum.disconnects);
  grows("replaced_dirty", all.sum.replaced_dirty);
}

void pools_simulation::check() {
  check_always();
  const failing_allocations::spare s;
  if (!pools_) return;
  const pools_stats all = pools_->stats();
  const duration now = net_->elapsed();
  if (all.sum.gets != served_ && !uncertain_) {
    book_.fail(say(served_, " were served, and ", all.sum.gets, " are counted"));
  }
  std::size_t held_by_closed = 0;
  for (std::size_t i = 0; i < users_.size(); ++i) {
    const user& u = *users_[i];
    if (u.now == user::state::idle) continue;
    ++held_by_closed;
    if (!closed_ && !u.detached && !all.contains(u.address)) {
      book_.fail(say("the pool of ", u.address, " was removed, though user ", i, " uses it"));
    }
    if (u.now == user::state::waits && !uncertain_) {
      if (u.until && *u.until <= now) book_.fail(say("rule 6: the get of user ", i, " is past its limit"));
      if (u.is_cancelled) book_.fail(say("rule 6: the get of user ", i, " was cancelled, and waits"));
      if (closed_) book_.fail(say("rule 6: user ", i, " waits in closed pools"));
    }
    if (u.now == user::state::holds && !u.lost && net_->peers.at(u.stream - 1)->gone) {
      book_.fail(say("stream ", u.stream, " is closed while user ", i, " has it"));
    }
  }
  if (uncertain_) return;
  const std::size_t most = drawn_.all.max_connections;
  if (most != unlimited && net_->sockets > most + detached()) {
    book_.fail(say("rule 16: ", net_->sockets, " sockets of at most ", most, ", and ", detached(), " detached"));
  }
  if (closed_ && net_->sockets > held_by_closed) {
    book_.fail(say("rule 4: ", net_->sockets, " sockets of closed pools with ", held_by_closed, " leases out"));
  }
}

}  // namespace cocp::test::sim
