// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace cocp::test::sim {

/// Another executor for as long as somebody lives. What is to run later is destroyed and not called, and with it the
/// frames of the coroutine that waits for it.
template <class Executor>
class mortal_executor {
 public:
  mortal_executor(std::shared_ptr<const bool> lives, Executor ex) noexcept
      : lives_(std::move(lives)), ex_(std::move(ex)) {}

  template <class Function>
  void execute(Function f) const {
    ex_.execute([lives = lives_, f = std::move(f)]() mutable {
      if (*lives) std::move(f)();
    });
  }

  template <class Property>
  requires boost::asio::can_query_v<const Executor&, Property>
  decltype(auto) query(const Property& p) const { return boost::asio::query(ex_, p); }
  template <class Property>
  requires boost::asio::can_require_v<const Executor&, Property>
  auto require(const Property& p) const { return with(boost::asio::require(ex_, p)); }
  template <class Property>
  requires boost::asio::can_prefer_v<const Executor&, Property>
  auto prefer(const Property& p) const { return with(boost::asio::prefer(ex_, p)); }

  friend bool operator==(const mortal_executor& a, const mortal_executor& b) noexcept {
    return a.lives_ == b.lives_ && a.ex_ == b.ex_;
  }

 private:
  template <class Other>
  mortal_executor<std::decay_t<Other>> with(Other ex) const {
    return {lives_, std::move(ex)};
  }

  std::shared_ptr<const bool> lives_;
  Executor ex_;
};

}  // namespace cocp::test::sim
