// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "../echo_server.hpp"
#include "baseline.hpp"
#include "live_view.hpp"
#include "measured.hpp"
#include "options.hpp"
#include "page.hpp"
#include "record.hpp"
#include "server.hpp"
#include "slice.hpp"
#include "summary.hpp"
#include "tls_echo_server.hpp"
#include "trial.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

namespace {

/// Each mode once a round, those of every other round the other way round: what changes slowly is the same for all.
std::vector<bench::measured> measure(const bench::load_options& options, bench::server& server,
                                     bench::live_view& view) {
  std::vector<bench::measured> all(options.modes.size());
  bool interrupted = false;
  for (std::size_t round = 0; round < options.rounds && !interrupted; ++round) {
    for (std::size_t i = 0; i < all.size() && !interrupted; ++i) {
      const std::size_t n = round % 2 == 0 ? i : all.size() - 1 - i;
      const bench::mode how = options.modes[n];
      if (options.compare) {
        view.begin("round " + std::to_string(round + 1) + "/" + std::to_string(options.rounds) + "  " + to_string(how) +
                   "  ");
      }
      bench::append(all[n], bench::slice(options, how, server.at(), server, view).run());
      interrupted = all[n].interrupted;
    }
  }
  view.end();
  return all;
}

/// What can go wrong with the files does before anything is measured.
std::optional<boost::json::object> check_files(const bench::load_options& options) {
  if (!options.report.empty()) bench::check_page();
  for (const std::string& file : {options.json, options.report}) {
    if (!file.empty()) bench::write_file(file, "");
  }
  if (options.baseline.empty()) return std::nullopt;
  return bench::read_record(options.baseline);
}

void keep(const bench::load_options& options, const boost::json::object& record) {
  if (!options.json.empty()) bench::write_file(options.json, boost::json::serialize(record) + "\n");
  if (!options.report.empty()) bench::write_file(options.report, bench::page_of(record));
}

bool run(const std::string& command, const bench::load_options& options) {
  const std::optional<boost::json::object> before = check_files(options);
  bench::server server(options);
  bench::try_once(options, server);
  bench::live_view view(std::cout, ::isatty(STDOUT_FILENO) != 0);
  const std::vector<bench::measured> all = measure(options, server, view);
  if (options.compare) {
    bench::print_comparison(std::cout, options, all);
  } else {
    bench::print_summary(std::cout, options, all.front());
  }
  const boost::json::object record = bench::record_of(command, options, all);
  keep(options, record);
  if (before) bench::print_changes(std::cout, *before, record);
  return std::ranges::all_of(all, [&options](const bench::measured& m) { return bench::faults(options, m).empty(); });
}

int complain(const char* what) {
  std::cerr << "cocp-load: " << what << '\n';
  return EXIT_FAILURE;
}

int complain_of_usage(const char* what) {
  std::cerr << "cocp-load: " << what << " (see --help)\n";
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  bench::serve_if_asked(argc, argv);
  bench::serve_tls_if_asked(argc, argv);
  try {
    const std::optional<bench::load_options> options = bench::parse_load_options(argc, argv, std::cout);
    std::string command = "bench/run";
    for (int i = 1; i < argc; ++i) command.append(" ").append(argv[i]);
    return !options || run(command, *options) ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const bench::usage_error& e) {
    return complain_of_usage(e.what());
  } catch (const std::invalid_argument& e) {
    // The pool's own opinion of --connect.
    return complain_of_usage(e.what());
  } catch (const std::exception& e) {
    return complain(e.what());
  }
}
