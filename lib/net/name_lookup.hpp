// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/environment.hpp"

#include <boost/asio/execution_context.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

namespace cocp::detail {

/// Looks up a name in the calling thread, for as long as it takes. Throws nothing but `std::bad_alloc`.
using blocking_lookup =
    std::function<error_code(const std::string& host, const std::string& service, std::vector<endpoint>& found)>;

/// What getaddrinfo(3) returned, as Asio's resolver reports it.
error_code lookup_error(int result);

/// The system's getaddrinfo(3).
error_code look_up(const std::string& host, const std::string& service, std::vector<endpoint>& found);

/// True if one who asks shares the youngest of the lookups of the same name that are under way, instead of beginning
/// one more.
bool joins(std::size_t under_way, duration age_of_youngest) noexcept;

/// Looks up names in threads that nobody joins: getaddrinfo(3) cannot be interrupted, and a name server that does not
/// answer holds it for half a minute. Asio's own resolver is joined by `~io_context`.
///
/// A lookup is shared by all who ask for the same name while it is young (see `joins`); so one that hangs holds up
/// those who ask later for a moment only, and there are a few threads at most for each name. One that nobody waits for
/// any more ends by itself.
///
/// On an `io_context` without locks a lookup fails with `operation_not_supported`, as Asio's do: a thread may not post
/// to it.
///
/// \par Thread safety
/// All of it may be called from any thread.
class name_lookup : public std::enable_shared_from_this<name_lookup> {
 public:
  using clock = std::function<time_point()>;
  explicit name_lookup(blocking_lookup look_up, clock now = std::chrono::steady_clock::now)
      : look_up_(std::move(look_up)), now_(std::move(now)) {}

  void async_resolve(const asio::any_io_executor& ex, std::string host, std::string service, resolve_handler handler);
  /// How many have not ended.
  std::size_t under_way() const;
  /// Drops those who wait on it.
  void on_context_shutdown(asio::execution_context& context) noexcept;

 private:
  using name = std::pair<std::string, std::string>;
  struct waiter;
  using waiters = std::list<std::shared_ptr<waiter>>;
  struct lookup {
    time_point begun;
    /// Its thread does not exist in a child process (fork(2)).
    ::pid_t process;
    waiters waiting;
  };
  using lookups = std::multimap<name, lookup>;

  /// Under `mutex_`: the one to join; `end` if there is none.
  lookups::iterator find_young(const name& n);
  void run(lookups::iterator l) noexcept;
  void complete(lookups::iterator l, error_code ec, const std::vector<endpoint>& found) noexcept;
  void cancel(const name& n, const waiter* w) noexcept;

  const blocking_lookup look_up_;
  const clock now_;
  mutable std::mutex mutex_;
  /// The lookups under way, those of one name in the order in which they began. Each belongs to its thread, which takes
  /// it out. Guarded by `mutex_`.
  lookups under_way_;
};

}  // namespace cocp::detail
