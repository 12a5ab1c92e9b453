// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/adaptive_mutex.hpp"
#include "base/alarm.hpp"
#include "net/context_service.hpp"
#include "pool/pool_core.hpp"

#include <cocp/pools.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace cocp::detail {

/// The pool of one address, in a `pools_core`, which guards all but `pins`.
struct kept_pool : boost::intrusive::list_base_hook<boost::intrusive::tag<struct by_asked>>,
                   boost::intrusive::list_base_hook<boost::intrusive::tag<struct by_birth>>,
                   boost::intrusive::set_base_hook<boost::intrusive::tag<struct by_check>> {
  explicit kept_pool(std::shared_ptr<pool_core> c) noexcept : core(std::move(c)) {}

  const std::shared_ptr<pool_core> core;
  /// Its place in the map.
  std::string_view address;
  /// Those who have found it and may not be seen in it yet. Counted up under the mutex, and down anywhere: who has
  /// done that touches this no more.
  std::atomic<unsigned> pins{0};
  time_point asked_at;
  /// When to look whether it is unused.
  time_point check_at;
};

/// The map from addresses to pools, and the housekeeper that removes those that are unused and does what their
/// `shared_budget` says. Who owns what: this has the pools that are asked, and those that were removed until they have
/// ended; a pool knows this not, and has a share of the budget, which outlives both.
///
/// A pool that is removed is closed in the same critical section in which it was found unused and unpinned, so nobody
/// finds one that is closed, unless all are.
///
/// Mutexes are taken in this order: this one's, a pool's, the budget's. Not under this one's: making and starting a
/// pool, closing its streams, destroying one.
class pools_core final : public shutdown_target,
                         private alarm::sleeper,
                         public std::enable_shared_from_this<pools_core> {
 public:
  pools_core(asio::any_io_executor ex, connection_options each, pool_options of_each, pools_options all);

  /// Starts the housekeeper.
  void start();

  /// The pool of an address, pinned; null, with the reason, if there can be none.
  kept_pool* ask(std::string_view address, error_code& why);
  static void unpin(kept_pool& p) noexcept { p.pins.fetch_sub(1, std::memory_order_release); }

  void renew() noexcept;
  void close() noexcept;
  struct snapshot {
    pools_stats all;
    /// Those that were removed, of which `all` has only the sum.
    cocp::stats removed;
    bool has_removed = false;
  };
  snapshot stats() const;
  /// All that have not ended, those that were removed included; of a closed one no more come.
  std::vector<std::shared_ptr<pool_core>> all() const;

  void on_context_shutdown() noexcept override;
  std::shared_ptr<void> hold() noexcept override { return weak_from_this().lock(); }

  time_point now() const noexcept { return env_->now(); }
  asio::any_io_executor get_executor() const noexcept;
  const pool_options& of_each() const noexcept { return of_each_; }

 private:
  template <class Order>
  using list = boost::intrusive::list<
      kept_pool, boost::intrusive::base_hook<boost::intrusive::list_base_hook<boost::intrusive::tag<Order>>>>;
  struct checked_earlier {
    bool operator()(const kept_pool& a, const kept_pool& b) const noexcept { return a.check_at < b.check_at; }
  };
  using by_check_set = boost::intrusive::multiset<
      kept_pool, boost::intrusive::base_hook<boost::intrusive::set_base_hook<boost::intrusive::tag<struct by_check>>>,
      boost::intrusive::compare<checked_earlier>>;
  /// Looked up by `string_view`.
  struct hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using locked = std::unique_lock<adaptive_mutex>;

  /// \name Under `mutex_`
  /// @{
  kept_pool* pinned(std::string_view address) noexcept;
  void note_asked(kept_pool& p) noexcept;
  /// The unused one that was asked longest ago; null if all are used.
  kept_pool* find_unused() noexcept;
  /// Closes it and takes it out, if it is unused: the rest of its closing is the caller's. There is room in `leaving_`.
  std::shared_ptr<pool_core> remove_if_unused(kept_pool& p) noexcept;
  void check_by(kept_pool& p, time_point t) noexcept;
  /// @}

  std::shared_ptr<pool_core> make(std::string_view address) const;

  /// \name The housekeeper
  /// @{
  void on_alarm(std::shared_ptr<void> keep) noexcept override;
  /// The time of the next turn.
  time_point turn() noexcept;
  /// Looks at the next that may be unused. False if none is due; then `next` may be when to try again.
  bool remove_next(time_point now, time_point& next) noexcept;
  /// Those that have ended since they were removed leave their counters.
  void bury() noexcept;
  /// @}

  const connection_options each_;
  const pool_options of_each_;
  const pools_options options_;
  const std::shared_ptr<environment> env_;
  const std::shared_ptr<shared_budget> budget_;

  mutable adaptive_mutex mutex_;
  /// All below is guarded by `mutex_`.
  asio::any_io_executor ex_;
  bool closed_ = false;
  std::unordered_map<std::string, kept_pool, hash, std::equal_to<>> pools_;
  /// The one that was asked longest ago first.
  list<struct by_asked> by_asked_;
  list<struct by_birth> by_birth_;
  by_check_set by_check_;
  /// Until when the housekeeper sleeps.
  time_point sleeps_until_ = time_point::max();
  /// Removed, and not ended yet.
  std::vector<std::shared_ptr<pool_core>> leaving_;
  bool has_removed_ = false;
  /// Of those that were removed and have ended.
  cocp::stats removed_;
};

}  // namespace cocp::detail
