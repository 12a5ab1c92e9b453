// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/export.hpp>
#include <cocp/impl/time.hpp>
#include <cocp/lease.hpp>
#include <cocp/options.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

namespace cocp::detail {

class channel;
class pool_core;

/// The tries of one `pool::run`. For one coroutine.
class COCP_API repetition {
 public:
  /// \par Exceptions
  /// `std::invalid_argument` if an option is outside its range.
  repetition(std::shared_ptr<pool_core> core, const run_options& options, std::source_location where);
  repetition(const repetition&) = delete;
  repetition& operator=(const repetition&) = delete;
  ~repetition();

  /// A lease for the next try. Only if there is one left.
  boost::asio::awaitable<lease> next();
  /// A try has ended by an exception: whether there is to be another. `l`: its lease, if it still has it.
  bool goes_on(const lease& l) noexcept;

 private:
  void bound(channel& c, time_point t);
  void lift() noexcept;

  const std::shared_ptr<pool_core> core_;
  const run_options options_;
  const std::source_location where_;
  /// `max` for never.
  const time_point until_;
  /// The last stream that was made before this began.
  const std::uint64_t newest_;
  unsigned tries_ = 0;
  /// Whose use this has bounded, in a lease that may have ended since.
  std::shared_ptr<channel> bounded_;
};

/// What `pool::run` is.
template <class Result, class Function>
boost::asio::awaitable<Result> run(std::shared_ptr<pool_core> core, Function f, run_options options,
                                   std::source_location where) {
  repetition tries(std::move(core), options, where);
  for (;;) {
    lease l = co_await tries.next();
    try {
      if constexpr (std::is_void_v<Result>) {
        co_await f(l);
        co_return;
      } else {
        co_return co_await f(l);
      }
    } catch (...) {
      if (!tries.goes_on(l)) throw;
    }
  }
}

}  // namespace cocp::detail
