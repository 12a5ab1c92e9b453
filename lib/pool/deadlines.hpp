// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/impl/lease_waiter.hpp>

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include <array>
#include <chrono>

namespace cocp::detail {

/// The waiters whose wait is bounded, by when it ends.
///
/// Those that share a timeout come in the order of their deadlines: a list keeps them, and to come or to go touches
/// two neighbours however many there are. As many timeouts as there are lanes have a list of their own while somebody
/// waits with them; the waiters of all others are in a tree, where their neighbours are anywhere in memory.
class deadlines {
 public:
  /// `deadline` is `timeout` after a time that is not earlier than that of any `add` before.
  void add(pool_waiter& w, time_point deadline, duration timeout) noexcept;
  /// Nothing if it is not in.
  void remove(pool_waiter& w) noexcept;

  /// The one whose wait ends first; null if there is none.
  pool_waiter* first() noexcept;
  /// When the first wait ends; `max` if there is none.
  time_point earliest() noexcept;

 private:
  struct lane {
    /// Of all in `waiters`.
    duration timeout;
    boost::intrusive::list<pool_waiter, boost::intrusive::base_hook<deadline_list_hook>,
                           boost::intrusive::constant_time_size<false>>
        waiters;
  };

  std::array<lane, 4> lanes_;
  boost::intrusive::multiset<pool_waiter, boost::intrusive::base_hook<deadline_set_hook>,
                             boost::intrusive::constant_time_size<false>>
      others_;
};

}  // namespace cocp::detail
