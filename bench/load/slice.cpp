// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "slice.hpp"

#include "worker.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <csignal>
#include <exception>
#include <stdexcept>
#include <utility>

#include <unistd.h>

namespace bench {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// How long it may take until all is connected, and from the decision to stop until no work is left.
constexpr auto longest_begin = 5s;
constexpr auto longest_end = 5s;
/// From the first requests to the first that are counted, at most.
constexpr std::chrono::nanoseconds longest_warm_up = 200ms;

/// An exception that leaves a coroutine is a fault of this program.
void rethrow_fault(std::exception_ptr e) {
  if (e) std::rethrow_exception(e);
}

/// The part of `all` that is for the `n`th of `parts`.
std::size_t share_of(std::size_t all, std::size_t n, std::size_t parts) {
  return all / parts + (n < all % parts ? 1 : 0);
}

server_state first_state(const load_options& o) {
  // What a relay does to connections is as little known as what somebody else does.
  const bool known = o.connect.empty() && std::ranges::none_of(o.faults, &fault::on_the_way);
  return known ? server_state::up : server_state::foreign;
}

}  // namespace

slice::slice(const load_options& options, mode how, const target& to, server& at, live_view& view)
    : options_(options),
      threads_(options.threads),
      server_(at),
      view_(view),
      answers_(threads_),
      book_(first_state(options)),
      front_(at.context()) {
  result_.how = how;
  const std::size_t lanes = options.context_each ? threads_ : 1;
  for (std::size_t i = 0; i < lanes; ++i) {
    lane& l = lanes_.emplace_back(static_cast<int>(threads_ / lanes));
    l.way = how == mode::pool ? make_pool_client(l.io, to, share_of(options.size, i, lanes))
                              : make_client_by_hand(l.io, to, how);
  }
  for (std::size_t i = 0; i < threads_; ++i) {
    running_.emplace_back([i, &io = lanes_[i % lanes].io] {
      recorders::i_am(i);
      io.run();
    });
  }
}

slice::~slice() {
  for (lane& l : lanes_) l.io.stop();
}

measured slice::run() {
  std::exception_ptr trouble;
  asio::co_spawn(front_, conduct(), [this, &trouble](std::exception_ptr e) {
    trouble = std::move(e);
    // There may be a relay on it, which goes on.
    front_.stop();
  });
  front_.restart();
  front_.run();
  if (trouble) std::rethrow_exception(trouble);
  running_.clear();

  result_.errors = failures_.error_texts();
  result_.wrong = failures_.wrong_answers();
  result_.first_wrong = failures_.first_wrong_answer();
  result_.answered_after_back = failures_.after_back();
  return std::move(result_);
}

asio::awaitable<void> slice::conduct() {
  using namespace asio::experimental::awaitable_operators;
  asio::signal_set signals(front_, SIGINT, SIGTERM);
  if (!co_await all_ready()) {
    throw std::runtime_error("the connections were not up within " + to_string(longest_begin));
  }

  spawn_workers();
  const auto warm_up = std::min(longest_warm_up, options_.duration / 5);
  co_await machine_time().sleep_until(clock::now() + warm_up);
  answers_.collect();
  started_ = clock::now();

  const auto first = co_await (signals.async_wait(asio::use_awaitable) || follow_plan() || watch());
  look();
  result_.interrupted = first.index() == 0;
  result_.elapsed = elapsed();
  if (back_ > killed_) {
    result_.down_for = back_ - killed_;
    result_.back_for = clock::now() - back_;
  }
  if (due_) result_.not_begun = due_->not_taken(clock::now());
  if (options_.compare || result_.blocks.empty()) end_block();
  co_await stop();
  co_await server_.mend();
}

/// Counted on the lanes: to cancel from here what was spawned there is not safe (asio issue 1332, Boost 1.81).
void slice::begin_to_get_ready() {
  not_ready_ = lanes_.size();
  for (lane& l : lanes_) {
    asio::co_spawn(l.io, l.way->ready(), [this](std::exception_ptr e) {
      // It ends with an error when the pool is closed.
      if (e) return;
      ready_at_ = clock::now();
      --not_ready_;
    });
  }
}

asio::awaitable<bool> slice::all_ready() {
  begin_to_get_ready();
  const clock::time_point limit = clock::now() + longest_begin;
  while (not_ready_ != 0 && clock::now() < limit) co_await machine_time().sleep_until(clock::now() + 1ms);
  co_return not_ready_ == 0;
}

void slice::spawn_workers() {
  // From now on, not from the begin of the measurement: those of the warm-up are due too.
  if (options_.rate != 0) due_.emplace(clock::now(), options_.rate);
  const workplace at{.time = machine_time(),
                     .answers = answers_,
                     .failures = failures_,
                     .book = book_,
                     .due = due_ ? &*due_ : nullptr,
                     .think = options_.think,
                     .stopping = stopping_};
  working_ = options_.coroutines;
  for (std::size_t i = 0; i < options_.coroutines; ++i) {
    lane& l = lanes_[i % lanes_.size()];
    const std::string key = "cocp-load:" + std::to_string(::getpid()) + ":" + std::to_string(i) + ":";
    asio::co_spawn(l.io, work(at, l.way->make_asker(), make_exchange(options_, key)), [this](std::exception_ptr e) {
      rethrow_fault(std::move(e));
      --working_;
    });
  }
}

asio::awaitable<void> slice::stop() {
  stopping_ = true;
  const std::uint64_t errors = failures_.errors();
  const clock::time_point limit = clock::now() + longest_end;
  for (lane& l : lanes_) {
    asio::co_spawn(l.io, l.way->close(), [&l](std::exception_ptr e) {
      rethrow_fault(std::move(e));
      l.open.reset();
    });
  }
  const auto ended = [this] { return std::ranges::all_of(lanes_, [](lane& l) { return l.io.stopped(); }); };
  while (!ended() && clock::now() < limit) co_await machine_time().sleep_until(clock::now() + 1ms);
  result_.pool = pool_stats();
  result_.errors_at_close = failures_.errors() - errors;
  if (ended()) co_return;
  result_.trouble = working_ != 0 ? "requests that were not answered within " + to_string(longest_end) +
                                        " after the end: " + std::to_string(working_)
                                  : "all requests had ended, and there was still work, so that run() did not return";
  for (lane& l : lanes_) l.io.stop();
}

asio::awaitable<void> slice::follow_plan() {
  for (const fault& f : options_.faults) {
    co_await machine_time().sleep_until(started_ + f.at);
    co_await apply(f);
  }
  co_await machine_time().sleep_until(started_ + options_.duration);
}

asio::awaitable<void> slice::apply(const fault& f) {
  switch (f.what) {
    case fault::kind::kill:
      kill();
      co_return;
    case fault::kind::restart:
      co_await restart();
      co_return;
    default:
      server_.disturb(f);
      if (f.what == fault::kind::stall) stalled_until_ = clock::now() + f.time;
      tell(to_string(f), f.is_none());
  }
}

void slice::kill() {
  const auto leased = [this] { return now().leased; };
  result_.leased_at_kill = leased();
  book_.dying();
  server_.kill();
  // Those that are on the way to their coroutines are leased, and are no requests' yet.
  book_.down(leased());
  killed_ = clock::now();
  tell("server killed (SIGKILL)");
}

asio::awaitable<void> slice::restart() {
  back_ = co_await server_.start();
  book_.back();
  recovers_ = result_.how == mode::pool;
  tell("server back", !recovers_);
  result_.recovery.reset();
  if (recovers_) begin_to_get_ready();
}

asio::awaitable<void> slice::watch() {
  for (clock::time_point next = started_ + interval();; next += interval()) {
    co_await machine_time().sleep_until(next);
    look();
    // The one of a comparison ends with its slice.
    if (!options_.compare && elapsed() - block_began_ >= options_.duration / 10) end_block();
  }
}

/// From sample to sample.
std::chrono::nanoseconds slice::interval() const {
  return std::clamp<std::chrono::nanoseconds>(options_.duration / 100, 20ms, 1s);
}

void slice::look() {
  const latency since = answers_.collect();
  const client::gauges g = now();
  const std::uint64_t errors = failures_.errors() + failures_.wrong_answers();
  const std::chrono::nanoseconds at = elapsed();
  if (at - last_look_ < interval() / 2 && !result_.samples.empty()) {
    // What is left at the end is too short to be a sample.
    sample& last = result_.samples.back();
    last.at = at;
    last.span += at - last_look_;
    last.answered += since.count();
    last.errors += errors - last_errors_;
  } else {
    result_.samples.push_back({at, at - last_look_, since.count(), errors - last_errors_, since.quantile(0.5),
                               since.quantile(0.99), since.quantile(0.999), g.up, g.leased, g.waiting});
  }
  last_look_ = at;
  last_errors_ = errors;
  block_.add(since);
  result_.answers.add(since);
  if (recovers_ && not_ready_ == 0) {
    recovers_ = false;
    // They may have been redialled before we heard that it listens.
    result_.recovery = std::max<std::chrono::nanoseconds>(ready_at_.load() - back_, 0ns);
    tell("all connections up", true);
  }
  if (stalled_until_ && clock::now() >= *stalled_until_) {
    stalled_until_.reset();
    tell("stall over", true);
  }
  view_.show(result_);
}

void slice::end_block() {
  const std::chrono::nanoseconds at = elapsed();
  result_.blocks.push_back(block_of(std::exchange(block_, latency()), at - block_began_));
  block_began_ = at;
}

void slice::tell(std::string what, bool over) {
  result_.happened.push_back({elapsed(), std::move(what), over});
  view_.note(result_.happened.back());
}

client::gauges slice::now() const {
  client::gauges sum;
  for (const lane& l : lanes_) {
    const client::gauges g = l.way->now();
    sum.up += g.up;
    sum.leased += g.leased;
    sum.waiting += g.waiting;
  }
  return sum;
}

std::optional<cocp::stats> slice::pool_stats() const {
  std::optional<cocp::stats> all;
  for (const lane& l : lanes_) {
    const auto stats = l.way->stats();
    if (!stats) return std::nullopt;
    if (all) {
      add(*all, *stats);
    } else {
      all = stats;
    }
  }
  return all;
}

}  // namespace bench
