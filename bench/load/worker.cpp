// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "worker.hpp"

#include <cocp/error.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>

namespace bench {
namespace {

namespace asio = boost::asio;

class machines_timekeeper final : public timekeeper {
 public:
  clock::time_point now() override { return clock::now(); }
  asio::awaitable<void> sleep_until(clock::time_point t) override {
    asio::steady_timer timer(co_await asio::this_coro::executor, t);
    co_await timer.async_wait(asio::use_awaitable);
  }
};

/// Until then, or until there is nothing more to do.
asio::awaitable<void> rest_until(workplace& at, timekeeper::clock::time_point t) {
  for (auto now = at.time.now(); now < t && !at.stopping; now = at.time.now()) {
    co_await at.time.sleep_until(std::min(t, now + std::chrono::milliseconds(100)));
  }
}

/// True if there was an answer.
asio::awaitable<bool> ask_once(workplace& at, asker& way, exchange& what) {
  attempt now(at.book);
  boost::system::error_code error;
  try {
    co_await way.ask(what, now);
    if (now.at() == server_state::back) at.failures.answered_after_back();
    co_return true;
  } catch (const boost::system::system_error& e) {
    error = e.code();
  } catch (const wrong_answer& e) {
    at.failures.wrong(e.what());
    co_return false;
  }
  const bool closed = at.stopping && !now.has_connection() && error == cocp::errc::closed;
  if (!closed) {
    at.failures.failed(now.has_connection() ? cause_of_failure(now.at(), at.book.state(), error) : cause::no_connection,
                       error);
  }
  co_return false;
}

}  // namespace

timekeeper& machine_time() {
  static machines_timekeeper time;
  return time;
}

asio::awaitable<void> work(workplace at, std::unique_ptr<asker> way, std::unique_ptr<exchange> what) {
  timekeeper::clock::time_point due = at.time.now();
  while (!at.stopping) {
    if (at.due != nullptr) {
      due = at.due->take();
      if (due > at.time.now()) co_await rest_until(at, due);
      if (at.stopping) break;
    }
    const bool answered = co_await ask_once(at, *way, *what);
    const timekeeper::clock::time_point end = at.time.now();
    if (answered) {
      at.answers.answered(end - due);
    } else {
      // What fails at once must not keep the others from running.
      co_await asio::post(asio::use_awaitable);
    }
    due = end;
    if (at.think.count() != 0) {
      due += at.think;
      co_await rest_until(at, due);
    }
  }
}

}  // namespace bench
