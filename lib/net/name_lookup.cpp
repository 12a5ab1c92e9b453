// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/name_lookup.hpp"

#include "net/patient_handler.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>

// Since Boost 1.87 a context is asked in public.
#if __has_include(<boost/asio/config.hpp>)
#include <boost/asio/config.hpp>
#define COCP_ASIO_HAS_CONFIG 1
#else
#include <boost/asio/detail/concurrency_hint.hpp>
#include <boost/asio/detail/scheduler.hpp>
#define COCP_ASIO_HAS_CONFIG 0
#endif

#include <cerrno>
#include <cstring>
#include <iterator>
#include <new>
#include <system_error>
#include <thread>

#include <netdb.h>

namespace cocp::detail {

namespace {

/// How many threads may look up one name at once.
constexpr std::size_t most_lookups = 4;
/// A lookup that takes longer than this may hang for as long as a name server is silent, while the next one succeeds.
constexpr duration young = std::chrono::seconds(1);

/// True if other threads may post to it: false with BOOST_ASIO_CONCURRENCY_HINT_UNSAFE. Asks as Asio's resolver does.
bool has_locks(asio::execution_context& context) {
#if COCP_ASIO_HAS_CONFIG
  return asio::config(context).get("scheduler", "locking", true);
#else
  if (!asio::has_service<asio::detail::scheduler>(context)) return true;
  const int hint = asio::use_service<asio::detail::scheduler>(context).concurrency_hint();
  return BOOST_ASIO_CONCURRENCY_HINT_IS_LOCKING(SCHEDULER, hint);
#endif
}

}  // namespace

bool joins(std::size_t under_way, duration age_of_youngest) noexcept {
  return under_way != 0 && (age_of_youngest < young || under_way >= most_lookups);
}

error_code lookup_error(int result) {
  switch (result) {
    case 0:
      return {};
    case EAI_AGAIN:
      return asio::error::host_not_found_try_again;
    case EAI_BADFLAGS:
      return asio::error::invalid_argument;
    case EAI_FAIL:
      return asio::error::no_recovery;
    case EAI_FAMILY:
      return asio::error::address_family_not_supported;
    case EAI_MEMORY:
      return asio::error::no_memory;
    case EAI_NONAME:
    case EAI_ADDRFAMILY:
    case EAI_NODATA:
      return asio::error::host_not_found;
    case EAI_SERVICE:
      return asio::error::service_not_found;
    case EAI_SOCKTYPE:
      return asio::error::socket_type_not_supported;
    default:
      return {errno, boost::system::system_category()};
  }
}

error_code look_up(const std::string& host, const std::string& service, std::vector<endpoint>& found) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* results = nullptr;
  const error_code ec = lookup_error(::getaddrinfo(host.c_str(), service.c_str(), &hints, &results));
  if (ec) return ec;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(results, ::freeaddrinfo);
  for (const addrinfo* a = results; a; a = a->ai_next) {
    if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
    asio::ip::tcp::endpoint e;
    e.resize(a->ai_addrlen);
    std::memcpy(e.data(), a->ai_addr, a->ai_addrlen);
    found.emplace_back(e);
  }
  return {};
}

struct name_lookup::waiter {
  waiter(const asio::any_io_executor& ex, resolve_handler h)
      : context(&asio::query(ex, asio::execution::context)),
        handler(std::move(h), asio::any_completion_executor(ex)),
        work(ex) {}

  /// On its executor.
  void finish() { handler(error, std::move(found)); }

  asio::execution_context* context;
  patient_handler<resolve_handler> handler;
  asio::executor_work_guard<asio::any_io_executor> work;
  error_code error;
  std::vector<endpoint> found;
};

void name_lookup::async_resolve(const asio::any_io_executor& ex, std::string host, std::string service,
                                resolve_handler handler) {
  auto w = std::make_shared<waiter>(ex, std::move(handler));
  name n(std::move(host), std::move(service));
  if (!has_locks(*w->context)) {
    w->error = asio::error::operation_not_supported;
    asio::post(w->work.get_executor(), [w] { w->finish(); });
    return;
  }
  auto slot = asio::get_associated_cancellation_slot(w->handler);
  if (slot.is_connected()) {
    // What stands in a slot may stay there when the lookup has ended, and another waiter has its address.
    slot.assign([weak = weak_from_this(), n, mine = std::weak_ptr(w)](asio::cancellation_type) {
      const auto self = weak.lock();
      const auto target = mine.lock();
      if (self && target) self->cancel(n, target.get());
    });
  }
  lookups::iterator mine_to_begin;
  {
    const std::lock_guard lock(mutex_);
    // Made first: a lookup that nobody has begun must not be left behind.
    waiters first;
    first.push_back(std::move(w));
    auto l = find_young(n);
    const bool joined = l != under_way_.end();
    if (!joined) l = under_way_.emplace(n, lookup{now_(), ::getpid(), {}});
    l->second.waiting.splice(l->second.waiting.end(), first);
    if (joined) return;
    mine_to_begin = l;
  }
  error_code not_begun;
  try {
    std::thread([self = shared_from_this(), mine_to_begin] { self->run(mine_to_begin); }).detach();
    return;
  } catch (const std::system_error& e) {
    not_begun = {e.code().value(), boost::system::system_category()};
  } catch (const std::bad_alloc&) {
    not_begun = asio::error::no_memory;
  }
  complete(mine_to_begin, not_begun, {});
}

name_lookup::lookups::iterator name_lookup::find_young(const name& n) {
  std::size_t under_way = 0;
  auto youngest = under_way_.end();
  const auto [first, last] = under_way_.equal_range(n);
  for (auto l = first; l != last; ++l) {
    if (l->second.process != ::getpid()) continue;
    ++under_way;
    youngest = l;
  }
  return under_way != 0 && joins(under_way, now_() - youngest->second.begun) ? youngest : under_way_.end();
}

void name_lookup::run(lookups::iterator l) noexcept {
  // Nobody else takes it out, so this may be read.
  const name& n = l->first;
  std::vector<endpoint> found;
  error_code ec;
  try {
    ec = look_up_(n.first, n.second, found);
  } catch (const std::bad_alloc&) {
    ec = asio::error::no_memory;
  }
  complete(l, ec, found);
}

void name_lookup::complete(lookups::iterator l, error_code ec, const std::vector<endpoint>& found) noexcept {
  std::unique_lock lock(mutex_);
  waiters& waiting = l->second.waiting;
  while (!waiting.empty()) {
    try {
      const auto w = waiting.front();
      w->error = ec;
      w->found = found;
      // Under the mutex: once it is unlocked the context may go away. What was posted before goes with it.
      asio::post(w->work.get_executor(), [w] { w->finish(); });
      waiting.pop_front();
    } catch (...) {
      // No memory, or its executor refuses. Nobody else would tell whoever waits.
      lock.unlock();
      std::this_thread::sleep_for(redelivery_pause);
      lock.lock();
    }
  }
  under_way_.erase(l);
}

void name_lookup::cancel(const name& n, const waiter* w) noexcept {
  std::shared_ptr<waiter> dropped;
  const std::lock_guard lock(mutex_);
  const auto [first, last] = under_way_.equal_range(n);
  for (auto l = first; l != last; ++l) {
    waiters& waiting = l->second.waiting;
    for (auto i = waiting.begin(); i != waiting.end(); ++i) {
      if (i->get() != w) continue;
      dropped = std::move(*i);
      waiting.erase(i);
      return;
    }
  }
}

std::size_t name_lookup::under_way() const {
  const std::lock_guard lock(mutex_);
  return under_way_.size();
}

void name_lookup::on_context_shutdown(asio::execution_context& context) noexcept {
  waiters dropped;
  const std::lock_guard lock(mutex_);
  for (auto& [n, l] : under_way_) {
    waiters& all = l.waiting;
    for (auto i = all.begin(); i != all.end();) {
      const auto next = std::next(i);
      if ((*i)->context == &context) dropped.splice(dropped.end(), all, i);
      i = next;
    }
  }
}

}  // namespace cocp::detail
