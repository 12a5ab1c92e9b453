// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/endpoint.hpp>
#include <cocp/event.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace cocp::detail {

using time_point = std::chrono::steady_clock::time_point;

/// An address to try.
struct candidate {
  endpoint at;
  /// It connects, and what came behind that failed: it would win each race against one that is slow and good, so it is
  /// not tried while another one is under way.
  bool alone = false;
};

/// Which of the addresses that a name stands for have failed. They are tried after the others, however the resolver
/// orders them: an attempt has time for some addresses only, and for one that fails behind TCP's connect.
///
/// \par Thread safety
/// All of it may be called from any thread.
class address_memory {
 public:
  enum class failure {
    connecting,  ///< Refused, or no answer in time.
    connected    ///< TLS, `on_connect`, or lost early.
  };

  /// More are not remembered: the one that failed first is forgotten.
  static constexpr std::size_t most = 1024;
  /// An address that failed so long ago is one like any other again, once another one has served well: so what is
  /// preferred, and was away for a while, is used again; and while nothing serves, nothing is forgotten.
  static constexpr duration forget_after = std::chrono::minutes(10);

  /// Without memory it is not noted.
  void failed(const endpoint& at, failure how, time_point now) noexcept;
  /// It is as good as new.
  void succeeded(const endpoint& at, time_point now) noexcept;
  /// In which order to try what the resolver has found: what has not failed, by `interleave_families`; then the rest,
  /// first what failed first.
  std::vector<candidate> in_order(const std::vector<endpoint>& found) const;

 private:
  struct entry {
    time_point when;
    /// Counts failures: later ones have higher numbers.
    std::uint64_t number = 0;
    failure how = failure::connecting;
  };

  mutable std::mutex mutex_;
  std::map<endpoint, entry> failed_;
  std::uint64_t failures_ = 0;
};

}  // namespace cocp::detail
