// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "client.hpp"
#include "exchange.hpp"
#include "outage_book.hpp"
#include "recorder.hpp"
#include "schedule.hpp"
#include "tally.hpp"
#include "timekeeper.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <memory>

namespace bench {

/// What all coroutines of a run share.
struct workplace {
  timekeeper& time;
  recorders& answers;
  tally& failures;
  outage_book& book;
  schedule* due;  ///< Null: each asks again when it has its answer.
  std::chrono::nanoseconds think;
  const std::atomic<bool>& stopping;
};

/// One of the coroutines that ask. It ends when `stopping` says so and its last request has been answered, or failed.
boost::asio::awaitable<void> work(workplace at, std::unique_ptr<asker> way, std::unique_ptr<exchange> what);

}  // namespace bench
