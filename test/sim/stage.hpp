// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "book.hpp"
#include "outcome.hpp"

#include "support/fake_network.hpp"

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <memory>

namespace cocp::test::sim {

/// What a simulation runs on: a context, a network and virtual time, and the book of what was broken. One thread, so
/// that the same plan is the same simulation.
class stage {
 protected:
  explicit stage(std::uint64_t seed);
  ~stage() = default;
  stage(const stage&) = delete;
  stage& operator=(const stage&) = delete;

  /// At any time: what holds between two handlers too.
  virtual void check_always() = 0;
  /// At the end of an instant: all holds.
  virtual void check() = 0;

  /// Runs what is ready, and fails where that does not end.
  void settle();
  /// Runs so many, if there are.
  void run_some(unsigned handlers);
  /// False if nothing is ready.
  bool run_one();
  /// Moves the clock from one timer to the next, until something is broken.
  void advance(duration d);

  std::unique_ptr<asio::io_context> io_ = std::make_unique<asio::io_context>();
  const std::shared_ptr<fake_network> net_;
  book book_;
};

}  // namespace cocp::test::sim
