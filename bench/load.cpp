// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "echo_server.hpp"
#include "free_port.hpp"
#include "load_options.hpp"
#include "load_run.hpp"
#include "server_process.hpp"

#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>

namespace {

bool run(const bench::load_options& options) {
  if (!options.address.empty()) return bench::load_run(options, options.address, nullptr).run();
  const unsigned short port = bench::free_port();
  bench::server_process server(options.speak == bench::protocol::redis ? bench::redis_server(port)
                                                                       : bench::echo_server(port));
  server.start_now();
  return bench::load_run(options, "127.0.0.1:" + std::to_string(port), &server).run();
}

int complain(const char* what) {
  std::cerr << "cocp-load: " << what << '\n';
  return EXIT_FAILURE;
}

int complain_of_usage(const char* what) {
  complain(what);
  std::cerr << "Try cocp-load --help.\n";
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  bench::serve_if_asked(argc, argv);
  try {
    const std::optional<bench::load_options> options = bench::parse_load_options(argc, argv, std::cout);
    return !options || run(*options) ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const bench::usage_error& e) {
    return complain_of_usage(e.what());
  } catch (const std::invalid_argument& e) {
    // The pool's own opinion of --address.
    return complain_of_usage(e.what());
  } catch (const std::exception& e) {
    return complain(e.what());
  }
}
