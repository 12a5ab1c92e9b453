// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "server.hpp"

#include "support/failing_allocations.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace cocp::test::sim {

namespace asio = boost::asio;
using namespace std::chrono_literals;

server::server(fake_network& net, book& b, std::uint64_t seed) : net_(net), book_(b), dice_(seed) {
  net_.numbered = true;
  net_.on_accept = [this](fake_peer& p) { accepted(p); };
  net_.on_receive = [this](fake_peer& p) { received(p); };
}

server::~server() {
  net_.on_accept = nullptr;
  net_.on_receive = nullptr;
}

void server::accepted(fake_peer& p) {
  const failing_allocations::spare s;
  forget_gone();
  book_.on_accepted(p.number);
  if (net_.open() > how.most || dice_.percent(how.closes_at_once)) {
    book_.on_ended(p.number);
    dice_.one_in(2) ? p.fin() : p.reset();
    return;
  }
  if (dice_.percent(how.speaks_first)) p.send(label{'P', 0, 0, 0, 1, 0}.text());
  if (dice_.percent(how.takes_slowly)) {
    p.stall(dice_.below(50));
    take_more(shared(p), 1 + dice_.below(30));
  }
}

void server::take_more(const std::weak_ptr<fake_peer>& weak, std::size_t times) {
  net_.after(duration(std::chrono::milliseconds(1 + dice_.below(20))), [this, weak, times] {
    const failing_allocations::spare s;
    const auto p = weak.lock();
    if (!p || p->gone) return;
    p->take(times == 0 ? 1'000'000 : 1 + dice_.below(200));
    if (times != 0) take_more(weak, times - 1);
  });
}

void server::received(fake_peer& p) {
  const failing_allocations::spare s;
  std::size_t at = 0;
  if (p.halved) {
    if (halved_.insert(p.number).second) {
      if (dice_.one_in(2)) end_later(shared(p), false, std::max(free_at_[p.number] - net_.elapsed(), duration(0)));
    } else {
      book_.fail("what is written behind its end reaches stream " + std::to_string(p.number));
    }
  }
  for (; p.received.size() - at >= label::length; at += label::length) {
    const auto l = label::parse(std::string_view(p.received).substr(at, label::length));
    if (!l || l->kind != 'Q') {
      book_.fail("rule 13: what reaches stream " + std::to_string(p.number) + " is no line: " + p.received);
      p.received.clear();
      return;
    }
    book_.on_request(p.number, *l);
    if (l->index + 1 == l->count && l->answers != 0) answer(shared(p), *l);
  }
  p.received.erase(0, at);
}

void server::answer(const std::shared_ptr<fake_peer>& p, const label& to) {
  if (dice_.percent(how.never_answers)) return;
  std::string all;
  for (std::uint32_t i = 0; i < to.answers; ++i) {
    all += label{'A', to.request, to.holder, i, to.answers, 0}.text();
  }
  if (dice_.percent(how.chatters)) all += label{'P', 0, 0, 0, 1, 0}.text();
  duration d = how.slowest == duration::zero()
                   ? duration::zero()
                   : duration(dice_.any() % static_cast<std::uint64_t>(how.slowest.count()));
  // One after the other.
  duration& free_at = free_at_[p->number];
  d = std::max(d, free_at - net_.elapsed());
  const bool breaks_off = dice_.percent(how.breaks_off);
  if (breaks_off) all.resize(dice_.below(all.size()));
  const std::size_t piece = dice_.percent(how.in_pieces) ? 1 + dice_.below(45) : all.size();
  for (std::size_t sent = 0; sent < all.size(); sent += piece) {
    send_later(p, all.substr(sent, piece), d);
    d += dice_.of<duration>({0ms, 1ms});
  }
  free_at = net_.elapsed() + d;
  if (breaks_off || dice_.percent(how.ends_after)) end_later(p, dice_.one_in(2), d);
}

void server::send_later(const std::shared_ptr<fake_peer>& p, std::string bytes, duration d) {
  net_.after(d, [p, bytes = std::move(bytes)] {
    const failing_allocations::spare s;
    if (!p->gone && !p->end) p->send(bytes);
  });
}

void server::end_later(const std::shared_ptr<fake_peer>& p, bool reset, duration d) {
  net_.after(d, [this, p, reset] {
    const failing_allocations::spare s;
    if (p->gone || p->end) return;
    book_.on_ended(p->number);
    reset ? p->reset() : p->fin();
  });
}

void server::lose_one(dice& d) {
  const auto p = any_open(d);
  if (!p) return;
  switch (d.below(5)) {
    case 0:
      book_.on_ended(p->number);
      p->reset();
      break;
    case 1:
      // Behind something that nobody has asked for.
      push(*p);
      [[fallthrough]];
    case 2:
      book_.on_ended(p->number);
      p->fin();
      break;
    case 3:
      // Half open: nothing goes out any more.
      p->stall();
      break;
    case 4:
      p->fail_write(asio::error::broken_pipe);
      break;
  }
}

void server::lose_within_a_write(std::size_t number, dice& d) {
  const auto found =
      std::find_if(net_.peers.begin(), net_.peers.end(), [number](const auto& p) { return p->number == number; });
  if (found == net_.peers.end() || (*found)->gone || (*found)->end) return;
  const auto p = *found;
  p->stall();
  const std::size_t bytes = 1 + d.below(200);
  net_.after(d.of<duration>({0ms, 1ms, 20ms}), [this, p, bytes] {
    const failing_allocations::spare s;
    if (p->gone || p->end) return;
    book_.on_ended(p->number);
    p->fin();
    p->take(bytes);
  });
}

void server::push_one(dice& d) {
  if (const auto p = any_open(d)) push(*p);
}

void server::push(fake_peer& p) {
  // Not within an answer.
  if (const auto busy = free_at_.find(p.number); busy != free_at_.end() && busy->second >= net_.elapsed()) return;
  p.send(label{'P', 0, 0, 0, 1, 0}.text());
}

std::shared_ptr<fake_peer> server::any_open(dice& d) const {
  std::vector<std::shared_ptr<fake_peer>> open;
  for (const auto& p : net_.peers) {
    if (!p->gone && !p->end) open.push_back(p);
  }
  return open.empty() ? nullptr : open[d.below(open.size())];
}

std::shared_ptr<fake_peer> server::shared(const fake_peer& p) const {
  const auto found = std::find_if(net_.peers.begin(), net_.peers.end(), [&p](const auto& q) { return q.get() == &p; });
  return *found;
}

void server::forget_gone() {
  std::erase_if(net_.peers, [](const auto& p) { return p->gone; });
  std::erase_if(free_at_, [this](const auto& f) { return f.second < net_.elapsed(); });
}

}  // namespace cocp::test::sim
