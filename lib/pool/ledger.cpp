// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/ledger.hpp"

namespace cocp::detail {

void ledger::given(entry& e, std::source_location where, time_point now) noexcept {
  e.where_ = where;
  e.since_ = now;
  e.overdue_ = false;
  e.withdrawn_ = false;
  out_.push_back(e);
}

bool ledger::returned(entry& e, std::uint64_t id, time_point now) noexcept {
  const duration held = now - e.since_;
  if (!e.withdrawn_) use_time_->record(held);
  (e.overdue_ ? overdue_ : out_).erase(out_list::s_iterator_to(e));
  if (!e.overdue_) return false;
  e.returned_where_ = e.where_;
  e.returned_after_ = held;
  e.returned_id_ = id;
  if (!e.back_hook::is_linked()) back_.push_back(e);
  return true;
}

std::optional<ledger::report> ledger::next_report(time_point now) noexcept {
  if (!back_.empty()) {
    const entry& e = back_.front();
    back_.pop_front();
    return report{event_kind::lease_returned, e.returned_where_, e.returned_after_, &e, e.returned_id_};
  }
  if (next_time() > now) return std::nullopt;
  entry& e = out_.front();
  out_.pop_front();
  overdue_.push_back(e);
  e.overdue_ = true;
  return report{event_kind::lease_overdue, e.where_, now - e.since_, &e};
}

time_point ledger::next_time() const noexcept {
  if (!back_.empty()) return time_point::min();
  return out_.empty() ? time_point::max() : later(out_.front().since_, limit_);
}

}  // namespace cocp::detail
