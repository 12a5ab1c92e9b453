// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// The `main` of every test program. BOOST_TEST_MODULE would make one, were its header not in the precompiled ones.

#include <boost/test/unit_test.hpp>

int main(int argc, char** argv) {
  return boost::unit_test::unit_test_main([] { return true; }, argc, argv);
}
