// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "net/name_lookup.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <netdb.h>

namespace asio = boost::asio;
using cocp::error_code;

namespace {

/// How many allocations of this thread succeed before all of them fail; negative for all.
thread_local int allocations_left = -1;

}  // namespace

void* operator new(std::size_t size) {
  if (allocations_left == 0) throw std::bad_alloc();
  if (allocations_left > 0) --allocations_left;
  if (void* p = std::malloc(size ? size : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

BOOST_AUTO_TEST_SUITE(name_lookup)

BOOST_AUTO_TEST_CASE(errors_are_as_asio_reports_them) {
  using cocp::detail::lookup_error;
  BOOST_TEST(!lookup_error(0));
  BOOST_TEST(lookup_error(EAI_AGAIN) == asio::error::host_not_found_try_again);
  BOOST_TEST(lookup_error(EAI_BADFLAGS) == asio::error::invalid_argument);
  BOOST_TEST(lookup_error(EAI_FAIL) == asio::error::no_recovery);
  BOOST_TEST(lookup_error(EAI_FAMILY) == asio::error::address_family_not_supported);
  BOOST_TEST(lookup_error(EAI_MEMORY) == asio::error::no_memory);
  BOOST_TEST(lookup_error(EAI_SERVICE) == asio::error::service_not_found);
  BOOST_TEST(lookup_error(EAI_SOCKTYPE) == asio::error::socket_type_not_supported);
  // A name that has other records, but no address.
  for (int none : {EAI_NONAME, EAI_NODATA, EAI_ADDRFAMILY})
    BOOST_TEST(lookup_error(none) == asio::error::host_not_found);
  errno = ENFILE;
  BOOST_TEST(lookup_error(EAI_SYSTEM) == boost::system::errc::too_many_files_open_in_system);
}

BOOST_AUTO_TEST_CASE(only_a_young_one_is_joined_but_for_one_when_there_are_a_few) {
  using cocp::detail::joins;
  using namespace std::chrono_literals;
  BOOST_TEST(!joins(0, 0s));
  for (std::size_t n : {1u, 2u, 3u}) {
    BOOST_TEST(joins(n, 0s));
    BOOST_TEST(joins(n, 999ms));
    BOOST_TEST(!joins(n, 1s));
    BOOST_TEST(!joins(n, 1h));
  }
  BOOST_TEST(joins(4, 1h));
}

BOOST_AUTO_TEST_CASE(one_that_runs_out_of_memory_fails) {
  const auto throws = [](const std::string&, const std::string&, std::vector<cocp::endpoint>&) -> error_code {
    throw std::bad_alloc();
  };
  const auto names = std::make_shared<cocp::detail::name_lookup>(throws);
  asio::io_context io;
  error_code result;
  names->async_resolve(io.get_executor(), "db", "7",
                       [&](error_code ec, const std::vector<cocp::endpoint>&) { result = ec; });
  io.run();
  BOOST_TEST(result == asio::error::no_memory);
}

BOOST_AUTO_TEST_CASE(a_lookup_that_could_not_begin_holds_up_no_later_one) {
  const auto found_at_once = [](const std::string&, const std::string&, std::vector<cocp::endpoint>&) {
    return error_code();
  };
  const auto names = std::make_shared<cocp::detail::name_lookup>(found_at_once);
  unsigned failures = 0;
  for (int enough = 0;; ++enough) {
    BOOST_REQUIRE(enough < 100);
    asio::io_context io;
    error_code result = asio::error::would_block;
    auto note = [&](error_code ec, const std::vector<cocp::endpoint>&) { result = ec; };
    // Too long to be kept without memory.
    const std::string host(100, 'a');
    std::string first = host;
    std::string service = "7";
    cocp::detail::resolve_handler handler(note);
    allocations_left = enough;
    try {
      names->async_resolve(io.get_executor(), std::move(first), std::move(service), std::move(handler));
    } catch (const std::bad_alloc&) {
      result = asio::error::no_memory;
    }
    allocations_left = -1;
    io.run();
    if (!result) break;
    ++failures;
    BOOST_TEST(result == asio::error::no_memory);
    result = asio::error::would_block;
    names->async_resolve(io.get_executor(), host, "7", note);
    io.restart();
    io.run();
    BOOST_TEST(!result, "after " << enough << " allocations");
  }
  BOOST_TEST(failures > 2u);
}

BOOST_AUTO_TEST_SUITE_END()
