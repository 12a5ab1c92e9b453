// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "record.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/version.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>

#include <sys/utsname.h>

namespace bench {
namespace {

namespace json = boost::json;

double us(std::chrono::nanoseconds t) { return static_cast<double>(t.count()) / 1e3; }
double in_seconds(std::chrono::nanoseconds t) { return std::chrono::duration<double>(t).count(); }

#ifdef __clang__
constexpr const char* compiler = __VERSION__;
#else
constexpr const char* compiler = "g++ " __VERSION__;
#endif

json::object machine() {
  std::string processor;
  std::ifstream cpus("/proc/cpuinfo");
  for (std::string line; std::getline(cpus, line);) {
    if (line.starts_with("model name")) {
      processor = line.substr(std::min(line.find(':') + 2, line.size()));
      break;
    }
  }
  utsname system{};
  ::uname(&system);
  double load = 0;
  ::getloadavg(&load, 1);
  return {{"processor", processor},
          {"cores", std::thread::hardware_concurrency()},
          {"kernel", std::string(system.sysname) + " " + system.release},
          {"load", load},
          {"compiler", compiler},
          {"boost", BOOST_LIB_VERSION}};
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

/// What must be the same for two runs to be compared.
json::object setup_of(const load_options& o) {
  json::array faults;
  for (const fault& f : o.faults) faults.emplace_back(to_string(f.at) + ":" + to_string(f));
  return {{"connect", o.connect},
          {"protocol", to_string(o.speak)},
          {"tls", o.tls},
          {"size", o.size},
          {"coroutines", o.coroutines},
          {"threads", o.threads},
          {"contexts", o.context_each ? "each" : "one"},
          {"bytes", json::array{o.bytes.least, o.bytes.most}},
          {"rate", o.rate},
          {"think", to_string(o.think)},
          {"duration", to_string(o.duration)},
          {"rounds", o.rounds},
          {"faults", std::move(faults)}};
}

json::object latency_figures(const latency& l) {
  return {{"p50", us(l.quantile(0.5))},     {"p90", us(l.quantile(0.9))},       {"p99", us(l.quantile(0.99))},
          {"p99.9", us(l.quantile(0.999))}, {"p99.99", us(l.quantile(0.9999))}, {"max", us(l.longest())}};
}

json::object pool_figures(const cocp::stats& s) {
  return {{"gets", s.gets},
          {"gets that waited", s.waits},
          {"gets that timed out", s.timeouts},
          {"gets refused", s.rejected},
          {"connects", s.connects},
          {"failed attempts", s.connect_failures},
          {"connections lost", s.disconnects},
          {"replaced, found dead", s.replaced_dead},
          {"replaced, state not known", s.replaced_dirty},
          {"TLS sessions resumed", s.tls_resumed},
          {"wait p50 (us)", us(s.wait_time.quantile(0.5))},
          {"wait p99 (us)", us(s.wait_time.quantile(0.99))},
          {"connect p50 (us)", us(s.create_time.quantile(0.5))},
          {"connect p99 (us)", us(s.create_time.quantile(0.99))}};
}

json::object mode_record(const measured& m) {
  json::array histogram;
  for (const latency::bin& b : m.answers.bins()) histogram.push_back(json::array{us(b.end), b.count});
  json::array samples;
  for (const sample& s : m.samples) {
    samples.push_back(
        json::object{{"at", in_seconds(s.at)},
                     {"rate", s.span.count() > 0 ? static_cast<double>(s.answered) / in_seconds(s.span) : 0},
                     {"errors", s.errors},
                     {"p50", us(s.p50)},
                     {"p99", us(s.p99)},
                     {"p99.9", us(s.p999)},
                     {"up", s.up},
                     {"leased", s.leased},
                     {"waiting", s.waiting}});
  }
  json::array blocks;
  for (const block& b : m.blocks) {
    blocks.push_back(json::object{{"seconds", in_seconds(b.span)},
                                  {"rate", b.rate()},
                                  {"p50", us(b.p50)},
                                  {"p90", us(b.p90)},
                                  {"p99", us(b.p99)},
                                  {"p99.9", us(b.p999)}});
  }
  json::array happened;
  for (const happening& h : m.happened) happened.push_back(json::object{{"at", in_seconds(h.at)}, {"what", h.what}});
  json::array errors;
  for (const auto& [what, n] : m.errors) {
    errors.push_back(json::object{{"cause", to_string(what.first)}, {"error", what.second}, {"count", n}});
  }
  json::object record{{"mode", to_string(m.how)},         {"seconds", in_seconds(m.elapsed)},
                      {"answered", m.answers.count()},    {"wrong", m.wrong},
                      {"not begun", m.not_begun},         {"latency", latency_figures(m.answers)},
                      {"errors", std::move(errors)},      {"happened", std::move(happened)},
                      {"blocks", std::move(blocks)},      {"samples", std::move(samples)},
                      {"histogram", std::move(histogram)}};
  if (m.recovery) record["recovery"] = us(*m.recovery);
  if (m.pool) record["pool"] = pool_figures(*m.pool);
  return record;
}

}  // namespace

json::object record_of(const std::string& command, const load_options& options, const std::vector<measured>& modes) {
  json::array records;
  for (const measured& m : modes) records.push_back(mode_record(m));
  return {{"format", 1},          {"when", utc_now()},          {"command", command},
          {"machine", machine()}, {"setup", setup_of(options)}, {"modes", std::move(records)}};
}

json::object read_record(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error(file + " cannot be read");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  boost::system::error_code ec;
  json::value all = json::parse(text, ec);
  if (ec || !all.is_object() || all.as_object()["format"] != 1) {
    throw std::runtime_error(file + " is none that --json has written");
  }
  return all.as_object();
}

void write_file(const std::string& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  if (!(out << text) || !out.flush()) throw std::runtime_error(file + " cannot be written");
}

}  // namespace bench
