// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "drawn_options.hpp"
#include "plan.hpp"
#include "server.hpp"
#include "stage.hpp"
#include "tenure.hpp"
#include "user.hpp"

#include "support/fake_network.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cocp/pool.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cocp::test::sim {

/// A real pool on a simulated network, with virtual time, users, servers and weather, all from a plan. Everything runs
/// on one thread, so that the same plan is the same simulation.
class simulation final : private stage {
 public:
  explicit simulation(const plan& p);
  ~simulation();

  /// `trace`: called with a line for all that happens.
  outcome run(std::function<void(const std::string&)> trace = nullptr);

  /// \name For users and hooks
  /// @{
  book& records() { return book_; }
  cocp::pool& pool() { return *pool_; }
  bool has_pool() const { return pool_.has_value(); }
  asio::io_context& io() { return *io_; }
  const drawn_options& options() const { return drawn_; }
  duration now() const { return net_->elapsed(); }
  asio::awaitable<void> pause(duration d);
  bool has_unread(book::stream s) const;
  /// Every lease is checked when it is given out.
  bool checks_always() const { return drawn_.pool.check_after == duration::zero(); }
  void count_lease(int n) { leases_ += static_cast<std::size_t>(n); }
  void count_detached(int n) { detached_ += static_cast<std::size_t>(n); }
  /// @}

 private:
  void open();
  asio::awaitable<void> hook(connection& c, book::role who);
  void perform(const act& a);
  void change_weather(dice& d);
  void change_manners(dice& d);
  void change_names(dice& d);
  void note_renewal();
  void begin_outage(std::optional<std::size_t> accepted);
  void wait_until_up(std::size_t n);
  bool somebody_waits_until_up() const;
  void use_loner(std::uint64_t seed);

  void be_well();
  bool serves_everybody();
  duration bound() const;
  bool lets_others_run();
  /// Once nobody asks, what is to be kept open is.
  bool keeps_least();
  void end();
  void end_in_order();
  void end_in_between();
  void close();
  void drain(std::optional<duration> within = std::nullopt);
  /// The limit of `drain` has passed.
  bool ends_uses() const { return drain_limit_ && now() >= drain_at_ + *drain_limit_; }
  /// `drain` was called, and all leases are back.
  void end_drained();
  void end_at_once();
  void check_nothing_left();

  /// What the pool counts.
  void check_always() override;
  void check() override;
  /// Rule 7: what an outage may have cost by now.
  std::size_t attempts_of_outage() const;
  /// Of the pool; `first`: the first to count.
  std::size_t attempts_since(std::size_t first) const;
  /// Somebody is on its way, or all is well.
  void check_probe();
  void check_up_waits(std::size_t connected);
  void check_streams(const cocp::stats& stats);

  const plan plan_;
  drawn_options drawn_;
  server server_;
  dice latency_;
  duration slowest_connect_{};
  /// How many hooks of a hundred throw.
  unsigned hooks_fail_ = 0;
  std::optional<cocp::pool> pool_;
  std::vector<std::unique_ptr<user>> users_;
  /// A connection that stands alone, to the same servers. Rule 13 is for it too: nothing has parts on two streams.
  std::optional<connection> loner_;
  std::optional<usage> loners_use_;
  /// Who use it; and one of them has failed.
  unsigned at_loner_ = 0;
  bool has_loner_failed_ = false;
  std::size_t leases_ = 0;
  std::size_t detached_ = 0;
  /// Of `drain`, and when that was called.
  std::optional<duration> drain_limit_;
  duration drain_at_{};
  bool is_drained_ = false;
  /// Some address had a name that means several.
  bool raced_ = false;
  std::string address_;
  /// Nothing that has happened before the act is still on its way.
  bool is_settled_ = true;
  /// Attempts and look-ups, before the act.
  std::size_t attempts_before_ = 0;
  /// Of those who wait until so many are up; they are gone when told.
  struct up_wait {
    std::size_t wanted;
    std::optional<duration> until;
  };
  std::vector<std::weak_ptr<up_wait>> up_waits_;
  book::circumstances now_on_;
  /// All refuse at once, since when, and how many attempts there had been.
  struct outage {
    duration since;
    std::size_t attempts;
    /// Those that were accepted before; nothing if it accepts, and closes.
    std::optional<std::size_t> accepted;
  };
  std::optional<outage> outage_;
  std::size_t size_;
  /// Told by the hooks and the logger that they are alive; nothing else is to be left of them.
  std::shared_ptr<int> mark_ = std::make_shared<int>();
};

}  // namespace cocp::test::sim
