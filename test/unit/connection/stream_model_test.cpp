// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Rules 3 and 13 over random steps: users of a pool and of a connection that stands alone read and write, whole and in
// parts, in both directions at once, on a network that cuts what they send into parts, loses streams in between, and
// labels every byte. After each step it is looked at whose bytes came where. The seed is printed; `-- SEED` repeats a
// run.
//
// A peer answers all that a lease has asked at once, and a user asks nothing while an answer is there that he has not
// read: what is pipelined no pool can tell apart. The connection that stands alone has one user, who may ask and be
// answered as he likes: so a stream is lost with one direction in the middle of an answer and the other in a request.

#include "support/pool_world.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::error_code;

namespace {

#if defined(COCP_TEST_SANITIZED)
constexpr unsigned worlds = 8;
#else
constexpr unsigned worlds = 80;
#endif
constexpr unsigned steps = 2'500;

/// Labels are a half of a byte each.
constexpr unsigned labels = 16;

/// A lease, or the connection that stands alone.
struct user {
  unsigned id = 0;
  bool alone = false;
  bool ended = false;
  cocp::connection* conn = nullptr;
  cocp::lease lease;

  /// How often `ready` has brought another stream, and the label of the stream of each time.
  unsigned epoch = 0;
  std::map<unsigned, unsigned> streams;
  std::uint64_t generation = 0;
  /// On the stream of that generation.
  bool failed = false;
  bool asked = false;
  unsigned outstanding = 0;
  unsigned writes = 0;
};

struct op {
  unsigned label = 0;
  bool write = false;
  /// It is to move all of its buffer.
  bool whole = false;
  std::shared_ptr<user> by;
  unsigned epoch = 0;
  std::vector<char> buffer;
  bool started = false;
  bool done = false;
  error_code error;
  std::size_t bytes = 0;
  /// What the peers have got of it, and the stream that it was on.
  std::size_t received = 0;
  std::optional<unsigned> stream;
  asio::cancellation_signal cancel;
};

/// A peer, and who has asked it.
struct far_end {
  std::shared_ptr<fake_peer> peer;
  unsigned label = 0;
  std::shared_ptr<user> asked_by;
  bool owes = false;
};

class model {
 public:
  explicit model(std::uint64_t seed)
      : random_(seed),
        // A loss is never so early that it counts as a failed attempt.
        world_({.size = 1 + seed % 3}, {.retry_min = 1ns, .retry_max = 1ns, .logger = [](const cocp::event&) {}},
               seed) {
    single_.emplace(world_.io(), cocp::connection_options{.address = "10.0.0.2:7", .retry_min = 1ns, .retry_max = 1ns});
    alone_ = std::make_shared<user>();
    alone_->alone = true;
    alone_->conn = &*single_;
    world_.settle();
  }
  ~model() {
    for (const auto& u : users_) u->lease.put();
    single_.reset();
    world_.pool->close();
    world_.settle();
  }

  /// Does something, and looks at what came of it. What was wrong, or nothing.
  const std::string& step() {
    act();
    if (pick(3) == 0) {
      world_.settle();
    } else {
      for (std::size_t i = pick(4); i != 0; --i) world_.io().restart(), world_.io().poll_one();
    }
    look();
    return wrong_;
  }

  /// How many there were, of each kind.
  struct counts {
    unsigned well = 0;
    unsigned failed = 0;
    unsigned consents = 0;
    unsigned leases = 0;
    unsigned dirty = 0;
    unsigned reused = 0;
  };
  counts seen;

 private:
  std::size_t pick(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

  void require(bool condition, const char* rule) {
    if (!condition && wrong_.empty()) wrong_ = rule;
  }

  void act() {
    switch (pick(20)) {
      case 0:
      case 1:
        get();
        break;
      case 2:
      case 3:
      case 4:
        if (const auto u = any_user()) start(u, true);
        break;
      case 5:
      case 6:
      case 7:
        if (const auto u = any_user()) start(u, false);
        break;
      case 8:
        if (const auto u = any_user()) ready(u);
        break;
      case 9:
        if (pick(3) == 0 && !ops_.empty()) cancel(ops_[pick(ops_.size())]);
        break;
      case 10:
        if (const auto u = any_user()) {
          pick(3) == 0 ? u->conn->expires_after(std::chrono::microseconds(pick(3000))) : u->conn->expires_never();
        }
        break;
      case 11:
      case 12:
        if (!users_.empty()) end(pick(users_.size()));
        break;
      case 13:
        if (pick(8) == 0 && !users_.empty()) users_[pick(users_.size())]->conn->close();
        break;
      case 14:
        no_answer();
        break;
      case 15:
        world_.advance(std::chrono::microseconds(1 + pick(1000)));
        break;
      default:
        network();
    }
  }

  std::shared_ptr<user> any_user() {
    const std::size_t i = pick(users_.size() + 1);
    return i == users_.size() ? alone_ : users_[i];
  }

  void get() {
    cocp::lease l = world_.pool->try_get();
    if (!l) return;
    auto u = std::make_shared<user>();
    u->id = next_user_ = next_user_ % (labels - 1) + 1;
    u->conn = &*l;
    u->generation = l->generation();
    ++seen.leases;
    const bool again = !known_.insert({u->conn, u->generation}).second;
    seen.reused += again;
    require(!dirty_.contains({u->conn, u->generation}), "what a lease has left dirty is not leased again");
    u->lease = std::move(l);
    users_.push_back(std::move(u));
  }

  void end(std::size_t i) {
    const auto u = users_[i];
    users_.erase(users_.begin() + static_cast<std::ptrdiff_t>(i));
    u->ended = true;
    const bool discarded = pick(8) == 0;
    // What was refused before another stream came is on its way, and not outstanding.
    const bool outstanding =
        std::ranges::any_of(ops_, [&](const auto& o) { return o->by == u && o->epoch == u->epoch && !o->done; });
    if (discarded || u->failed || u->asked || outstanding) {
      dirty_.insert({u->conn, u->generation});
      ++seen.dirty;
    }
    discarded ? u->lease.discard() : u->lease.put();
  }

  void no_answer() {
    const auto u = any_user();
    if (u->writes != 0) return;
    u->conn->no_answer();
    u->asked = false;
    for (auto& f : far_) {
      if (f.asked_by == u) f.owes = false;
    }
  }

  bool has_answer(const user& u) const {
    return std::ranges::any_of(far_,
                               [&](const far_end& f) { return f.asked_by.get() == &u && !f.peer->inbox.empty(); });
  }

  void start(const std::shared_ptr<user>& u, bool write) {
    if (u->outstanding >= 5 || (write && !u->alone && has_answer(*u))) return;
    auto o = std::make_shared<op>();
    do {
      next_label_ = (next_label_ + 1) % 251;
    } while (std::ranges::any_of(ops_, [&](const auto& other) { return other->label == next_label_; }));
    o->label = next_label_;
    o->write = write;
    o->by = u;
    o->epoch = u->epoch;
    o->buffer.assign(1 + pick(6), write ? static_cast<char>(o->label) : '\0');
    ops_.push_back(o);
    ++u->outstanding;
    if (write) ++u->writes;
    auto& c = *u->conn;
    auto done =
        asio::bind_cancellation_slot(o->cancel.slot(), [this, o](error_code ec, std::size_t n) { ended(*o, ec, n); });
    const auto buffer = asio::buffer(o->buffer);
    switch (pick(3)) {
      case 0:
        o->whole = true;
        write ? asio::async_write(c, buffer, std::move(done)) : asio::async_read(c, buffer, std::move(done));
        break;
      case 1:
        write ? c.async_write_some(buffer, std::move(done)) : c.async_read_some(buffer, std::move(done));
        break;
      default: {
        o->whole = true;
        // The slot is the operation's, and so must not go before the handler.
        auto keep = [o](std::exception_ptr) {};
        asio::co_spawn(world_.io(), member(*this, o), asio::bind_cancellation_slot(o->cancel.slot(), std::move(keep)));
        // Not later than this: the lease might have ended by then.
        while (!o->started) world_.io().restart(), world_.io().poll_one();
      }
    }
  }

  static asio::awaitable<void> member(model& m, std::shared_ptr<op> o) {
    const auto kept = o;
    error_code ec;
    std::size_t n = 0;
    const auto buffer = asio::buffer(kept->buffer);
    kept->started = true;
    kept->epoch = kept->by->epoch;
    try {
      if (kept->write) {
        n = co_await kept->by->conn->write(buffer);
      } else {
        n = co_await kept->by->conn->read(buffer);
      }
    } catch (const boost::system::system_error& e) {
      ec = e.code();
    }
    m.ended(*kept, ec, n);
  }

  void ended(op& o, error_code ec, std::size_t n) {
    require(!o.done, "an operation ends once");
    o.done = true;
    o.error = ec;
    o.bytes = n;
    user& u = *o.by;
    --u.outstanding;
    if (o.write) --u.writes;
    ec ? ++seen.failed : ++seen.well;
    if (o.epoch != u.epoch) return;
    if (ec) u.failed = true;
    if (n != 0) u.asked = o.write;
  }

  void ready(const std::shared_ptr<user>& u) {
    auto started = std::make_shared<bool>(false);
    asio::co_spawn(world_.io(), wait_for(*this, u, started), asio::detached);
    while (!*started) world_.io().restart(), world_.io().poll_one();
  }

  static asio::awaitable<void> wait_for(model& m, std::shared_ptr<user> u, std::shared_ptr<bool> started) {
    const auto kept = u;
    *started = true;
    try {
      co_await kept->conn->ready();
    } catch (const boost::system::system_error&) {
      co_return;
    }
    if (kept->alone || kept->ended || kept->conn->generation() == kept->generation) co_return;
    ++m.seen.consents;
    m.look();
    ++kept->epoch;
    kept->generation = kept->conn->generation();
    kept->failed = kept->asked = false;
  }

  /// On the context, for from elsewhere co_spawn posts it, and then it may come too late (asio issue 1332).
  void cancel(const std::shared_ptr<op>& o) {
    bool sent = false;
    asio::post(world_.io(), [&sent, o] {
      sent = true;
      if (!o->done) o->cancel.emit(asio::cancellation_type::terminal);
    });
    while (!sent) world_.io().restart(), world_.io().poll_one();
  }

  void network() {
    meet();
    std::erase_if(far_, [](const far_end& f) { return f.peer->gone && f.peer->received.empty(); });
    if (far_.empty()) return;
    far_end& f = far_[pick(far_.size())];
    switch (pick(16)) {
      case 0:
        f.peer->fin();
        break;
      case 1:
        f.peer->reset();
        break;
      case 2:
        f.peer->fail_write(asio::error::broken_pipe);
        // Its last answer may be on the way.
        if (pick(2) == 0) answer(f);
        break;
      case 3:
      case 4:
      case 5:
        f.peer->stall(pick(4));
        break;
      case 6:
      case 7:
      case 8:
      case 9:
        f.peer->take(1 + pick(8));
        break;
      default:
        answer(f);
    }
  }

  void answer(far_end& f) {
    if (!f.owes || (!f.asked_by->alone && f.asked_by->writes != 0)) return;
    f.owes = false;
    f.peer->send(std::string(1 + pick(4), static_cast<char>(f.label * labels + f.asked_by->id)));
  }

  /// New peers get their labels.
  void meet() {
    auto& peers = world_.net().peers;
    for (auto& p : peers) {
      next_stream_ = (next_stream_ + 1) % labels;
      far_.push_back({std::move(p), next_stream_, {}, false});
    }
    peers.clear();
  }

  void look() {
    meet();
    for (auto& f : far_) {
      for (const char c : std::exchange(f.peer->received, {})) {
        const auto found = std::ranges::find_if(ops_, [c](const auto& o) { return static_cast<char>(o->label) == c; });
        if (found == ops_.end()) {
          require(false, "nothing is sent behind the end of an operation");
          continue;
        }
        op& o = **found;
        ++o.received;
        is_on(o, f.label);
        f.asked_by = o.by;
        f.owes = true;
      }
    }
    for (const auto& o : ops_) {
      if (o->done) look_at(*o);
    }
    std::erase_if(ops_, [](const auto& o) { return o->done; });
  }

  void look_at(op& o) {
    if (o.write) {
      require(o.error || !o.whole || o.received == o.buffer.size(), "a write that has ended well has sent everything");
      return;
    }
    require(o.error || !o.whole || o.bytes == o.buffer.size(), "a read that has ended well has read everything");
    for (std::size_t i = 0; i < o.bytes; ++i) {
      const unsigned b = static_cast<unsigned char>(o.buffer[i]);
      is_on(o, b / labels);
      require(b % labels == o.by->id, "nobody reads the answer to another's request");
    }
  }

  void is_on(op& o, unsigned stream) {
    if (!o.stream) o.stream = stream;
    require(*o.stream == stream, "no operation has parts on two streams");
    if (o.by->alone) return;
    const unsigned whose = o.by->streams.try_emplace(o.epoch, stream).first->second;
    require(whose == stream, "no lease has bytes of two streams but by consent");
  }

  std::mt19937_64 random_;
  std::string wrong_;
  pool_world world_;
  std::optional<cocp::connection> single_;
  std::shared_ptr<user> alone_;
  std::vector<std::shared_ptr<user>> users_;
  std::vector<std::shared_ptr<op>> ops_;
  std::vector<far_end> far_;
  std::set<std::pair<cocp::connection*, std::uint64_t>> known_;
  std::set<std::pair<cocp::connection*, std::uint64_t>> dirty_;
  unsigned next_user_ = 0;
  unsigned next_label_ = 0;
  unsigned next_stream_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_model)

BOOST_AUTO_TEST_CASE(nothing_crosses_streams_and_nobody_reads_anothers_answer) {
  const std::uint64_t seed = random_seed();
  model::counts all;
  for (unsigned w = 0; w < worlds; ++w) {
    model m(seed + w);
    for (unsigned i = 0; i < steps; ++i) {
      const std::string& wrong = m.step();
      BOOST_REQUIRE_MESSAGE(wrong.empty(), "not so in world " << w << ", step " << i << ": " << wrong);
    }
    all.well += m.seen.well;
    all.failed += m.seen.failed;
    all.consents += m.seen.consents;
    all.leases += m.seen.leases;
    all.dirty += m.seen.dirty;
    all.reused += m.seen.reused;
  }
  BOOST_TEST_MESSAGE(all.well << " operations ended well, " << all.failed << " did not; " << all.leases << " leases, "
                              << all.reused << " of used streams, " << all.dirty << " left dirty; " << all.consents
                              << " consents");
  for (const unsigned n : {all.well, all.failed, all.leases, all.reused, all.dirty, all.consents}) {
    BOOST_TEST(n > worlds * steps / 2000);
  }
}

BOOST_AUTO_TEST_SUITE_END()
