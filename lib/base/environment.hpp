// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/time.hpp"

#include <cocp/impl/stream.hpp>
#include <cocp/options.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution_context.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace cocp::detail {

struct destination;

using resolve_handler = asio::any_completion_handler<void(error_code, std::vector<endpoint>)>;

/// A timer that may be set again and again. One thread at a time, as for any Asio object.
class timer {
 public:
  /// Whom it tells without a handler of its own.
  class listener {
   public:
    virtual void on_timer(error_code ec) = 0;

   protected:
    ~listener() = default;
  };

  timer() = default;
  timer(const timer&) = delete;
  timer& operator=(const timer&) = delete;
  virtual ~timer() = default;

  /// Sets the time; a wait that is pending ends with `operation_aborted`.
  virtual void expires_at(time_point t) = 0;
  virtual void async_wait(wait_handler handler) = 0;
  /// The same on the timer's executor, which takes less memory for as long as the wait lasts; `l` must be there then.
  virtual void async_tell(listener& l) {
    async_wait([&l](error_code ec) { l.on_timer(ec); });
  }
  /// Ends a wait that is pending with `operation_aborted`. Allocates nothing.
  virtual void cancel() noexcept = 0;
};

/// All that cocp has from outside: time, randomness, names and streams. There is one for each execution context (see
/// `context_service`), so that a test can put a clock that only it moves, or a network of its own, under everything
/// that lives on its context.
///
/// Thread-safe; it outlives what it made.
class environment {
 public:
  environment() = default;
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;
  virtual ~environment() = default;

  virtual time_point now() const noexcept = 0;
  /// 64 random bits.
  virtual std::uint64_t random() noexcept = 0;
  virtual std::unique_ptr<timer> make_timer(const asio::any_io_executor& ex) = 0;
  /// An executor on `ex` that runs one thing at a time. Where there is no memory for it Asio's `make_strand` destroys
  /// what it has not made yet (strand_executor_service::create_implementation in 1.81): nobody can be saved from that.
  virtual asio::any_io_executor make_serial(const asio::any_io_executor& ex);
  /// An unconnected stream, for one attempt. Throws `boost::system::system_error`.
  virtual std::unique_ptr<stream> make_stream(const asio::any_io_executor& ex, const connection_options& options,
                                              const destination& to) = 0;
  /// Looks up a name. Cannot be relied on to end soon; terminal cancellation says that nobody waits for it any more.
  virtual void async_resolve(const asio::any_io_executor& ex, std::string host, std::string service,
                             resolve_handler handler) = 0;
  /// The context is going away: drops what waits on it.
  virtual void on_context_shutdown(asio::execution_context&) noexcept {}
};

}  // namespace cocp::detail
