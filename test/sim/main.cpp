// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// The simulation: see simulation.hpp, and test/run for its options.

#include "outcome.hpp"
#include "runner.hpp"

#include "support/sanitized.hpp"
#if !defined(COCP_TEST_SANITIZED)
#include "support/failing_memory.hpp"
#endif

#include <charconv>
#include <chrono>
#include <cstring>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>

namespace {

using namespace cocp::test::sim;
using wall_clock = std::chrono::steady_clock;

const char* const usage_text = R"(sim [OPTION N]...
  --seeds N        so many simulations (1000)
  --minutes N      or as many as there is time for
  --failures N     and no more when so many have failed
  --from N         the first seed; 0, and without this: a random one
  --seed N         this one, with a trace of all that happens
  --shrink N       looks for a small one that fails as that does, and traces it
  --allocations N  for so many seeds: each allocation fails once
  --without N      with --seed: the n-th allocation fails
)";

std::uint64_t number(const char* text) {
  std::uint64_t n = 0;
  const auto [end, ec] = std::from_chars(text, text + std::strlen(text), n);
  if (ec != std::errc() || *end != 0) throw std::invalid_argument(std::string(text) + " is no number");
  return n;
}

using arguments = std::map<std::string, std::uint64_t>;

arguments parse(int argc, char** argv) {
  arguments result;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (std::string(usage_text).find("  " + name + " ") == std::string::npos || i + 1 == argc) {
      throw std::invalid_argument(name + ": unknown, or without a number\n" + usage_text);
    }
    result[name] = number(argv[i + 1]);
  }
  return result;
}

void trace(const plan& p) {
  for (const std::string& f : simulate(p, [](const std::string& line) { std::cout << line << std::endl; }).failures) {
    std::cout << "seed " << p.seed << ": " << f << '\n';
  }
}

int replay(arguments& a) {
  plan p(a["--seed"]);
  p.failing_allocation = a["--without"];
  if (p.failing_allocation != 0) make_short(p);
  trace(p);
  return 0;
}

int make_small(std::uint64_t seed) {
  plan p(seed);
  if (try_plan(p).empty()) {
    std::cout << "seed " << seed << " does not fail\n";
    return 0;
  }
  const std::size_t before = p.acts.size();
  p = shrink(std::move(p));
  std::cout << "seed " << seed << ", " << p.acts.size() << " of " << before << " acts:\n" << std::flush;
  trace(p);
  return 1;
}

int summary(const tally& t, wall_clock::time_point start, std::uint64_t from) {
  const double seconds = std::chrono::duration<double>(wall_clock::now() - start).count();
  const double hours = std::chrono::duration<double, std::ratio<3600>>(t.virtual_time).count();
  std::cout << t.simulations << " simulations from seed " << from << ", " << t.failed << " failed; " << hours
            << " hours of virtual time in " << seconds << " s, " << hours / seconds * 60 << " a minute" << std::endl;
  return t.failed == 0 && t.simulations != 0 ? 0 : 1;
}

int main_(arguments a) {
  if (a.contains("--seed")) return replay(a);
  if (a.contains("--shrink")) return make_small(a["--shrink"]);
  const auto start = wall_clock::now();
  const std::uint64_t from = a["--from"] != 0 ? a["--from"] : std::random_device()();
  std::cout << "from seed " << from << std::endl;
  if (a.contains("--allocations")) {
    tally all;
    for (std::uint64_t i = 0; i < a["--allocations"]; ++i) {
      const tally t = fail_each_allocation(from + i);
      all.simulations += t.simulations;
      all.failed += t.failed;
      all.virtual_time += t.virtual_time;
    }
    return summary(all, start, from);
  }
  std::optional<wall_clock::time_point> end;
  if (a.contains("--minutes")) end = start + std::chrono::minutes(a["--minutes"]);
  const std::uint64_t most = a.contains("--seeds") ? a["--seeds"] : end ? ~std::uint64_t(0) : 1000;
  const tally t = run_all(
      [&](std::uint64_t n) -> std::optional<std::uint64_t> {
        if (n >= most || (end && wall_clock::now() >= *end)) return std::nullopt;
        return from + n;
      },
      a.contains("--failures") ? a["--failures"] : ~std::uint64_t(0));
  return summary(t, start, from);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return main_(parse(argc, argv));
  } catch (const std::exception& e) {
    std::cerr << "sim: " << e.what() << '\n';
    return 2;
  }
}
