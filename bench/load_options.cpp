// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "load_options.hpp"

#include <boost/program_options.hpp>

#include <ostream>
#include <sstream>

namespace bench {
namespace {

namespace po = boost::program_options;

constexpr double longest = 24.0 * 60 * 60;

template <class T>
T in_range(const po::variables_map& given, const char* name, T least, T most) {
  const T value = given[name].as<T>();
  // Written so that "not a number" is outside too.
  if (value >= least && value <= most) return value;
  std::ostringstream text;
  text << "--" << name << " is " << value << "; it must be from " << least << " to " << most;
  throw usage_error(text.str());
}

std::size_t count(const po::variables_map& given, const char* name, long most) {
  return static_cast<std::size_t>(in_range(given, name, 1L, most));
}

std::chrono::nanoseconds given_seconds(const po::variables_map& given, const char* name, double least) {
  const std::chrono::duration<double> value(in_range(given, name, least, longest));
  return std::chrono::duration_cast<std::chrono::nanoseconds>(value);
}

protocol protocol_named(const std::string& name) {
  if (name == "echo") return protocol::echo;
  if (name == "redis") return protocol::redis;
  throw usage_error("--protocol is " + name + "; it must be echo or redis");
}

po::options_description known_options() {
  po::options_description known("Options");
  auto option = known.add_options();
  option("help,h", "print this");
  option("address", po::value<std::string>()->value_name("HOST:PORT"),
         "use the server there, which is not killed unless you do it");
  option("protocol", po::value<std::string>()->default_value("echo")->value_name("NAME"),
         "echo, or redis: SET, GET and DEL of unique keys");
  option("size", po::value<long>()->default_value(10)->value_name("N"), "connections in the pool");
  option("coroutines", po::value<long>()->default_value(64)->value_name("N"), "coroutines that ask, each in a loop");
  option("threads", po::value<long>()->default_value(1)->value_name("N"), "threads that run them");
  option("bytes", po::value<long>()->default_value(64)->value_name("N"), "bytes of each request, or of each value");
  option("duration", po::value<double>()->default_value(6)->value_name("S"), "seconds; the server is killed half-way");
  option("down", po::value<double>()->default_value(1)->value_name("S"), "seconds until it is started again");
  return known;
}

}  // namespace

std::optional<load_options> parse_load_options(int argc, char** argv, std::ostream& out) {
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
           "and says what that cost.\n\n"
        << known;
    return std::nullopt;
  }

  load_options o;
  o.speak = protocol_named(given["protocol"].as<std::string>());
  o.size = count(given, "size", 10'000);
  o.coroutines = count(given, "coroutines", 1'000'000);
  o.threads = count(given, "threads", 256);
  // More would need a reader while it is written: the sockets' buffers might not take a whole request and its answer.
  o.bytes = count(given, "bytes", 65'536);
  o.duration = given_seconds(given, "duration", 0.1);
  o.down = given_seconds(given, "down", 0);
  if (given.count("address") != 0) {
    o.address = given["address"].as<std::string>();
    if (!given["down"].defaulted()) throw usage_error("--down has no meaning for a server of one's own (--address)");
  } else if (o.down >= o.duration / 2) {
    throw usage_error("--down must be less than half of --duration, which is when the server is killed");
  }
  return o;
}

}  // namespace bench
