// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// All public functions of pools, leases and connections, drawn at random by 2 to 8 threads, on each kind of executor,
// while servers close, reset, push and refuse, and hooks and the logger call the pool they are of: for the sanitizers,
// and for the rules that only threads can break. The seed is printed; `-- SEED` repeats a run as far as threads can be
// repeated.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cocp.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/eventually.hpp"
#include "support/fd_check.hpp"
#include "support/runner.hpp"
#include "support/scripted_server.hpp"
#include "support/seed.hpp"

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::error_code;

namespace {

using generator = std::mt19937_64;
using executor = asio::any_io_executor;

enum class place { io_context, strand, thread_pool, other_context };

struct row {
  place where;
  unsigned threads;
};

std::ostream& operator<<(std::ostream& out, const row& r) {
  constexpr std::array names{"io_context", "strand", "thread_pool", "other_context"};
  return out << names[static_cast<std::size_t>(r.where)] << ", " << r.threads << " threads";
}

std::vector<row> rows() {
  std::vector<row> all;
  for (const place p : {place::io_context, place::strand, place::thread_pool, place::other_context}) {
    for (const unsigned n : {2U, 4U, 8U}) all.push_back({p, n});
  }
  return all;
}

/// Where a pool and its users live.
class house {
 public:
  explicit house(const row& r) {
    if (r.where == place::thread_pool) {
      threads_.emplace(r.threads);
      pool_ = users_ = threads_->get_executor();
      return;
    }
    home_.emplace(r.threads);
    pool_ = users_ = home_->io.get_executor();
    if (r.where == place::strand) pool_ = asio::make_strand(home_->io);
    if (r.where != place::other_context) return;
    elsewhere_.emplace(r.threads);
    users_ = elsewhere_->io.get_executor();
  }

  const executor& of_pools() const { return pool_; }
  const executor& of_users() const { return users_; }

  /// Waits until there is nothing left to do.
  void finish() {
    pool_ = users_ = executor();
    if (elsewhere_) elsewhere_->finish();
    if (home_) home_->finish();
    if (threads_) threads_->join();
  }

 private:
  std::optional<runner> home_;
  std::optional<runner> elsewhere_;
  std::optional<asio::thread_pool> threads_;
  executor pool_;
  executor users_;
};

/// No answer, whole or in part, has it.
constexpr char pushed = '!';

/// A connection by itself, and who else may not use it just now.
struct lone {
  std::shared_ptr<cocp::connection> conn;
  std::atomic<bool> busy{false};
};

/// What all threads share.
class game {
 public:
  game(const row& r, std::uint64_t seed)
      : home(r), random_(seed), a(servers_.io.get_executor()), b(servers_.io.get_executor()) {
    for (unsigned i = 0; i < r.threads; ++i) {
      auto l = std::make_unique<lone>();
      l->conn = std::make_shared<cocp::connection>(home.of_pools(), at(a));
      lones.push_back(std::move(l));
    }
    remake();
  }

  /// Another number at each call.
  std::uint64_t draw() {
    const std::lock_guard lock(mutex_);
    return random_();
  }
  std::shared_ptr<cocp::pool> current() {
    const std::lock_guard lock(mutex_);
    return pool_;
  }
  /// Whoever has the former one destroys it.
  void remake() {
    generator random(draw());
    auto fresh = std::make_shared<cocp::pool>(home.of_pools(), dial_options(random), options(random));
    const std::lock_guard lock(mutex_);
    pool_.swap(fresh);
  }
  /// The last pool; nobody else gets it any more.
  std::shared_ptr<cocp::pool> take() {
    const std::lock_guard lock(mutex_);
    return std::move(pool_);
  }

  std::atomic<unsigned> asked{0};
  std::atomic<unsigned> ended{0};
  std::atomic<unsigned> answers{0};
  /// What reached somebody else.
  std::atomic<unsigned> wrong{0};
  /// Hooks and loggers leave the pool alone from now on: none of them is still about to do something.
  void calm_down() {
    calm_ = true;
    while (calling_back_ != 0) std::this_thread::yield();
  }
  /// Other rules that did not hold.
  std::atomic<unsigned> broken{0};
  void expect(bool holds, std::string_view rule) {
    if (holds) return;
    ++broken;
    std::ostringstream line;
    line << "does not hold: " << rule << '\n';
    std::clog << line.str();
  }

  house home;

 private:
  static cocp::connection_options at(const scripted_server& s) {
    return {.address = s.address(), .connect_timeout = 100ms, .retry_min = 1ms, .retry_max = 5ms};
  }
  cocp::connection_options dial_options(generator& random);
  cocp::pool_options options(generator& random);
  cocp::handshake hook();
  void call_back(std::uint64_t what) noexcept;
  void call_back(cocp::pool& p, std::uint64_t what);

  std::atomic<bool> calm_{false};
  std::atomic<unsigned> calling_back_{0};
  std::mutex mutex_;
  // Guarded by `mutex_`.
  generator random_;
  std::shared_ptr<cocp::pool> pool_;

  runner servers_{1};

 public:
  scripted_server a;
  scripted_server b;
  std::vector<std::unique_ptr<lone>> lones;
};

/// A question that nobody else asks.
std::string make_question(std::uint64_t number) { return std::to_string(number) + '\n'; }

/// True if those bytes are of the answer to the question, but for what the server has pushed.
bool is_own(std::string answer, const std::string& question) {
  std::erase(answer, pushed);
  return question.starts_with(answer);
}

/// Asks and reads the answer, in one of several ways.
asio::awaitable<void> exchange(cocp::connection& c, game& g, std::uint64_t number) {
  const std::string question = make_question(number);
  std::string answer;
  const auto out = asio::buffer(question);
  std::exception_ptr failed;
  try {
    switch (number % 3) {
      case 0: {
        co_await c.write(out);
        auto in = asio::dynamic_buffer(answer);
        co_await c.read_until(in, '\n');
        break;
      }
      case 1: {
        co_await asio::async_write(c, out, asio::use_awaitable);
        auto in = asio::dynamic_buffer(answer);
        co_await asio::async_read_until(c, in, '\n', asio::use_awaitable);
        break;
      }
      default: {
        co_await c.async_write_some(out, asio::use_awaitable);
        std::array<char, 8> bytes;
        // A push may come before it, in between and behind it.
        while (answer.find('\n') == std::string::npos) {
          const auto in = asio::buffer(bytes);
          const std::size_t n = co_await c.read_some(in);
          answer.append(bytes.data(), n);
        }
      }
    }
  } catch (const boost::system::system_error&) {
    failed = std::current_exception();
  }
  if (!is_own(answer, question)) ++g.wrong;
  if (failed) std::rethrow_exception(failed);
  ++g.answers;
}

/// A pool may be called from wherever it calls: also to be closed, and destroyed.
void game::call_back(std::uint64_t what) noexcept {
  ++calling_back_;
  try {
    if (const auto p = current(); p && !calm_) call_back(*p, what);
  } catch (const std::exception&) {
    expect(false, "no call of a hook throws");
  }
  --calling_back_;
}

void game::call_back(cocp::pool& p, std::uint64_t what) {
  switch (what % 16) {
    case 0:
      p.try_get().put();
      break;
    case 1:
      p.try_get().discard();
      break;
    case 2:
      p.retry_now();
      break;
    case 3:
      p.resize(1 + what / 16 % 4);
      break;
    case 4:
      p.leases();
      break;
    case 5:
      p.async_get(1ms, [](error_code, const cocp::lease&) {});
      break;
    case 6:
      if (what / 16 % 16 == 0) p.renew();
      break;
    case 7:
      if (what / 16 % 16 == 0) p.readdress((what / 256 % 2 == 0 ? a : b).address());
      break;
    case 8:
      if (what / 16 % 64 == 0) p.close();
      break;
    default:
      p.stats();
  }
}

cocp::handshake game::hook() {
  return [this](cocp::connection& c) -> asio::awaitable<void> {
    const std::uint64_t number = draw();
    call_back(number);
    if (number % 5 == 0 && !calm_) throw std::runtime_error("no");
    if (number % 5 == 1) co_await exchange(c, *this, number / 5);
  };
}

cocp::connection_options game::dial_options(generator& random) {
  auto o = at(random() % 2 == 0 ? a : b);
  if (random() % 2 == 0) o.on_connect = hook();
  if (random() % 2 == 0) o.logger = [this](const cocp::event&) { call_back(draw()); };
  return o;
}

cocp::pool_options game::options(generator& random) {
  cocp::pool_options o{.size = 1 + random() % 4, .get_timeout = 20ms};
  const auto sometimes = [&random] { return random() % 2 == 0; };
  if (sometimes()) o.min_size = random() % (o.size + 1);
  if (sometimes()) o.idle_timeout = 1ms;
  if (sometimes()) o.max_lifetime = 2ms;
  if (sometimes()) o.max_waiting = random() % 8;
  if (random() % 4 == 0) o.fail_fast = std::chrono::milliseconds(random() % 3);
  if (sometimes()) o.check_after = 1h;
  o.keep_on_exception = sometimes();
  if (sometimes()) o.on_return = hook();
  if (sometimes()) o.keepalive = hook();
  o.keepalive_interval = 1ms;
  o.max_dialling = 1 + random() % 3;
  if (sometimes()) o.report_leases = cocp::lease_report{.held_longer_than = 500us};
  return o;
}

/// Whatever a user does with a lease of his; it ends here, or on another thread.
asio::awaitable<void> use(cocp::lease given, game& g, std::uint64_t number) {
  cocp::lease l = std::move(given);
  const auto ex = co_await asio::this_coro::executor;
  l->expires_after(20ms);
  if (number % 4 != 0) co_await exchange(*l, g, number / 4);
  const auto byte = std::make_shared<char>();
  const auto one = asio::buffer(byte.get(), 1);
  switch (number / 64 % 16) {
    case 0:
      l.put();
      break;
    case 1:
      l.discard();
      break;
    case 2:
      l->close();
      break;
    case 3:
      throw std::runtime_error("thrown with a lease");
    case 4:
      l->async_read_some(one, [byte](error_code, std::size_t) {});
      break;
    case 5:
      l->async_read_some(one, [byte](error_code, std::size_t) {});
      l->async_write_some(asio::buffer("x", 1), [](error_code, std::size_t) {});
      asio::post(g.home.of_pools(), [moved = std::move(l)] {});
      break;
    case 6:
      asio::post(g.home.of_users(), [moved = std::move(l)] {});
      break;
    case 7: {
      // A read that is cancelled, by a signal that dies with it.
      const auto strand = asio::make_strand(ex);
      asio::post(strand, [moved = std::make_shared<cocp::lease>(std::move(l)), strand, one, byte] {
        auto signal = std::make_shared<asio::cancellation_signal>();
        auto done = asio::bind_executor(strand, [byte, moved](error_code, std::size_t) {});
        (*moved)->async_read_some(one, asio::bind_cancellation_slot(signal->slot(), std::move(done)));
        asio::post(strand, [signal] { signal->emit(asio::cancellation_type::total); });
      });
      break;
    }
    case 8:
      co_await l->ready();
      co_await exchange(*l, g, number);
      break;
    case 9: {
      l->expires_after(100us);
      co_await l->read_some(one);
      break;
    }
    case 10: {
      cocp::lease moved;
      moved = std::move(l);
      break;
    }
    case 11:
      l->no_answer();
      break;
    default:
      g.expect(!l->is_connected() || l->generation() != 0, "what is up was connected once");
      (void)l->last_error();
      (void)l->remote_endpoint();
      (void)l->get_executor();
      l->expires_never();
  }
}

/// Counts the end of what `player::begin` has begun.
struct ending {
  game* g;
  /// Asio's coroutines clear the slot at each step: it lives as long as they do.
  std::shared_ptr<asio::cancellation_signal> signal{};
  void operator()(std::exception_ptr) const { ++g->ended; }
};

/// Keeps the pool while it waits, and sometimes longer.
asio::awaitable<void> get_and_use(std::shared_ptr<cocp::pool> p, game& g, std::optional<cocp::duration> limit,
                                  std::uint64_t number) {
  cocp::lease l;
  if (limit) {
    l = co_await p->get(*limit);
  } else {
    l = co_await p->get();
  }
  if (number % 2 == 0) p.reset();
  co_await use(std::move(l), g, number);
}

asio::awaitable<void> be_ready(std::shared_ptr<cocp::pool> p, std::size_t n) { co_await p->ready(n); }
asio::awaitable<void> drain(std::shared_ptr<cocp::pool> p) {
  const auto mine = std::move(p);
  co_await mine->drain();
}

/// Uses a connection that stands alone; nobody else does before the end of `l`.
asio::awaitable<void> use_of_one_alone(std::shared_ptr<lone> l, std::uint64_t number) {
  const auto mine = std::move(l);
  const auto conn = mine->conn;
  conn->expires_after(10ms);
  if (number % 8 == 0) co_await conn->ready();
  // What was left unread by the one before is another's.
  std::array<char, 64> bytes;
  const auto in = asio::buffer(bytes);
  if (number % 8 == 1) {
    conn->no_answer();
    co_await conn->read_some(in);
  } else {
    const auto out = asio::buffer("ping\n", 5);
    co_await conn->write(out);
    co_await conn->read_some(in);
  }
  if (number % 2 == 0) conn->expires_never();
}

/// Asks until it is answered: what a server was told to do once may be left over, and not every pool has one wait.
asio::awaitable<void> be_answered(cocp::pool& p, game& g, std::promise<void>& answered) {
  asio::steady_timer pause(co_await asio::this_coro::executor);
  for (bool again = true; again;) {
    try {
      cocp::lease l = co_await p.get(patience);
      l->expires_after(patience);
      co_await exchange(*l, g, g.draw());
      again = false;
    } catch (const boost::system::system_error&) {
      // With the next connection, then.
      pause.expires_after(1ms);
    }
    co_await pause.async_wait(asio::use_awaitable);
  }
  answered.set_value();
}

/// One thread that plays.
class player {
 public:
  player(game& g, unsigned index, std::uint64_t seed) : g_(g), index_(index), random_(seed) {}

  void play(unsigned rounds);

 private:
  struct act {
    const char* name;
    void (player::*run)();
  };
  static const act acts[];

  /// Where a coroutine is to run.
  executor somewhere() {
    switch (random_() % 3) {
      case 0:
        return g_.home.of_pools();
      case 1:
        return asio::make_strand(g_.home.of_users());
      default:
        return g_.home.of_users();
    }
  }

  /// Starts it, and sometimes cancels it soon.
  void begin(asio::awaitable<void> body) {
    ++g_.asked;
    if (random_() % 3 != 0) {
      asio::co_spawn(somewhere(), std::move(body), ending{&g_});
      return;
    }
    constexpr std::array types{asio::cancellation_type::terminal, asio::cancellation_type::partial,
                               asio::cancellation_type::total};
    const auto strand = asio::make_strand(g_.home.of_users());
    const auto signal = std::make_shared<asio::cancellation_signal>();
    const auto type = types[random_() % types.size()];
    asio::co_spawn(strand, std::move(body),
                   asio::bind_cancellation_slot(signal->slot(), asio::bind_executor(strand, ending{&g_, signal})));
    emit_soon(strand, signal, type);
  }

  /// On the executor of what it cancels.
  void emit_soon(const executor& strand, std::shared_ptr<asio::cancellation_signal> signal,
                 asio::cancellation_type type) {
    const auto timer = std::make_shared<asio::steady_timer>(strand, std::chrono::microseconds(random_() % 2000));
    timer->async_wait([timer, signal, type](error_code) { signal->emit(type); });
  }

  cocp::duration little() { return std::chrono::microseconds(random_() % 3000); }

  void get() { begin(get_and_use(g_.current(), g_, std::nullopt, random_())); }
  void get_within() { begin(get_and_use(g_.current(), g_, little(), random_())); }
  void async_get_any() { async_get(std::nullopt); }
  void async_get_within() { async_get(little()); }
  void ready() { begin(be_ready(g_.current(), 1 + random_() % 3)); }
  void resize() { g_.current()->resize(1 + random_() % 4); }
  void readdress() { g_.current()->readdress((random_() % 2 == 0 ? g_.a : g_.b).address()); }
  void renew() { g_.current()->renew(); }
  void retry_now() { g_.current()->retry_now(); }
  void leases() {
    for (const cocp::lease_info& l : g_.current()->leases()) {
      g_.expect(l.held >= 0s, "nobody holds a lease for less than no time");
    }
    (void)g_.current()->get_executor();
  }
  void err() {
    const auto p = g_.current();
    expect_invalid([&] { p->resize(0); });
    expect_invalid([&] { p->readdress("nowhere"); });
    begin(be_ready(p, 1000));
  }

  void async_get(std::optional<cocp::duration> limit) {
    ++g_.asked;
    auto done = [&g = g_](error_code ec, const cocp::lease& l) {
      g.expect(!ec == bool(l), "a lease or an error");
      ++g.ended;
    };
    const auto strand = asio::make_strand(g_.home.of_users());
    const auto signal = std::make_shared<asio::cancellation_signal>();
    const auto p = g_.current();
    if (random_() % 2 == 0) {
      if (limit) {
        p->async_get(*limit, std::move(done));
      } else {
        p->async_get(std::move(done));
      }
      return;
    }
    auto bound = asio::bind_cancellation_slot(signal->slot(), asio::bind_executor(strand, std::move(done)));
    if (limit) {
      p->async_get(*limit, std::move(bound));
    } else {
      p->async_get(std::move(bound));
    }
    emit_soon(strand, signal, asio::cancellation_type::total);
  }

  /// The lease comes to this thread, and ends here.
  void get_from_outside() {
    std::promise<cocp::lease> promise;
    auto result = promise.get_future();
    const auto p = g_.current();
    p->async_get(5ms, [&promise](error_code, cocp::lease l) { promise.set_value(std::move(l)); });
    const cocp::lease l = result.get();
    if (!l) return;
    (void)l->is_connected();
    g_.expect(p->stats().leased != 0, "a lease that is out is counted");
  }

  void try_get() {
    cocp::lease l = g_.current()->try_get();
    if (!l) return;
    switch (random_() % 3) {
      case 0:
        l.put();
        break;
      case 1:
        begin(use(std::move(l), g_, random_()));
        break;
      default:
        asio::post(g_.home.of_users(), [moved = std::move(l)] {});
    }
  }

  void look_at_stats() {
    const auto p = g_.current();
    const cocp::stats first = p->stats();
    const cocp::stats second = p->stats();
    for (const cocp::stats& s : {first, second}) {
      g_.expect(s.idle + s.leased + s.hooks + s.connecting + s.queued <= s.wanted, "the gauges add up");
    }
    for (const auto counter :
         {&cocp::stats::gets, &cocp::stats::waits, &cocp::stats::timeouts, &cocp::stats::cancelled,
          &cocp::stats::rejected, &cocp::stats::connects, &cocp::stats::connect_failures, &cocp::stats::disconnects,
          &cocp::stats::replaced_dead, &cocp::stats::replaced_dirty, &cocp::stats::replaced_expired}) {
      g_.expect(first.*counter <= second.*counter, "no counter decreases");
    }
  }

  void print() {
    const auto p = g_.current();
    const auto q = g_.current();
    std::ostringstream out;
    cocp::openmetrics(out, *p, *q);
    g_.expect(out.str().ends_with("# EOF\n"), "a scrape has an end");
  }

  template <class Function>
  void expect_invalid(Function f) {
    try {
      f();
      g_.expect(false, "invalid arguments are refused");
    } catch (const std::invalid_argument&) {
    }
  }

  void use_alone() {
    lone& l = *g_.lones[index_];
    if (l.busy.exchange(true)) return;
    // A closed one is of no more use.
    if (random_() % 8 == 0) {
      const std::lock_guard lock(lones_mutex());
      l.conn = std::make_shared<cocp::connection>(
          g_.home.of_pools(), cocp::connection_options{.address = g_.a.address(), .retry_min = 1ms, .retry_max = 5ms});
    }
    begin(use_of_one_alone(std::shared_ptr<lone>(&l, [](lone* used) { used->busy = false; }), random_()));
  }

  /// What any thread may do with anybody's.
  void look_at_another() {
    std::shared_ptr<cocp::connection> c;
    {
      const std::lock_guard lock(lones_mutex());
      c = g_.lones[random_() % g_.lones.size()]->conn;
    }
    (void)c->is_connected();
    (void)c->generation();
    (void)c->last_error();
    (void)c->get_executor();
    if (random_() % 8 == 0) c->close();
  }

  void disturb() {
    scripted_server& s = random_() % 2 == 0 ? g_.a : g_.b;
    switch (random_() % 6) {
      case 0:
        s.close_all();
        break;
      case 1:
        s.reset_all();
        break;
      case 2:
        s.push_all(std::string(1, pushed));
        break;
      case 3:
        s.behave_once({step::close{}});
        break;
      case 4:
        s.behave_once({step::echo{random_() % 50}, step::send{std::string(1, pushed)}, step::reset{}});
        break;
      default:
        s.stop_listening();
        std::this_thread::sleep_for(std::chrono::microseconds(random_() % 1000));
        s.listen_again();
    }
  }

  /// One of the ways in which a pool ends; another follows.
  void end_pool() {
    const auto p = g_.current();
    switch (random_() % 4) {
      case 0:
        p->close();
        break;
      case 1:
        begin(drain(p));
        break;
      case 2:
        begin(drain(p));
        begin(drain(p));
        p->close();
        break;
      default:
        break;
    }
    g_.remake();
  }

  static std::mutex& lones_mutex() {
    static std::mutex mutex;
    return mutex;
  }

  game& g_;
  const unsigned index_;
  generator random_;
};

const player::act player::acts[] = {
    {"get", &player::get},
    {"get(timeout)", &player::get_within},
    {"async_get", &player::async_get_any},
    {"async_get(timeout)", &player::async_get_within},
    {"async_get from outside", &player::get_from_outside},
    {"try_get", &player::try_get},
    {"ready", &player::ready},
    {"resize", &player::resize},
    {"readdress", &player::readdress},
    {"renew", &player::renew},
    {"retry_now", &player::retry_now},
    {"leases", &player::leases},
    {"stats", &player::look_at_stats},
    {"openmetrics", &player::print},
    {"invalid arguments", &player::err},
    {"a connection that stands alone", &player::use_alone},
    {"anybody's", &player::look_at_another},
    {"the servers", &player::disturb},
};

void player::play(unsigned rounds) {
  std::vector<act> order(std::begin(acts), std::end(acts));
  for (unsigned i = 0; i < rounds; ++i) {
    std::shuffle(order.begin(), order.end(), random_);
    for (const act& a : order) {
      (this->*a.run)();
      // No more than the machine can have at once.
      while (g_.asked > g_.ended + 64) std::this_thread::sleep_for(100us);
      if (random_() % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random_() % 300));
    }
    // One after the other.
    if (i % g_.lones.size() == index_) end_pool();
  }
}

/// True if it gives out nothing any more.
bool is_closed(cocp::pool& p) {
  std::promise<error_code> promise;
  p.async_get(0s, [&promise](error_code ec, const cocp::lease&) { promise.set_value(ec); });
  return promise.get_future().get() == cocp::errc::closed;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(everything)

BOOST_DATA_TEST_CASE(at_once_on_any_executor_loses_nothing, data::make(rows()), r) {
  const fd_check descriptors;
  const std::uint64_t seed = random_seed() + 1000 * static_cast<std::uint64_t>(r.where) + r.threads;
  game g(r, seed);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < r.threads; ++i) {
    threads.emplace_back([&g, i, seed, rounds = 160 / r.threads] { player(g, i, seed + i).play(rounds); });
  }
  for (auto& t : threads) t.join();
  BOOST_TEST(eventually_blocking([&] { return g.asked == g.ended; }), "all that was begun ends");

  // All that a pool may have can be had, of the one that was played with last, and it is of use.
  g.calm_down();
  auto p = g.take();
  if (is_closed(*p)) {
    g.remake();
    p = g.take();
  }
  constexpr std::size_t size = 3;
  p->resize(size);
  p->readdress(g.b.address());
  p->readdress(g.a.address());
  std::vector<cocp::lease> all;
  const auto have_all = [&] {
    if (cocp::lease l = p->try_get()) all.push_back(std::move(l));
    return all.size() == size;
  };
  BOOST_TEST(eventually_blocking([&] { return p->stats().leased == 0; }), "every slot comes back");
  BOOST_TEST(eventually_blocking(have_all), "all can be had");
  BOOST_TEST(p->stats().leased == size);
  BOOST_TEST(!p->try_get());
  all.pop_back();
  const unsigned answers_in_play = g.answers;
  std::promise<void> answered;
  asio::co_spawn(g.home.of_users(), be_answered(*p, g, answered), [](std::exception_ptr) {});
  BOOST_REQUIRE((answered.get_future().wait_for(patience) == std::future_status::ready));
  BOOST_TEST(p->stats().waiting == 0u);
  std::promise<void> drained;
  asio::co_spawn(g.home.of_users(), drain(std::move(p)), [&](std::exception_ptr) { drained.set_value(); });
  all.clear();
  BOOST_TEST((drained.get_future().wait_for(patience) == std::future_status::ready), "drain() ends");
  g.lones.clear();
  g.home.finish();
  BOOST_TEST_MESSAGE(r << ": " << answers_in_play << " answers, " << g.ended << " calls that wait");
  BOOST_TEST(g.wrong == 0u);
  BOOST_TEST(g.broken == 0u);
  BOOST_TEST(eventually_blocking([&] { return g.a.open() == 0u && g.b.open() == 0u; }));
}

BOOST_AUTO_TEST_SUITE_END()
