// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// The `main` of every test program. BOOST_TEST_MODULE would make one, were its header not in the precompiled ones.

#include <boost/test/unit_test.hpp>

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#ifdef __SANITIZE_THREAD__
/// ThreadSanitizer knows no fences, and takes the one that ends Asio's `ref_count_down` for nothing: so an executor
/// that is deleted by one thread seems to be released by another at the same time.
extern "C" const char* __tsan_default_suppressions() {
  return "race:boost::asio::execution::detail::shared_target_executor::~shared_target_executor\n";
}
#endif

int main(int argc, char** argv) {
  return boost::unit_test::unit_test_main([] { return true; }, argc, argv);
}
