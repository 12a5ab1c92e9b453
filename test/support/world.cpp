// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "world.hpp"

#include <boost/system/system_error.hpp>
#include <sstream>

namespace cocp::test {

logger recording_logger::log() const {
  return [state = state_](const event& e) {
    std::ostringstream line;
    line << e;
    const std::lock_guard lock(state->mutex);
    state->entries.push_back({e.kind, std::string(e.address), e.error, e.attempt, e.retry_in, std::string(e.reason),
                              std::move(line).str(), std::string(e.name), e.id});
  };
}

std::vector<recording_logger::entry> recording_logger::entries() const {
  const std::lock_guard lock(state_->mutex);
  return state_->entries;
}

std::size_t recording_logger::count(event_kind kind) const {
  std::size_t n = 0;
  for (const auto& e : entries()) n += e.kind == kind ? 1 : 0;
  return n;
}

world::~world() {
  if (!io_) return;
  settle();
  BOOST_TEST(io_->stopped(), "work is left at the end of the test");
}

void world::settle() {
  io_->restart();
  while (io_->poll() != 0) {
  }
}

bool world::step() {
  if (!io_) return false;
  io_->restart();
  if (io_->poll_one() != 0) return true;
  const auto next = net_->next_timer();
  if (!next) return false;
  net_->move(*next - net_->now());
  return true;
}

void world::advance(duration d) {
  const auto end = net_->now() + d;
  settle();
  for (auto next = net_->next_timer(); next && *next <= end; next = net_->next_timer()) {
    net_->move(*next - net_->now());
    settle();
  }
  net_->move(end - net_->now());
  settle();
}

void world::spawn(asio::awaitable<void> body) {
  asio::co_spawn(*io_, std::move(body), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
}

void world::spawn(asio::awaitable<void> body, std::function<void(std::exception_ptr)> done) {
  asio::co_spawn(*io_, std::move(body), std::move(done));
}

std::shared_ptr<world::outcome<bool>> world::watch(asio::awaitable<void> body) {
  auto with_result = [](asio::awaitable<void> inner) -> asio::awaitable<bool> {
    co_await std::move(inner);
    co_return true;
  };
  return watch<bool>(with_result(std::move(body)));
}

void world::explain(std::exception_ptr e, error_code& error, std::string& what) {
  try {
    std::rethrow_exception(e);
  } catch (const boost::system::system_error& failure) {
    error = failure.code();
    what = failure.what();
  } catch (const std::exception& failure) {
    what = failure.what();
  }
}

}  // namespace cocp::test
