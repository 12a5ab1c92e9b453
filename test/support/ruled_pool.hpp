// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/pool.hpp>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "fake_network.hpp"
#include "outage_rule.hpp"
#include "pool_event.hpp"
#include "pool_tally.hpp"

namespace cocp::test {

/// A pool of one or two connections on a fake network whose attempts hang until they are answered, beside a model of
/// its users and its endpoint, which knows nothing of the pool's code. After each event it checks the rules of the
/// design that can be seen; what does not hold is thrown as a `broken`.
class ruled_pool {
 public:
  struct start {
    const char* name;
    std::size_t size;
    std::optional<std::size_t> min_size;
    /// Its connections are up, and have been for a while.
    bool up;

    friend std::ostream& operator<<(std::ostream& out, const start& s) { return out << s.name; }
  };
  struct broken {
    std::string what;
  };

  explicit ruled_pool(const start& s);
  ruled_pool(const ruled_pool&) = delete;
  ruled_pool& operator=(const ruled_pool&) = delete;

  bool may(pool_event e) const;
  void happen(pool_event e) {
    begin(e);
    settle_all();
  }
  /// The first part of `happen`. Several can begin in one instant, before the pool's handlers have run; `settle_all`
  /// follows.
  void begin(pool_event e);
  void settle_all();
  /// All is well from now on: those who wait are served, and what was lost comes back. Then the pool is closed, and
  /// nothing is left.
  void end();

  /// The gauges, and what the model has.
  friend std::ostream& operator<<(std::ostream& out, const ruled_pool& p);

 private:
  /// One call of `get`.
  struct call {
    std::size_t number = 0;
    duration deadline{};
    bool cancelled = false;
    unsigned ends = 0;
    error_code error;
    cocp::lease lease;
    asio::cancellation_signal cancel;
  };
  struct held {
    cocp::lease lease;
    std::size_t number = 0;
    std::size_t stream = 0;
  };
  /// By the number of its peer.
  struct stream {
    std::size_t attempt = 0;
    duration since{};
    std::optional<duration> ended{};
    unsigned ended_in = 0;
    /// Its user has not looked.
    bool hidden = false;
    /// To the logger, or nobody will be.
    bool told = false;
    bool served = false;
    bool leased = false;
    bool spoiled = false;
  };

  void get(duration limit);
  void take(cocp::lease lease);
  void put();
  void put_dirty();
  void read(held& h);
  void lose_leased();
  void lose(std::size_t stream, bool by_reset);
  void notice_loss();
  void cancel(call& c);
  /// The first that is up and that nobody has; 0: none.
  std::size_t live_idle() const;
  void forget_probe_if_gone();

  void settle();
  void advance(duration d);
  /// Has each call that ended checked, and takes what it was given.
  void collect();
  void check();
  void check_idle(const cocp::stats& s);
  fake_peer& peer(std::size_t s) const { return *net_->peers[s - 1]; }
  stream& at(std::size_t s) { return streams_[s - 1]; }
  duration now() const { return net_->elapsed(); }
  static void require(bool holds, const char* rule) {
    if (!holds) throw broken{rule};
  }

  asio::io_context io_{1};
  const std::shared_ptr<fake_network> net_;
  const bool on_demand_;
  std::size_t size_;
  outage_rule outage_;
  /// What broke where nothing may be thrown.
  const char* broken_ = nullptr;
  /// Two were lost at once, and nobody can tell which of them the pool knows of: rule 7 is not checked any more.
  bool unsure_ = false;
  /// The attempt that is accepted; 0: the one that begins.
  std::size_t answering_ = 0;
  /// The attempts of which the pool does not know yet that they were answered so.
  std::deque<std::size_t> accepted_;
  std::deque<std::size_t> refused_;
  /// Counts those in which events begin, from 1.
  unsigned instant_ = 1;
  /// Another event has begun in this one.
  bool hurried_ = false;
  std::vector<stream> streams_;
  std::optional<cocp::pool> pool_;
  bool closed_ = false;
  std::size_t leases_ = 0;
  std::vector<held> held_;
  std::size_t nows_ = 0;
  /// The last event was a call of `get` that may not wait, and found none.
  bool in_vain_ = false;
  std::size_t calls_ = 0;
  std::list<call> waiting_;
  /// In the order of their ends; not looked at yet.
  std::vector<call*> ended_;
  std::list<call> ended_calls_;
  /// The numbers of those who ended with a lease in the last event, in the order of their ends.
  std::vector<std::size_t> served_;
  /// Reads of what never came.
  std::size_t reads_ = 0;
  std::size_t reads_failed_ = 0;
  char byte_ = 0;
  pool_tally seen_;
};

}  // namespace cocp::test
