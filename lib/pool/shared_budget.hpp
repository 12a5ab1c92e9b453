// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/adaptive_mutex.hpp"
#include "base/alarm.hpp"
#include "pool/budget.hpp"

#include <cstddef>
#include <memory>

namespace cocp::detail {

class pool_core;

/// The `budget` of several pools, for any thread. It is shared by the pools and by whoever sleeps on its bell and does
/// what it says (`next`, `next_to_make_room`), in his own time: so no pool ever waits for another one's mutex.
///
/// Its mutex is taken under a pool's, and nothing but the bell's alarm under it.
class shared_budget {
 public:
  /// One pool's part. Its members are called under the pool's mutex, but for the destructor.
  class share : public budget::entry {
   public:
    share(std::shared_ptr<shared_budget> all, pool_core& whose) noexcept : all_(std::move(all)), whose_(whose) {}
    share(const share&) = delete;
    share& operator=(const share&) = delete;
    ~share();

    /// See `budget`.
    bool ask(bool has_place, budget::need n, time_point now) noexcept;
    void waits(budget::need n) noexcept;
    void settle() noexcept;
    void dialling(std::size_t n) noexcept;
    void give_up(bool left) noexcept;
    void leaves() noexcept;
    void press() noexcept;
    bool claims() noexcept;
    /// The pool has ended.
    void ring() noexcept { all_->bell.ring(); }

    /// Not under the pool's mutex: somebody asked it.
    void asked() noexcept;

   private:
    friend shared_budget;
    const std::shared_ptr<shared_budget> all_;
    pool_core& whose_;
  };

  /// `who` sleeps on the bell.
  shared_budget(const asio::any_io_executor& ex, environment& env, alarm::sleeper& who, std::size_t max_connections,
                std::size_t max_dialling);

  /// The pool whose turn it is to ask again; null if nobody's.
  std::shared_ptr<pool_core> next() noexcept;
  /// The pool that is to make room; null if none.
  std::shared_ptr<pool_core> next_to_make_room() noexcept;

  /// Rings when one of the two above may answer, and when a pool has ended.
  alarm bell;

 private:
  /// The pool of an entry that is in the budget; null if it is being destroyed, and then it is out of it.
  std::shared_ptr<pool_core> pool_of(budget::entry* e) noexcept;
  /// Changes the budget, and rings if somebody may have a turn by that; what `c` has answered.
  template <class Change>
  auto change(Change c) noexcept;
  /// The same where there is no answer.
  template <class Change>
  void tell(Change c) noexcept;

  mutable adaptive_mutex mutex_;
  budget budget_;
  /// Where all may have a place it does not matter who was asked.
  const bool is_bounded_;
};

}  // namespace cocp::detail
