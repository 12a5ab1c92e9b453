// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "dice.hpp"
#include "plan.hpp"
#include "stage.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <cocp/lease.hpp>
#include <cocp/pools.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cocp::test::sim {

/// Real pools of many addresses on a simulated network, with virtual time, users and weather, all from a plan: what
/// several pools have together. `simulation` has what a pool does by itself.
class pools_simulation final : private stage {
 public:
  explicit pools_simulation(const plan& p);
  ~pools_simulation();

  /// As `simulation::run`.
  outcome run(std::function<void(const std::string&)> trace = nullptr);

 private:
  /// What is drawn.
  struct drawn {
    pools_options all;
    pool_options each;
    connection_options dial;
    unsigned addresses = 0;
    std::string text() const;
  };
  static drawn draw(dice& d);

  /// One who asks for a connection to some address, has it for a while, and lets it go.
  struct user {
    enum class state { idle, waits, holds } now = state::idle;
    std::string address;
    cocp::lease lease;
    book::stream stream = 0;
    bool detached = false;
    /// Its peer, or he himself, has ended it.
    bool lost = false;
    std::optional<duration> until;
    bool is_cancelled = false;
    /// Counts what he has begun, so that the end of one thing is not taken for another's.
    std::uint64_t turn = 0;
    std::shared_ptr<asio::cancellation_signal> cancel;
    bool served = false;
  };

  void open();
  void perform(const act& a);
  void begin(user& u, dice& d);
  void ask(user& u, const std::string& address, std::optional<duration> limit, std::size_t way);
  void take(user& u, cocp::lease l);
  /// Tells what has come of a call, or that nobody is told.
  class teller {
   public:
    teller(pools_simulation& s, std::size_t who, std::uint64_t turn) : sim_(&s), who_(who), turn_(turn) {}
    teller(teller&& other) noexcept : sim_(std::exchange(other.sim_, nullptr)), who_(other.who_), turn_(other.turn_) {}
    teller& operator=(teller&&) = delete;
    ~teller() {
      if (sim_) sim_->forgotten(who_, turn_);
    }
    void operator()(error_code ec, cocp::lease l) { std::exchange(sim_, nullptr)->done(who_, turn_, ec, std::move(l)); }

   private:
    pools_simulation* sim_;
    std::size_t who_;
    std::uint64_t turn_;
  };
  void forgotten(std::size_t who, std::uint64_t turn);
  void done(std::size_t who, std::uint64_t turn, error_code ec, cocp::lease l);
  /// He lets his lease go, in one of several ways.
  void let_go(user& u, std::size_t way);
  void leave(user& u);
  void lose_one(dice& d);
  void change_weather(dice& d);
  std::string any_address(dice& d) const;

  /// All is well: everybody is served, whatever others do.
  void serves_everybody();
  /// What nobody uses goes, with its connections.
  void forgets_all();
  void end();
  void end_at_once();
  void close();

  /// Bounds, and what is counted.
  void check_always() override;
  void check() override;
  std::size_t detached() const;

  const plan plan_;
  dice dice_;
  const drawn drawn_;
  duration slowest_connect_{};
  std::optional<cocp::pools> pools_;
  std::vector<std::unique_ptr<user>> users_;
  bool closed_ = false;
  bool uncertain_ = false;
  /// What is not told any more is destroyed with the context.
  bool is_ending_ = false;
  std::uint64_t served_ = 0;
  std::map<std::string, std::uint64_t> counted_;
  /// Told by the logger that it is alive.
  std::shared_ptr<int> mark_ = std::make_shared<int>();
};

}  // namespace cocp::test::sim
