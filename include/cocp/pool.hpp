// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/export.hpp>
#include <cocp/impl/lease_waiter.hpp>
#include <cocp/impl/repetition.hpp>
#include <cocp/lease.hpp>
#include <cocp/options.hpp>
#include <cocp/stats.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace cocp {

class pool;

namespace detail {
/// For what prints a pool.
const pool_core& core_of(const pool& p) noexcept;

/// What an address may be given as by itself: a string, and nothing in braces.
template <class T>
concept address_text = std::convertible_to<const T&, std::string_view>;

inline connection_options at_address(std::string_view address) {
  connection_options options;
  options.address = address;
  return options;
}
}  // namespace detail

/// A pool of persistent connections to one endpoint, handed out to one user at a time.
///
/// \par Thread safety
/// All members may be called from any thread.
/// \par Lifetime
/// The destructor is `close()`; it blocks on nothing. Leases and waiters may outlive the pool, but `get` and `ready`
/// use it when their coroutine is first resumed. The execution context must outlive the pool's waiters, or take their
/// coroutine frames with it. An open pool is outstanding work; after `close()` only what users do is.
///
/// What waits on another execution context than the pool's ends with `errc::closed` when the pool's is destroyed, and
/// so does what is started later. Limits of time are kept by the pool's context: while nobody runs that, none passes.
/// \par Cancellation
/// What waits honours `terminal`, `partial` and `total` cancellation. It never cancels an attempt to connect. The
/// signal may die, or serve another operation, before the wait has ended.
class COCP_API pool {
 public:
  /// Holds any executor.
  using executor_type = boost::asio::any_io_executor;

  /// Starts dialling at once, as work on the executor. Never blocks; succeeds while the endpoint is down.
  /// \par Exceptions
  /// `std::invalid_argument` if an option is outside its range.
  pool(executor_type ex, connection_options connection, pool_options options = {});

  /// The same on the executor of an execution context.
  template <class Context>
  requires std::is_convertible_v<Context&, boost::asio::execution_context&> pool(Context& context,
                                                                                 connection_options connection,
                                                                                 pool_options options = {})
      : pool(executor_type(context.get_executor()), std::move(connection), std::move(options)) {}

  /// The same with an address, and all else about the connections as it is by default: `pool(io, "localhost:7")`.
  template <detail::address_text Address>
  pool(executor_type ex, const Address& address, pool_options options = {})
      : pool(std::move(ex), detail::at_address(address), std::move(options)) {}

  /// The same on the executor of an execution context.
  template <class Context, detail::address_text Address>
  requires std::is_convertible_v<Context&, boost::asio::execution_context&> pool(Context& context,
                                                                                 const Address& address,
                                                                                 pool_options options = {})
      : pool(executor_type(context.get_executor()), detail::at_address(address), std::move(options)) {}

  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  ~pool();

  /// Where its own work and the logger run, and handlers that have no executor of their own.
  executor_type get_executor() const;

  /// Waits for a connection that is up and clean, at most `pool_options::get_timeout`. First come, first served. When
  /// one is idle it returns at once, without going through the scheduler, but for one time in 64: others run then.
  /// \par Errors
  /// Throws `boost::system::system_error`: `errc::timed_out`, `errc::closed`, `errc::overloaded`, `operation_aborted`.
  /// Its text says what was waited for, how long, what became of the connections, and, while attempts fail, the last
  /// connect error with its age. Words of `on_connect`'s exceptions are in it: think of that before you show it to
  /// strangers.
  ///
  /// Here and below `where` is what `leases` tells of the caller.
  boost::asio::awaitable<lease> get(std::source_location where = std::source_location::current()) {
    if (lease idle = take_idle(where)) co_return std::move(idle);
    co_return co_await detail::await_lease(core_, std::nullopt, where);
  }
  /// The same with a limit of its own; zero or less: do not wait at all, `errc::timed_out` at once.
  boost::asio::awaitable<lease> get(duration timeout, std::source_location where = std::source_location::current()) {
    if (lease idle = take_idle(where)) co_return std::move(idle);
    co_return co_await detail::await_lease(core_, timeout, where);
  }

  /// The same for any completion token; `void(error_code, lease)`.
  template <class CompletionToken = boost::asio::deferred_t>
  requires(!std::convertible_to<CompletionToken, duration>) auto async_get(
      CompletionToken&& token = CompletionToken(), std::source_location where = std::source_location::current()) {
    return boost::asio::async_initiate<CompletionToken, void(error_code, lease)>(
        detail::initiate_get(core_, std::nullopt, where, get_executor()), token);
  }
  /// The same with a limit of its own; zero or less: do not wait at all.
  template <class CompletionToken = boost::asio::deferred_t>
  auto async_get(duration timeout, CompletionToken&& token = CompletionToken(),
                 std::source_location where = std::source_location::current()) {
    return boost::asio::async_initiate<CompletionToken, void(error_code, lease)>(
        detail::initiate_get(core_, timeout, where, get_executor()), token);
  }

  /// The same, as `async_get(token)`: `co_await pool.get(boost::asio::cancel_after(1s))`, where Asio has it.
  template <class CompletionToken>
  requires(!std::convertible_to<CompletionToken, duration> &&
           boost::asio::completion_token_for<CompletionToken,
                                             void(error_code, lease)>) auto get(CompletionToken&& token,
                                                                                std::source_location where =
                                                                                    std::source_location::current()) {
    return async_get(std::forward<CompletionToken>(token), where);
  }

  /// Calls `f(lease&)`, a coroutine function, with a lease of its own, and returns what that returns. It is called
  /// again, on another connection, if it has ended by an exception, whichever, and the stream of its lease is lost (not
  /// given up, cancelled or expired), as long as `options` let it. The last repeat is on a connection that was opened
  /// since this began. `f` may discard, detach or move the lease; if it has given it away it is not called again.
  ///
  /// An answer is an answer, whatever it says: where it says that the server is going away and has done nothing
  /// (PostgreSQL's 57P01), `f` may `co_await l->ready()` and ask again, on the next stream of its lease.
  /// \par Errors
  /// Those of `get`, of whichever wait fails; otherwise what the last call of `f` has thrown.
  /// \par Exceptions
  /// `std::invalid_argument` if an option is outside its range, when the coroutine is first resumed.
  /// \par Cancellation
  /// Goes to the wait, or to what `f` awaits. Who is cancelled is not called again.
  template <class Function>
  requires std::invocable<Function&, lease&>
  auto run(Function f, run_options options = {}, std::source_location where = std::source_location::current())
      -> std::invoke_result_t<Function&, lease&> {
    using result = typename std::invoke_result_t<Function&, lease&>::value_type;
    return detail::run<result, Function>(core_, std::move(f), options, where);
  }

  /// A lease if a connection is free now, or an empty one. That is a wish for one all the same: see
  /// `pool_options::max_waiting`.
  lease try_get(std::source_location where = std::source_location::current()) noexcept;

  /// Waits until `n` connections are up, at most `pool_options::get_timeout`; fails like `get`. Opens as many if
  /// `min_size` is less.
  /// \par Errors
  /// As `get`; and `boost::system::errc::invalid_argument` when `resize` makes the pool's size less than `n`.
  /// \par Exceptions
  /// `std::invalid_argument` if `n` is more than the pool's size.
  boost::asio::awaitable<void> ready(std::size_t n = 1);

  /// Sets the most connections. Grows at once; shrinks as connections come back, those that are idle or not up first.
  /// \par Exceptions
  /// `std::invalid_argument` if `n` is zero.
  void resize(std::size_t n);

  /// Has new connections made to `address`, from now on. Idle ones move at once, leased ones when they come back; those
  /// who wait go on waiting.
  /// \par Exceptions
  /// `std::invalid_argument` if it is malformed.
  void readdress(std::string address);

  /// Has every connection redialled, as is due when the address leads to another server from now on: idle ones at once,
  /// leased ones when they come back; attempts under way begin again. Those who wait go on waiting, and so does the
  /// delay between attempts.
  void renew() noexcept;

  /// A hint that the endpoint may be back: if an attempt waits for the end of its backoff delay, it starts now.
  void retry_now() noexcept;

  /// Who holds a lease, in no particular order; empty unless `pool_options::report_leases` is set.
  std::vector<lease_info> leases() const;

  /// Closes idle connections now, ends waiters with `errc::closed`, and stops dialling. Leased connections stay usable
  /// and close when they are put back; one that is lost meanwhile is not redialled. Idempotent.
  void close() noexcept;

  /// `close()`, then waits until every lease is back and every supervisor has ended. A name lookup under way is
  /// abandoned, not awaited.
  boost::asio::awaitable<void> drain();
  /// The same, for so long at most: after `limit` (zero or less: at once) every operation of the leases that are still
  /// out, detached ones included, ends with `errc::closed`, begun or new. How many leases that met. Returns within a
  /// second of that, even if a lease never comes back.
  /// \par Errors
  /// `operation_aborted`.
  boost::asio::awaitable<std::size_t> drain(duration limit);

  /// One consistent snapshot.
  cocp::stats stats() const;

 private:
  friend const detail::pool_core& detail::core_of(const pool& p) noexcept;

  /// What `get` returns at once; empty if it is to go through the scheduler. The coroutines that call it are compiled
  /// into the program, since there a frame costs less than in a shared library.
  lease take_idle(std::source_location where) noexcept;

  std::shared_ptr<detail::pool_core> core_;
};

}  // namespace cocp
