// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "options.hpp"

#include <boost/program_options.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <ostream>
#include <utility>

namespace bench {
namespace {

namespace po = boost::program_options;
using namespace std::chrono_literals;

template <class T, std::size_t N>
using names_of = std::array<std::pair<const char*, T>, N>;

constexpr names_of<mode, 4> mode_names{{{"pool", mode::pool},
                                        {"own-connection", mode::own_connection},
                                        {"dial-each", mode::dial_each},
                                        {"locked", mode::locked}}};
constexpr names_of<protocol, 4> protocol_names{{{"echo", protocol::echo},
                                                {"redis", protocol::redis},
                                                {"memcached", protocol::memcached},
                                                {"http", protocol::http}}};

template <class T, std::size_t N>
const char* name_of(const names_of<T, N>& names, T value) noexcept {
  return std::ranges::find(names, value, [](const auto& n) { return n.second; })->first;
}

/// One of the options that were given, or is by default.
class given_option {
 public:
  given_option(const po::variables_map& all, const char* name) : name_(name), value_(all[name].as<std::string>()) {}

  const std::string& value() const { return value_; }

  [[noreturn]] void refuse(const std::string& rule) const {
    throw usage_error("--" + std::string(name_) + " is " + value_ + "; it must be " + rule);
  }

  std::size_t whole(std::size_t most) const {
    const auto n = parse_bytes(value_);
    if (!n || n->least != n->most || value_.find('.') != std::string::npos || n->least == 0 || n->most > most) {
      refuse("a whole number from 1 to " + std::to_string(most));
    }
    return n->least;
  }

  std::chrono::nanoseconds time(std::chrono::nanoseconds least) const {
    const auto t = parse_time(value_);
    if (!t || *t < least) {
      refuse("a time as in 2s, 50ms or 100us" + (least == 0ns ? "" : ", at least " + to_string(least)) +
             ", at most a day");
    }
    return *t;
  }

  template <class T, std::size_t N>
  T one_of(const names_of<T, N>& names) const {
    std::string rule;
    for (const auto& [name, value] : names) {
      if (value_ == name) return value;
      rule += (rule.empty() ? "" : name == names.back().first ? " or " : ", ") + std::string(name);
    }
    refuse(rule);
  }

 private:
  const char* const name_;
  const std::string value_;
};

po::options_description known_options() {
  po::options_description known("Options");
  auto option = known.add_options();
  const auto text = [](const char* name) { return po::value<std::string>()->value_name(name); };
  const auto usual = [&text](const char* name, const char* value) { return text(name)->default_value(value); };
  option("help,h", "print this");
  option("connect", text("HOST:PORT"), "use the server there instead of one that is started here");
  option("protocol", usual("NAME", "echo"),
         "echo; redis or memcached: store, fetch and delete a value; http: GET with HTTP/1.1");
  option("tls", "with TLS (echo and http)");
  option("insecure", "do not verify the certificate of --connect");
  option("path", usual("PATH", "/"), "what http asks the server of --connect for");
  option("mode", usual("NAME", "pool"),
         "pool: a lease for each request; own-connection: one for each coroutine, by hand; dial-each: one for each "
         "request; locked: one for all, behind a queue");
  option("compare", text("MODES")->implicit_value("pool,own-connection,dial-each,locked"),
         "all of them, or as in --compare=pool,dial-each, in slices that take turns");
  option("rounds", usual("N", "10"), "slices of each mode with --compare");
  option("duration", text("TIME"), "of the run, 6s by default; with --compare of a slice, 500ms by default");
  option("size", text("N"), "connections in the pool: 10 by default; with --compare as many as coroutines");
  option("coroutines", usual("N", "64"), "coroutines that ask");
  option("rate", text("N"),
         "requests a second, due whether those before were answered or not; by default a coroutine asks again when it "
         "has its answer");
  option("think", usual("TIME", "0s"), "from an answer to the coroutine's next request");
  option("bytes", usual("N[..M]", "64"), "bytes of each request, value or answer: a number, or drawn from N to M");
  option("threads", usual("N", "1"), "threads that run the coroutines");
  option("contexts", usual("one|each", "one"), "one io_context for all threads, or one for each of them");
  option("fault", po::value<std::vector<std::string>>()->composing()->value_name("TIME:FAULT"),
         "at a time from the begin (of each slice), as in 2s:kill, and again for the next: kill, restart; or, by a "
         "relay in "
         "front of the server, stall=TIME, latency=TIME (each way, until latency=0), reset=PERCENT% (of the requests, "
         "until "
         "reset=0%). By default the server is killed half-way and is back a sixth of the run later, "
         "but not with --connect or --compare; none: it is not");
  option("json", text("FILE"), "write what was measured there");
  option("report", text("FILE"), "write a page with curves there");
  option("baseline", text("FILE"), "say what is not as it was in that run, which --json wrote");
  return known;
}

std::vector<mode> modes_of(const std::string& list) {
  std::vector<mode> modes;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const std::string name = list.substr(begin, end - begin);
    const auto* const known = std::ranges::find(mode_names, name, [](const auto& n) { return std::string(n.first); });
    if (known == mode_names.end() || std::ranges::find(modes, known->second) != modes.end()) {
      throw usage_error("--compare is " + list +
                        "; it must be some of pool, own-connection, dial-each and locked, each once, with commas");
    }
    modes.push_back(known->second);
    begin = end + 1;
  }
  if (modes.size() < 2) throw usage_error("--compare is " + list + "; it must be two modes at least");
  return modes;
}

std::vector<fault> faults_of(const po::variables_map& given, const load_options& o) {
  if (given.count("fault") == 0) {
    if (!o.connect.empty() || o.compare) return {};
    return {{.at = o.duration / 2}, {.at = o.duration / 2 + o.duration / 6, .what = fault::kind::restart}};
  }
  const auto& texts = given["fault"].as<std::vector<std::string>>();
  if (texts == std::vector<std::string>{"none"}) return {};
  std::vector<fault> faults;
  for (const std::string& text : texts) {
    faults.push_back(parse_fault(text));
    if (!o.connect.empty() && !faults.back().on_the_way()) {
      throw usage_error("--fault is " + text + "; a server of one's own (--connect) is not killed from here");
    }
  }
  return plan_of(std::move(faults), o.duration);
}

void check_together(const po::variables_map& given, const load_options& o) {
  const auto has = [&given](const char* name) { return given.count(name) != 0 && !given[name].defaulted(); };
  const auto needs = [&has](const char* name, bool is, const char* what) {
    if (has(name) && !is) throw usage_error("--" + std::string(name) + " has a meaning only with " + what);
  };
  needs("insecure", o.tls && !o.connect.empty(), "--tls and --connect");
  needs("path", o.speak == protocol::http && !o.connect.empty(), "--protocol http and --connect");
  needs("rounds", o.compare, "--compare");
  needs("think", o.rate == 0, "a loop that waits for answers, without --rate");
  needs("bytes", o.speak != protocol::http || o.connect.empty(), "a server that is started here, or another protocol");
  if (has("mode") && o.compare) throw usage_error("--mode has no meaning with --compare, which has modes of its own");
  if (o.tls && o.speak != protocol::echo && o.speak != protocol::http) {
    throw usage_error("--tls is for the protocols echo and http, not for " + std::string(to_string(o.speak)));
  }
  if (o.context_each && (o.size < o.threads || o.coroutines < o.threads)) {
    throw usage_error("--contexts is each; then --size and --coroutines must be --threads at least");
  }
}

}  // namespace

const char* to_string(mode m) noexcept { return name_of(mode_names, m); }
const char* to_string(protocol p) noexcept { return name_of(protocol_names, p); }

std::optional<load_options> parse_load_options(int argc, const char* const* argv, std::ostream& out) {
  const po::options_description known = known_options();
  po::variables_map given;
  try {
    // No positional arguments: without this they would be ignored.
    po::store(po::command_line_parser(argc, argv).options(known).positional({}).run(), given);
  } catch (const po::error& e) {
    throw usage_error(e.what());
  }
  if (given.count("help") != 0) {
    out << "Asks a server through a pool of connections, kills the server in the middle, starts it again,\n"
           "and says what that cost; or compares the pool with what one would write without it.\n\n"
        << known;
    return std::nullopt;
  }
  const auto value = [&given](const char* name) { return given_option(given, name); };
  const auto text = [&given](const char* name) {
    return given.count(name) != 0 ? given[name].as<std::string>() : std::string();
  };

  load_options o;
  o.connect = text("connect");
  o.speak = value("protocol").one_of(protocol_names);
  o.tls = given.count("tls") != 0;
  o.insecure = given.count("insecure") != 0;
  if (!o.connect.empty()) o.path = text("path");
  o.compare = given.count("compare") != 0;
  o.modes = o.compare ? modes_of(text("compare")) : std::vector{value("mode").one_of(mode_names)};
  if (o.compare) o.rounds = value("rounds").whole(1000);
  o.duration = given.count("duration") != 0 ? value("duration").time(100ms)
               : o.compare                  ? 500ms
                                            : std::chrono::milliseconds(6s);
  o.coroutines = value("coroutines").whole(1'000'000);
  o.size = given.count("size") != 0 ? value("size").whole(10'000)
           : o.compare              ? std::min<std::size_t>(o.coroutines, 10'000)
                                    : o.size;
  if (given.count("rate") != 0) {
    const given_option rate = value("rate");
    o.rate = parse_number(rate.value()).value_or(0);
    if (o.rate < 0.1 || o.rate > 10e6) rate.refuse("a number from 0.1 to 10000000");
  }
  o.think = value("think").time(0ns);
  const auto bytes = parse_bytes(text("bytes"));
  if (!bytes || bytes->least == 0 || bytes->most > longest_payload) {
    value("bytes").refuse("a whole number from 1 to 65536, or two of them as in 64..4096");
  }
  o.bytes = *bytes;
  o.threads = value("threads").whole(256);
  o.context_each = value("contexts").one_of(names_of<bool, 2>{{{"one", false}, {"each", true}}});
  o.faults = faults_of(given, o);
  o.json = text("json");
  o.report = text("report");
  o.baseline = text("baseline");
  check_together(given, o);
  return o;
}

}  // namespace bench
