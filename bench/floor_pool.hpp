// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace bench {

/// The least that a pool can be, to measure cocp against: a mutex, a list of free items, a lease that puts itself back,
/// and a `get` that is a coroutine. Nobody can wait, and nothing is checked, counted or limited.
template <class T>
class floor_pool {
 public:
  class lease {
   public:
    lease() = default;
    lease(floor_pool& from, T& item) noexcept : from_(&from), item_(&item) {}
    lease(lease&& other) noexcept : from_(other.from_), item_(std::exchange(other.item_, nullptr)) {}
    lease& operator=(lease&&) = delete;
    ~lease() {
      if (item_) from_->put(*item_);
    }

    explicit operator bool() const noexcept { return item_ != nullptr; }
    T& operator*() const noexcept { return *item_; }

   private:
    floor_pool* from_ = nullptr;
    T* item_ = nullptr;
  };

  explicit floor_pool(std::size_t size) : items_(size) {
    for (T& item : items_) free_.push_back(&item);
  }

  lease try_get() noexcept {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return {};
    T& item = *free_.back();
    free_.pop_back();
    return {*this, item};
  }

  boost::asio::awaitable<lease> get() { co_return try_get(); }

 private:
  void put(T& item) noexcept {
    const std::lock_guard lock(mutex_);
    // Never allocates: it had room for all of them.
    free_.push_back(&item);
  }

  std::vector<T> items_;
  std::mutex mutex_;
  std::vector<T*> free_;  ///< Guarded by `mutex_`. The last one put is the first one taken.
};

}  // namespace bench
