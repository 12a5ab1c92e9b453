// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"

#include <cocp/histogram.hpp>
#include <cocp/lease.hpp>
#include <cocp/options.hpp>

#include <boost/intrusive/list.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>

namespace cocp::detail {

/// Who holds which lease since when, and which are out for too long: `pool_options::report_leases`.
///
/// Pure: it knows neither threads nor clocks. Its owner guards it, and passes times that never go back.
class ledger {
  using out_hook = boost::intrusive::list_base_hook<boost::intrusive::tag<struct by_time_taken>>;
  using back_hook = boost::intrusive::list_base_hook<boost::intrusive::tag<struct by_return>>;

 public:
  /// What it keeps of each connection.
  class entry : public out_hook, public back_hook {
    friend ledger;
    /// Of the lease that is out, or was last.
    std::source_location where_;
    time_point since_;
    bool overdue_ = false;
    /// Nobody had it: it was taken back on the way.
    bool withdrawn_ = false;
    /// Of the lease whose return is to be told.
    std::source_location returned_where_;
    duration returned_after_{};
    std::uint64_t returned_id_ = 0;
  };

  /// What is to be told of a lease: that it is out for too long, or is back after it was.
  struct report {
    event_kind kind;
    std::source_location where;
    duration held;
    /// Whose it is, or was.
    const entry* whose;
    /// The number of the stream that it had when it came back.
    std::uint64_t id = 0;
  };

  explicit ledger(const std::optional<lease_report>& what)
      : kept_(what),
        limit_(what ? what->held_longer_than : duration::max()),
        use_time_(what ? std::make_unique<histogram>() : nullptr) {}

  /// False if nobody wants to know: then nothing else is to be called.
  bool is_kept() const noexcept { return kept_; }

  void given(entry& e, std::source_location where, time_point now) noexcept;
  /// It was not fit for use, and nobody has it.
  void not_given(entry& e) noexcept { out_.erase(out_list::s_iterator_to(e)); }
  void withdrawn(entry& e) noexcept { e.withdrawn_ = true; }
  /// True if there is something to tell of it. `id`: the number of its stream.
  bool returned(entry& e, std::uint64_t id, time_point now) noexcept;

  /// One thing that is to be told, if there is any.
  std::optional<report> next_report(time_point now) noexcept;
  /// When there is something to tell; `max` if never.
  time_point next_time() const noexcept;

  /// Calls `f(entry, lease_info)` for all leases that are out; the info lacks the peer and
  /// the stream's number.
  template <class Function>
  void for_each(time_point now, Function f) const {
    for (const out_list* l : {&overdue_, &out_}) {
      for (const entry& e : *l) f(e, lease_info{e.where_, e.since_, now - e.since_, {}});
    }
  }
  /// Only if it is kept.
  const histogram& use_time() const noexcept { return *use_time_; }

 private:
  using out_list =
      boost::intrusive::list<entry, boost::intrusive::base_hook<out_hook>, boost::intrusive::constant_time_size<false>>;
  using back_list = boost::intrusive::list<entry, boost::intrusive::base_hook<back_hook>,
                                           boost::intrusive::constant_time_size<false>>;

  bool kept_;
  duration limit_;
  /// In the order in which they were given out; those of which was told, and the others.
  out_list overdue_;
  out_list out_;
  /// Were overdue and are back.
  back_list back_;
  const std::unique_ptr<histogram> use_time_;
};

}  // namespace cocp::detail
