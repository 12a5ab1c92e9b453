// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

namespace bench {

/// Prints what Google Benchmark does, and behind it each benchmark's time over its floor's. That is the one whose name
/// is `/floor` behind as much of the benchmark's own as possible: of `get/a/b` it is `get/a/floor`, or else
/// `get/floor`.
class ratio_reporter : public benchmark::ConsoleReporter {
 public:
  ratio_reporter();

  /// False if a benchmark had an error.
  bool good() const noexcept { return good_; }

  void ReportRuns(const std::vector<Run>& runs) override;
  void Finalize() override;

 private:
  /// What the repetitions have taken.
  struct times {
    std::string name;
    std::int64_t place;  ///< Among those registered.
    std::vector<double> real, cpu;
  };

  times* find(const std::string& name);
  /// Null if it has none.
  times* floor_of(std::string name);

  std::vector<times> all_;
  bool good_ = true;
};

}  // namespace bench
