// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "runner.hpp"

#include "drawn_options.hpp"
#include "pools_simulation.hpp"
#include "simulation.hpp"

#include "support/sanitized.hpp"
#include "support/system_call.hpp"

#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <iostream>
#include <utility>

namespace cocp::test::sim {
namespace {

/// How long one simulation may take, in seconds of the clock on the wall.
#if defined(COCP_TEST_SANITIZED)
constexpr unsigned longest = 600;
#else
constexpr unsigned longest = 60;
#endif

/// What a process tells its parent, also when it dies.
struct report {
  std::uint64_t index;
  std::uint64_t seed;
  std::size_t failing_allocation;
  std::uint64_t simulations;
  std::uint64_t failed;
  std::int64_t virtual_time;
  bool spared;
  char broken[500];
};

class shared_report {
 public:
  shared_report()
      : page_(static_cast<report*>(
            ::mmap(nullptr, sizeof(report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    if (page_ == MAP_FAILED) system_call("mmap", -1);
    *page_ = {};
  }
  ~shared_report() { ::munmap(page_, sizeof(report)); }
  shared_report(const shared_report&) = delete;
  shared_report& operator=(const shared_report&) = delete;

  report* operator->() { return page_; }

 private:
  report* page_;
};

/// Does it in a child; how that died, if it did.
template <class F>
std::string in_child(F f) {
  std::cout.flush();
  const pid_t child = system_call("fork", ::fork());
  if (child == 0) {
    f();
    std::cout.flush();
    ::_exit(0);
  }
  int status = 0;
  system_call("waitpid", ::waitpid(child, &status, 0));
  if (WIFEXITED(status)) {
    return WEXITSTATUS(status) == 0 ? "" : "the process ends with " + std::to_string(WEXITSTATUS(status));
  }
  if (WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGPROF) return "it hangs";
  return std::string("the process dies of: ") + ::strsignal(WTERMSIG(status));
}

void run_into(shared_report& r, const plan& p) {
  // Of a processor; and of the clock, which goes on where nothing runs any more, or others do.
  const itimerval limit{.it_interval = {}, .it_value = {.tv_sec = longest, .tv_usec = 0}};
  system_call("setitimer", ::setitimer(ITIMER_PROF, &limit, nullptr));
  ::alarm(10 * longest);
  const outcome o = simulate(p);
  ++r->simulations;
  r->virtual_time += o.virtual_time.count();
  r->spared = o.spared;
  r->broken[0] = 0;
  if (o.failures.empty()) return;
  ++r->failed;
  o.failures.front().copy(r->broken, sizeof r->broken - 1);
  r->broken[std::min(o.failures.front().size(), sizeof r->broken - 1)] = 0;
}

void tell(const report& r, const std::string& broken) {
  std::cout << "seed " << r.seed;
  if (r.failing_allocation != 0) std::cout << " without allocation " << r.failing_allocation;
  std::cout << ": " << broken << std::endl;
}

/// Does it in one child after the other, until one comes to its end.
template <class F>
tally in_children(shared_report& r, F f) {
  for (;; ++r->index) {
    const std::string death = in_child(f);
    if (death.empty()) return {r->simulations, r->failed, duration(r->virtual_time)};
    ++r->simulations;
    ++r->failed;
    tell(*r.operator->(), death);
  }
}

bool fails(const plan& p) { return !try_plan(p).empty(); }

}  // namespace

outcome simulate(const plan& p, std::function<void(const std::string&)> trace) {
  if (p.is_of_many) {
    pools_simulation many(p);
    return many.run(std::move(trace));
  }
  simulation one(p);
  return one.run(std::move(trace));
}

std::string try_plan(const plan& p) {
  shared_report r;
  const std::string death = in_child([&] { run_into(r, p); });
  return death.empty() ? std::string(r->broken) : death;
}

tally run_all(const std::function<std::optional<std::uint64_t>(std::uint64_t)>& next, std::uint64_t failures) {
  shared_report r;
  return in_children(r, [&] {
    for (;; ++r->index) {
      const auto seed = next(r->index);
      if (!seed || r->failed >= failures) return;
      r->seed = *seed;
      run_into(r, plan(*seed));
      if (r->broken[0] != 0) tell(*r.operator->(), r->broken);
    }
  });
}

tally fail_each_allocation(std::uint64_t seed) {
  shared_report r;
  r->seed = seed;
  plan p(seed);
  make_short(p);
  return in_children(r, [&] {
    for (;;) {
      p.failing_allocation = ++r->failing_allocation;
      run_into(r, p);
      if (r->spared) return;
      if (r->broken[0] != 0) tell(*r.operator->(), r->broken);
    }
  });
}

void make_short(plan& p) { p.acts.resize(std::min<std::size_t>(p.acts.size(), 12)); }

plan shrink(plan p) {
  // Ever smaller parts of what is done.
  for (std::size_t part = std::max<std::size_t>(1, p.acts.size() / 2);;) {
    bool found = false;
    for (std::size_t at = 0; at < p.acts.size();) {
      plan less = p;
      const std::size_t n = std::min(part, p.acts.size() - at);
      // The others stay when they were.
      duration waited{};
      for (std::size_t i = at; i < at + n; ++i) waited += p.acts[i].wait;
      less.acts.erase(less.acts.begin() + static_cast<std::ptrdiff_t>(at),
                      less.acts.begin() + static_cast<std::ptrdiff_t>(at + n));
      if (at < less.acts.size()) less.acts[at].wait += waited;
      if (fails(less)) {
        p = std::move(less);
        found = true;
      } else {
        at += n;
      }
    }
    if (part == 1 && !found) break;
    part = std::max<std::size_t>(1, part / 2);
  }
  for (unsigned i = 0; i < drawn_options::count; ++i) {
    plan plain = p;
    plain.plain_options |= std::uint64_t(1) << i;
    if (fails(plain)) p = std::move(plain);
  }
  return p;
}

}  // namespace cocp::test::sim
