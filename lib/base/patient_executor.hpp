// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/do_or_wait.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace cocp::detail {

/// An executor for `asio::strand` to lie on: waits for memory where there is none. Asio's strand counts itself as
/// scheduled before it is, so that one whose executor throws stays so for ever, and what is in it is never run
/// (`strand_executor_service::do_execute`).
///
/// Never runs anything inside `execute`: what is thrown there would be taken for a lack of memory of its own.
template <class Executor>
class patient_executor {
 public:
  /// From nothing that could be converted to one: this could, and would be asked whether it can be copied meanwhile.
  template <std::same_as<Executor> E>
  explicit patient_executor(E ex) noexcept : ex_(std::move(ex)) {}

  template <class Function>
  void execute(Function f) const {
    do_or_wait([&] { asio::require(ex_, asio::execution::blocking.never).execute(Function(f)); });
  }

  template <class Property>
  requires asio::can_query_v<const Executor&, Property>
  decltype(auto) query(const Property& p) const { return asio::query(ex_, p); }
  template <class Property>
  requires asio::can_require_v<const Executor&, Property>
  auto require(const Property& p) const {
    return patient_executor<std::decay_t<decltype(asio::require(ex_, p))>>(asio::require(ex_, p));
  }
  template <class Property>
  requires asio::can_prefer_v<const Executor&, Property>
  auto prefer(const Property& p) const {
    return patient_executor<std::decay_t<decltype(asio::prefer(ex_, p))>>(asio::prefer(ex_, p));
  }

  friend bool operator==(const patient_executor& a, const patient_executor& b) noexcept { return a.ex_ == b.ex_; }

 private:
  Executor ex_;
};

}  // namespace cocp::detail
