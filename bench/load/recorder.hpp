// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "latency.hpp"

#include <chrono>
#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>

namespace bench {

/// Where the threads count what was answered: each of them has a place of its own, whose mutex nobody else takes but
/// who collects, a few times a second.
class recorders {
 public:
  explicit recorders(std::size_t threads) : places_(threads) {}

  /// What the calling thread uses from now on; to be said once by each of the threads, with numbers from 0.
  static void i_am(std::size_t thread) noexcept { me_ = thread; }

  void answered(std::chrono::nanoseconds took) {
    place& mine = places_[me_];
    const std::lock_guard lock(mine.mutex);
    mine.since.record(took);
  }

  /// What was answered since the last call.
  latency collect() {
    latency all;
    for (place& p : places_) {
      latency since;
      {
        const std::lock_guard lock(p.mutex);
        std::swap(since, p.since);
      }
      all.add(since);
    }
    return all;
  }

 private:
  struct alignas(64) place {
    std::mutex mutex;
    latency since;  ///< Guarded by `mutex`.
  };

  static inline thread_local std::size_t me_ = 0;
  std::deque<place> places_;
};

}  // namespace bench
