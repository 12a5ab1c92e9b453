// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "tenure.hpp"

#include "dice.hpp"
#include "simulation.hpp"

#include "support/failing_allocations.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <utility>
#include <vector>

namespace cocp::test::sim {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace boost::asio::experimental::awaitable_operators;

/// Between its start and its end: if it does not end well, its stream is not known any more.
class usage::operation {
 public:
  operation(usage& u, bool writes) : usage_(u), writes_(writes) {
    const failing_allocations::spare s;
    u.started_ = true;
    ++u.outstanding_;
    u.sim_.records().begin_operation(u.holder_);
  }
  ~operation() {
    const failing_allocations::spare s;
    --usage_.outstanding_;
    usage_.sim_.records().end_operation(usage_.holder_);
    usage_.sim_.records().note("holder ", usage_.holder_, ": an operation ", well_ ? "ends well" : "fails");
    if (well_) return;
    usage_.failed_ = true;
    usage_.write_failed_ = usage_.write_failed_ || writes_;
  }
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;

  void ends_well() { well_ = true; }

 private:
  usage& usage_;
  const bool writes_;
  bool well_ = false;
};

/// Until its stream is there: not longer than it may, as operations.
struct usage::waiting {
  explicit waiting(usage& u) : usage_(u) {
    const failing_allocations::spare s;
    u.sim_.records().begin_operation(u.holder_);
  }
  ~waiting() {
    const failing_allocations::spare s;
    usage_.sim_.records().end_operation(usage_.holder_);
  }
  waiting(const waiting&) = delete;
  waiting& operator=(const waiting&) = delete;

 private:
  usage& usage_;
};

usage::usage(simulation& s, connection& c, book::role who, bool strictly)
    : sim_(s), conn_(c), stream_(peer_of(c)), holder_(s.records().begin(stream_, who, strictly)) {
  look_at_stream(who == book::role::on_connect);
  if (who == book::role::on_close && !s.options().pool.allow_unread && s.has_unread(stream_)) {
    s.records().fail(say("stream ", stream_, " has something unread, and says its last words"));
  }
}

void usage::look_at_stream(bool is_new) {
  const failing_allocations::spare s;
  kept_ = nullptr;
  if (stream_ == 0) return;
  sim_.records().numbered(holder_, stream_, conn_.id());
  kept_ = &conn_.session<keepsake>();
  const bool was_made = !is_new && sim_.options().on_connect;
  if (kept_->of == 0 && !was_made) kept_->of = stream_;
  look_at_session();
}

void usage::look_at_session() const {
  if (kept_ && kept_->of != stream_) {
    sim_.records().fail(say("holder ", holder_, " of stream ", stream_, " sees the session of stream ", kept_->of));
  }
}

usage::usage(simulation& s, connection& c) : sim_(s), conn_(c), stream_(0), holder_(s.records().begin_alone()) {}

void usage::forget() {
  rest_.clear();
  owed_ = answered_ = 0;
}

bool usage::goes_on_after_loss() {
  const error_code ec = conn_.last_error();
  const bool lost = ec == asio::error::eof || ec == asio::error::connection_reset;
  if (!lost || write_failed_ || outstanding_ != 0) return false;
  // What he reads from now on may begin anywhere.
  is_lost_ = true;
  return true;
}

bool usage::may_do_both() const { return !sim_.records().uncertain; }

usage::text usage::draw_request(std::uint64_t seed, bool answered) {
  const failing_allocations::spare s;
  dice d(seed);
  text t;
  const auto lines = static_cast<std::uint32_t>(d.of({1, 1, 1, 2, 7, 60}));
  t.answers = static_cast<std::uint32_t>(d.of({1, 1, 1, 2, 7, 60}));
  if (!answered) t.answers = 0;
  owed_ += t.answers;
  t.request = sim_.records().new_request(holder_, t.answers);
  for (std::uint32_t i = 0; i < lines; ++i) t.bytes += label{'Q', t.request, holder_, i, lines, t.answers}.text();
  return t;
}

asio::awaitable<void> usage::exchange(std::uint64_t seed) {
  dice d(seed);
  const text t = draw_request(d.any());
  const std::size_t out = d.below(3);
  const std::size_t in = d.below(4);
  if (may_do_both() && d.one_in(4)) {
    co_await (write(t.bytes, out) && read(owed_, in));
  } else {
    co_await write(t.bytes, out);
    co_await read(owed_, in);
  }
}

asio::awaitable<void> usage::ask(std::uint64_t seed) {
  dice d(seed);
  const text t = draw_request(d.any());
  co_await write(t.bytes, d.below(3));
}

asio::awaitable<void> usage::hear(std::uint64_t seed) {
  dice d(seed);
  co_await read(owed_, d.below(4));
}

asio::awaitable<void> usage::step(std::uint64_t seed) {
  static const duration limits[] = {0ns, 1ms, 20ms, 1s, 1min};
  static const char* const names[] = {"writes only",
                                      "writes what has no answer",
                                      "writes twice at once",
                                      "reads a part of the answer",
                                      "limits its time",
                                      "has no limit",
                                      "pauses",
                                      "waits until it is ready",
                                      "reads what nobody sends",
                                      "may close",
                                      "ends its side"};
  dice d(seed);
  look_at_session();
  const std::size_t what = d.below(15);
  sim_.records().note("holder ", holder_, ' ', what < std::size(names) ? names[what] : "exchanges");
  switch (what) {
    case 0: {
      // Nobody reads what comes.
      const text t = draw_request(d.any(), !sim_.options().pool.one_way);
      co_await write(t.bytes, d.below(3));
      break;
    }
    case 1: {
      const text t = draw_request(d.any(), false);
      co_await write(t.bytes, d.below(3));
      conn_.no_answer();
      asked_ = false;
      break;
    }
    case 2: {
      // Two requests at once: a member waits until the other has ended.
      const text first = draw_request(d.any());
      const text second = draw_request(d.any());
      if (may_do_both()) {
        co_await (write(first.bytes, 0) && write(second.bytes, 0));
      } else {
        co_await write(first.bytes, 0);
        co_await write(second.bytes, 0);
      }
      co_await read(owed_, d.below(4));
      break;
    }
    case 3: {
      // Only a part of the answer.
      const text t = draw_request(d.any());
      co_await write(t.bytes, d.below(3));
      co_await read(owed_ - t.answers / 2, d.below(4));
      break;
    }
    case 4:
      limit_time(limits[d.below(5)]);
      break;
    case 5:
      limit_time(std::nullopt);
      break;
    case 6:
      co_await pause(d.below(4));
      break;
    case 7:
      co_await ready();
      break;
    case 8: {
      // There is nothing to come.
      limit_time(limits[1 + 2 * d.below(2)]);
      co_await read_some_lines(1, d.below(4));
      break;
    }
    case 9:
      if (d.one_in(4)) {
        conn_.close();
        failed_ = started_ = true;
      }
      break;
    case 10:
      if (d.one_in(4)) co_await shutdown_send();
      break;
    default: {
      const std::uint64_t how = d.any();
      co_await exchange(how);
    }
  }
}

asio::awaitable<void> usage::shutdown_send() {
  operation op(*this, true);
  // For lack of memory it may not have begun.
  halved_ = !sim_.records().uncertain;
  co_await conn_.shutdown_send();
  halved_ = true;
  op.ends_well();
}

void usage::limit_time(std::optional<duration> d) {
  if (d) {
    conn_.expires_after(*d);
    sim_.records().limit(holder_, sim_.now() + *d);
  } else {
    conn_.expires_never();
    sim_.records().limit(holder_, std::nullopt);
  }
}

asio::awaitable<void> usage::pause(std::size_t how) {
  static const duration pauses[] = {0ms, 1ms, 50ms, 3s};
  co_await sim_.pause(pauses[how]);
}

asio::awaitable<void> usage::write(std::string bytes, std::size_t way) {
  operation op(*this, true);
  const auto buffer = asio::buffer(bytes);
  // What was sent of one that fails does not matter: then it is dirty in any case.
  switch (way) {
    case 0:
      co_await conn_.write(buffer);
      break;
    case 1:
      co_await asio::async_write(conn_, buffer, asio::use_awaitable);
      break;
    default:
      for (std::size_t sent = 0; sent < bytes.size();) {
        const auto rest = asio::buffer(bytes.data() + sent, bytes.size() - sent);
        sent += co_await conn_.async_write_some(rest, asio::use_awaitable);
      }
  }
  asked_ = sent_ = true;
  op.ends_well();
}

asio::awaitable<void> usage::read(std::size_t enough, std::size_t way) {
  while (answered_ < enough) {
    const std::size_t missing = enough - answered_;
    co_await read_some_lines(missing, way);
  }
}

asio::awaitable<void> usage::read_some_lines(std::size_t lines, std::size_t way) {
  operation op(*this, false);
  std::vector<char> in(lines * label::length);
  const auto buffer = asio::buffer(in);
  switch (way) {
    case 0:
      co_await conn_.read(buffer);
      took({in.data(), in.size()});
      break;
    case 1:
      co_await asio::async_read(conn_, buffer, asio::use_awaitable);
      took({in.data(), in.size()});
      break;
    case 2:
      for (std::size_t got = 0; got < in.size();) {
        const auto rest = asio::buffer(in.data() + got, in.size() - got);
        const std::size_t n = co_await conn_.read_some(rest);
        took({in.data() + got, n});
        got += n;
      }
      break;
    default:
      co_await read_one_line();
  }
  op.ends_well();
}

asio::awaitable<void> usage::read_one_line() {
  std::string in;
  auto dynamic = asio::dynamic_buffer(in);
  const std::size_t n = co_await conn_.read_until(dynamic, '\n');
  // It may have brought more.
  static_cast<void>(n);
  took(in);
}

void usage::took(std::string_view bytes) {
  const failing_allocations::spare s;
  sim_.records().note("holder ", holder_, " reads ", bytes.size(), " bytes");
  asked_ = false;
  got_ = true;
  if (is_lost_) return;
  rest_ += bytes;
  std::size_t at = 0;
  for (; rest_.size() - at >= label::length; at += label::length) {
    const auto l = label::parse(std::string_view(rest_).substr(at, label::length));
    if (l) {
      if (l->kind == 'A') ++answered_;
      sim_.records().on_answer(holder_, *l);
    } else {
      sim_.records().fail("rule 13: holder " + std::to_string(holder_) + " reads what is no line: " + rest_);
    }
  }
  rest_.erase(0, at);
}

asio::awaitable<void> usage::ready() {
  {
    const waiting w(*this);
    // If it fails it has done nothing.
    co_await conn_.ready();
  }
  const book::stream now = peer_of(conn_);
  if (now == stream_) {
    look_at_session();
    co_return;
  }
  if (detached_) sim_.records().fail(say("holder ", holder_, " was detached, and has another stream"));
  sim_.records().move(holder_, stream_, now);
  stream_ = now;
  rest_.clear();
  failed_ = asked_ = started_ = write_failed_ = is_lost_ = halved_ = false;
  owed_ = answered_ = 0;
  look_at_stream(false);
}

const char* usage::dirt() const {
  if (outstanding_ != 0) return "an operation was outstanding";
  // For lack of memory it may not have begun.
  if (failed_ && !sim_.records().uncertain) return "an operation had failed";
  if (halved_) return "its sending side was shut down";
  if (asked_ && !sim_.options().pool.one_way) return "it ended behind a write";
  if (started_ && !sim_.options().pool.allow_unread && sim_.has_unread(stream_)) return "there was something unread";
  return nullptr;
}

bool usage::is_to_be_discarded() const {
  const bool is_hidden = !asked_ || sim_.options().pool.one_way;
  return (owed_ > answered_ && is_hidden) || !rest_.empty();
}

void usage::detach() { detached_ = true; }

void usage::end(bool exception, bool replaced) {
  if (std::exchange(ended_, true)) return;
  look_at_session();
  if (detached_) {
    sim_.records().end(holder_, stream_, "its lease was detached");
    return;
  }
  const bool by_exception =
      exception && started_ && !sim_.options().pool.keep_on_exception && !sim_.records().uncertain;
  sim_.records().end(holder_, stream_,
                     replaced       ? "it was discarded"
                     : by_exception ? "an exception had ended its lease"
                                    : dirt());
}

tenure::tenure(simulation& s, lease l, bool strictly)
    : held(std::move(l)), use(s, *held, book::role::lease, strictly), sim(s) {
  sim.count_lease(1);
}

tenure::~tenure() {
  if (use.has_ended()) return;
  const failing_allocations::spare s;
  const bool discards = use.is_to_be_discarded();
  end(std::uncaught_exceptions() != 0, discards);
  if (discards) held.discard();
}

void tenure::detach() {
  if (std::exchange(detached_, true)) return;
  sim.records().note("a lease of stream ", use.its_stream(), " is detached");
  sim.count_lease(-1);
  sim.count_detached(1);
  sim.records().detached(held->id());
  use.detach();
  held.detach();
}

void tenure::end(bool exception, bool replaced) {
  use.end(exception, replaced);
  if (detached_) {
    sim.count_detached(-1);
  } else {
    sim.count_lease(-1);
  }
}

void tenure::put() {
  if (use.has_ended()) return;
  if (use.is_to_be_discarded()) {
    discard();
    return;
  }
  end(false, false);
  held.put();
}

void tenure::discard() {
  if (use.has_ended()) return;
  end(false, true);
  held.discard();
}

}  // namespace cocp::test::sim
