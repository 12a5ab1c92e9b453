// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <functional>
#include <new>
#include <utility>

namespace cocp::test {

/// An executor that sometimes has no memory, and shows when something is begun.
class reluctant_executor {
 public:
  struct control {
    /// Which call of `execute` is the first to throw, from 1, and how many in a row do.
    unsigned first;
    unsigned times;
    unsigned calls = 0;
    unsigned refused = 0;
    /// Called with each call, if it is there.
    std::function<void()> before = {};
  };

  reluctant_executor(boost::asio::any_io_executor inner, control& c) noexcept
      : inner_(std::move(inner)), control_(&c) {}

  template <class Property>
  requires boost::asio::can_query_v<const boost::asio::any_io_executor&, Property>
  auto query(const Property& p) const -> decltype(auto) { return boost::asio::query(inner_, p); }
  template <class Property>
  requires boost::asio::can_require_v<const boost::asio::any_io_executor&, Property> reluctant_executor
  require(const Property& p)
  const { return {boost::asio::require(inner_, p), *control_}; }
  template <class Property>
  requires boost::asio::can_prefer_v<const boost::asio::any_io_executor&, Property> reluctant_executor
  prefer(const Property& p)
  const { return {boost::asio::prefer(inner_, p), *control_}; }

  template <class Function>
  void execute(Function&& f) const {
    if (const auto before = control_->before) before();
    if (++control_->calls >= control_->first && control_->refused < control_->times) {
      ++control_->refused;
      // As one that had already begun.
      [[maybe_unused]] const auto taken = std::move(f);
      throw std::bad_alloc();
    }
    inner_.execute(std::forward<Function>(f));
  }

  bool operator==(const reluctant_executor& other) const noexcept {
    return inner_ == other.inner_ && control_ == other.control_;
  }

 private:
  boost::asio::any_io_executor inner_;
  control* control_;
};

}  // namespace cocp::test
