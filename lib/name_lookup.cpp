// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "name_lookup.hpp"

#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <new>
#include <system_error>
#include <thread>

#include <netdb.h>

namespace cocp::detail {

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
      : context(&asio::query(ex, asio::execution::context)), handler(std::move(h)), work(ex) {}

  /// Calls the handler where it belongs.
  void finish() { asio::dispatch(asio::append(std::move(handler), error, std::move(found))); }

  asio::execution_context* context;
  resolve_handler handler;
  asio::executor_work_guard<asio::any_io_executor> work;
  error_code error;
  std::vector<endpoint> found;
};

void name_lookup::async_resolve(const asio::any_io_executor& ex, std::string host, std::string service,
                                resolve_handler handler) {
  auto w = std::make_shared<waiter>(ex, std::move(handler));
  name n(std::move(host), std::move(service));
  auto slot = asio::get_associated_cancellation_slot(w->handler);
  if (slot.is_connected()) {
    // What stands in a slot may stay there when the lookup has ended, and another waiter has its address.
    slot.assign([weak = weak_from_this(), n, mine = std::weak_ptr(w)](asio::cancellation_type) {
      const auto self = weak.lock();
      const auto target = mine.lock();
      if (self && target) self->cancel(n, target.get());
    });
  }
  {
    const std::lock_guard lock(mutex_);
    // Made first: a lookup that nobody has begun must not be left behind.
    waiters first;
    first.push_back(std::move(w));
    const auto [lookup, is_new] = under_way_.try_emplace(n);
    lookup->second.splice(lookup->second.end(), first);
    if (!is_new) return;
  }
  error_code not_begun;
  try {
    std::thread([self = shared_from_this(), n] { self->run(n); }).detach();
    return;
  } catch (const std::system_error& e) {
    not_begun = {e.code().value(), boost::system::system_category()};
  } catch (const std::bad_alloc&) {
    not_begun = asio::error::no_memory;
  }
  complete(n, not_begun, {});
}

void name_lookup::run(const name& n) noexcept {
  std::vector<endpoint> found;
  error_code ec;
  try {
    ec = look_up_(n.first, n.second, found);
  } catch (const std::bad_alloc&) {
    ec = asio::error::no_memory;
  }
  complete(n, ec, found);
}

void name_lookup::complete(const name& n, error_code ec, const std::vector<endpoint>& found) noexcept {
  std::unique_lock lock(mutex_);
  const auto lookup = under_way_.find(n);
  while (!lookup->second.empty()) {
    const auto w = lookup->second.front();
    try {
      w->error = ec;
      w->found = found;
      // Under the mutex: once it is unlocked the context may go away. What was posted before goes with it.
      asio::post(w->work.get_executor(), [w] { w->finish(); });
      lookup->second.pop_front();
    } catch (const std::bad_alloc&) {
      lock.unlock();
      std::this_thread::sleep_for(redelivery_pause);
      lock.lock();
    }
  }
  under_way_.erase(lookup);
}

void name_lookup::cancel(const name& n, const waiter* w) noexcept {
  std::shared_ptr<waiter> dropped;
  const std::lock_guard lock(mutex_);
  const auto lookup = under_way_.find(n);
  if (lookup == under_way_.end()) return;
  for (auto i = lookup->second.begin(); i != lookup->second.end(); ++i) {
    if (i->get() != w) continue;
    dropped = std::move(*i);
    lookup->second.erase(i);
    return;
  }
}

void name_lookup::on_context_shutdown(asio::execution_context& context) noexcept {
  waiters dropped;
  const std::lock_guard lock(mutex_);
  for (auto& [n, all] : under_way_) {
    for (auto i = all.begin(); i != all.end();) {
      const auto next = std::next(i);
      if ((*i)->context == &context) dropped.splice(dropped.end(), all, i);
      i = next;
    }
  }
}

}  // namespace cocp::detail
