// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Traffic through a redis-server and an echo server that talks TLS, each behind a bad network, for as long as is asked
// for: memory, descriptors, threads and latency are to be flat at the end, and no answer is ever another's. See
// usage_text.

#include "fault_schedule.hpp"
#include "samples.hpp"
#include "traffic.hpp"

#include "support/certificates.hpp"
#include "support/eventually.hpp"
#include "support/fault_relay.hpp"
#include "support/redis_server.hpp"
#include "support/temporary_directory.hpp"
#include "support/tls_server.hpp"

#include <cocp.hpp>
#include <cocp/tls.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <chrono>
#include <cstring>
#include <exception>
#include <future>
#include <iomanip>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace cocp::test;
using namespace cocp::test::soak;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

const char* const usage_text = R"(soak [OPTION VALUE]...
  --minutes N     for so long (1), or
  --seconds N
  --seed N        what all faults are drawn from; without it: a random one
  --every N       a line every so many seconds (10)
  --csv FILE      where what was measured goes, a line for each second
  --picture FILE  a picture of it by gnuplot: FILE ends with .svg or .png
)";

/// In less time nothing can be said about growth.
constexpr auto long_enough = 2min;

struct options {
  std::chrono::seconds time = 1min;
  std::uint64_t seed = std::random_device()();
  std::chrono::seconds every = 10s;
  std::string csv;
  std::string picture;
};

options parse(int argc, char** argv) {
  options o;
  for (int n = 1; n < argc; n += 2) {
    const std::string name = argv[n];
    if (n + 1 == argc) throw std::invalid_argument(name + " is without a value\n" + usage_text);
    const std::string value = argv[n + 1];
    if (name == "--minutes") {
      o.time = std::chrono::minutes(std::stol(value));
    } else if (name == "--seconds") {
      o.time = std::chrono::seconds(std::stol(value));
    } else if (name == "--seed") {
      o.seed = std::stoull(value);
    } else if (name == "--every") {
      o.every = std::chrono::seconds(std::stol(value));
    } else if (name == "--csv") {
      o.csv = value;
    } else if (name == "--picture") {
      if (!value.ends_with(".svg") && !value.ends_with(".png")) {
        throw std::invalid_argument("--picture " + value + ": must end with .svg or .png");
      }
      o.picture = value;
    } else {
      throw std::invalid_argument(name + " is unknown\n" + usage_text);
    }
  }
  return o;
}

/// What it all runs on. Whoever serves is on a context of its own, which one thread runs.
class world {
 public:
  explicit world(std::uint64_t seed) {
    context_.load_verify_file(authority_.certificate());
    serving_ = std::thread([this] { far_.run(); });
    for (std::thread& t : using_) t = std::thread([this] { near_.run(); });
    redis_users_.start(near_, 40, seed);
    echo_users_.start(near_, 20, seed + 1000);
  }
  ~world() {
    near_.stop();
    far_.stop();
    for (std::thread& t : using_) t.join();
    serving_.join();
  }
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  tally seen;

  fault_schedule make_schedule(std::uint64_t seed) { return {seed, {&redis_relay_, &echo_relay_}, redis_}; }

  /// All is well: everybody is served and goes, and nothing is left. Notes what does not hold.
  void finish() {
    const std::uint64_t served = seen.served;
    expect(eventually_blocking([&] { return seen.served >= served + 500; }), "nobody is served, though all is well");
    for (crowd* c : {&redis_users_, &echo_users_}) c->stop();
    expect(eventually_blocking([&] { return redis_users_.left() + echo_users_.left() == 0; }), "a user hangs");
    for (cocp::pool* p : {&redis_pool_, &echo_pool_}) {
      const cocp::stats s = p->stats();
      expect(s.leased == 0 && s.waiting == 0 && s.detached == 0, "a lease is left");
      expect(eventually_blocking([&] { return p->stats().idle == p->stats().size; }), "the pool does not come back");
      std::future<void> drained = asio::co_spawn(near_, p->drain(), asio::use_future);
      expect(drained.wait_for(patience) == std::future_status::ready, "drain hangs");
    }
    const auto open = [&] { return redis_relay_.seen().open + echo_relay_.seen().open; };
    expect(eventually_blocking([&] { return open() == 0; }), "a connection is left open");
  }

  void print_pools(std::ostream& out) const {
    for (const cocp::pool* p : {&redis_pool_, &echo_pool_}) {
      const cocp::stats s = p->stats();
      out << (p == &redis_pool_ ? "redis" : "echo over TLS") << ": " << s.connects << " connects, "
          << s.connect_failures << " attempts that failed, " << s.disconnects << " connections lost, "
          << s.replaced_dirty << " replaced dirty, " << s.replaced_dead << " dead, " << s.replaced_expired
          << " expired, " << s.tls_resumed << " TLS sessions resumed\n";
    }
  }

 private:
  void expect(bool holds, const char* what) {
    if (!holds) seen.note_fault(what);
  }

  static cocp::connection_options to(const fault_relay& relay) {
    return {.address = relay.address(), .connect_timeout = 1s, .retry_min = 10ms, .retry_max = 300ms};
  }
  cocp::connection_options to_echo() {
    auto o = to(echo_relay_);
    o.tls = cocp::tls_options{.context = &context_, .server_name = "localhost"};
    return o;
  }

  certificate_authority authority_;
  asio::ssl::context context_{asio::ssl::context::tls_client};
  asio::io_context far_{1};
  asio::io_context near_{2};
  redis_server redis_;
  tls_server echo_{far_.get_executor(), authority_.issue({"localhost"})};
  fault_relay redis_relay_{far_.get_executor(), redis_.endpoint()};
  fault_relay echo_relay_{
      far_.get_executor(),
      asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), static_cast<unsigned short>(std::stoul(echo_.port())))};
  cocp::pool redis_pool_{near_, to(redis_relay_), {.size = 20, .max_lifetime = 20s}};
  cocp::pool echo_pool_{near_, to_echo(), {.size = 10, .fail_fast = 500ms}};
  crowd redis_users_{redis_pool_, talk_redis, seen};
  crowd echo_users_{echo_pool_, talk_echo, seen};
  std::thread serving_;
  std::thread using_[2];
};

class sampler {
 public:
  explicit sampler(tally& seen) : seen_(seen) {}

  sample take(double at, std::size_t troubles) {
    sample s;
    s.at = at;
    measure_process(s);
    const double time = at - at_;
    s.others = (s.others - std::exchange(others_, s.others)) / time;
    s.served = more(seen_.served, served_) / time;
    s.failed = more(seen_.failed, failed_) / time;
    s.refused = more(seen_.refused, refused_) / time;
    std::tie(s.median, s.worst) = seen_.take_latencies();
    s.troubles = static_cast<double>(troubles);
    at_ = at;
    return s;
  }

 private:
  static double more(std::uint64_t now, std::uint64_t& before) {
    return static_cast<double>(now - std::exchange(before, now));
  }

  tally& seen_;
  double at_ = 0;
  double others_ = 0;
  std::uint64_t served_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t refused_ = 0;
};

void print(const sample& s) {
  std::cout << std::fixed << std::setprecision(1) << std::setw(7) << s.at << " s  " << std::setw(6) << s.memory
            << " MiB (heap " << s.heap << ")  " << std::setprecision(0) << std::setw(3) << s.descriptors
            << " descriptors  " << s.threads << " threads  " << std::setw(5) << s.served << " served/s  "
            << std::setw(4) << s.failed << " failed  " << std::setw(4) << s.refused << " refused  "
            << std::setprecision(1) << std::setw(6) << s.median << " ms median  " << std::setw(6) << s.worst
            << " ms 99 %  " << std::setprecision(0) << std::setw(4) << s.others << " ms of others"
            << (s.troubles > 0 ? "  in trouble" : "") << std::endl;
}

/// What was measured.
std::vector<sample> run_traffic(const options& o, world& w) {
  std::vector<sample> samples;
  samples.reserve(static_cast<std::size_t>(o.time.count()) + 1);
  fault_schedule schedule = w.make_schedule(o.seed);
  sampler measure(w.seen);
  const auto start = clock_type::now();
  auto next_sample = 1s;
  for (auto since = clock_type::duration(); since < o.time && w.seen.fault().empty();
       since = clock_type::now() - start) {
    schedule.advance(since);
    if (since >= next_sample) {
      samples.push_back(measure.take(std::chrono::duration<double>(since).count(), schedule.troubles()));
      if (next_sample.count() % o.every.count() == 0) print(samples.back());
      next_sample = std::chrono::duration_cast<std::chrono::seconds>(since) + 1s;
    }
    std::this_thread::sleep_for(20ms);
  }
  schedule.end();
  std::cout << schedule.changes() << " changes of the weather\n";
  w.finish();
  return samples;
}

int run(const options& o) {
  std::cout << "seed " << o.seed << std::endl;
  sample before;
  measure_process(before);
  bool good = true;
  std::vector<sample> samples;
  {
    world w(o.seed);
    samples = run_traffic(o, w);
    w.print_pools(std::cout);
    std::cout << w.seen.served << " served, " << w.seen.failed << " failed, " << w.seen.refused << " refused\n";
    if (const std::string fault = w.seen.fault(); !fault.empty()) {
      std::cout << "WRONG: " << fault << '\n';
      good = false;
    }
  }
  sample after;
  measure_process(after);
  if (after.descriptors != before.descriptors) {
    std::cout << "WRONG: " << after.descriptors - before.descriptors << " descriptors are left\n";
    good = false;
  }
  const temporary_directory directory;
  const std::string csv = o.csv.empty() ? std::string(directory.path() / "csv") : o.csv;
  write_csv(samples, csv);
  const std::string title = "soak: " + std::to_string(o.time.count()) + " s, seed " + std::to_string(o.seed);
  if (!o.picture.empty()) draw(csv, title, o.picture);
  if (o.time >= long_enough) {
    good = are_flat(samples, std::cout) && good;
  } else {
    std::cout << "NOT TESTED whether it is flat, in less than two minutes\n";
  }
  std::cout << (good ? "passed" : "FAILED") << std::endl;
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const std::exception& e) {
    std::cerr << "soak: " << e.what() << '\n';
    return 2;
  }
}
