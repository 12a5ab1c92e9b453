// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "stage.hpp"

#include <exception>
#include <new>
#include <string>

namespace cocp::test::sim {
namespace {

/// So many handlers in one instant are a spin.
constexpr unsigned most_handlers = 200'000;

}  // namespace

stage::stage(std::uint64_t seed) : net_(fake_network::install(*io_, seed)), book_([this] { return net_->elapsed(); }) {}

bool stage::run_one() {
  try {
    return io_->poll_one() != 0;
  } catch (const std::bad_alloc&) {
    // The program goes on.
    return true;
  } catch (const std::exception& e) {
    throw stuck(std::string("an exception leaves run(): ") + e.what());
  }
}

void stage::settle() {
  io_->restart();
  for (unsigned handlers = 0; run_one(); ++handlers) {
    if (handlers > most_handlers) throw stuck("it spins");
  }
}

void stage::run_some(unsigned handlers) {
  io_->restart();
  for (; handlers != 0 && run_one(); --handlers) check_always();
}

void stage::advance(duration d) {
  const auto end = net_->now() + d;
  settle();
  unsigned timers = 0;
  for (auto next = net_->next_timer(); next && *next <= end; next = net_->next_timer()) {
    net_->move(*next - net_->now());
    settle();
    check();
    if (++timers > most_handlers) throw stuck("it never rests");
    if (!book_.failures().empty()) return;
  }
  net_->move(end - net_->now());
  settle();
}

}  // namespace cocp::test::sim
