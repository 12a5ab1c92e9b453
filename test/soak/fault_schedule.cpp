// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "fault_schedule.hpp"

#include <algorithm>
#include <utility>

namespace cocp::test::soak {

using namespace std::chrono_literals;

fault_schedule::fault_schedule(std::uint64_t seed, std::vector<fault_relay*> relays, redis_server& server)
    : relays_(std::move(relays)), server_(server) {
  for (std::size_t n = 0; n < relays_.size(); ++n) {
    course& c = courses_.emplace_back();
    c.random.seed(seed + n);
    c.next = draw(c.random, 300ms, 2s);
  }
  servers_.random.seed(seed + relays_.size());
  servers_.next = draw(servers_.random, 1s, 10s);
}

void fault_schedule::advance(duration since) {
  for (std::size_t n = 0; n < relays_.size(); ++n) {
    while (courses_[n].next <= since) turn(courses_[n], *relays_[n]);
  }
  while (servers_.next <= since) turn_server();
}

void fault_schedule::end() {
  for (fault_relay* r : relays_) r->set({});
  mend_server();
  for (course& c : courses_) c.is_bad = false;
}

std::size_t fault_schedule::troubles() const {
  const auto bad = std::ranges::count_if(courses_, [](const course& c) { return c.is_bad; });
  return static_cast<std::size_t>(bad) + (health_ == health::well ? 0 : 1);
}

fault_schedule::duration fault_schedule::draw(std::mt19937_64& random, duration least, duration most) {
  return duration(std::uniform_int_distribution(least.count(), most.count())(random));
}

way_faults fault_schedule::draw_way(std::mt19937_64& random) {
  way_faults w;
  if (one_in(random, 3)) w.latency = draw(random, 0ms, 20ms);
  if (one_in(random, 3)) w.jitter = draw(random, 0ms, 30ms);
  if (one_in(random, 4)) w.bandwidth = 2'000 + random() % 200'000;
  if (one_in(random, 12)) w.stalled = true;
  if (one_in(random, 6)) w.late_close = draw(random, 0ms, 300ms);
  if (one_in(random, 5)) w.resets = 0.05;
  return w;
}

relay_faults fault_schedule::draw_faults(std::mt19937_64& random) {
  relay_faults f;
  if (one_in(random, 8)) f.connects = arrival::refused;
  if (one_in(random, 10)) f.connects = arrival::ignored;
  if (one_in(random, 5)) f.resets = 0.3;
  if (one_in(random, 5)) f.reset_after = 1 + random() % 20'000;
  f.to_server = draw_way(random);
  f.to_client = draw_way(random);
  if (one_in(random, 10)) f = relay_faults::black_hole();
  return f;
}

void fault_schedule::turn(course& c, fault_relay& relay) {
  ++changes_;
  c.is_bad = !c.is_bad;
  c.next += c.is_bad ? draw(c.random, 200ms, 1500ms) : draw(c.random, 500ms, 3s);
  if (!c.is_bad) {
    relay.set({});
    return;
  }
  relay.set(draw_faults(c.random));
  if (one_in(c.random, 4)) relay.reset_all();
  if (one_in(c.random, 6)) relay.close_all();
  if (one_in(c.random, 6)) relay.stall_for(draw(c.random, 50ms, 800ms));
}

void fault_schedule::turn_server() {
  ++changes_;
  if (health_ != health::well) {
    servers_.next += draw(servers_.random, 5s, 20s);
    mend_server();
    return;
  }
  servers_.next += draw(servers_.random, 200ms, 1s);
  health_ = one_in(servers_.random, 2) ? health::killed : health::stopped;
  health_ == health::killed ? server_.kill() : server_.freeze();
}

void fault_schedule::mend_server() {
  if (health_ == health::killed) server_.start();
  if (health_ == health::stopped) server_.thaw();
  health_ = health::well;
}

}  // namespace cocp::test::soak
