// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/connect_race.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

namespace cocp::detail {
namespace {

/// Kept alive by the completions of what it has started.
class connect_race : public std::enable_shared_from_this<connect_race> {
 public:
  connect_race(environment& env, asio::any_io_executor ex, asio::any_io_executor serial,
               const connection_options& options, const destination& to, std::vector<candidate> candidates,
               race_handler handler)
      : env_(env),
        ex_(std::move(ex)),
        serial_(std::move(serial)),
        options_(options),
        to_(to),
        candidates_(std::move(candidates)),
        timer_(env.make_timer(ex_)) {
    runners_.reserve(candidates_.size());
    handler_.emplace(std::move(handler));
  }

  void start() {
    // The erased handler has taken the coroutine's slot and shows one of its own. Weak: it is part of this.
    auto slot = asio::get_associated_cancellation_slot(*handler_);
    if (slot.is_connected()) {
      slot.assign([weak = weak_from_this()](asio::cancellation_type) {
        auto self = weak.lock();
        if (!self || self->is_over_) return;
        self->note_unanswered(self->runners_.size());
        self->finish(asio::error::operation_aborted, nullptr);
      });
    }
    start_next();
  }

 private:
  void start_next(bool is_late = false) {
    const std::size_t n = runners_.size();
    if (n == candidates_.size()) {
      if (running_ == 0) finish(last_error_, nullptr);
      return;
    }
    if (candidates_[n].alone && running_ != 0 && !is_late) {
      // Their time ends with the attempt's; if that has none, it must not be for ever.
      if (!options_.connect_timeout) {
        or_finish([this, n] {
          wait(longest_alone, [this, n] {
            if (runners_.size() == n) start_next(true);
          });
        });
      }
      return;
    }
    or_finish([this, n] {
      runners_.push_back(std::make_unique<runner>());
      begin(n);
      ++running_;
      if (n + 1 == candidates_.size()) return;
      wait(connection_attempt_delay, [this, n] {
        if (runners_.size() == n + 1) start_next();
      });
    });
  }

  /// Does it; what it throws ends the race.
  template <class F>
  void or_finish(F f) {
    try {
      f();
    } catch (const std::bad_alloc&) {
      finish(make_error_code(boost::system::errc::not_enough_memory), nullptr);
    } catch (const boost::system::system_error& e) {
      finish(e.code(), nullptr);
    }
  }

  void begin(std::size_t n) {
    auto on_connected = [self = shared_from_this(), n](error_code ec) { self->on_connected(n, ec); };
    runner& r = *runners_[n];
    r.connecting = env_.make_stream(ex_, options_, to_);
    auto bound = asio::bind_executor(serial_, std::move(on_connected));
    r.connecting->async_connect(candidates_[n].at, asio::bind_cancellation_slot(r.cancel.slot(), std::move(bound)));
    ++unanswered_;
  }

  /// Calls `then` at that time, unless the race is over or waits for something else by then.
  template <class Then>
  void wait(duration d, Then then) {
    timer_->expires_at(later(env_.now(), d));
    timer_->async_wait(asio::bind_executor(serial_, [self = shared_from_this(), then](error_code ec) {
      if (!ec && !self->is_over_) then();
    }));
  }

  void on_connected(std::size_t n, error_code ec) {
    auto connected = std::move(runners_[n]->connecting);
    --unanswered_;
    if (is_over_) {
      connected.reset();
      complete();
      return;
    }
    // A Unix socket is the only candidate, so nobody else waits for the timer.
    if (ec == asio::error::try_again && candidates_[n].at.protocol().family() == AF_UNIX) {
      const duration pause = std::exchange(busy_pause_, std::min(busy_pause_ * 2, longest_busy_pause));
      or_finish([&] { wait(pause, [this, n] { or_finish([&] { begin(n); }); }); });
      return;
    }
    --running_;
    if (!ec) {
      // They had more time.
      note_unanswered(n);
      finish({}, std::move(connected), candidates_[n].at);
      return;
    }
    last_error_ = ec;
    to_.memory->failed(candidates_[n].at, address_memory::failure::connecting, env_.now());
    // It need not wait for its time. One that is under way already has one behind it that does.
    if (running_ == 0 || n + 1 == runners_.size()) start_next();
  }

  /// The first `n` that began, if they have not ended, have failed.
  void note_unanswered(std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
      if (!runners_[i]->connecting) continue;
      to_.memory->failed(candidates_[i].at, address_memory::failure::connecting, env_.now());
    }
  }

  void finish(error_code ec, std::unique_ptr<stream> winner, endpoint at = {}) {
    if (std::exchange(is_over_, true)) return;
    error_ = ec;
    winner_ = std::move(winner);
    at_ = at;
    timer_->cancel();
    // Not destroyed before they have ended: one may have connected by now, and its completion be on its way.
    for (const auto& r : runners_) {
      if (r->connecting) r->cancel.emit(asio::cancellation_type::terminal);
    }
    complete();
  }

  /// Once it is over, and the descriptors of all that have lost are closed: whoever is told may dial again.
  void complete() {
    if (unanswered_ != 0) return;
    auto result = [h = std::move(*handler_), ec = error_, winner = std::move(winner_), at = at_]() mutable {
      std::move(h)(ec, std::move(winner), at);
    };
    handler_.reset();
    asio::post(serial_, std::move(result));
  }

  environment& env_;
  asio::any_io_executor ex_;
  asio::any_io_executor serial_;
  const connection_options& options_;
  const destination& to_;
  const std::vector<candidate> candidates_;
  std::unique_ptr<timer> timer_;
  /// One for each candidate that was begun.
  struct runner {
    /// Null when its attempt has ended, or pauses.
    std::unique_ptr<stream> connecting;
    asio::cancellation_signal cancel;
  };
  std::vector<std::unique_ptr<runner>> runners_;
  std::size_t running_ = 0;
  /// Of them, those whose completion is to come; `running_` has those that pause too.
  std::size_t unanswered_ = 0;
  duration busy_pause_ = first_busy_pause;
  error_code last_error_ = asio::error::host_not_found;
  bool is_over_ = false;
  /// What has come of it.
  error_code error_;
  std::unique_ptr<stream> winner_;
  endpoint at_;
  /// Until it is called. Optional, because Boost 1.81's any_completion_handler cannot be assigned to: its operator=
  /// calls itself.
  std::optional<race_handler> handler_;
};

}  // namespace

std::vector<endpoint> interleave_families(const std::vector<endpoint>& found) {
  std::vector<endpoint> first;
  std::vector<endpoint> other;
  for (const endpoint& e : found) {
    (e.protocol().family() == found.front().protocol().family() ? first : other).push_back(e);
  }
  std::vector<endpoint> order;
  order.reserve(found.size());
  for (std::size_t i = 0; i < std::max(first.size(), other.size()); ++i) {
    if (i < first.size()) order.push_back(first[i]);
    if (i < other.size()) order.push_back(other[i]);
  }
  return order;
}

void async_connect_first(environment& env, asio::any_io_executor ex, asio::any_io_executor serial,
                         const connection_options& options, const destination& to, std::vector<candidate> candidates,
                         race_handler handler) {
  std::make_shared<connect_race>(env, std::move(ex), std::move(serial), options, to, std::move(candidates),
                                 std::move(handler))
      ->start();
}

}  // namespace cocp::detail
