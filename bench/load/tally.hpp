// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/system/error_code.hpp>

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace bench {

/// What is known of the server at a moment.
enum class server_state {
  foreign,  ///< It is not ours: nothing.
  up,       ///< It was not killed yet.
  dying,    ///< It was killed, and may still have connections.
  down,     ///< It is gone, and its connections are closed.
  back,     ///< It was started again and listens.
};

/// Why a request failed.
enum class cause {
  in_flight,      ///< It was under way when the server died: nobody could have saved it.
  lost,           ///< Its connection was lost while it was under way, to a server that is not ours.
  after_back,     ///< It got its connection after the server was back.
  no_connection,  ///< There was none for it.
  other,          ///< None of these.
};

std::string_view to_string(cause c) noexcept;

/// `leased`: when it got its connection; `failed`: when it failed.
cause cause_of_failure(server_state leased, server_state failed, const boost::system::error_code& error) noexcept;

/// Counts how requests ended that are not just answered. Thread-safe.
class tally {
 public:
  /// On a connection taken when the server was back.
  void answered_after_back() noexcept { after_back_.fetch_add(1, std::memory_order_relaxed); }
  void failed(cause why, const boost::system::error_code& error);
  void wrong(const std::string& what);

  /// Requests that were answered rightly whose connection was taken after the server was back.
  std::uint64_t after_back() const noexcept { return after_back_.load(std::memory_order_relaxed); }

  std::uint64_t errors() const;
  /// How often each cause showed as which error.
  std::map<std::pair<cause, std::string>, std::uint64_t> error_texts() const;

  std::uint64_t wrong_answers() const;
  std::string first_wrong_answer() const;

 private:
  std::atomic<std::uint64_t> after_back_ = 0;

  mutable std::mutex mutex_;
  /// All below is guarded by `mutex_`.
  std::map<std::pair<cause, std::string>, std::uint64_t> errors_;
  std::uint64_t wrong_ = 0;
  std::string first_wrong_;
};

}  // namespace bench
