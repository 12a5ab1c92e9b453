// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/impl/channel.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/recycling_allocator.hpp>

#include <memory>
#include <utility>

namespace cocp::detail {

/// What an operation and the user's cancellation slot share. The slot may outlive the operation, and the operation the
/// slot: so neither has a pointer to the other, and the end of the operation empties this.
struct cancellation_link {
  std::shared_ptr<channel> target;
  asio::cancellation_signal signal;
};

/// Stands in the user's cancellation slot while an operation is outstanding, and passes on what comes.
///
/// A composed operation that is cancelled when a part of it has succeeded, but the part's handler has not run, stops
/// there: the stream has seen no failure, and yet is in the middle of something. So to be asked to cancel is enough to
/// make the lease dirty.
class cancellation_witness {
 public:
  explicit cancellation_witness(std::shared_ptr<cancellation_link> link) noexcept : link_(std::move(link)) {}

  void operator()(asio::cancellation_type type) {
    // The slot, and this with it, may be given to another while the signal is out.
    const auto link = link_;
    if (!link->target) return;
    link->target->note_cancellation();
    // What stands in that slot is Asio's, and points to the socket, which goes with its context. Then the operation has
    // ended, and its handler is on its way on another.
    if (link->target->get_executor()) link->signal.emit(type);
  }

 private:
  std::shared_ptr<cancellation_link> link_;
};

/// The operation's side of a `cancellation_link`.
class cancellation_relay {
 public:
  template <class Handler>
  cancellation_relay(channel& c, const Handler& handler) {
    auto users = asio::get_associated_cancellation_slot(handler);
    if (!users.is_connected()) return;
    link_ = std::allocate_shared<cancellation_link>(asio::recycling_allocator<cancellation_link>());
    link_->target = c.shared_from_this();
    users.template emplace<cancellation_witness>(link_);
  }
  cancellation_relay(cancellation_relay&&) noexcept = default;
  cancellation_relay& operator=(cancellation_relay&&) = delete;
  ~cancellation_relay() { cut(); }

  asio::cancellation_slot slot() const noexcept { return link_ ? link_->signal.slot() : asio::cancellation_slot(); }
  /// The operation has ended.
  void cut() noexcept {
    if (link_) std::exchange(link_, nullptr)->target.reset();
  }

 private:
  std::shared_ptr<cancellation_link> link_;
};

}  // namespace cocp::detail
