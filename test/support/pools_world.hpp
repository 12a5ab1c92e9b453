// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cocp/pools.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "support/world.hpp"

namespace cocp::test {

/// Pools on the fake network, whose addresses are `at(1)`, `at(2)`, ...
class pools_world : public world {
 public:
  explicit pools_world(pools_options all = {}, pool_options of_each = {}, connection_options each = {},
                       std::uint64_t seed = 1)
      : world(seed) {
    if (!each.logger) each.logger = log.log();
    pools.emplace(io(), std::move(each), std::move(of_each), all);
  }
  ~pools_world() { pools.reset(); }

  static std::string at(unsigned n) {
    return "10.0." + std::to_string(n / 250) + '.' + std::to_string(n % 250 + 1) + ":7";
  }

  std::shared_ptr<call> get(unsigned n, std::optional<duration> timeout = {}) {
    return begin_call([&](auto done) {
      if (timeout) {
        pools->async_get(at(n), *timeout, std::move(done));
      } else {
        pools->async_get(at(n), std::move(done));
      }
    });
  }
  /// A lease that is there without the clock having moved.
  cocp::lease take(unsigned n) {
    auto c = get(n);
    settle();
    BOOST_REQUIRE(bool(c->lease));
    return std::move(c->lease);
  }

  /// How many connections are up to that address.
  std::size_t open(unsigned n) {
    return static_cast<std::size_t>(std::count_if(net().peers.begin(), net().peers.end(),
                                                  [n](const auto& p) { return !p->gone && p->at == at(n); }));
  }
  bool has_pool(unsigned n) const { return pools->stats().contains(at(n)); }

  recording_logger log;
  std::optional<cocp::pools> pools;
};

}  // namespace cocp::test
